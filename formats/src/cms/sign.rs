//! A signature over content by signed attributes, in its two phases.
//!
//! Versions and parameters are those of PKCS#7 (RFC 2315), which Authenticode is written in: version 1 throughout, and
//! NULL behind digest algorithms, where CMS would have nothing (RFC 5754, section 2).

use chancery_protocol::{Algorithm, Digest, Hash, PublicKey, Scheme};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignerIdentifier};
use der::asn1::{AnyRef, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::error::library;
use super::signed_data::{SetOf, SignedData, SignerInfo};
use super::{
    Attribute, Attributes, Error, SIGNED_DATA, digest_oid, issuer_and_serial_number, signature_algorithm,
};
use crate::raw::{self, Input};
use crate::x509::Certificate;

/// What is signed.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    /// What kind of content it is.
    pub(crate) kind: ObjectIdentifier,
    /// The content itself.
    pub(crate) value: Any,
    /// Further attributes that the kind wants.
    pub(crate) attributes: Vec<Attribute>,
    /// When it is signed, in seconds since 1970, if that is to be told.
    pub(crate) signing_time: Option<u64>,
}

/// A signature that lacks its value.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pending {
    key: PublicKey,
    algorithm: Algorithm,
    input: Input,
    hash: Hash,
    signer: SignerIdentifier,
    attributes: Attributes,
    content: EncapsulatedContentInfo,
    certificates: Vec<Any>,
}

/// Prepares the signature over `content` by the key of `certificate`, which is embedded with its `chain`.
pub(crate) fn prepare(
    certificate: &Certificate,
    chain: &[Certificate],
    hash: Hash,
    content: Content,
) -> Result<Pending, Error> {
    let what = "write what is to be signed";
    let key = certificate.public_key().clone();
    // A certificate was read with a key that has an algorithm.
    let algorithm = key.algorithm().ok_or(raw::Error::Key)?;
    if algorithm == Algorithm::Ed25519 {
        return Err(Error::Algorithm(algorithm));
    }
    let scheme = Scheme::over_digest(algorithm, hash);
    // Of the content its octets are hashed, without tag and length (RFC 5652, section 5.4).
    let message_digest = match Input::of(scheme, content.value.value().to_vec())? {
        Input::Digest(digest) => digest,
        Input::Message(_) => return Err(Error::Algorithm(algorithm)),
    };
    let Content { kind, value, attributes, signing_time } = content;
    let attributes = Attributes::new(kind, &message_digest, signing_time, attributes)?;
    let input = Input::of(scheme, attributes.message().map_err(library(what))?)?;
    let certificates = std::iter::once(certificate).chain(chain);
    let certificates = certificates.map(|certificate| Any::from_der(certificate.as_der()));
    Ok(Pending {
        algorithm,
        input,
        hash,
        signer: SignerIdentifier::IssuerAndSerialNumber(issuer_and_serial_number(certificate)),
        attributes,
        content: EncapsulatedContentInfo { econtent_type: kind, econtent: Some(value) },
        certificates: certificates.collect::<Result<_, _>>().map_err(library(what))?,
        key,
    })
}

impl Pending {
    /// The digest that is to be signed.
    pub(crate) const fn digest(&self) -> Option<&Digest> {
        match &self.input {
            Input::Digest(digest) => Some(digest),
            Input::Message(_) => None,
        }
    }

    /// How it is to be signed.
    pub(crate) const fn scheme(&self) -> Scheme {
        Scheme::over_digest(self.algorithm, self.hash)
    }

    /// The signature's DER, once `raw` has been checked against the certificate's key.
    pub(crate) fn finish(self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        let what = "write a signature";
        raw::verify(&self.key, self.scheme(), &self.input, raw)?;
        let value = raw::to_value(self.algorithm, raw).map_err(library(what))?;
        let digest_alg =
            AlgorithmIdentifierOwned { oid: digest_oid(self.hash), parameters: Some(AnyRef::NULL.into()) };
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: self.signer,
            digest_alg: digest_alg.clone(),
            signed_attrs: Some(self.attributes.0),
            signature_algorithm: signature_algorithm(self.algorithm, self.hash),
            signature: OctetString::new(value).map_err(library(what))?,
            unsigned_attrs: None,
        };
        let data = SignedData {
            version: CmsVersion::V1,
            digest_algorithms: SetOf(vec![digest_alg]),
            encap_content_info: self.content,
            certificates: Some(SetOf(self.certificates)),
            crls: None,
            signer_infos: SetOf(vec![signer]),
        };
        let content = Any::encode_from(&data).map_err(library(what))?;
        ContentInfo { content_type: SIGNED_DATA, content }.to_der().map_err(library(what))
    }
}
