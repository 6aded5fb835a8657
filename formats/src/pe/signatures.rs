//! The signatures that an image carries, and what they say.

use std::io::{Read, Seek};

use chancery_protocol::{Digest, Hash};
use der::Decode;

use super::contents::Contents;
use super::indirect_data::{self, Over, PagesSigned};
use super::pages::page_hashes;
use super::{Entry, Error, Image, VerifyError};
use crate::cms;
use crate::timestamp::{self, Kind, Token, Trust};
use crate::x509::Subject;

/// What a signature says of itself. Nobody has verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signature {
    /// The digest of the image that was signed.
    pub digest: Digest,
    /// Whether it is the digest of this image.
    pub matches: bool,
    /// Hashes of the image's pages.
    pub pages: Pages,
    /// Who signed: issuer and serial number of a certificate, for people.
    pub signer: String,
    /// The subject of that certificate, if the signature holds it.
    pub subject: Option<Subject>,
    /// The subjects of all certificates that the signature holds, in their order; `None` for one that is not readable.
    pub certificates: Vec<Option<Subject>>,
    /// When the signer says to have signed, in seconds since 1970.
    pub signing_time: Option<u64>,
    /// The timestamp beside it, or why it is none of this signature. Whether its TSA is to be believed was not asked.
    pub timestamp: Option<Result<Token, String>>,
}

/// Hashes of pages that a signature holds beside the image's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// There are none, as in most signatures.
    None,
    /// They are those of this image.
    Match,
    /// They are not.
    Differ,
    /// They are not by SHA-256, and nobody looked: the digest is over the same bytes.
    NotChecked,
}

/// Every entry of the certificate table in its order: a signature, or why it is none that can be read.
pub fn signatures(
    image: &Image,
    file: &mut (impl Read + Seek),
) -> Result<Vec<Result<Signature, VerifyError>>, Error> {
    let carried: Vec<_> = image.entries().map(Carried::read).collect();
    let found = Found::read(image, file, &carried.iter().flatten().collect::<Vec<_>>())?;
    let described = carried.into_iter().zip(image.entries().map(timestamp));
    Ok(described.map(|(carried, stamp)| carried.map(|carried| carried.describe(&found, stamp))).collect())
}

/// What an image has of that which signatures are over.
pub(super) struct Found {
    /// Its digests, each that a signature is over once.
    pub(super) contents: Contents,
    /// Hashes of its pages, where a signature holds such, and the image has pages.
    pages: Option<Vec<u8>>,
}

impl Found {
    /// Reads what these signatures are over.
    pub(super) fn read(
        image: &Image,
        file: &mut (impl Read + Seek),
        carried: &[&Carried],
    ) -> Result<Self, Error> {
        let wanted = |hash: &Hash| carried.iter().any(|one| one.digest.hash() == *hash);
        let hashes: Vec<_> = Hash::ALL.iter().copied().filter(wanted).collect();
        let contents = Contents::read(image, file, &hashes)?;
        let pages = if carried.iter().any(|one| matches!(one.pages, PagesSigned::Sha256(_))) {
            match page_hashes(image, file) {
                Ok(pages) => Some(pages),
                // Whatever the signature holds, it is not of this image's pages.
                Err(Error::NoPages(_)) => None,
                Err(error) => return Err(error),
            }
        } else {
            None
        };
        Ok(Self { contents, pages })
    }

    /// Whether the pages are those that the signature tells of.
    pub(super) fn pages(&self, carried: &Carried) -> Pages {
        match &carried.pages {
            PagesSigned::None => Pages::None,
            PagesSigned::Other => Pages::NotChecked,
            PagesSigned::Sha256(pages) if self.pages.as_ref() == Some(pages) => Pages::Match,
            PagesSigned::Sha256(_) => Pages::Differ,
        }
    }
}

/// The timestamp in an entry.
fn timestamp(entry: Entry<'_>) -> Option<Result<Token, String>> {
    let Entry::SignedData(cms) = entry else { return None };
    let read = timestamp::read(cms, Kind::Authenticode, &Trust::Anyone);
    read.map_err(|error| error.to_string()).transpose()
}

/// A signature that was read from a certificate table.
pub(super) struct Carried {
    pub(super) cms: cms::Signature,
    /// What it is over.
    pub(super) digest: Digest,
    pub(super) pages: PagesSigned,
}

impl Carried {
    pub(super) fn read(entry: Entry<'_>) -> Result<Self, VerifyError> {
        match entry {
            Entry::SignedData(cms) => Self::decode(cms),
            Entry::Other(_) => {
                Err(VerifyError::Malformed("is of a type that nobody looks at in images (WIN_CERTIFICATE)"))
            }
        }
    }

    pub(super) fn decode(cms: &[u8]) -> Result<Self, VerifyError> {
        let cms = cms::Signature::decode(cms)?;
        let Over { digest, pages } = indirect_data::decode(&cms)?;
        Ok(Self { cms, digest, pages })
    }

    fn describe(self, found: &Found, timestamp: Option<Result<Token, String>>) -> Signature {
        let parsed = self.cms.certificates().iter().map(|der| x509_cert::Certificate::from_der(der).ok());
        let parsed: Vec<_> = parsed.collect();
        let subject = |one: &x509_cert::Certificate| Subject::of(one.tbs_certificate().subject().clone());
        let signer = parsed.iter().flatten().find(|one| self.cms.names_parsed(one));
        Signature {
            matches: found.contents.digests.contains(&self.digest),
            pages: found.pages(&self),
            signer: self.cms.signer(),
            subject: signer.map(subject),
            certificates: parsed.iter().map(|one| one.as_ref().map(subject)).collect(),
            signing_time: self.cms.attributes.as_ref().and_then(cms::Attributes::signing_time),
            timestamp,
            digest: self.digest,
        }
    }
}
