//! Raw signatures, as a token returns them: what they are over, whether they are good, and how X.509 and CMS spell them.
//!
//! The checks are the OpenPGP library's bare cryptography, on the back end that this crate has anyway.

use std::time::SystemTime;

use chancery_protocol::{Algorithm, Digest, Hash, PublicKey, Scheme};
#[cfg(any(feature = "cms", test))]
use der::Decode;
use der::asn1::UintRef;
use der::{Encode, Sequence};
use sequoia_openpgp::crypto::mpi::{self, MPI};
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::key::{Key4, PublicParts, UnspecifiedRole};
use sequoia_openpgp::packet::signature::Signature4;
use sequoia_openpgp::packet::signature::subpacket::{Subpacket, SubpacketArea, SubpacketValue};
use sequoia_openpgp::types::{Curve, HashAlgorithm, PublicKeyAlgorithm, SignatureType, Timestamp};

use crate::openpgp::hash_algorithm;

/// What a signature is over: what a signer is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A digest.
    Digest(Digest),
    /// A whole message, for schemes that hash inside: pure Ed25519.
    Message(Vec<u8>),
}

impl Input {
    /// What `scheme` takes of a message that is at hand.
    pub fn of(scheme: Scheme, message: Vec<u8>) -> Result<Self, Error> {
        let Some(hash) = scheme.hash() else { return Ok(Self::Message(message)) };
        digest(hash, &message).map(Self::Digest)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Digest(digest) => digest.bytes(),
            Self::Message(message) => message,
        }
    }
}

/// The digest of bytes that are at hand.
pub(crate) fn digest(hash: Hash, bytes: &[u8]) -> Result<Digest, Error> {
    let cannot = |source: sequoia_openpgp::anyhow::Error| Error::Library(source.into());
    let mut context = hash_algorithm(hash).context().map_err(cannot)?.for_digest();
    context.update(bytes);
    let digest = context.into_digest().map_err(cannot)?;
    Digest::new(hash, digest).map_err(|error| Error::Library(error.into()))
}

/// SHA-1, by which older timestamps name a certificate; nothing is signed with it.
#[cfg(feature = "timestamp")]
pub(crate) fn sha1(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let cannot = |source: sequoia_openpgp::anyhow::Error| Error::Library(source.into());
    let mut context = HashAlgorithm::SHA1.context().map_err(cannot)?.for_digest();
    context.update(bytes);
    context.into_digest().map_err(cannot)
}

