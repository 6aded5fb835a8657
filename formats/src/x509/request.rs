//! Certification requests (PKCS#10, RFC 2986), for keys whose certificates somebody else makes.

use chancery_protocol::{Hash, PublicKey, Scheme};
use der::pem::LineEnding;
use der::{Encode, EncodePem};
use x509_cert::request::{CertReq, CertReqInfo, Version};

use super::error::library;
use super::make_certificate::checked;
use super::signer::Signer;
use super::{Error, Subject};
use crate::raw::Input;

/// A request that lacks its signature, by which the key's holder proves to hold it.
#[derive(Debug)]
#[must_use]
pub struct PendingRequest {
    signer: Signer,
    info: CertReqInfo,
    input: Input,
}

/// Prepares a request for `subject`. It asks for no extensions: what a certificate is for is its issuer's to say.
pub fn prepare_request(
    key: &PublicKey,
    subject: &Subject,
    hash: Option<Hash>,
) -> Result<PendingRequest, Error> {
    let signer = Signer::new(key, hash)?;
    let info = CertReqInfo {
        version: Version::V1,
        subject: subject.name().clone(),
        public_key: signer.spki()?,
        attributes: der::asn1::SetOfVec::new(),
    };
    let message = info.to_der().map_err(library("prepare a request"))?;
    let input = Input::of(signer.scheme, message)?;
    Ok(PendingRequest { signer, info, input })
}

impl PendingRequest {
    /// What is to be signed.
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// How it is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.signer.scheme
    }

    /// The request, once `raw` has been checked against its key.
    pub fn finish(self, raw: &[u8]) -> Result<Request, Error> {
        let signature = checked(&self.signer, &self.input, raw)?;
        let algorithm = self.signer.signature_algorithm();
        Ok(Request(CertReq { info: self.info, algorithm, signature }))
    }
}

/// A signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(CertReq);

impl Request {
    /// Its DER.
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        self.0.to_der().map_err(library("write a request"))
    }

    /// Its PEM (RFC 7468, section 7).
    pub fn to_pem(&self) -> Result<String, Error> {
        self.0.to_pem(LineEnding::LF).map_err(library("write a request"))
    }
}
