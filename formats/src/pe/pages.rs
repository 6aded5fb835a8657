//! Hashes of an image's pages ("Windows Authenticode Portable Executable Signature Format", "Page Hash"), by which Windows
//! checks a page when it is first touched, without reading the whole file. Firmware does not look at them.
//!
//! ```text
//! offset in the file, 4 bytes little endian || SHA-256 of the page, filled up with zeros    for each page
//! offset behind the last section            || zeros
//! ```
//!
//! The first page is the headers, without what the image's own digest leaves out. The others are those of the sections, in
//! the order of the section table. What lies behind the sections has none.

use std::io::{Read, Seek};

use chancery_protocol::Hash;

use super::certificate_table::MAX_LEN;
use super::contents::{CHECK_SUM_LEN, DIRECTORY_LEN};
use super::error::library;
use super::headers::read_at;
use super::sections::sections;
use super::{Error, Image};
use crate::openpgp::hash_algorithm;

/// Whether a signature is to hold hashes of pages beside the image's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageHashes {
    /// It holds none: nobody but Windows looks at them.
    #[default]
    Leave,
    /// It holds them, by SHA-256 (SpcPeImagePageHashes2).
    Include,
}

/// Bytes in a page, which is what SectionAlignment has to be.
const PAGE: u32 = 4096;
/// SHA-256.
const HASH_LEN: usize = 32;
/// An offset and a hash.
const ENTRY: usize = 4 + HASH_LEN;
/// CheckSum and the certificate table's entry. Nothing stands in their place: the page of the headers is shorter.
const LEFT_OUT: usize = 4 + 8;
/// Most pages: their hashes, and a signature, have to fit into a certificate table. An image of 300 MiB has as many.
const MAX_PAGES: u64 = (MAX_LEN as u64 - MAX_LEN as u64 / 4) / ENTRY as u64;

/// The hashes of the pages of `image`. Memory grows with the number of pages, up to that of the largest certificate table.
pub(super) fn page_hashes(image: &Image, file: &mut (impl Read + Seek)) -> Result<Vec<u8>, Error> {
    let headers = &image.headers;
    let no_pages = |why| Err(Error::NoPages(why));
    if headers.section_alignment != PAGE {
        return no_pages(format!("its SectionAlignment is {:#x}, not {PAGE:#x}", headers.section_alignment));
    }
    if headers.all_len > PAGE {
        return no_pages(format!("its headers have {:#x} bytes, more than a page", headers.all_len));
    }
    let sections = sections(headers);
    let Some(last) = sections.last() else { return no_pages("it has no sections".to_owned()) };
    let pages: u64 = sections.iter().map(|section| (section.end - section.begin).div_ceil(PAGE.into())).sum();
    if pages > MAX_PAGES {
        return no_pages(format!(
            "it has {pages} pages, more than the {MAX_PAGES} whose hashes fit into a signature"
        ));
    }
    let mut hashes = Vec::new();
    let headers = [
        (0, headers.checksum_at),
        (headers.checksum_at + CHECK_SUM_LEN, headers.directory_at),
        (headers.directory_at + DIRECTORY_LEN, headers.all_len.into()),
    ];
    hash(file, &headers, LEFT_OUT, &mut hashes)?;
    for section in &sections {
        for begin in (section.begin..section.end).step_by(PAGE as usize) {
            hash(file, &[(begin, section.end.min(begin + u64::from(PAGE)))], 0, &mut hashes)?;
        }
    }
    hashes.extend(offset(last.end)?);
    hashes.extend([0; HASH_LEN]);
    Ok(hashes)
}

/// Adds the page that holds these parts of the file and is so many bytes shorter than others.
fn hash(
    file: &mut (impl Read + Seek),
    parts: &[(u64, u64)],
    shorter: usize,
    hashes: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut page = [0; PAGE as usize];
    let mut filled = 0;
    for &(begin, end) in parts {
        let part = usize::try_from(end - begin).ok().and_then(|len| page.get_mut(filled..filled + len));
        let part = part.ok_or_else(|| library("hash a page")("it is longer than a page"))?;
        read_at(file, begin, part)?;
        filled += part.len();
    }
    let mut context = hash_algorithm(Hash::Sha256).context().map_err(library("start a hash"))?.for_digest();
    context.update(&page[..page.len() - shorter]);
    hashes.extend(offset(parts.first().map_or(0, |part| part.0))?);
    hashes.extend(context.into_digest().map_err(library("finish a hash"))?);
    Ok(())
}

/// As it is written.
fn offset(at: u64) -> Result<[u8; 4], Error> {
    u32::try_from(at).map(u32::to_le_bytes).map_err(|_| Error::TooLarge)
}
