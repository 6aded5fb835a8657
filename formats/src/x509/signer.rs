//! The key in the token, as x509-cert's builder asks for it: its public half, and how it signs.

use chancery_protocol::{Algorithm, Hash, PublicKey, Scheme};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Document};
use signature::Keypair;
use x509_cert::spki::{
    self, AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey,
    SubjectPublicKeyInfoOwned,
};

use super::Error;
use super::error::library;

/// rsaEncryption (RFC 8017, appendix A.1): in CMS also the name of PKCS#1 v1.5 signatures (RFC 3370, section 3.2).
#[cfg(feature = "cms")]
pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-Ed25519 (RFC 8410, section 3).
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The hash of certificates and requests unless somebody asks for another: one as strong as the key, which every
/// verifier knows. Ed25519 hashes inside, whatever is asked.
pub const fn default_hash(algorithm: Algorithm) -> Hash {
    match algorithm {
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 | Algorithm::P256 => Hash::Sha256,
        Algorithm::P384 => Hash::Sha384,
        Algorithm::P521 | Algorithm::Ed25519 => Hash::Sha512,
    }
}

/// A key of the token that is to sign.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    pub(super) key: PublicKey,
    pub(super) algorithm: Algorithm,
    pub(super) scheme: Scheme,
    spki: Vec<u8>,
}

impl Signer {
    pub(super) fn new(key: &PublicKey, hash: Option<Hash>) -> Result<Self, Error> {
        let spki = key.to_spki().map_err(|bad| Error::Key(bad.into()))?;
        // Its SubjectPublicKeyInfo could be written, so the key has an algorithm.
        let algorithm =
            key.algorithm().ok_or_else(|| Error::Key(chancery_protocol::BadPublicKey::Unsupported.into()))?;
        let scheme = match algorithm {
            // RFC 8410, section 3: certificates are signed with pure Ed25519.
            Algorithm::Ed25519 => Scheme::Ed25519,
            _ => Scheme::over_digest(algorithm, hash.unwrap_or(default_hash(algorithm))),
        };
        Ok(Self { key: key.clone(), algorithm, scheme, spki })
    }

    pub(super) fn spki(&self) -> Result<SubjectPublicKeyInfoOwned, Error> {
        SubjectPublicKeyInfoOwned::from_der(&self.spki).map_err(library("read a public key"))
    }

    /// How a certificate names this signature (RFC 4055, section 5; RFC 5758, section 3.2; RFC 8410, section 3).
    pub(super) fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        let rsa =
            |hash| AlgorithmIdentifierOwned { oid: rsa_with(hash), parameters: Some(AnyRef::NULL.into()) };
        let plain = |oid| AlgorithmIdentifierOwned { oid, parameters: None };
        match (self.algorithm, self.scheme.hash()) {
            (Algorithm::P256 | Algorithm::P384 | Algorithm::P521, Some(hash)) => plain(ecdsa_with(hash)),
            (Algorithm::Ed25519, _) | (_, None) => plain(ED25519),
            (_, Some(hash)) => rsa(hash),
        }
    }
}

/// sha256WithRSAEncryption and its like (RFC 4055, section 5).
pub(crate) const fn rsa_with(hash: Hash) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(match hash {
        Hash::Sha256 => "1.2.840.113549.1.1.11",
        Hash::Sha384 => "1.2.840.113549.1.1.12",
        Hash::Sha512 => "1.2.840.113549.1.1.13",
    })
}

/// ecdsa-with-SHA256 and its like (RFC 5758, section 3.2).
pub(crate) const fn ecdsa_with(hash: Hash) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(match hash {
        Hash::Sha256 => "1.2.840.10045.4.3.2",
        Hash::Sha384 => "1.2.840.10045.4.3.3",
        Hash::Sha512 => "1.2.840.10045.4.3.4",
    })
}

/// The public half, which the builder wants as a type of its own.
#[derive(Clone)]
pub(super) struct Public(Vec<u8>);

impl Keypair for Signer {
    type VerifyingKey = Public;

    fn verifying_key(&self) -> Public {
        Public(self.spki.clone())
    }
}

impl EncodePublicKey for Public {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        Ok(Document::try_from(self.0.as_slice())?)
    }
}

impl DynSignatureAlgorithmIdentifier for Signer {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(self.signature_algorithm())
    }
}
