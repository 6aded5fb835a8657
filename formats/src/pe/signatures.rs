//! The signatures that an image carries, and what they say.

use std::io::{Read, Seek};

use chancery_protocol::{Digest, Hash};
use der::Decode;

use super::contents::Contents;
use super::{Entry, Error, Image, VerifyError, indirect_data};
use crate::cms;
use crate::x509::Subject;

/// What a signature says of itself. Nobody has verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signature {
    /// The digest of the image that was signed.
    pub digest: Digest,
    /// Whether it is the digest of this image.
    pub matches: bool,
    /// Who signed: issuer and serial number of a certificate, for people.
    pub signer: String,
    /// The subject of that certificate, if the signature holds it.
    pub subject: Option<Subject>,
    /// The subjects of all certificates that the signature holds, in their order; `None` for one that is not readable.
    pub certificates: Vec<Option<Subject>>,
    /// When the signer says to have signed, in seconds since 1970.
    pub signing_time: Option<u64>,
}

/// Every entry of the certificate table in its order: a signature, or why it is none that can be read.
pub fn signatures(
    image: &Image,
    file: &mut (impl Read + Seek),
) -> Result<Vec<Result<Signature, VerifyError>>, Error> {
    let carried: Vec<_> = image.entries().map(Carried::read).collect();
    let hashes: Vec<Hash> = carried.iter().flatten().map(|carried| carried.digest.hash()).collect();
    let digests = digests(image, file, &hashes)?;
    Ok(carried.into_iter().map(|carried| carried.map(|carried| carried.describe(&digests))).collect())
}

/// The digests of an image by those hashes, each once.
pub(super) fn digests(
    image: &Image,
    file: &mut (impl Read + Seek),
    hashes: &[Hash],
) -> Result<Vec<Digest>, Error> {
    let hashes: Vec<_> = Hash::ALL.iter().copied().filter(|hash| hashes.contains(hash)).collect();
    Ok(Contents::read(image, file, &hashes)?.digests)
}

/// A signature that was read from a certificate table.
pub(super) struct Carried {
    pub(super) cms: cms::Signature,
    /// What it is over.
    pub(super) digest: Digest,
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
        let digest = indirect_data::decode(&cms)?;
        Ok(Self { cms, digest })
    }

    fn describe(self, digests: &[Digest]) -> Signature {
        let parsed = self.cms.certificates().iter().map(|der| x509_cert::Certificate::from_der(der).ok());
        let parsed: Vec<_> = parsed.collect();
        let subject = |one: &x509_cert::Certificate| Subject::of(one.tbs_certificate().subject().clone());
        let signer = parsed.iter().flatten().find(|one| self.cms.names_parsed(one));
        Signature {
            matches: digests.contains(&self.digest),
            signer: self.cms.signer(),
            subject: signer.map(subject),
            certificates: parsed.iter().map(|one| one.as_ref().map(subject)).collect(),
            signing_time: self.cms.attributes.as_ref().and_then(cms::Attributes::signing_time),
            digest: self.digest,
        }
    }
}
