//! A signature as it is read and checked.

use chancery_protocol::{Digest, Hash};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::SignerIdentifier;
use der::asn1::ObjectIdentifier;
use der::{Any, Decode, Encode};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::signed_data::{SignedData, SignerInfo};
use super::{
    Attributes, DATA, SIGNED_DATA, SignerId, VerifyError, hash_named, scheme, signature_algorithm, signer_id,
};
use crate::raw::{self, Input};
use crate::x509::{Certificate, RSA_ENCRYPTION, rsa_with};

/// A signature that was read.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    /// What kind of content it is over.
    pub(crate) content_type: ObjectIdentifier,
    /// The content, if it holds it.
    pub(crate) content: Option<Any>,
    /// The hash of content and attributes.
    pub(crate) hash: Hash,
    /// What the signer says, if anything; if not, the content itself was signed.
    pub(crate) attributes: Option<Attributes>,
    signer: SignerIdentifier,
    certificates: Vec<Vec<u8>>,
    algorithm: AlgorithmIdentifierOwned,
    value: Vec<u8>,
}

impl Signature {
    /// Reads SignedData of one signer.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, VerifyError> {
        let bad = VerifyError::Malformed;
        let info = ContentInfo::from_der(bytes).map_err(|_| bad("is not CMS in DER (RFC 5652)"))?;
        if info.content_type != SIGNED_DATA {
            return Err(bad("is CMS, but not SignedData"));
        }
        Self::of(info.content.decode_as().map_err(|_| bad("is not readable as CMS SignedData"))?)
    }

    /// Reads SignedData without the ContentInfo around it, which stands so in variables of firmware.
    #[cfg(feature = "variable")]
    pub(crate) fn decode_bare(bytes: &[u8]) -> Result<Self, VerifyError> {
        let bad = VerifyError::Malformed;
        Self::of(SignedData::from_der(bytes).map_err(|_| bad("is not CMS SignedData in DER (RFC 5652)"))?)
    }

    fn of(data: SignedData) -> Result<Self, VerifyError> {
        let bad = VerifyError::Malformed;
        let mut signers = data.signer_infos.0.into_iter();
        let (Some(signer), None) = (signers.next(), signers.next()) else {
            return Err(bad("has not exactly one signer"));
        };
        let content = data.encap_content_info;
        check_form(&data.digest_algorithms.0, data.version, content.econtent_type, &signer)?;
        let hash = hash_named(signer.digest_alg.oid);
        let hash = hash.ok_or(bad("is over another digest than SHA-256, SHA-384 or SHA-512"))?;
        let certificates = data.certificates.map(|set| set.0).unwrap_or_default();
        let certificates = certificates.iter().map(Encode::to_der).collect::<Result<_, _>>();
        Ok(Self {
            content_type: content.econtent_type,
            content: content.econtent,
            hash,
            attributes: signer.signed_attrs.map(Attributes),
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
        signer_id::names(&self.signer, certificate)
    }

    /// How it names its signer.
    pub(crate) const fn signer_id(&self) -> SignerId {
        SignerId::used_by(&self.signer)
    }

    /// Its signer, for people.
    pub(crate) fn signer(&self) -> String {
        signer_id::shown(&self.signer)
    }

    /// The DER of the certificates that it brings along.
    pub(crate) fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Whether the key of `certificate` signed attributes that are about the content that the signature holds.
    pub(crate) fn check(&self, certificate: &Certificate) -> Result<(), VerifyError> {
        let bad = VerifyError::Malformed;
        let content = self.content.as_ref().ok_or(bad("is over contents that it does not hold"))?;
        if self.attributes.is_none() {
            return Err(bad("has no signed attributes"));
        }
        // Of the content its octets are hashed, without tag and length (RFC 5652, section 5.4).
        let digest = raw::digest(self.hash, content.value()).map_err(VerifyError::BadSignature)?;
        self.check_over(certificate, &digest)
    }

    /// Whether the key of `certificate` signed content of this digest, which is one of the signature's hash, or attributes
    /// that are about it.
    pub(crate) fn check_over(&self, certificate: &Certificate, content: &Digest) -> Result<(), VerifyError> {
        let bad = VerifyError::Malformed;
        let other = bad("is of another algorithm than its certificate's key");
        let Some(algorithm) = certificate.public_key().algorithm() else { return Err(other) };
        let expected = signature_algorithm(algorithm, self.hash).oid;
        // Some tools name RSA together with its hash.
        let with_hash = expected == RSA_ENCRYPTION && rsa_with(self.hash) == self.algorithm.oid;
        if expected != self.algorithm.oid && !with_hash {
            return Err(other);
        }
        let scheme = scheme(algorithm, self.hash);
        let input = match &self.attributes {
            Some(attributes) => {
                if attributes.content_type() != Some(self.content_type) {
                    return Err(bad("is over another kind of content than it holds"));
                }
                if attributes.message_digest().as_deref() != Some(content.bytes()) {
                    return Err(VerifyError::AnotherContent);
                }
                let message = attributes.message().map_err(|_| bad("has attributes that are too long"))?;
                Input::of(scheme, message).map_err(VerifyError::BadSignature)?
            }
            // RFC 8419 would have the whole content signed.
            None if scheme.hash().is_none() => {
                return Err(bad("is by an Ed25519 key without signed attributes, which is not checked here"));
            }
            None => Input::Digest(content.clone()),
        };
        let raw =
            raw::of_value(algorithm, &self.value).ok_or(bad("has a value that is none of its algorithm"))?;
        raw::verify(certificate.public_key(), scheme, &input, &raw).map_err(VerifyError::BadSignature)
    }
}

/// Refuses what no signature of this form says: a change of such parts would otherwise go unnoticed.
fn check_form(
    listed: &[AlgorithmIdentifierOwned],
    version: CmsVersion,
    content_type: ObjectIdentifier,
    signer: &SignerInfo,
) -> Result<(), VerifyError> {
    let bad = |why| Err(VerifyError::Malformed(why));
    // PKCS#7 has version 1 for all; CMS has 3 where contents are of a kind of their own, or keys name themselves.
    let expected = SignerId::used_by(&signer.sid).version();
    let of_a_kind = content_type != DATA && [CmsVersion::V1, CmsVersion::V3].contains(&version);
    if signer.version != expected || (version != expected && !of_a_kind) {
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
