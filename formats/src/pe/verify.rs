//! Verification against given certificates, as firmware does it with those in `db`. A convenience; sbverify, pesign and
//! the firmware are the judges.

use std::io::{Read, Seek};

use chancery_protocol::Hash;

use super::indirect_data::PagesSigned;
use super::signatures::{Carried, Found};
use super::{Error, Existing, Image, Options, PageHashes, Pages, VerifyError, unstamped};
use crate::cms::{anchor, embedded};
use crate::x509::{Certificate, Subject};

/// A good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose key signed.
    pub subject: Subject,
    /// Which of the given certificates vouches for it: the signer's, or one of its issuers'.
    pub anchor: Subject,
    /// The hash of the image that was signed.
    pub hash: Hash,
}

/// Verifies the signatures of `image`, which was read from `file`: one is enough whose signer is among the `certificates`,
/// or was issued by one of them, by way of those that the signature holds. Certificates count whatever their dates say,
/// as they do for firmware.
pub fn verify(
    image: &Image,
    file: &mut (impl Read + Seek),
    certificates: &[Certificate],
) -> Result<Verified, VerifyError> {
    let carried: Vec<_> = image.entries().map(Carried::read).collect();
    let found = Found::read(image, file, &carried.iter().flatten().collect::<Vec<_>>())?;
    let mut failed = VerifyError::NoSignature;
    for carried in carried {
        match carried.and_then(|carried| check(&carried, &found, certificates)) {
            Ok(verified) => return Ok(verified),
            // The first one that is by somebody known says most.
            Err(error) if weight(&error) > weight(&failed) => failed = error,
            Err(_) => {}
        }
    }
    Err(failed)
}

/// Where the image carries what signing it again would give: a signature by `certificate` with this hash, with hashes of
/// pages or without, and, where others would be replaced, no other one. The place in the certificate table is counted from
/// 0; of several, one that has a timestamp comes first.
pub fn signature_of(
    image: &Image,
    file: &mut (impl Read + Seek),
    certificate: &Certificate,
    options: &Options,
) -> Result<Option<usize>, Error> {
    if options.existing == Existing::Replace && image.entries().count() != 1 {
        return Ok(None);
    }
    let carried = image.entries().map(Carried::read).enumerate();
    let own = carried.filter_map(|(place, carried)| Some((place, carried.ok()?))).filter(|(_, carried)| {
        carried.digest.hash() == options.hash
            && matches!(carried.pages, PagesSigned::Sha256(_)) == (options.page_hashes == PageHashes::Include)
            && carried.cms.names(certificate)
            && carried.cms.check(certificate).is_ok()
    });
    let (places, own): (Vec<_>, Vec<_>) = own.unzip();
    if own.is_empty() {
        return Ok(None);
    }
    let found = Found::read(image, file, &own.iter().collect::<Vec<_>>())?;
    let unstamped: Vec<_> = unstamped(image).map(|(place, _)| place).collect();
    let good = places.into_iter().zip(&own).filter(|(_, carried)| belongs(carried, &found).is_ok());
    Ok(good.map(|(place, _)| place).min_by_key(|place| unstamped.contains(place)))
}

/// Whether one signature is over this image and by somebody that is vouched for.
fn check(carried: &Carried, found: &Found, certificates: &[Certificate]) -> Result<Verified, VerifyError> {
    let embedded = embedded(&carried.cms);
    let signer = embedded.iter().chain(certificates).find(|one| carried.cms.names(one));
    let signer = signer.ok_or_else(|| VerifyError::NoSigner(carried.cms.signer()))?;
    let anchor = anchor(signer, &embedded, certificates)
        .ok_or_else(|| VerifyError::UnknownSigner(carried.cms.signer()))?;
    belongs(carried, found)?;
    carried.cms.check(signer)?;
    Ok(Verified { subject: signer.subject(), anchor: anchor.subject(), hash: carried.digest.hash() })
}

/// Refuses a signature over another image.
pub(super) fn belongs(carried: &Carried, found: &Found) -> Result<(), VerifyError> {
    let signed = &carried.digest;
    if found.contents.digests.contains(signed) {
        return if found.pages(carried) == Pages::Differ { Err(VerifyError::OtherPages) } else { Ok(()) };
    }
    let found = found.contents.digests.iter().find(|digest| digest.hash() == signed.hash());
    Err(VerifyError::AnotherImage {
        hash: signed.hash(),
        signed: hex::encode(signed.bytes()),
        found: found.map(|found| hex::encode(found.bytes())).unwrap_or_default(),
    })
}

/// How much an error tells, if several signatures have one.
const fn weight(error: &VerifyError) -> u8 {
    match error {
        VerifyError::NoSignature => 0,
        VerifyError::Malformed(_) | VerifyError::NoSigner(_) => 1,
        VerifyError::UnknownSigner(_) => 2,
        VerifyError::Cms(_)
        | VerifyError::AnotherImage { .. }
        | VerifyError::OtherPages
        | VerifyError::Image(_) => 3,
    }
}
