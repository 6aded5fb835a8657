//! A certificate, read from DER or PEM.

use chancery_protocol::PublicKey;
use der::pem::LineEnding;
use der::referenced::OwnedToRef;
use der::{Decode, Encode};
use sequoia_openpgp::types::HashAlgorithm;
#[cfg(feature = "cms")]
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use super::error::library;
use super::{Error, Profile, Subject};

/// Largest certificate that is read, in bytes, with the text that may stand around PEM.
const MAX_LEN: usize = 1024 * 1024;
/// What PEM begins with (RFC 7468, section 5).
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// An X.509 certificate whose key is of a kind that is spoken here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// As it was read: the library writes some times otherwise, and the signature is over these bytes.
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
    key: PublicKey,
}

impl Certificate {
    /// Reads a certificate: DER, or the first one in PEM.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_LEN {
            return Err(Error::CertificateTooLarge { limit: MAX_LEN });
        }
        let not_one = |error: der::Error| Error::NotACertificate(error.into());
        let pem = bytes.windows(PEM.len()).position(|window| window == PEM);
        let der = match pem {
            // DER begins with its SEQUENCE, and could hold anything after that.
            Some(begin) if !bytes.starts_with(&[0x30]) => {
                let end = b"-----END CERTIFICATE-----";
                let rest = &bytes[begin..];
                let end = rest.windows(end.len()).position(|window| window == end).map(|at| at + end.len());
                let pem = &rest[..end.unwrap_or(rest.len())];
                let (_, der) = der::pem::decode_vec(pem).map_err(|error| not_one(error.into()))?;
                der
            }
            _ => bytes.to_vec(),
        };
        let parsed = x509_cert::Certificate::from_der(&der).map_err(not_one)?;
        let spki = parsed.tbs_certificate().subject_public_key_info().to_der();
        let spki = spki.map_err(library("read a certificate's key"))?;
        let key = PublicKey::from_spki(&spki).map_err(|bad| Error::Key(bad.into()))?;
        Ok(Self { der, parsed, key })
    }

    /// Reads every certificate of a file: the one in DER, or all in PEM, in their order.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        let marks = bytes.windows(PEM.len()).enumerate().filter(|(_, window)| *window == PEM);
        let begins: Vec<_> = marks.map(|(at, _)| at).collect();
        if bytes.starts_with(&[0x30]) || begins.is_empty() || bytes.len() > MAX_LEN {
            return Self::parse(bytes).map(|one| vec![one]);
        }
        begins.into_iter().map(|at| Self::parse(&bytes[at..])).collect()
    }

    /// A certificate that was made here.
    pub(super) fn of(certificate: &x509_cert::Certificate) -> Result<Self, Error> {
        Self::parse(&certificate.to_der().map_err(library("write a certificate"))?)
    }

    /// The key that it is for.
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Whose key it is.
    pub fn subject(&self) -> Subject {
        Subject::of(self.parsed.tbs_certificate().subject().clone())
    }

    /// Until when it is valid, in seconds since 1970.
    pub fn not_after(&self) -> u64 {
        self.parsed.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// Its serial number, in hexadecimal.
    pub fn serial(&self) -> String {
        hex::encode(self.parsed.tbs_certificate().serial_number().as_bytes())
    }

    /// The profile whose extensions it has, if it was made here.
    pub fn profile(&self) -> Option<Profile> {
        let said = self.parsed.tbs_certificate();
        let key = said.subject_public_key_info().owned_to_ref();
        Profile::ALL.into_iter().find(|profile| {
            let own = profile.extensions(key.clone(), said.subject());
            own.is_ok_and(|own| said.extensions() == Some(&own))
        })
    }

    /// Its SHA-256, in hexadecimal, by which people compare certificates.
    pub fn fingerprint(&self) -> Result<String, Error> {
        let what = "hash a certificate";
        let mut context = HashAlgorithm::SHA256.context().map_err(library(what))?.for_digest();
        context.update(&self.der);
        Ok(hex::encode(context.into_digest().map_err(library(what))?))
    }

    /// Its DER.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Its PEM (RFC 7468, section 5).
    pub fn to_pem(&self) -> Result<String, Error> {
        der::pem::encode_string("CERTIFICATE", LineEnding::LF, &self.der)
            .map_err(library("write a certificate"))
    }

    /// The name that it gives its key, if it gives one (RFC 5280, section 4.2.1.2).
    #[cfg(feature = "cms")]
    pub(crate) fn key_identifier(&self) -> Option<SubjectKeyIdentifier> {
        self.parsed.tbs_certificate().get_extension().ok().flatten().map(|(_, identifier)| identifier)
    }

    #[cfg(feature = "cms")]
    pub(crate) const fn parsed(&self) -> &x509_cert::Certificate {
        &self.parsed
    }
}
