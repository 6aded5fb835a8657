//! An image with other signatures than it had.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::certificate_table::{CertificateTable, Length};
use super::contents::{Contents, padding_len, ranges};
use super::headers::read_at;
use super::{Error, Image};

/// What becomes of signatures that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// They stay, before the new one: sbsign's habit. One that is good is enough for firmware.
    #[default]
    Append,
    /// They are dropped.
    Replace,
}

/// An image with a new certificate table, or without one.
#[derive(Debug, Clone)]
#[must_use]
pub struct Edited {
    image: Image,
    table: CertificateTable,
    /// CheckSum and the certificate table's entry of the data directories, as they will be.
    checksum: [u8; 4],
    directory: [u8; 8],
    padding: usize,
}

impl Edited {
    /// The image with `cms` as a further signature, or as the only one.
    pub(super) fn with_signature(
        image: &Image,
        contents: &Contents,
        (cms, length): (&[u8], Length),
        existing: Existing,
    ) -> Result<Self, Error> {
        let mut table = match existing {
            Existing::Append => image.table.clone(),
            Existing::Replace => CertificateTable::default(),
        };
        table.push(cms, length)?;
        Self::new(image, contents, table)
    }

    /// The image with other signatures in some places of its certificate table, which are counted from 0.
    pub(super) fn with_other_signatures(
        image: &Image,
        contents: &Contents,
        signatures: &BTreeMap<usize, Vec<u8>>,
    ) -> Result<Self, Error> {
        Self::new(image, contents, image.table.with(signatures)?)
    }

    /// The image without signatures.
    pub(super) fn without_signatures(image: &Image, contents: &Contents) -> Result<Self, Error> {
        Self::new(image, contents, CertificateTable::default())
    }

    fn new(image: &Image, contents: &Contents, table: CertificateTable) -> Result<Self, Error> {
        let padding = padding_len(image);
        let mut directory = [0; 8];
        if !table.as_bytes().is_empty() {
            let offset = table_offset(image)?;
            let size = u32::try_from(table.as_bytes().len()).map_err(|_| Error::TooLarge)?;
            directory[..4].copy_from_slice(&offset.to_le_bytes());
            directory[4..].copy_from_slice(&size.to_le_bytes());
        }
        // All these begin at even places: the order of words does not matter to their sum.
        let mut checksum = contents.checksum;
        checksum.update(&directory);
        checksum.update(table.as_bytes());
        let checksum =
            checksum.finish(image.contents_end + (padding + table.as_bytes().len()) as u64).to_le_bytes();
        Ok(Self { image: image.clone(), table, checksum, directory, padding })
    }

    /// Length of the new file, in bytes.
    pub const fn file_len(&self) -> u64 {
        self.image.contents_end + self.padding as u64 + self.table.as_bytes().len() as u64
    }

    /// Writes the new image to `output`; `original` is what the image was read from. Returns its length.
    ///
    /// With two files, the kernel copies the contents.
    pub fn write_to(&self, original: &mut (impl Read + Seek), mut output: impl Write) -> Result<u64, Error> {
        self.check_unchanged(original)?;
        let new = [&self.checksum[..], &self.directory, &[0; 8][..self.padding]];
        for ((begin, end), after) in ranges(&self.image).into_iter().zip(new) {
            original.seek(SeekFrom::Start(begin)).map_err(Error::Write)?;
            let copied = io::copy(&mut original.by_ref().take(end - begin), &mut output);
            if copied.map_err(Error::Write)? != end - begin {
                return Err(Error::Changed);
            }
            output.write_all(after).map_err(Error::Write)?;
        }
        output.write_all(self.table.as_bytes()).map_err(Error::Write)?;
        output.flush().map_err(Error::Write)?;
        Ok(self.file_len())
    }

    /// Refuses to edit a file whose headers or length are no longer what was read.
    fn check_unchanged(&self, original: &mut (impl Read + Seek)) -> Result<(), Error> {
        let len = original.seek(SeekFrom::End(0)).map_err(Error::Read)?;
        let headers = &self.image.headers;
        if len != self.image.file_len() {
            return Err(Error::Changed);
        }
        let mut found = vec![0; headers.bytes.len()];
        read_at(original, headers.at, &mut found)?;
        if found == headers.bytes { Ok(()) } else { Err(Error::Changed) }
    }
}

/// Where a certificate table begins behind the contents of an image; its entry has 32 bits for that.
pub(super) fn table_offset(image: &Image) -> Result<u32, Error> {
    u32::try_from(image.contents_end + padding_len(image) as u64).map_err(|_| Error::TooLarge)
}
