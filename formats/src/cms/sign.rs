//! A signature over content, by signed attributes or without, in its two phases.
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
    Attribute, Attributes, DATA, Error, SIGNED_DATA, digest_oid, issuer_and_serial_number,
    signature_algorithm,
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
    attributes: Option<Attributes>,
    content: EncapsulatedContentInfo,
    certificates: Vec<Any>,
}

/// Prepares the signature over `content` and attributes by the key of `certificate`, which is embedded with its `chain`.
pub(crate) fn prepare(
    certificate: &Certificate,
    chain: &[Certificate],
    hash: Hash,
    content: Content,
) -> Result<Pending, Error> {
    let what = "write what is to be signed";
    let algorithm = algorithm_of(certificate)?;
    let scheme = Scheme::over_digest(algorithm, hash);
    // Of the content its octets are hashed, without tag and length (RFC 5652, section 5.4).
    let message_digest = match Input::of(scheme, content.value.value().to_vec())? {
        Input::Digest(digest) => digest,
        Input::Message(_) => return Err(Error::Algorithm(algorithm)),
    };
    let Content { kind, value, attributes, signing_time } = content;
    let attributes = Attributes::new(kind, &message_digest, signing_time, attributes)?;
    let input = Input::of(scheme, attributes.message().map_err(library(what))?)?;
    let content = EncapsulatedContentInfo { econtent_type: kind, econtent: Some(value) };
    Ok(Pending { attributes: Some(attributes), ..pending(certificate, chain, hash, input, content)? })
}

/// Prepares the signature over `message`, which stands elsewhere, without attributes.
pub(crate) fn prepare_over(
    certificate: &Certificate,
    chain: &[Certificate],
    hash: Hash,
    message: Vec<u8>,
) -> Result<Pending, Error> {
    let input = Input::of(Scheme::over_digest(algorithm_of(certificate)?, hash), message)?;
    let content = EncapsulatedContentInfo { econtent_type: DATA, econtent: None };
    pending(certificate, chain, hash, input, content)
}

fn algorithm_of(certificate: &Certificate) -> Result<Algorithm, Error> {
    // A certificate was read with a key that has an algorithm.
    match certificate.public_key().algorithm().ok_or(raw::Error::Key)? {
        Algorithm::Ed25519 => Err(Error::Algorithm(Algorithm::Ed25519)),
        algorithm => Ok(algorithm),
    }
}

fn pending(
    certificate: &Certificate,
    chain: &[Certificate],
    hash: Hash,
    input: Input,
    content: EncapsulatedContentInfo,
) -> Result<Pending, Error> {
    let certificates = std::iter::once(certificate).chain(chain);
    let certificates = certificates.map(|certificate| Any::from_der(certificate.as_der()));
    Ok(Pending {
        key: certificate.public_key().clone(),
        algorithm: algorithm_of(certificate)?,
        input,
        hash,
        signer: SignerIdentifier::IssuerAndSerialNumber(issuer_and_serial_number(certificate)),
        attributes: None,
        content,
        certificates: certificates.collect::<Result<_, _>>().map_err(library("write certificates"))?,
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
        let content = Any::encode_from(&self.signed_data(raw)?).map_err(library(what))?;
        ContentInfo { content_type: SIGNED_DATA, content }.to_der().map_err(library(what))
    }

    /// The same as SignedData alone, without the ContentInfo around it.
    pub(crate) fn finish_bare(self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        self.signed_data(raw)?.to_der().map_err(library("write a signature"))
    }

    fn signed_data(self, raw: &[u8]) -> Result<SignedData, Error> {
        let what = "write a signature";
        raw::verify(&self.key, self.scheme(), &self.input, raw)?;
        let value = raw::to_value(self.algorithm, raw).map_err(library(what))?;
        let digest_alg =
            AlgorithmIdentifierOwned { oid: digest_oid(self.hash), parameters: Some(AnyRef::NULL.into()) };
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: self.signer,
            digest_alg: digest_alg.clone(),
            signed_attrs: self.attributes.map(|attributes| attributes.0),
            signature_algorithm: signature_algorithm(self.algorithm, self.hash),
            signature: OctetString::new(value).map_err(library(what))?,
            unsigned_attrs: None,
        };
        Ok(SignedData {
            version: CmsVersion::V1,
            digest_algorithms: SetOf(vec![digest_alg]),
            encap_content_info: self.content,
            certificates: Some(SetOf(self.certificates)),
            crls: None,
            signer_infos: SetOf(vec![signer]),
        })
    }
}
