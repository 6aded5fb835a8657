//! CMS SignedData (RFC 5652, section 5): what kernel modules, PE images and files are signed with.
//!
//! The structures are written and read as they lie there, byte for byte: certificates keep their own DER, and signed
//! attributes the order in which they were signed.

mod attributes;
mod error;
pub mod file;
mod sign;
mod signed_data;
mod signer_id;
mod signing_certificate;
mod trust;
#[cfg(feature = "timestamp")]
mod unsigned;
mod verify;

use chancery_protocol::{Algorithm, Hash, Scheme};
use der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::x509::{ED25519, RSA_ENCRYPTION, ecdsa_with};

pub use error::{Error, VerifyError};
pub use sign::Form;
pub use signer_id::SignerId;
pub(crate) use {
    attributes::{Attribute, Attributes},
    sign::{Pending, Signer},
    trust::{anchor, embedded},
    verify::Signature,
};
#[cfg(feature = "timestamp")]
pub(crate) use {signing_certificate::check_named, trust::path, unsigned::OneSigner};

/// id-data (RFC 5652, section 4).
pub(crate) const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
/// id-signedData (RFC 5652, section 5.1).
pub(crate) const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// id-sha256 and its like (RFC 5754, section 2).
pub(crate) const fn digest_oid(hash: Hash) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(match hash {
        Hash::Sha256 => "2.16.840.1.101.3.4.2.1",
        Hash::Sha384 => "2.16.840.1.101.3.4.2.2",
        Hash::Sha512 => "2.16.840.1.101.3.4.2.3",
    })
}

/// The hash of this name.
pub(crate) fn hash_named(oid: ObjectIdentifier) -> Option<Hash> {
    Hash::ALL.iter().copied().find(|&hash| digest_oid(hash) == oid)
}

/// How keys sign in CMS: RSA by PKCS#1 v1.5, and Ed25519 without a digest (RFC 8419, section 3).
pub const fn scheme(algorithm: Algorithm, hash: Hash) -> Scheme {
    match algorithm {
        Algorithm::Ed25519 => Scheme::Ed25519,
        _ => Scheme::over_digest(algorithm, hash),
    }
}

/// How CMS names a signature: ECDSA with its hash (RFC 5758, section 3.2), RSA without (RFC 3370, section 3.2), Ed25519
/// (RFC 8419, section 2.2).
pub(crate) fn signature_algorithm(algorithm: Algorithm, hash: Hash) -> AlgorithmIdentifierOwned {
    match algorithm {
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => {
            AlgorithmIdentifierOwned { oid: ecdsa_with(hash), parameters: None }
        }
        Algorithm::Ed25519 => AlgorithmIdentifierOwned { oid: ED25519, parameters: None },
        _ => AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL.into()) },
    }
}
