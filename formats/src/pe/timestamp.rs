//! Timestamps for signatures that an image carries.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::contents::Contents;
use super::{Edited, Entry, Error, Image};
use crate::timestamp::{Kind, Token, attach, is_stamped};

/// The signatures of an image that have no timestamp: their places in the certificate table, counted from 0, and their
/// CMS. What cannot be read as a signature is passed by.
pub fn unstamped(image: &Image) -> impl Iterator<Item = (usize, &[u8])> {
    image.entries().enumerate().filter_map(|(place, entry)| match entry {
        Entry::SignedData(cms) if is_stamped(cms, Kind::Authenticode).is_ok_and(|is| !is) => {
            Some((place, cms))
        }
        _ => None,
    })
}

/// Puts timestamps beside signatures, each by its place in the certificate table. A token of another signature is refused.
pub fn stamp(
    image: &Image,
    file: &mut (impl Read + Seek),
    tokens: &BTreeMap<usize, Token>,
) -> Result<Edited, Error> {
    let mut signatures = BTreeMap::new();
    for (place, entry) in image.entries().enumerate() {
        if let (Some(token), Entry::SignedData(cms)) = (tokens.get(&place), entry) {
            signatures.insert(place, attach(cms, token, Kind::Authenticode)?);
        }
    }
    let contents = Contents::read(image, file, &[])?;
    Edited::with_other_signatures(image, &contents, &signatures)
}
