//! The public half of a key in the token, as an OpenPGP key packet.

use std::time::{Duration, SystemTime};

use chancery_protocol::{Algorithm, Hash, PublicKey};
use sequoia_openpgp::crypto::mpi::{self, MPI};
use sequoia_openpgp::packet::Key;
use sequoia_openpgp::packet::key::{Key4, PublicParts, UnspecifiedRole};
use sequoia_openpgp::types::{Curve, PublicKeyAlgorithm};

use super::error::library;
use super::{Certificate, Error, Fingerprint, KeyId};

/// A key of the token as OpenPGP sees it: its numbers, its algorithm and its creation time, which together make the
/// fingerprint. The private half is elsewhere.
#[derive(Debug, Clone)]
pub struct SigningKey {
    packet: Key<PublicParts, UnspecifiedRole>,
    algorithm: Algorithm,
    created: u32,
}

impl SigningKey {
    /// The key as a version 4 packet with the creation time `created`, in seconds since 1970.
    ///
    /// The time is part of the fingerprint: store it, or better the certificate, with the key. Ed25519 becomes
    /// EdDSALegacy (RFC 9580, section 9.1, algorithm 22), which gpg 2.2 and rpm know; algorithm 27 they do not.
    pub fn new(algorithm: Algorithm, key: &PublicKey, created: u32) -> Result<Self, Error> {
        let (packet_algorithm, numbers) = numbers(algorithm, key)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(created.into());
        let packet =
            Key4::new(time, packet_algorithm, numbers).map_err(library("make a public key packet"))?;
        Ok(Self { packet: packet.into(), algorithm, created })
    }

    /// Finds the key of the token in a stored certificate, as primary key or subkey, by its numbers.
    ///
    /// Whether the certificate still lets that key sign today is for verifiers to say: see
    /// [`verify_detached`](super::verify_detached).
    pub fn from_certificate(certificate: &Certificate, key: &PublicKey) -> Result<Self, Error> {
        let algorithm = algorithm_of(key);
        let wanted = algorithm.and_then(|algorithm| Some((algorithm, numbers(algorithm, key).ok()?)));
        let found = wanted.and_then(|(algorithm, (packet_algorithm, numbers))| {
            let mut packets = certificate.cert().keys().map(|amalgamation| amalgamation.key().clone());
            let packet = packets.find(|packet| {
                packet.version() == 4 && packet.pk_algo() == packet_algorithm && packet.mpis() == &numbers
            })?;
            Some((algorithm, packet))
        });
        let (algorithm, packet) = found.ok_or_else(|| Error::NotInCertificate {
            fingerprint: certificate.fingerprint(),
            key: Box::new(key.clone()),
        })?;
        let created = seconds(packet.creation_time());
        Ok(Self { packet: packet.role_into_unspecified(), algorithm, created })
    }

    /// The fingerprint of this key.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.packet.fingerprint())
    }

    /// The key id of this key.
    pub fn key_id(&self) -> KeyId {
        KeyId::of(&self.packet.keyid())
    }

    /// The algorithm of this key.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// When the key was created, in seconds since 1970.
    pub const fn created(&self) -> u32 {
        self.created
    }

    /// The hash to use unless somebody asks for another: SHA-256 for RSA and P-256 as gpg and rpm do, else the one
    /// that is as strong as the curve (RFC 9580, section 5.2.3.2 asks SHA-384 or more of P-384, and SHA-512 of P-521).
    pub const fn default_hash(&self) -> Hash {
        match self.algorithm {
            Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 | Algorithm::P256 => Hash::Sha256,
            Algorithm::P384 => Hash::Sha384,
            Algorithm::P521 | Algorithm::Ed25519 => Hash::Sha512,
        }
    }

    pub(crate) const fn packet(&self) -> &Key<PublicParts, UnspecifiedRole> {
        &self.packet
    }
}

/// Seconds since 1970 of an OpenPGP time, which always fits 32 bits.
pub(crate) fn seconds(time: SystemTime) -> u32 {
    let elapsed = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX)
}

/// The algorithm that a key's numbers can only belong to, or none.
fn algorithm_of(key: &PublicKey) -> Option<Algorithm> {
    match key {
        PublicKey::Rsa { n, .. } => match MPI::new(n).bits() {
            2048 => Some(Algorithm::Rsa2048),
            3072 => Some(Algorithm::Rsa3072),
            4096 => Some(Algorithm::Rsa4096),
            _ => None,
        },
        PublicKey::Ec { point } => match point.len() {
            65 => Some(Algorithm::P256),
            97 => Some(Algorithm::P384),
            133 => Some(Algorithm::P521),
            _ => None,
        },
        PublicKey::Ed25519 { .. } => Some(Algorithm::Ed25519),
    }
}

/// The packet's algorithm and numbers (RFC 9580, sections 5.5.5 and 9.1).
fn numbers(algorithm: Algorithm, key: &PublicKey) -> Result<(PublicKeyAlgorithm, mpi::PublicKey), Error> {
    if algorithm_of(key) != Some(algorithm) {
        return Err(Error::KeyShape { algorithm, why: "its numbers are of another kind or length" });
    }
    match key {
        PublicKey::Rsa { n, e } => {
            if MPI::new(e).bits() < 2 {
                return Err(Error::KeyShape { algorithm, why: "its public exponent is below 2" });
            }
            let numbers = mpi::PublicKey::RSA { e: MPI::new(e), n: MPI::new(n) };
            Ok((PublicKeyAlgorithm::RSAEncryptSign, numbers))
        }
        PublicKey::Ec { point } => {
            if point.first() != Some(&0x04) {
                return Err(Error::KeyShape { algorithm, why: "its point is not uncompressed" });
            }
            let curve = match algorithm {
                Algorithm::P384 => Curve::NistP384,
                Algorithm::P521 => Curve::NistP521,
                _ => Curve::NistP256,
            };
            Ok((PublicKeyAlgorithm::ECDSA, mpi::PublicKey::ECDSA { curve, q: MPI::new(point) }))
        }
        PublicKey::Ed25519 { point } => {
            // RFC 9580, section 11.2.2: 0x40 marks a point in its curve's native encoding.
            let q = MPI::new_compressed_point(point);
            Ok((PublicKeyAlgorithm::EdDSA, mpi::PublicKey::EdDSA { curve: Curve::Ed25519, q }))
        }
    }
}
