//! CMS SignedData (RFC 5652, section 5): what kernel modules, PE images and files are signed with.
//!
//! The structures are written and read as they lie there, byte for byte: certificates keep their own DER, and signed
//! attributes the order in which they were signed.

#[cfg(feature = "pe")]
mod attributes;
mod error;
#[cfg(feature = "pe")]
mod sign;
#[cfg(feature = "pe")]
mod signed_data;
#[cfg(feature = "pe")]
mod verify;

use chancery_protocol::{Algorithm, Hash};
use cms::cert::IssuerAndSerialNumber;
use der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::x509::{Certificate, RSA_ENCRYPTION, ecdsa_with};

pub use error::{Error, VerifyError};
#[cfg(feature = "pe")]
pub(crate) use {
    attributes::{Attribute, Attributes},
    sign::{Content, Pending, prepare, prepare_over},
    verify::Signature,
};

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

/// How CMS names a signature: ECDSA with its hash (RFC 5758, section 3.2), RSA without (RFC 3370, section 3.2).
pub(crate) fn signature_algorithm(algorithm: Algorithm, hash: Hash) -> AlgorithmIdentifierOwned {
    match algorithm {
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => {
            AlgorithmIdentifierOwned { oid: ecdsa_with(hash), parameters: None }
        }
        _ => AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL.into()) },
    }
}

/// The name of `certificate` (RFC 5652, section 10.2.4).
pub(crate) fn issuer_and_serial_number(certificate: &Certificate) -> IssuerAndSerialNumber {
    let said = certificate.parsed().tbs_certificate();
    IssuerAndSerialNumber { issuer: said.issuer().clone(), serial_number: said.serial_number().clone() }
}
