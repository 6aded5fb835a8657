//! Certificates: read, described, written.

use sequoia_openpgp::Cert;
use sequoia_openpgp::armor::Kind;
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::MarshalInto;

use super::armor::armor;
use super::error::library;
use super::key::seconds;
use super::{Error, Fingerprint, KeyId};

/// Largest input that is read as certificates: a keyring of some hundred keys with their certifications.
const MAX_LEN: usize = 16 * 1024 * 1024;

/// An OpenPGP certificate (RFC 9580, section 10.1): a public key with its user ids and subkeys.
#[derive(Debug, Clone)]
pub struct Certificate {
    cert: Cert,
}

/// A subkey of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subkey {
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Its key id.
    pub key_id: KeyId,
    /// When it was created, in seconds since 1970.
    pub created: u32,
}

impl Certificate {
    /// Reads exactly one certificate, armored or binary.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        cap(bytes)?;
        let cert = Cert::from_bytes(bytes).map_err(|reason| Error::NotACertificate(reason.into()))?;
        Ok(Self::of(cert))
    }

    /// Reads all certificates of a keyring, armored or binary; at least one.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        cap(bytes)?;
        let certs = CertParser::from_bytes(bytes).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certs = certs.map_err(|reason| Error::NotACertificate(reason.into()))?;
        if certs.is_empty() {
            return Err(Error::NotACertificate("it is empty".into()));
        }
        Ok(certs.into_iter().map(Self::of).collect())
    }

    /// A certificate without secret key material, should somebody have handed us a private key.
    pub(super) fn of(cert: Cert) -> Self {
        Self { cert: cert.strip_secret_key_material() }
    }

    /// The primary key's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.cert.fingerprint())
    }

    /// The primary key's id.
    pub fn key_id(&self) -> KeyId {
        KeyId::of(&self.cert.keyid())
    }

    /// When the primary key was created, in seconds since 1970.
    pub fn created(&self) -> u32 {
        seconds(self.cert.primary_key().key().creation_time())
    }

    /// When the primary key expires, in seconds since 1970; `None` if it never does, or if no binding signature is
    /// strong enough today to say so.
    pub fn expires(&self) -> Option<u32> {
        let policy = StandardPolicy::new();
        let valid = self.cert.with_policy(&policy, None).ok()?;
        valid.primary_key().key_expiration_time().map(seconds)
    }

    /// The user ids, in the certificate's order, fit for a terminal: what is not UTF-8, and control characters, are
    /// shown as replacement characters.
    pub fn user_ids(&self) -> Vec<String> {
        let value = |user_id: &[u8]| String::from_utf8_lossy(user_id).replace(char::is_control, "\u{fffd}");
        self.cert.userids().map(|user_id| value(user_id.userid().value())).collect()
    }

    /// The subkeys.
    pub fn subkeys(&self) -> Vec<Subkey> {
        let keys = self.cert.keys().subkeys().map(|subkey| Subkey {
            fingerprint: Fingerprint::of(&subkey.key().fingerprint()),
            key_id: KeyId::of(&subkey.key().keyid()),
            created: seconds(subkey.key().creation_time()),
        });
        keys.collect()
    }

    /// The certificate as binary packets.
    pub fn to_binary(&self) -> Result<Vec<u8>, Error> {
        self.cert.export_to_vec().map_err(library("write a certificate"))
    }

    /// The certificate in `-----BEGIN PGP PUBLIC KEY BLOCK-----` armor.
    pub fn to_armored(&self) -> Result<Vec<u8>, Error> {
        armor(Kind::PublicKey, &self.to_binary()?)
    }

    pub(crate) const fn cert(&self) -> &Cert {
        &self.cert
    }
}

fn cap(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MAX_LEN { Err(Error::CertificateTooLarge { limit: MAX_LEN }) } else { Ok(()) }
}
