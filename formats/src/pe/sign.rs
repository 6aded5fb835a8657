//! An image's signature, in its two phases.

use std::io::{Read, Seek};

use chancery_protocol::{Digest, Hash, Scheme};
use der::asn1::ObjectIdentifier;
use der::{Any, Decode};

use super::certificate_table::Length;
use super::contents::Contents;
use super::edit::table_offset;
use super::error::library;
use super::indirect_data::{self, SPC_INDIRECT_DATA};
use super::pages::page_hashes;
use super::{Edited, Error, Existing, Image, PageHashes};
use crate::cms::{self, Attribute};
use crate::raw;
use crate::timestamp::{Kind, Token, attach};
use crate::x509::Certificate;

/// Which signed attributes stand beside contentType and messageDigest, which all signatures have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attributes {
    /// SpcSpOpusInfo and SpcStatementType: what Microsoft's specification wants, and its signtool writes.
    #[default]
    Authenticode,
    /// What OpenSSL adds to sbsign's signatures: the ciphers that it could read mail with. Nobody looks at them.
    Sbsign,
    /// What pesign and systemd-sbsign have in its place: that no such ciphers are told.
    Pesign,
}

/// How an image is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The hash; UEFI firmware is bound to know SHA-256 alone (UEFI, section 32.4.1).
    pub hash: Hash,
    /// What becomes of signatures that are there.
    pub existing: Existing,
    /// Which attributes are signed.
    pub attributes: Attributes,
    /// When the image is signed, in seconds since 1970, if that is to be told. No verifier asks; sbsign tells.
    pub signing_time: Option<u64>,
    /// Whether the signature holds hashes of pages, too.
    pub page_hashes: PageHashes,
}

/// A signature that lacks its value: sign [`digest`](Self::digest) by [`scheme`](Self::scheme), then
/// [`finish`](Self::finish).
#[derive(Debug)]
#[must_use]
pub struct Pending {
    image: Image,
    contents: Contents,
    existing: Existing,
    length: Length,
    digest: Digest,
    cms: cms::Pending,
}

/// Prepares the signature of `image`, which was read from `file`, by the key of `certificate`; `chain` is embedded behind
/// it. Memory does not grow with the image, but for the hashes of its pages.
pub fn prepare(
    image: &Image,
    file: &mut (impl Read + Seek),
    certificate: &Certificate,
    chain: &[Certificate],
    options: &Options,
) -> Result<Pending, Error> {
    // Told before gigabytes are read.
    table_offset(image)?;
    // Told before anything is hashed, if they cannot be.
    let pages = match options.page_hashes {
        PageHashes::Leave => None,
        PageHashes::Include => Some(page_hashes(image, file)?),
    };
    let contents = Contents::read(image, file, &[options.hash])?;
    let content = content(&contents, options.hash, pages.as_deref())?;
    let attributes = options.attributes(&content)?;
    let signer = cms::Signer::of_firmware(certificate, chain, options.hash)?;
    let cms = signer.over_attributes(SPC_INDIRECT_DATA, Some(content), attributes)?;
    let digest = cms.digest()?.clone();
    let (existing, length) = (options.existing, options.attributes.length());
    Ok(Pending { image: image.clone(), contents, existing, length, digest, cms })
}

/// What is signed in the place of an image that was read with this hash, and whose pages have these.
pub(super) fn content(contents: &Contents, hash: Hash, pages: Option<&[u8]>) -> Result<Any, Error> {
    let digest = contents.digests.iter().find(|digest| digest.hash() == hash);
    indirect_data::encode(digest.ok_or_else(|| library("hash the image")("there is no digest"))?, pages)
}

impl Options {
    /// The attributes of a signature over this content.
    pub(super) fn attributes(&self, content: &Any) -> Result<cms::Attributes, Error> {
        let signed = raw::digest(self.hash, content.value()).map_err(cms::Error::from)?;
        let further = self.attributes.encode()?;
        Ok(cms::Attributes::new(SPC_INDIRECT_DATA, &signed, self.signing_time, further)?)
    }
}

