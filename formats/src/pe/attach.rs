//! Signatures that are put into an image, or taken out of it, without a key.

use std::io::{Read, Seek};

use super::certificate_table::Length;
use super::contents::Contents;
use super::signatures::{Carried, Found};
use super::verify::belongs;
use super::{Edited, Error, Existing, Image, VerifyError};
use crate::cms::embedded;

/// Puts a signature that lies apart, such as sbsign writes with `--detached`, into the image that it is over. Who may have
/// signed is not asked; a signature that is not its own signer's is refused.
pub fn attach(
    image: &Image,
    file: &mut (impl Read + Seek),
    cms: &[u8],
    existing: Existing,
) -> Result<Edited, VerifyError> {
    let carried = Carried::decode(cms)?;
    let found = Found::read(image, file, &[&carried])?;
    belongs(&carried, &found)?;
    let embedded = embedded(&carried.cms);
    let signer = embedded.iter().find(|one| carried.cms.names(one));
    carried.cms.check(signer.ok_or_else(|| VerifyError::NoSigner(carried.cms.signer()))?)?;
    Ok(Edited::with_signature(image, &found.contents, (cms, Length::Padded), existing)?)
}

/// Takes every signature out. Zeros that were appended to the contents stay: they may have been there before.
pub fn remove(image: &Image, file: &mut (impl Read + Seek)) -> Result<Edited, Error> {
    if image.entries().next().is_none() {
        return Err(Error::NotSigned);
    }
    let contents = Contents::read(image, file, &[])?;
    Edited::without_signatures(image, &contents)
}
