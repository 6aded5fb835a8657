//! What a timestamp is over: the hash of a signature's value (RFC 3161, appendix A).

use chancery_protocol::{Digest, Hash};
use der::Sequence;
use der::asn1::{AnyRef, OctetString};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::Error;
use super::error::{library, told};
use crate::cms::{OneSigner, digest_oid, hash_named};
use crate::raw;

/// The hash of the value of a signature's SignerInfo: of the octets, without tag and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imprint(Digest);

impl Imprint {
    /// That of the one signature in `cms`, SignedData in DER: by the hash that the signature itself is made with, or
    /// SHA-256 where that one is not known here.
    pub fn of(cms: &[u8]) -> Result<Self, Error> {
        let read = OneSigner::decode(cms).map_err(|error| Error::Signature(told(&error)))?;
        Self::by(read.hash().unwrap_or(Hash::Sha256), &read)
    }

    /// That of a signature, by this hash.
    pub(super) fn by(hash: Hash, signature: &OneSigner) -> Result<Self, Error> {
        raw::digest(hash, signature.value()).map(Self).map_err(library("hash a signature"))
    }

    /// The digest.
    pub const fn digest(&self) -> &Digest {
        &self.0
    }

    pub(super) fn told(&self) -> (Hash, String) {
        (self.0.hash(), hex::encode(self.0.bytes()))
    }
}

/// MessageImprint (RFC 3161, section 2.4.1).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub(super) struct MessageImprint {
    hash_algorithm: AlgorithmIdentifierOwned,
    hashed_message: OctetString,
}

impl MessageImprint {
    pub(super) fn encode(imprint: &Imprint) -> Result<Self, der::Error> {
        let oid = digest_oid(imprint.0.hash());
        Ok(Self {
            hash_algorithm: AlgorithmIdentifierOwned { oid, parameters: Some(AnyRef::NULL.into()) },
            hashed_message: OctetString::new(imprint.0.bytes())?,
        })
    }

    pub(super) fn decode(&self) -> Result<Imprint, Error> {
        let parameters = self.hash_algorithm.parameters.as_ref();
        let hash = hash_named(self.hash_algorithm.oid)
            .filter(|_| parameters.is_none_or(der::Any::is_null))
            .ok_or(Error::Malformed("is over another hash than SHA-256, SHA-384 or SHA-512"))?;
        Digest::new(hash, self.hashed_message.as_bytes())
            .map(Imprint)
            .map_err(|_| Error::Malformed("is over a digest of another length than its hash makes"))
    }
}
