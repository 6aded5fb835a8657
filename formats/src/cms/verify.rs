//! A signature with signed attributes, as it is read and checked.

use chancery_protocol::{Hash, Scheme};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::SignerIdentifier;
use der::asn1::ObjectIdentifier;
use der::{Any, Decode, Encode};
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::signed_data::{SignedData, SignerInfo};
use super::{Attributes, SIGNED_DATA, VerifyError, hash_named, signature_algorithm};
use crate::raw::{self, Input};
use crate::x509::{Certificate, RSA_ENCRYPTION, rsa_with};

/// A signature that was read.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    /// What kind of content it is over.
    pub(crate) content_type: ObjectIdentifier,
    /// The content.
    pub(crate) content: Any,
    /// The hash of content and attributes.
    pub(crate) hash: Hash,
    /// What the signer says.
    pub(crate) attributes: Attributes,
    signer: SignerIdentifier,
    certificates: Vec<Vec<u8>>,
    algorithm: AlgorithmIdentifierOwned,
    value: Vec<u8>,
}

impl Signature {
    /// Reads SignedData of one signer that holds its content.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, VerifyError> {
        let bad = VerifyError::Malformed;
        let info = ContentInfo::from_der(bytes).map_err(|_| bad("is not CMS in DER (RFC 5652)"))?;
        if info.content_type != SIGNED_DATA {
            return Err(bad("is CMS, but not SignedData"));
        }
        let data: SignedData =
            info.content.decode_as().map_err(|_| bad("is not readable as CMS SignedData"))?;
        let content =
            data.encap_content_info.econtent.ok_or(bad("is over contents that it does not hold"))?;
        let mut signers = data.signer_infos.0.into_iter();
        let (Some(signer), None) = (signers.next(), signers.next()) else {
            return Err(bad("has not exactly one signer"));
        };
        check_form(&data.digest_algorithms.0, data.version, &signer)?;
        let hash = hash_named(signer.digest_alg.oid);
        let hash = hash.ok_or(bad("is over another digest than SHA-256, SHA-384 or SHA-512"))?;
        let attributes = signer.signed_attrs.ok_or(bad("has no signed attributes"))?;
        let certificates = data.certificates.map(|set| set.0).unwrap_or_default();
        let certificates = certificates.iter().map(Encode::to_der).collect::<Result<_, _>>();
        Ok(Self {
            content_type: data.encap_content_info.econtent_type,
            content,
            hash,
            attributes: Attributes(attributes),
            signer: signer.sid,
            certificates: certificates.map_err(|_| bad("has certificates that are too long"))?,
            algorithm: signer.signature_algorithm,
            value: signer.signature.into_bytes().into_vec(),
        })
    }

    /// Whether it says to be by `certificate`.
    pub(crate) fn names(&self, certificate: &Certificate) -> bool {
        self.names_parsed(certificate.parsed())
    }

    /// The same of a certificate whose key may be of any kind.
    pub(crate) fn names_parsed(&self, certificate: &x509_cert::Certificate) -> bool {
        let said = certificate.tbs_certificate();
        match &self.signer {
            SignerIdentifier::IssuerAndSerialNumber(name) => {
                name.issuer == *said.issuer() && name.serial_number == *said.serial_number()
            }
            SignerIdentifier::SubjectKeyIdentifier(identifier) => {
                let own = said.get_extension::<SubjectKeyIdentifier>();
                matches!(own, Ok(Some((_, own))) if own == *identifier)
            }
        }
    }

    /// Its signer, for people.
    pub(crate) fn signer(&self) -> String {
        match &self.signer {
            SignerIdentifier::IssuerAndSerialNumber(name) => {
                format!("`{}`, serial number {}", name.issuer, hex::encode(name.serial_number.as_bytes()))
            }
            SignerIdentifier::SubjectKeyIdentifier(identifier) => {
                format!("the key with identifier {}", hex::encode(identifier.0.as_bytes()))
            }
        }
    }

    /// The DER of the certificates that it brings along.
    pub(crate) fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Whether the key of `certificate` signed the attributes, and they are about the content.
    pub(crate) fn check(&self, certificate: &Certificate) -> Result<(), VerifyError> {
        let bad = VerifyError::Malformed;
        let other = bad("is of another algorithm than its certificate's key");
        let Some(algorithm) = certificate.public_key().algorithm() else { return Err(other) };
        let expected = signature_algorithm(algorithm, self.hash).oid;
        // Some tools name RSA together with its hash.
        let with_hash = expected == RSA_ENCRYPTION && rsa_with(self.hash) == self.algorithm.oid;
        if expected != self.algorithm.oid && !with_hash {
            return Err(other);
        }
        let scheme = Scheme::over_digest(algorithm, self.hash);
        let digest_of = |message: Vec<u8>| Input::of(scheme, message).map_err(VerifyError::BadSignature);
        let Input::Digest(digest) = digest_of(self.content.value().to_vec())? else { return Err(other) };
        if self.attributes.content_type() != Some(self.content_type) {
            return Err(bad("is over another kind of content than it holds"));
        }
        if self.attributes.message_digest().as_deref() != Some(digest.bytes()) {
            return Err(bad("is over other contents than it holds"));
        }
        let message = self.attributes.message().map_err(|_| bad("has attributes that are too long"))?;
        let raw =
            raw::of_value(algorithm, &self.value).ok_or(bad("has a value that is none of its algorithm"))?;
        raw::verify(certificate.public_key(), scheme, &digest_of(message)?, &raw)
            .map_err(VerifyError::BadSignature)
    }
}

/// Refuses what no signature of this form says: a change of such parts would otherwise go unnoticed.
fn check_form(
    listed: &[AlgorithmIdentifierOwned],
    version: CmsVersion,
    signer: &SignerInfo,
) -> Result<(), VerifyError> {
    let bad = |why| Err(VerifyError::Malformed(why));
    // PKCS#7 has version 1 for all; CMS has 3 where contents are of a kind of their own, or keys name themselves.
    let expected = match signer.sid {
        SignerIdentifier::IssuerAndSerialNumber(_) => CmsVersion::V1,
        SignerIdentifier::SubjectKeyIdentifier(_) => CmsVersion::V3,
    };
    if signer.version != expected || ![CmsVersion::V1, CmsVersion::V3].contains(&version) {
        return bad("has another version than its parts ask for (RFC 5652, section 5.1)");
    }
    if !listed.iter().any(|listed| listed.oid == signer.digest_alg.oid) {
        return bad("does not list its digest");
    }
    let mut algorithms = listed.iter().chain([&signer.digest_alg, &signer.signature_algorithm]);
    if algorithms.any(|one| one.parameters.as_ref().is_some_and(|given| !given.is_null())) {
        return bad("has algorithms with parameters, which are not known here");
    }
    Ok(())
}