impl Pending {
    /// What is to be signed.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How it is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.cms.scheme()
    }

    /// The signature, once `raw` has been checked against the certificate's key.
    pub fn finish(self, raw: &[u8]) -> Result<Signed, Error> {
        let cms = self.cms.finish(raw)?;
        Signed::new(self.image, self.contents, self.existing, (cms, self.length))
    }
}

/// A finished signature, and the image that it belongs to.
#[derive(Debug, Clone)]
#[must_use]
pub struct Signed {
    image: Image,
    contents: Contents,
    existing: Existing,
    length: Length,
    cms: Vec<u8>,
    edited: Edited,
}

impl Signed {
    pub(super) fn new(
        image: Image,
        contents: Contents,
        existing: Existing,
        (cms, length): (Vec<u8>, Length),
    ) -> Result<Self, Error> {
        let edited = Edited::with_signature(&image, &contents, (&cms, length), existing)?;
        Ok(Self { image, contents, existing, length, cms, edited })
    }

    /// The same with a timestamp of this signature beside it.
    pub fn stamped(self, token: &Token) -> Result<Self, Error> {
        let cms = attach(&self.cms, token, Kind::Authenticode)?;
        Self::new(self.image, self.contents, self.existing, (cms, self.length))
    }

    /// The signature on its own, CMS in DER: what sbsign writes with `--detached`.
    pub fn cms(&self) -> &[u8] {
        &self.cms
    }

    /// The image with the signature.
    pub const fn edited(&self) -> &Edited {
        &self.edited
    }
}

/// SPC_SP_OPUS_INFO_OBJID ("SpcSpOpusInfo"): neither a name nor an address is told.
const SP_OPUS_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.12");
const NO_OPUS_INFO: [u8; 2] = [0x30, 0x00];
/// SPC_STATEMENT_TYPE_OBJID, with SPC_INDIVIDUAL_SP_KEY_PURPOSE_OBJID, 1.3.6.1.4.1.311.2.1.21, as its one purpose.
const STATEMENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.11");
const INDIVIDUAL: [u8; 14] =
    [0x30, 0x0c, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x15];
/// smimeCapabilities (RFC 8551, section 2.5.2), as OpenSSL's PKCS7_sign writes it: AES-256, AES-192 and AES-128 in CBC,
/// DES-EDE3, RC2 with 128 and with 64 bits, DES, RC2 with 40 bits.
const SMIME_CAPABILITIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.15");
const NO_CIPHERS: [u8; 2] = [0x30, 0x00];
const CIPHERS: &[u8] = b"\x30\x6a\
    \x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a\
    \x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x16\
    \x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x02\
    \x30\x0a\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x07\
    \x30\x0e\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x02\x02\x02\x00\x80\
    \x30\x0d\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x02\x02\x01\x40\
    \x30\x07\x06\x05\x2b\x0e\x03\x02\x07\
    \x30\x0d\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x02\x02\x01\x28";

impl Attributes {
    /// How long signatures with them say to be in an image.
    const fn length(self) -> Length {
        match self {
            Self::Sbsign => Length::Bare,
            Self::Authenticode | Self::Pesign => Length::Padded,
        }
    }

    fn encode(self) -> Result<Vec<Attribute>, Error> {
        let all: &[(ObjectIdentifier, &[u8])] = match self {
            Self::Authenticode => &[(SP_OPUS_INFO, &NO_OPUS_INFO), (STATEMENT_TYPE, &INDIVIDUAL)],
            Self::Sbsign => &[(SMIME_CAPABILITIES, CIPHERS)],
            Self::Pesign => &[(SMIME_CAPABILITIES, &NO_CIPHERS)],
        };
        let all = all.iter().map(|&(oid, value)| Ok(Attribute::new(oid, Any::from_der(value)?)));
        all.collect::<Result<_, der::Error>>().map_err(library("write signed attributes"))
    }
}
