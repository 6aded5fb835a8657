//! A checkpoint's signature, checked with the OpenPGP library's bare cryptography.
//!
//! chancery-formats checks raw signatures only on the way to a finished artifact, and a checkpoint is no artifact.

use std::time::SystemTime;

use chancery_audit::Checkpoint;
use chancery_protocol::{Algorithm, Hash, PublicKey, Scheme};
use sequoia_openpgp::crypto::mpi::{self, MPI};
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::key::{Key4, PublicParts, UnspecifiedRole};
use sequoia_openpgp::packet::signature::Signature4;
use sequoia_openpgp::packet::signature::subpacket::{Subpacket, SubpacketArea, SubpacketValue};
use sequoia_openpgp::types::{Curve, HashAlgorithm, PublicKeyAlgorithm, SignatureType, Timestamp};

/// Whether `checkpoint` is a signature by `key` over `text`.
pub(crate) fn check(key: &PublicKey, checkpoint: &Checkpoint, text: &str) -> Result<(), String> {
    let algorithm = key.algorithm().ok_or("the key is of no known algorithm")?;
    let scheme: Scheme =
        checkpoint.scheme.parse().map_err(|bad: chancery_protocol::UnknownWord| bad.to_string())?;
    let checkable = match scheme.hash() {
        Some(hash) => Scheme::over_digest(algorithm, hash) == scheme,
        None => scheme.fits(algorithm),
    };
    if !checkable {
        return Err(format!("scheme {scheme} cannot be checked here with a key of {algorithm}"));
    }
    let raw = hex::decode(&checkpoint.signature).map_err(|_| "the signature is not hexadecimal")?;
    if raw.len() != algorithm.signature_len() {
        return Err(format!(
            "a signature of {algorithm} has {} bytes, not {}",
            algorithm.signature_len(),
            raw.len()
        ));
    }
    verify(key, algorithm, scheme.hash(), &raw, text.as_bytes()).map_err(|error| error.to_string())
}

fn verify(
    key: &PublicKey,
    algorithm: Algorithm,
    hash: Option<Hash>,
    raw: &[u8],
    text: &[u8],
) -> Result<(), sequoia_openpgp::anyhow::Error> {
    let named = match hash {
        Some(Hash::Sha256) => HashAlgorithm::SHA256,
        Some(Hash::Sha384) => HashAlgorithm::SHA384,
        Some(Hash::Sha512) | None => HashAlgorithm::SHA512,
    };
    let (kind, key_numbers, numbers) = numbers(key, algorithm, raw);
    let key: Key4<PublicParts, UnspecifiedRole> = Key4::new(SystemTime::UNIX_EPOCH, kind, key_numbers)?;
    let digest = if hash.is_some() {
        let mut context = named.context()?.for_digest();
        context.update(text);
        context.into_digest()?
    } else {
        // Pure Ed25519 signs the text; the library takes whatever stands where a digest would.
        text.to_vec()
    };
    // The packet around the numbers is not what was signed. The library wants a time in it, not before the key's.
    let time = Subpacket::new(SubpacketValue::SignatureCreationTime(Timestamp::from(0)), false)?;
    let (hashed, unhashed) = (SubpacketArea::new(vec![time])?, SubpacketArea::default());
    let prefix = [digest[0], digest[1]];
    let signature = Signature4::new(SignatureType::Binary, kind, named, hashed, unhashed, prefix, numbers);
    Signature::from(signature).verify_digest(&key.into(), digest)
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
