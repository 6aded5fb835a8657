//! A signature over content, by signed attributes or without, in its two phases.

use chancery_protocol::{Algorithm, Digest, Hash, PublicKey, Scheme};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignerIdentifier};
use der::asn1::{AnyRef, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::error::library;
use super::signed_data::{SetOf, SignedData, SignerInfo};
use super::{Attributes, DATA, Error, SIGNED_DATA, SignerId, digest_oid, scheme, signature_algorithm};
use crate::raw::{self, Input};
use crate::x509::Certificate;

/// Which specification a signature is written by. Verifiers read both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// CMS (RFC 5652), as OpenSSL's `cms` writes it: nothing behind the names of digest algorithms (RFC 5754, section 2), and
    /// version 3 where the kind of content or the signer's name asks for it.
    #[default]
    Cms,
    /// PKCS#7 (RFC 2315), as Authenticode and OpenSSL's `smime` write it: NULL behind them, and version 1.
    Pkcs7,
}

/// Who signs, and how that is written down.
#[derive(Debug, Clone)]
pub(crate) struct Signer<'a> {
    pub(crate) certificate: &'a Certificate,
    /// The certificates that the signature holds, in their order.
    pub(crate) embedded: Vec<&'a Certificate>,
    pub(crate) id: SignerId,
    pub(crate) form: Form,
    /// The hash of content and attributes.
    pub(crate) hash: Hash,
}

/// A signature that lacks its value.
#[derive(Debug)]
#[must_use]
pub(crate) struct Pending {
    key: PublicKey,
    algorithm: Algorithm,
    input: Input,
    hash: Hash,
    form: Form,
    signer: SignerIdentifier,
    attributes: Option<Attributes>,
    content: EncapsulatedContentInfo,
    certificates: Vec<Any>,
}

impl<'a> Signer<'a> {
    /// As Authenticode and UEFI want it: PKCS#7, with the signer's certificate and its `chain`. Firmware knows no Ed25519.
    #[cfg(feature = "pe")]
    pub(crate) fn of_firmware(
        certificate: &'a Certificate,
        chain: &'a [Certificate],
        hash: Hash,
    ) -> Result<Self, Error> {
        if certificate.public_key().algorithm() == Some(Algorithm::Ed25519) {
            return Err(Error::Algorithm(Algorithm::Ed25519));
        }
        let embedded = std::iter::once(certificate).chain(chain).collect();
        Ok(Self { certificate, embedded, id: SignerId::IssuerAndSerialNumber, form: Form::Pkcs7, hash })
    }

    /// Prepares the signature over `attributes`, which are about content of `kind`; the signature holds what is given of it.
    pub(crate) fn over_attributes(
        &self,
        kind: ObjectIdentifier,
        content: Option<Any>,
        attributes: Attributes,
    ) -> Result<Pending, Error> {
        let message = attributes.message().map_err(library("write what is to be signed"))?;
        let input = Input::of(scheme(self.algorithm()?, self.hash), message)?;
        let content = EncapsulatedContentInfo { econtent_type: kind, econtent: content };
        Ok(Pending { attributes: Some(attributes), content, ..self.over(input)? })
    }

    /// Prepares the signature over data itself, which stands elsewhere.
    pub(crate) fn over(&self, input: Input) -> Result<Pending, Error> {
        let mut embedded = self.embedded.clone();
        if self.form == Form::Cms {
            // The order of DER (X.690, section 11.6); PKCS#7's users have the signer's first.
            embedded.sort_by_key(|certificate| certificate.as_der());
        }
        let certificates = embedded.iter().map(|certificate| Any::from_der(certificate.as_der()));
        Ok(Pending {
            key: self.certificate.public_key().clone(),
            algorithm: self.algorithm()?,
            input,
            hash: self.hash,
            form: self.form,
            signer: self.id.of(self.certificate).ok_or(Error::NoKeyIdentifier)?,
            attributes: None,
            content: EncapsulatedContentInfo { econtent_type: DATA, econtent: None },
            certificates: certificates.collect::<Result<_, _>>().map_err(library("write certificates"))?,
        })
    }

    /// A certificate was read with a key that has an algorithm.
    fn algorithm(&self) -> Result<Algorithm, Error> {
        Ok(self.certificate.public_key().algorithm().ok_or(raw::Error::Key)?)
    }
}

impl Pending {
    /// What is to be signed.
    pub(crate) const fn input(&self) -> &Input {
        &self.input
    }

    /// The same, where the key signs digests.
    #[cfg(feature = "pe")]
    pub(crate) fn digest(&self) -> Result<&Digest, Error> {
        match &self.input {
            Input::Digest(digest) => Ok(digest),
            Input::Message(_) => Err(Error::Algorithm(self.algorithm)),
        }
    }

    /// How it is to be signed.
    pub(crate) const fn scheme(&self) -> Scheme {
        scheme(self.algorithm, self.hash)
    }

    /// The signature's DER, once `raw` has been checked against the certificate's key.
    pub(crate) fn finish(self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        let what = "write a signature";
        let content = Any::encode_from(&self.signed_data(raw)?).map_err(library(what))?;
        ContentInfo { content_type: SIGNED_DATA, content }.to_der().map_err(library(what))
    }

    /// The same as SignedData alone, without the ContentInfo around it.
    #[cfg(feature = "variable")]
    pub(crate) fn finish_bare(self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        self.signed_data(raw)?.to_der().map_err(library("write a signature"))
    }

    fn signed_data(self, raw: &[u8]) -> Result<SignedData, Error> {
        let what = "write a signature";
        raw::verify(&self.key, self.scheme(), &self.input, raw)?;
        let value = raw::to_value(self.algorithm, raw).map_err(library(what))?;
        let parameters = match self.form {
            Form::Cms => None,
            Form::Pkcs7 => Some(AnyRef::NULL.into()),
        };
        let digest_alg = AlgorithmIdentifierOwned { oid: digest_oid(self.hash), parameters };
        let signer_version = SignerId::used_by(&self.signer).version();
        let version = match self.form {
            Form::Cms if self.content.econtent_type != DATA => CmsVersion::V3,
            Form::Cms | Form::Pkcs7 => signer_version,
        };
        let signer = SignerInfo {
            version: signer_version,
            sid: self.signer,
            digest_alg: digest_alg.clone(),
            signed_attrs: self.attributes.map(|attributes| attributes.0),
            signature_algorithm: signature_algorithm(self.algorithm, self.hash),
            signature: OctetString::new(value).map_err(library(what))?,
            unsigned_attrs: None,
        };
        Ok(SignedData {
            version,
            digest_algorithms: SetOf(vec![digest_alg]),
            encap_content_info: self.content,
            certificates: (!self.certificates.is_empty()).then_some(SetOf(self.certificates)),
            crls: None,
            signer_infos: SetOf(vec![signer]),
        })
    }
}
