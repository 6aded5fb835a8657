//! A certificate for a key of the token: the key, its user ids, and a positive certification of each.

use chancery_protocol::{Digest, Hash, Scheme};
use sequoia_openpgp::crypto::hash::Hash as _;
use sequoia_openpgp::packet::UserID;
use sequoia_openpgp::packet::signature::subpacket::SubpacketValue;
use sequoia_openpgp::types::{Duration, Features, HashAlgorithm, KeyFlags, SignatureType};
use sequoia_openpgp::{Cert, Packet};

use super::error::library;
use super::pending::Draft;
use super::{Certificate, Error, Pending, SigningKey};

/// Longest user id, in bytes; gpg refuses longer ones.
const MAX_USER_ID: usize = 2048;

/// What a certificate is to say.
#[derive(Debug, Clone)]
pub struct CertificateOptions {
    /// The user ids; the first is the primary one.
    pub user_ids: Vec<String>,
    /// When the certifications are made, in seconds since 1970; usually the key's creation time.
    pub created: u32,
    /// How long after its creation the key expires, in seconds; `None` for never.
    pub valid_for: Option<u32>,
    /// The hash of the certifications.
    pub hash: Hash,
}

/// A certificate that lacks its certifications: one digest for each user id.
#[derive(Debug)]
#[must_use]
pub struct PendingCertificate {
    key: SigningKey,
    scheme: Scheme,
    bindings: Vec<(UserID, Pending)>,
}

/// Prepares a certificate. The same input gives the same digests, so that with RSA or Ed25519 the same certificate can
/// be made again.
pub fn prepare_certificate(
    key: &SigningKey,
    options: &CertificateOptions,
) -> Result<PendingCertificate, Error> {
    if options.user_ids.is_empty() {
        return Err(Error::NoUserId);
    }
    let bind = |(number, text): (usize, &String)| {
        check_user_id(text)?;
        let user_id = UserID::from(text.as_str());
        let mut says = vec![SubpacketValue::KeyFlags(KeyFlags::empty().set_certification().set_signing())];
        says.extend(
            options.valid_for.map(|seconds| SubpacketValue::KeyExpirationTime(Duration::from(seconds))),
        );
        says.push(SubpacketValue::PreferredHashAlgorithms(vec![
            HashAlgorithm::SHA512,
            HashAlgorithm::SHA384,
            HashAlgorithm::SHA256,
        ]));
        if number == 0 && options.user_ids.len() > 1 {
            says.push(SubpacketValue::PrimaryUserID(true));
        }
        says.push(SubpacketValue::Features(Features::empty().set_seipdv1()));
        let draft =
            Draft::new(key, SignatureType::PositiveCertification, options.hash, options.created, says)?;
        let mut context = draft.context()?;
        // RFC 9580, section 5.2.4: the key, then the user id, then the signature's own fields.
        let what = "hash a key and its user id";
        key.packet().hash(&mut context).map_err(library(what))?;
        user_id.hash(&mut context).map_err(library(what))?;
        Ok((user_id, draft.seal(context)?))
    };
    let bindings = options.user_ids.iter().enumerate().map(bind).collect::<Result<_, _>>()?;
    let scheme = Scheme::over_digest(key.algorithm(), options.hash);
    Ok(PendingCertificate { key: key.clone(), scheme, bindings })
}

impl PendingCertificate {
    /// What is to be signed, in order.
    pub fn digests(&self) -> Vec<Digest> {
        self.bindings.iter().map(|(_, pending)| pending.digest().clone()).collect()
    }

    /// How each is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The certificate, once all signatures have been checked; `raw` in the order of [`digests`](Self::digests).
    pub fn finish(self, raw: &[impl AsRef<[u8]>]) -> Result<Certificate, Error> {
        if raw.len() != self.bindings.len() {
            return Err(Error::SignatureCount { expected: self.bindings.len(), found: raw.len() });
        }
        let mut packets = vec![Packet::from(self.key.packet().clone().role_into_primary())];
        for ((user_id, pending), raw) in self.bindings.into_iter().zip(raw) {
            packets.push(user_id.into());
            packets.push(pending.into_signature(raw.as_ref())?.into());
        }
        let cert = Cert::from_packets(packets.into_iter()).map_err(library("assemble a certificate"))?;
        Ok(Certificate::of(cert))
    }
}

fn check_user_id(text: &str) -> Result<(), Error> {
    let bad = |why| Err(Error::UserId { found: text.chars().take(64).collect(), why });
    if text.trim().is_empty() {
        return bad("is empty");
    }
    if text.len() > MAX_USER_ID {
        return bad("is longer than 2048 bytes");
    }
    if text.chars().any(char::is_control) {
        return bad("holds a control character");
    }
    Ok(())
}
