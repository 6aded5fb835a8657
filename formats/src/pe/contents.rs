//! One reading of an image's contents: its digests, and the part of its CheckSum that signatures do not change.

use std::io::{Read, Seek, SeekFrom};

use chancery_protocol::{Digest, Hash};
use sequoia_openpgp::crypto::hash::Context;

use super::certificate_table::ALIGNMENT;
use super::checksum::CheckSum;
use super::error::library;
use super::{Error, Image};
use crate::openpgp::{feed, hash_algorithm};

/// Size of CheckSum.
pub(super) const CHECK_SUM_LEN: u64 = 4;
/// Size of the certificate table's entry in the data directories.
pub(super) const DIRECTORY_LEN: u64 = 8;

/// What was read.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    /// One for each hash that was asked for, in that order.
    pub(super) digests: Vec<Digest>,
    /// Of everything but CheckSum, the certificate table and its entry; with the padding.
    pub(super) checksum: CheckSum,
}

impl Contents {
    /// Reads the contents of `image` once ("Windows Authenticode Portable Executable Signature Format", "Calculating
    /// the PE Image Hash"). Sections lie one behind the other, so that their order is the file's.
    pub(super) fn read(image: &Image, file: &mut (impl Read + Seek), hashes: &[Hash]) -> Result<Self, Error> {
        let contexts = hashes.iter().map(|&hash| Ok(hash_algorithm(hash).context()?.for_digest()));
        let contexts = contexts.collect::<Result<Vec<Context>, sequoia_openpgp::anyhow::Error>>();
        let mut contexts = contexts.map_err(library("start a hash"))?;
        let mut checksum = CheckSum::default();
        let mut take = |chunk: &[u8]| {
            for context in &mut contexts {
                context.update(chunk);
            }
            checksum.update(chunk);
        };
        for (begin, end) in ranges(image) {
            file.seek(SeekFrom::Start(begin)).map_err(Error::Read)?;
            let read = feed(file.by_ref().take(end - begin), &mut take).map_err(Error::Read)?;
            if read != end - begin {
                return Err(Error::Changed);
            }
        }
        let padding = [0; ALIGNMENT];
        take(&padding[..padding_len(image)]);
        let digests = contexts.into_iter().map(crate::openpgp::digest).collect::<Result<_, _>>();
        Ok(Self { digests: digests.map_err(library("finish a hash"))?, checksum })
    }
}

/// What is hashed of the file: all but CheckSum (step 3), the certificate table's entry (step 5) and the table itself.
pub(super) fn ranges(image: &Image) -> [(u64, u64); 3] {
    let headers = &image.headers;
    [
        (0, headers.checksum_at),
        (headers.checksum_at + CHECK_SUM_LEN, headers.directory_at),
        (headers.directory_at + DIRECTORY_LEN, image.contents_end),
    ]
}

/// How many zeros stand between the contents and a certificate table: they are hashed, as they become contents.
pub(super) fn padding_len(image: &Image) -> usize {
    let padded = image.contents_end.next_multiple_of(ALIGNMENT as u64);
    usize::try_from(padded - image.contents_end).unwrap_or(0)
}

/// The Authenticode digest of an image: what its signatures are over. Where the length is no multiple of eight, it is
/// that of the image with the zeros that a signature needs before it; firmware that looks an unsigned image up in `dbx`
/// hashes none.
pub fn digest(image: &Image, file: &mut (impl Read + Seek), hash: Hash) -> Result<Digest, Error> {
    let contents = Contents::read(image, file, &[hash])?;
    contents.digests.into_iter().next().ok_or_else(|| library("finish a hash")("there is none"))
}
