//! The signer's certificate, named by its hash among the signed attributes, so that no other one with the same key or name
//! can take its place (RFC 5035; CAdES, ETSI EN 319 122-1, section 5.2.2.3).

use chancery_protocol::{Digest, Hash};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Sequence};
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::error::library;
use super::{Attribute, Attributes, Error, VerifyError, hash_named};
use crate::raw;
use crate::x509::Certificate;

/// id-aa-signingCertificateV2 (RFC 5035, section 3).
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// id-aa-signingCertificate (RFC 2634, section 5.4), which knows SHA-1 alone; timestamps still have it (RFC 5816).
#[cfg(feature = "timestamp")]
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");

/// SigningCertificate.
#[cfg(feature = "timestamp")]
#[derive(Debug, Sequence)]
struct SigningCertificate {
    certs: Vec<EssCertId>,
    policies: Option<Any>,
}

/// ESSCertID (RFC 2634, section 5.4.1).
#[cfg(feature = "timestamp")]
#[derive(Debug, Sequence)]
struct EssCertId {
    cert_hash: OctetString,
    issuer_serial: Option<Any>,
}

/// SigningCertificateV2.
#[derive(Debug, Sequence)]
struct SigningCertificateV2 {
    certs: Vec<EssCertIdV2>,
    policies: Option<Any>,
}

/// ESSCertIDv2 (RFC 5035, section 4).
#[derive(Debug, Sequence)]
struct EssCertIdV2 {
    /// SHA-256 where it is left out.
    hash_algorithm: Option<AlgorithmIdentifierOwned>,
    cert_hash: OctetString,
    issuer_serial: Option<IssuerSerial>,
}

/// IssuerSerial (RFC 5035, section 5).
#[derive(Debug, Sequence)]
struct IssuerSerial {
    issuer: GeneralNames,
    serial_number: SerialNumber,
}

/// The attribute that names `certificate` by SHA-256.
pub(super) fn attribute(certificate: &Certificate) -> Result<Attribute, Error> {
    let what = "name the signing certificate";
    let said = certificate.parsed().tbs_certificate();
    let hash = raw::digest(Hash::Sha256, certificate.as_der())?;
    let named = EssCertIdV2 {
        hash_algorithm: None,
        cert_hash: OctetString::new(hash.bytes()).map_err(library(what))?,
        issuer_serial: Some(IssuerSerial {
            issuer: vec![GeneralName::DirectoryName(said.issuer().clone())],
            serial_number: said.serial_number().clone(),
        }),
    };
    let value = Any::encode_from(&SigningCertificateV2 { certs: vec![named], policies: None });
    Ok(Attribute::new(SIGNING_CERTIFICATE_V2, value.map_err(library(what))?))
}

/// Refuses attributes that name another certificate than that of the signer; most name none.
pub(super) fn check(attributes: &Attributes, signer: &Certificate) -> Result<(), VerifyError> {
    if attributes.has(SIGNING_CERTIFICATE_V2) { check_v2(attributes, signer) } else { Ok(()) }
}

/// The same, and refuses attributes that name none; they may also do it in the older way.
#[cfg(feature = "timestamp")]
pub(crate) fn check_named(attributes: &Attributes, signer: &Certificate) -> Result<(), VerifyError> {
    let (old, new) = (attributes.has(SIGNING_CERTIFICATE), attributes.has(SIGNING_CERTIFICATE_V2));
    if !old && !new {
        return Err(VerifyError::Malformed("names no signing certificate by its hash (RFC 5035)"));
    }
    if old {
        check_v1(attributes, signer)?;
    }
    check(attributes, signer)
}

#[cfg(feature = "timestamp")]
fn check_v1(attributes: &Attributes, signer: &Certificate) -> Result<(), VerifyError> {
    let bad = |why| Err(VerifyError::Malformed(why));
    let named = attributes.value(SIGNING_CERTIFICATE).map(|value| value.decode_as::<SigningCertificate>());
    let Some(Ok(SigningCertificate { certs, .. })) = named else {
        return bad("names its signing certificate in a form that is not readable (RFC 2634)");
    };
    let hash = raw::sha1(signer.as_der()).map_err(VerifyError::BadSignature)?;
    match certs.first() {
        Some(first) if first.cert_hash.as_bytes() == hash => Ok(()),
        _ => bad("names another signing certificate than its signer's (RFC 2634)"),
    }
}

fn check_v2(attributes: &Attributes, signer: &Certificate) -> Result<(), VerifyError> {
    let bad = |why| Err(VerifyError::Malformed(why));
    let named =
        attributes.value(SIGNING_CERTIFICATE_V2).map(|value| value.decode_as::<SigningCertificateV2>());
    let Some(Ok(SigningCertificateV2 { certs, .. })) = named else {
        return bad("names its signing certificate in a form that is not readable (RFC 5035)");
    };
    // The first one is the signer's, whatever follows.
    let Some(first) = certs.first() else { return bad("names no signing certificate (RFC 5035)") };
    let hash = match &first.hash_algorithm {
        None => Hash::Sha256,
        Some(named) => match hash_named(named.oid) {
            Some(hash) => hash,
            None => return bad("names its signing certificate by a hash that is not known here (RFC 5035)"),
        },
    };
    let digest = raw::digest(hash, signer.as_der()).map_err(VerifyError::BadSignature)?;
    if Digest::new(hash, first.cert_hash.as_bytes()).ok() != Some(digest) {
        return bad("names another signing certificate than its signer's (RFC 5035)");
    }
    Ok(())
}