/// A raw signature is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It has another length than signatures of its key have.
    #[error("a signature of {algorithm} has {} bytes, not {found}", algorithm.signature_len())]
    Length {
        /// The key's algorithm.
        algorithm: Algorithm,
        /// Length of what there is.
        found: usize,
    },
    /// It is not by this key, or not over this input.
    #[error("the signature does not belong to the key and to what was signed")]
    Wrong(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key's numbers are of no algorithm that is known here.
    #[error("the public key is of no known algorithm")]
    Key,
    /// The key does not serve the scheme, the input is not what the scheme takes, or such signatures are not checked here.
    #[error("a signature by {0} with this key over this input cannot be checked here")]
    Scheme(Scheme),
    /// The OpenPGP library or its cryptography refused.
    #[error("the signature cannot be checked")]
    Library(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Whether `raw` is a signature of `scheme` by `key` over `input`. RSASSA-PSS is not checked here.
pub fn verify(key: &PublicKey, scheme: Scheme, input: &Input, raw: &[u8]) -> Result<(), Error> {
    let algorithm = key.algorithm().ok_or(Error::Key)?;
    let hash = match input {
        Input::Digest(digest) => Some(digest.hash()),
        Input::Message(_) => None,
    };
    let checkable = scheme.hash() == hash
        && match hash {
            Some(hash) => Scheme::over_digest(algorithm, hash) == scheme,
            None => scheme.fits(algorithm),
        };
    if !checkable {
        return Err(Error::Scheme(scheme));
    }
    if raw.len() != algorithm.signature_len() {
        return Err(Error::Length { algorithm, found: raw.len() });
    }
    let prepared = packets(key, algorithm, hash, input, raw);
    let (key, signature) = prepared.map_err(|error| Error::Library(error.into()))?;
    let checked = signature.verify_digest(&key.into(), input.bytes());
    checked.map_err(|error| Error::Wrong(error.into()))
}

/// Key and signature as packets, which is how the library takes them.
fn packets(
    key: &PublicKey,
    algorithm: Algorithm,
    hash: Option<Hash>,
    input: &Input,
    raw: &[u8],
) -> Result<(Key4<PublicParts, UnspecifiedRole>, Signature), sequoia_openpgp::anyhow::Error> {
    // Pure Ed25519 signs the message; the library takes whatever stands where a digest would.
    let named = hash.map_or(HashAlgorithm::SHA512, hash_algorithm);
    let (kind, key_numbers, numbers) = numbers(key, algorithm, raw);
    let key = Key4::new(SystemTime::UNIX_EPOCH, kind, key_numbers)?;
    // The packet around the numbers is not what was signed. The library wants a time in it, not before the key's.
    let time = Subpacket::new(SubpacketValue::SignatureCreationTime(Timestamp::from(0)), false)?;
    let (hashed, unhashed) = (SubpacketArea::new(vec![time])?, SubpacketArea::default());
    let mut prefix = [0; 2];
    prefix.iter_mut().zip(input.bytes()).for_each(|(prefix, &byte)| *prefix = byte);
    let signature = Signature4::new(SignatureType::Binary, kind, named, hashed, unhashed, prefix, numbers);
    Ok((key, signature.into()))
}

/// The numbers of key and signature as OpenPGP has them (RFC 9580, sections 5.2.3 and 5.5.5).
fn numbers(
    key: &PublicKey,
    algorithm: Algorithm,
    raw: &[u8],
) -> (PublicKeyAlgorithm, mpi::PublicKey, mpi::Signature) {
    let (r, s) = raw.split_at(raw.len() / 2);
    let (r, s) = (MPI::new(r), MPI::new(s));
    match key {
        PublicKey::Rsa { n, e } => (
            PublicKeyAlgorithm::RSAEncryptSign,
            mpi::PublicKey::RSA { e: MPI::new(e), n: MPI::new(n) },
            mpi::Signature::RSA { s: MPI::new(raw) },
        ),
        PublicKey::Ec { point } => {
            let curve = match algorithm {
                Algorithm::P384 => Curve::NistP384,
                Algorithm::P521 => Curve::NistP521,
                _ => Curve::NistP256,
            };
            (
                PublicKeyAlgorithm::ECDSA,
                mpi::PublicKey::ECDSA { curve, q: MPI::new(point) },
                mpi::Signature::ECDSA { r, s },
            )
        }
        PublicKey::Ed25519 { point } => (
            PublicKeyAlgorithm::EdDSA,
            mpi::PublicKey::EdDSA { curve: Curve::Ed25519, q: MPI::new_compressed_point(point) },
            mpi::Signature::EdDSA { r, s },
        ),
    }
}

/// Ecdsa-Sig-Value (RFC 5480, appendix A, and RFC 5753, section 7.2).
#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// A raw signature as X.509 and CMS hold it: ECDSA as DER of its two numbers, the others as they are.
pub(crate) fn to_value(algorithm: Algorithm, raw: &[u8]) -> Result<Vec<u8>, der::Error> {
    match algorithm {
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => {
            let (r, s) = raw.split_at(raw.len() / 2);
            EcdsaSigValue { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der()
        }
        _ => Ok(raw.to_vec()),
    }
}

/// The raw signature in what X.509 and CMS hold; `None` if its numbers are too large for the key.
#[cfg(any(feature = "cms", test))]
pub(crate) fn of_value(algorithm: Algorithm, value: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => {
            let numbers = EcdsaSigValue::from_der(value).ok()?;
            let size = algorithm.signature_len() / 2;
            let mut raw = vec![0; 2 * size];
            for (number, place) in [numbers.r, numbers.s].iter().zip(raw.chunks_exact_mut(size)) {
                let begin = size.checked_sub(number.as_bytes().len())?;
                place[begin..].copy_from_slice(number.as_bytes());
            }
            Some(raw)
        }
        _ => Some(value.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecdsa_numbers_survive_their_der_with_their_leading_zeros() {
        let mut raw = vec![0x80; 64];
        raw[..3].fill(0);
        raw[32..40].fill(0);
        let value = to_value(Algorithm::P256, &raw).unwrap();
        assert_eq!(of_value(Algorithm::P256, &value).unwrap(), raw);
        // r of 33 bytes fits no key of P-256.
        let long = to_value(Algorithm::P384, &[0x80; 96]).unwrap();
        assert_eq!(of_value(Algorithm::P256, &long), None);
    }

    #[test]
    fn truncated_and_trailing_der_is_no_signature() {
        let value = to_value(Algorithm::P256, &[0x41; 64]).unwrap();
        for cut in 0..value.len() {
            assert_eq!(of_value(Algorithm::P256, &value[..cut]), None);
        }
        assert_eq!(of_value(Algorithm::P256, &[&value[..], &[0]].concat()), None);
    }

    #[test]
    fn a_signature_of_another_scheme_or_length_is_not_looked_at() {
        let key = PublicKey::Ed25519 { point: [7; 32] };
        let message = Input::Message(b"text".to_vec());
        let check = |scheme, input: &Input, raw: &[u8]| verify(&key, scheme, input, raw).unwrap_err();
        assert!(matches!(check(Scheme::Ed25519Sha256, &message, &[0; 64]), Error::Scheme(_)));
        assert!(matches!(check(Scheme::EcdsaSha256, &message, &[0; 64]), Error::Scheme(_)));
        assert!(matches!(check(Scheme::Ed25519, &message, &[0; 63]), Error::Length { found: 63, .. }));
        assert!(matches!(check(Scheme::Ed25519, &message, &[0; 64]), Error::Wrong(_)));
    }
}
