//! What a signature holds instead of the image: SpcIndirectDataContent, with the image's digest ("Windows Authenticode
//! Portable Executable Signature Format", "Authenticode-Specific Structures").

use chancery_protocol::{Digest, Hash};
use der::asn1::{AnyRef, BitString, BmpString, ContextSpecific, ObjectIdentifier, OctetString};
use der::{Any, Sequence, TagMode, TagNumber};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::error::library;
use super::{Error, VerifyError};
use crate::cms::{self, digest_oid, hash_named};

/// SPC_INDIRECT_DATA_OBJID: the kind of content.
pub(super) const SPC_INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// SPC_PE_IMAGE_DATA_OBJID: what the digest is of.
const SPC_PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// What stands where a link to the file once stood.
const OBSOLETE: &str = "<<<Obsolete>>>";

/// SpcIndirectDataContent.
#[derive(Debug, Sequence)]
struct SpcIndirectDataContent {
    data: SpcAttributeTypeAndOptionalValue,
    message_digest: DigestInfo,
}

/// SpcAttributeTypeAndOptionalValue.
#[derive(Debug, Sequence)]
struct SpcAttributeTypeAndOptionalValue {
    kind: ObjectIdentifier,
    value: Option<Any>,
}

/// SpcPeImageData: flags that nobody sets, and a link that nobody follows, but that Windows wants to be there.
#[derive(Debug, Sequence)]
struct SpcPeImageData {
    flags: BitString,
    /// `[0] EXPLICIT SpcLink`.
    file: ContextSpecific<ContextSpecific<ContextSpecific<BmpString>>>,
}

/// DigestInfo (PKCS#7; RFC 2315, section 9.4).
#[derive(Debug, Sequence)]
struct DigestInfo {
    digest_algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// The content that stands for an image of this digest.
pub(super) fn encode(digest: &Digest) -> Result<Any, Error> {
    let what = "write SpcIndirectDataContent";
    let flags = BitString::from_bytes(&[]).map_err(library(what))?;
    let text = BmpString::from_utf8(OBSOLETE).map_err(library(what))?;
    // SpcString, `unicode [0] IMPLICIT`, in SpcLink, `file [2] EXPLICIT`.
    let text = ContextSpecific { tag_number: TagNumber(0), tag_mode: TagMode::Implicit, value: text };
    let link = ContextSpecific { tag_number: TagNumber(2), tag_mode: TagMode::Explicit, value: text };
    let file = ContextSpecific { tag_number: TagNumber(0), tag_mode: TagMode::Explicit, value: link };
    let value = Any::encode_from(&SpcPeImageData { flags, file }).map_err(library(what))?;
    let digest_algorithm =
        AlgorithmIdentifierOwned { oid: digest_oid(digest.hash()), parameters: Some(AnyRef::NULL.into()) };
    let digest = OctetString::new(digest.bytes()).map_err(library(what))?;
    let content = SpcIndirectDataContent {
        data: SpcAttributeTypeAndOptionalValue { kind: SPC_PE_IMAGE_DATA, value: Some(value) },
        message_digest: DigestInfo { digest_algorithm, digest },
    };
    Any::encode_from(&content).map_err(library(what))
}

/// The digest that a signature is over.
pub(super) fn decode(signature: &cms::Signature) -> Result<Digest, VerifyError> {
    let bad = VerifyError::Malformed;
    if signature.content_type != SPC_INDIRECT_DATA {
        return Err(bad("is CMS, but not Authenticode"));
    }
    let content = signature.content.as_ref().and_then(|content| content.decode_as().ok());
    let content: SpcIndirectDataContent = content.ok_or(bad("holds no readable SpcIndirectDataContent"))?;
    if content.data.kind != SPC_PE_IMAGE_DATA {
        return Err(bad("is Authenticode, but not of a PE image"));
    }
    let hash: Option<Hash> = hash_named(content.message_digest.digest_algorithm.oid);
    let hash = hash.ok_or(bad("is over another digest than SHA-256, SHA-384 or SHA-512"))?;
    Digest::new(hash, content.message_digest.digest.as_bytes())
        .map_err(|_| bad("has a digest of another length than its hash makes"))
}
