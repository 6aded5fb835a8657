//! A version 4 signature (RFC 9580, section 5.2.3) in its two phases.

use chancery_protocol::{Algorithm, Digest, Hash, Scheme};
use sequoia_openpgp::Packet;
use sequoia_openpgp::crypto::hash::{Context, Hash as _};
use sequoia_openpgp::crypto::mpi::{self, MPI};
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::packet::signature::Signature4;
use sequoia_openpgp::packet::signature::subpacket::{Subpacket, SubpacketArea, SubpacketValue};
use sequoia_openpgp::serialize::MarshalInto;
use sequoia_openpgp::types::{HashAlgorithm, SignatureType, Timestamp};

use super::error::library;
use super::{Error, SigningKey};

/// A signature that lacks only its numbers: sign [`digest`](Self::digest) by [`scheme`](Self::scheme), then
/// [`finish`](Self::finish).
#[derive(Debug)]
#[must_use]
pub struct Pending {
    draft: Draft,
    digest: Digest,
}

impl Pending {
    /// What is to be signed.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How it is to be signed.
    pub const fn scheme(&self) -> Scheme {
        Scheme::over_digest(self.draft.key.algorithm(), self.digest.hash())
    }

    /// The binary signature packet, once `raw` has been checked against the key.
    pub fn finish(self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.into_signature(raw)?;
        Packet::from(signature).to_vec().map_err(library("write a signature packet"))
    }

    pub(super) fn into_signature(self, raw: &[u8]) -> Result<Signature, Error> {
        let Draft { key, kind, hash, hashed } = self.draft;
        let numbers = numbers(key.algorithm(), raw)?;
        let digest = self.digest.bytes();
        // Nothing shorter than 32 bytes is a digest, so the first two are there.
        let prefix = [digest[0], digest[1]];
        let signature: Signature =
            Signature4::new(kind, key.packet().pk_algo(), hash, hashed, unhashed(&key)?, prefix, numbers)
                .into();
        signature
            .verify_digest(key.packet(), digest)
            .map_err(|reason| Error::WrongSignature { key_id: key.key_id(), source: reason.into() })?;
        Ok(signature)
    }
}

/// What a signature will say, before the data is known.
#[derive(Debug)]
pub(crate) struct Draft {
    key: SigningKey,
    kind: SignatureType,
    hash: HashAlgorithm,
    hashed: SubpacketArea,
}

impl Draft {
    /// A signature by `key` at `created` (seconds since 1970); `more` follows the two subpackets that all have.
    pub(crate) fn new(
        key: &SigningKey,
        kind: SignatureType,
        hash: Hash,
        created: u32,
        more: Vec<SubpacketValue>,
    ) -> Result<Self, Error> {
        if created < key.created() {
            return Err(Error::BeforeKey { signature: created, key: key.created() });
        }
        let mut values = vec![
            SubpacketValue::IssuerFingerprint(key.packet().fingerprint()),
            SubpacketValue::SignatureCreationTime(Timestamp::from(created)),
        ];
        values.extend(more);
        Ok(Self { key: key.clone(), kind, hash: hash_algorithm(hash), hashed: area(values)? })
    }

    /// A fresh hash for the data of this signature.
    pub(crate) fn context(&self) -> Result<Context, Error> {
        Ok(self.hash.context().map_err(library("start a hash"))?.for_signature(4))
    }

    /// Appends the signature's own fields to the hash (RFC 9580, section 5.2.4) and takes the digest.
    pub(crate) fn seal(self, mut context: Context) -> Result<Pending, Error> {
        let nothing = mpi::Signature::Unknown { mpis: Box::default(), rest: Box::default() };
        let algorithm = self.key.packet().pk_algo();
        let fields = Signature4::new(
            self.kind,
            algorithm,
            self.hash,
            self.hashed.clone(),
            area(vec![])?,
            [0; 2],
            nothing,
        );
        fields.hash(&mut context).map_err(library("hash a signature's fields"))?;
        let digest = digest(context)?;
        Ok(Pending { draft: self, digest })
    }
}

/// The unhashed issuer, without which old verifiers do not find the key.
fn unhashed(key: &SigningKey) -> Result<SubpacketArea, Error> {
    area(vec![SubpacketValue::Issuer(key.packet().keyid())])
}

fn area(values: Vec<SubpacketValue>) -> Result<SubpacketArea, Error> {
    let subpackets = values.into_iter().map(|value| Subpacket::new(value, false)).collect::<Result<_, _>>();
    subpackets.and_then(SubpacketArea::new).map_err(library("write a signature's subpackets"))
}

/// A raw signature as OpenPGP's numbers (RFC 9580, section 5.2.3).
fn numbers(algorithm: Algorithm, raw: &[u8]) -> Result<mpi::Signature, Error> {
    if raw.len() != algorithm.signature_len() {
        return Err(Error::SignatureLength { algorithm, found: raw.len() });
    }
    let (first, second) = raw.split_at(raw.len() / 2);
    Ok(match algorithm {
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
            mpi::Signature::RSA { s: MPI::new(raw) }
        }
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => {
            mpi::Signature::ECDSA { r: MPI::new(first), s: MPI::new(second) }
        }
        Algorithm::Ed25519 => mpi::Signature::EdDSA { r: MPI::new(first), s: MPI::new(second) },
    })
}

/// Takes the digest of a context whose hash is one of ours.
pub(crate) fn digest(context: Context) -> Result<Digest, Error> {
    let what = "finish a hash";
    let hash = hash_of(context.algo());
    let bytes = context.into_digest().map_err(library(what))?;
    let hash = hash.ok_or_else(|| library(what)("the hash is none that we sign with"))?;
    Digest::new(hash, bytes).map_err(library(what))
}

/// The library's name of a hash.
pub(crate) const fn hash_algorithm(hash: Hash) -> HashAlgorithm {
    match hash {
        Hash::Sha256 => HashAlgorithm::SHA256,
        Hash::Sha384 => HashAlgorithm::SHA384,
        Hash::Sha512 => HashAlgorithm::SHA512,
    }
}

/// Our name of the library's hash, if we sign with it.
pub(crate) fn hash_of(algorithm: HashAlgorithm) -> Option<Hash> {
    Hash::ALL.iter().copied().find(|&hash| hash_algorithm(hash) == algorithm)
}
