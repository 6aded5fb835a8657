//! What a signature holds instead of the image: SpcIndirectDataContent, with the image's digest ("Windows Authenticode
//! Portable Executable Signature Format", "Authenticode-Specific Structures").

use chancery_protocol::{Digest, Hash};
use der::asn1::{AnyRef, BitString, BmpString, ContextSpecific, ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, Sequence, Tag, TagMode, TagNumber, Tagged};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::error::library;
use super::{Error, VerifyError};
use crate::cms::{self, digest_oid, hash_named};

/// SPC_INDIRECT_DATA_OBJID: the kind of content.
pub(super) const SPC_INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// SPC_PE_IMAGE_DATA_OBJID: what the digest is of.
const SPC_PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// SPC_PE_IMAGE_PAGE_HASHES_V2_OBJID: hashes of pages by SHA-256.
const PAGE_HASHES_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.3.2");
/// SpcClassId of a serialized object that holds hashes of pages: the GUID that stands in the specification.
const PAGE_HASHES_CLASS: [u8; 16] =
    [0xa6, 0xb5, 0x86, 0xd5, 0xb4, 0xa1, 0x24, 0x66, 0xae, 0x05, 0xa2, 0x17, 0xda, 0x8e, 0x60, 0xd6];
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

/// SpcPeImageData: flags that nobody sets, and a link that nobody follows, but that Windows wants to be there. Where the
/// link is a serialized object, that holds the hashes of pages.
#[derive(Debug, Sequence)]
struct SpcPeImageData {
    #[asn1(optional = "true")]
    flags: Option<BitString>,
    /// SpcLink.
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    file: Option<Any>,
}

/// SpcSerializedObject.
#[derive(Debug, Sequence)]
struct SpcSerializedObject {
    class_id: OctetString,
    serialized_data: OctetString,
}

/// DigestInfo (PKCS#7; RFC 2315, section 9.4).
#[derive(Debug, Sequence)]
struct DigestInfo {
    digest_algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// The content that stands for an image of this digest, and of these hashes of its pages.
pub(super) fn encode(digest: &Digest, pages: Option<&[u8]>) -> Result<Any, Error> {
    let what = "write SpcIndirectDataContent";
    let flags = Some(BitString::from_bytes(&[]).map_err(library(what))?);
    let link = match pages {
        None => obsolete_link(),
        Some(pages) => page_hash_link(pages),
    };
    let data = SpcPeImageData { flags, file: Some(link.map_err(library(what))?) };
    let value = Any::encode_from(&data).map_err(library(what))?;
    let digest_algorithm =
        AlgorithmIdentifierOwned { oid: digest_oid(digest.hash()), parameters: Some(AnyRef::NULL.into()) };
    let digest = OctetString::new(digest.bytes()).map_err(library(what))?;
    let content = SpcIndirectDataContent {
        data: SpcAttributeTypeAndOptionalValue { kind: SPC_PE_IMAGE_DATA, value: Some(value) },
        message_digest: DigestInfo { digest_algorithm, digest },
    };
    Any::encode_from(&content).map_err(library(what))
}

/// What a signature is over.
pub(super) struct Over {
    /// The image's digest.
    pub(super) digest: Digest,
    pub(super) pages: PagesSigned,
}

/// Hashes of pages, as a signature holds them.
pub(super) enum PagesSigned {
    None,
    Sha256(Vec<u8>),
    /// Of another kind, such as SpcPeImagePageHashes1, which is by SHA-1.
    Other,
}

/// Reads what a signature is over.
pub(super) fn decode(signature: &cms::Signature) -> Result<Over, VerifyError> {
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
    let digest = Digest::new(hash, content.message_digest.digest.as_bytes())
        .map_err(|_| bad("has a digest of another length than its hash makes"))?;
    let pages = pages(content.data.value.as_ref()).map_err(|_| bad("holds no readable SpcPeImageData"))?;
    Ok(Over { digest, pages })
}

/// SpcLink, `file [2] EXPLICIT` SpcString, `unicode [0] IMPLICIT`, with the text that it has in all signatures.
fn obsolete_link() -> der::Result<Any> {
    let value = BmpString::from_utf8(OBSOLETE)?;
    let text = ContextSpecific { tag_number: TagNumber(0), tag_mode: TagMode::Implicit, value };
    Any::encode_from(&ContextSpecific { tag_number: TagNumber(2), tag_mode: TagMode::Explicit, value: text })
}

/// SpcLink, `moniker [1] IMPLICIT` SpcSerializedObject.
fn page_hash_link(pages: &[u8]) -> der::Result<Any> {
    let hashes = set_of_one(&OctetString::new(pages)?)?;
    let attribute = SpcAttributeTypeAndOptionalValue { kind: PAGE_HASHES_V2, value: Some(hashes) };
    let value = SpcSerializedObject {
        class_id: OctetString::new(PAGE_HASHES_CLASS)?,
        serialized_data: OctetString::new(set_of_one(&attribute)?.to_der()?)?,
    };
    Any::encode_from(&ContextSpecific { tag_number: TagNumber(1), tag_mode: TagMode::Implicit, value })
}

fn set_of_one(member: &impl Encode) -> der::Result<Any> {
    Any::new(Tag::Set, member.to_der()?)
}

/// The only member of a SET.
fn member_of_one<'a, T: Decode<'a, Error = der::Error>>(set: AnyRef<'a>) -> der::Result<T> {
    if set.tag() != Tag::Set {
        return Err(set.tag().unexpected_error(Some(Tag::Set)).into());
    }
    T::from_der(set.value())
}

/// The hashes of pages in SpcPeImageData.
fn pages(value: Option<&Any>) -> der::Result<PagesSigned> {
    let Some(data) = value.map(Any::decode_as::<SpcPeImageData>).transpose()? else {
        return Ok(PagesSigned::None);
    };
    let moniker = Tag::ContextSpecific { number: TagNumber(1), constructed: true };
    let Some(link) = data.file.filter(|link| link.tag() == moniker) else { return Ok(PagesSigned::None) };
    let object: SpcSerializedObject = Any::new(Tag::Sequence, link.value())?.decode_as()?;
    if object.class_id.as_bytes() != PAGE_HASHES_CLASS {
        return Ok(PagesSigned::None);
    }
    let set = AnyRef::from_der(object.serialized_data.as_bytes())?;
    let attribute: SpcAttributeTypeAndOptionalValue = member_of_one(set)?;
    if attribute.kind != PAGE_HASHES_V2 {
        return Ok(PagesSigned::Other);
    }
    let Some(hashes) = attribute.value else { return Ok(PagesSigned::None) };
    let hashes: OctetString = member_of_one(AnyRef::from(&hashes))?;
    Ok(PagesSigned::Sha256(hashes.into_bytes().into_vec()))
}
