//! Verification against given certificates: who signed, and when. A convenience; gpg, sqv and rpm are the judges.

use std::io::{self, Read, Write};

use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{
    DetachedVerifierBuilder, GoodChecksum, MessageLayer, MessageStructure, VerificationError,
    VerificationHelper, VerifierBuilder,
};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::{Cert, KeyHandle, KeyID, anyhow};

use super::key::seconds;
use super::{Certificate, Fingerprint, KeyId, VerifyError};

/// How much of a message is held back until its signature is known.
const HELD_BACK: usize = 1024 * 1024;

/// A good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The key that signed, which may be a subkey.
    pub key: Fingerprint,
    /// The certificate that holds it.
    pub certificate: Fingerprint,
    /// The certificate's user ids.
    pub user_ids: Vec<String>,
    /// When the signature was made, in seconds since 1970.
    pub created: u32,
}

/// Verifies a detached signature, armored or binary, over all of `data`; at least one signature has to be good.
pub fn verify_detached(
    certificates: &[Certificate],
    signature: &[u8],
    data: impl Read + Send + Sync,
) -> Result<Vec<Verified>, VerifyError> {
    let policy = StandardPolicy::new();
    let mut helper = Helper::new(certificates);
    let outcome = DetachedVerifierBuilder::from_bytes(signature)
        .and_then(|builder| builder.with_policy(&policy, None, &mut helper))
        .and_then(|mut verifier| verifier.verify_reader(data));
    helper.verdict(outcome)
}

/// Verifies a cleartext or inline signed message, and writes the signed data to `output`.
///
/// More than a mebibyte is written before the signature at the message's end is known: use nothing of `output` unless
/// the result is good.
pub fn verify_message(
    certificates: &[Certificate],
    message: impl Read + Send + Sync,
    output: &mut impl Write,
) -> Result<Vec<Verified>, VerifyError> {
    let policy = StandardPolicy::new();
    let mut helper = Helper::new(certificates);
    let outcome = VerifierBuilder::from_reader(message)
        .and_then(|builder| builder.buffer_size(HELD_BACK).with_policy(&policy, None, &mut helper))
        .and_then(|mut verifier| Ok(io::copy(&mut verifier, output)?));
    helper.verdict(outcome.map(|_| ()))
}

/// Collects what the library finds.
struct Helper<'a> {
    certificates: &'a [Certificate],
    good: Vec<Verified>,
    first_failure: Option<VerifyError>,
}

impl<'a> Helper<'a> {
    const fn new(certificates: &'a [Certificate]) -> Self {
        Self { certificates, good: Vec::new(), first_failure: None }
    }

    fn verdict(self, outcome: Result<(), anyhow::Error>) -> Result<Vec<Verified>, VerifyError> {
        if let Some(failure) = self.first_failure.filter(|_| self.good.is_empty()) {
            return Err(failure);
        }
        match outcome {
            Ok(()) if !self.good.is_empty() => Ok(self.good),
            Ok(()) => Err(VerifyError::NoSignature),
            Err(error) => Err(match error.downcast::<io::Error>() {
                // The parser's word for a signature or message that ends too early.
                Ok(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    VerifyError::Malformed(error.into())
                }
                Ok(error) => VerifyError::Io(error),
                Err(error) => VerifyError::Malformed(error.into()),
            }),
        }
    }
}

impl VerificationHelper for &mut Helper<'_> {
    fn get_certs(&mut self, _ids: &[KeyHandle]) -> Result<Vec<Cert>, anyhow::Error> {
        Ok(self.certificates.iter().map(|certificate| certificate.cert().clone()).collect())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> Result<(), anyhow::Error> {
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else { continue };
            for result in results {
                match result {
                    Ok(good) => self.good.push(verified(&good)),
                    Err(error) => {
                        self.first_failure.get_or_insert_with(|| failure(error));
                    }
                }
            }
        }
        Ok(())
    }
}

fn verified(good: &GoodChecksum<'_>) -> Verified {
    let certificate = Certificate::of(good.ka.cert().clone());
    Verified {
        key: Fingerprint::of(&good.ka.key().fingerprint()),
        certificate: certificate.fingerprint(),
        user_ids: certificate.user_ids(),
        created: good.sig.signature_creation_time().map(seconds).unwrap_or_default(),
    }
}

fn failure(error: VerificationError<'_>) -> VerifyError {
    match error {
        VerificationError::MissingKey { sig } => VerifyError::UnknownKey(named(sig)),
        VerificationError::UnboundKey { sig, error, .. } | VerificationError::BadKey { sig, error, .. } => {
            VerifyError::BadKey { key: named(sig), source: error.into() }
        }
        VerificationError::BadSignature { sig, error, .. } => {
            VerifyError::BadSignature { key: named(sig), source: error.into() }
        }
        VerificationError::MalformedSignature { error, .. } => VerifyError::Malformed(error.into()),
        other => VerifyError::Malformed(other.to_string().into()),
    }
}

/// The key id that a signature names as its maker.
pub(crate) fn issuer(signature: &Signature) -> Option<KeyId> {
    signature.get_issuers().first().map(|handle| KeyId::of(&KeyID::from(handle)))
}

fn named(signature: &Signature) -> KeyId {
    issuer(signature).unwrap_or_else(|| KeyId::of(&KeyID::wildcard()))
}
