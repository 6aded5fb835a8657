//! The signature itself: CMS SignedData (RFC 5652, section 5) without content, certificates and signed attributes.
//!
//! Versions, parameters and their absence are those of sign-file, which are OpenSSL's CMS_sign: digest algorithms
//! without parameters (RFC 5754, section 2), rsaEncryption with NULL (RFC 3370, section 3.2).

use chancery_protocol::{Algorithm, Hash};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos};
use der::asn1::{OctetString, SetOfVec};
use der::{Any, Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::error::library;
use super::{Error, VerifyError};
use crate::cms::{DATA, SIGNED_DATA, digest_oid, hash_named, issuer_and_serial_number, signature_algorithm};
use crate::x509::Certificate;

/// How a signature names the certificate of its signer (RFC 5652, section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignerId {
    /// By its issuer and serial number: sign-file's habit, which modinfo shows.
    #[default]
    IssuerAndSerialNumber,
    /// By its subject key identifier: sign-file's `-k`, of which modinfo shows nothing.
    SubjectKeyIdentifier,
}

/// The name that a signature gives to `certificate`.
pub(super) fn signer_identifier(
    certificate: &Certificate,
    form: SignerId,
) -> Result<SignerIdentifier, Error> {
    match form {
        SignerId::IssuerAndSerialNumber => {
            Ok(SignerIdentifier::IssuerAndSerialNumber(issuer_and_serial_number(certificate)))
        }
        SignerId::SubjectKeyIdentifier => {
            let identifier = certificate.key_identifier().ok_or(Error::NoKeyIdentifier)?;
            Ok(SignerIdentifier::SubjectKeyIdentifier(identifier))
        }
    }
}

/// A signature's DER; `value` as CMS holds it.
pub(super) fn encode(
    signer: SignerIdentifier,
    algorithm: Algorithm,
    hash: Hash,
    value: &[u8],
) -> Result<Vec<u8>, Error> {
    let what = "write a signature";
    let version = version(&signer);
    let digest_alg = AlgorithmIdentifierOwned { oid: digest_oid(hash), parameters: None };
    let signer = SignerInfo {
        version,
        sid: signer,
        digest_alg: digest_alg.clone(),
        signed_attrs: None,
        signature_algorithm: signature_algorithm(algorithm, hash),
        signature: OctetString::new(value).map_err(library(what))?,
        unsigned_attrs: None,
    };
    let data = SignedData {
        version,
        digest_algorithms: SetOfVec::from_iter([digest_alg]).map_err(library(what))?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: DATA, econtent: None },
        certificates: None,
        crls: None,
        signer_infos: SignerInfos(SetOfVec::from_iter([signer]).map_err(library(what))?),
    };
    let content = Any::encode_from(&data).map_err(library(what))?;
    ContentInfo { content_type: SIGNED_DATA, content }.to_der().map_err(library(what))
}

/// A signature that was read.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) signer: SignerIdentifier,
    pub(super) hash: Hash,
    algorithm: AlgorithmIdentifierOwned,
    /// As CMS holds it.
    pub(super) value: Vec<u8>,
}

impl Signature {
    /// Reads what the kernel would take: one signer, no content, no signed attributes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, VerifyError> {
        let bad = VerifyError::Malformed;
        let info = ContentInfo::from_der(bytes).map_err(|_| bad("is not CMS in DER (RFC 5652)"))?;
        if info.content_type != SIGNED_DATA {
            return Err(bad("is CMS, but not SignedData"));
        }
        let data: SignedData =
            info.content.decode_as().map_err(|_| bad("is not readable as CMS SignedData"))?;
        if data.encap_content_info.econtent.is_some() || data.encap_content_info.econtent_type != DATA {
            return Err(bad("holds contents of its own, which the kernel refuses"));
        }
        let mut signers = data.signer_infos.0.into_vec().into_iter();
        let (Some(signer), None) = (signers.next(), signers.next()) else {
            return Err(bad("has not exactly one signer"));
        };
        if signer.signed_attrs.is_some() {
            return Err(bad("has signed attributes, which the kernel refuses on modules"));
        }
        let hash = hash_named(signer.digest_alg.oid);
        let hash = hash.ok_or(bad("is over another digest than SHA-256, SHA-384 or SHA-512"))?;
        let version = version(&signer.sid);
        if [data.version, signer.version] != [version; 2] {
            return Err(bad("has another version than its parts ask for (RFC 5652, section 5.1)"));
        }
        if !data.digest_algorithms.iter().any(|listed| listed.oid == signer.digest_alg.oid) {
            return Err(bad("does not list its digest"));
        }
        // Some tools write NULL where RFC 5754, section 2 wants nothing.
        let algorithms = [&signer.digest_alg, &signer.signature_algorithm];
        if algorithms.iter().any(|one| one.parameters.as_ref().is_some_and(|given| !given.is_null())) {
            return Err(bad("has algorithms with parameters, which are not known here"));
        }
        let value = signer.signature.into_bytes().into_vec();
        Ok(Self { signer: signer.sid, hash, algorithm: signer.signature_algorithm, value })
    }

    /// Whether it says to be by `certificate`.
    pub(super) fn names(&self, certificate: &Certificate) -> bool {
        let form = self.form();
        signer_identifier(certificate, form).is_ok_and(|identifier| identifier == self.signer)
    }

    /// How it names its signer.
    pub(super) const fn form(&self) -> SignerId {
        match self.signer {
            SignerIdentifier::IssuerAndSerialNumber(_) => SignerId::IssuerAndSerialNumber,
            SignerIdentifier::SubjectKeyIdentifier(_) => SignerId::SubjectKeyIdentifier,
        }
    }

    /// Whether its algorithm is that of keys of `algorithm`.
    pub(super) fn is_of(&self, algorithm: Algorithm) -> bool {
        self.algorithm.oid == signature_algorithm(algorithm, self.hash).oid
    }

    /// Its signer, for people.
    pub(super) fn signer(&self) -> String {
        match &self.signer {
            SignerIdentifier::IssuerAndSerialNumber(name) => {
                format!("`{}`, serial number {}", name.issuer, hex::encode(name.serial_number.as_bytes()))
            }
            SignerIdentifier::SubjectKeyIdentifier(identifier) => {
                format!("the key with identifier {}", hex::encode(identifier.0.as_bytes()))
            }
        }
    }
}

/// The version of SignedData and SignerInfo (RFC 5652, sections 5.1 and 5.3), where there are no certificates.
const fn version(signer: &SignerIdentifier) -> CmsVersion {
    match signer {
        SignerIdentifier::IssuerAndSerialNumber(_) => CmsVersion::V1,
        SignerIdentifier::SubjectKeyIdentifier(_) => CmsVersion::V3,
    }
}
