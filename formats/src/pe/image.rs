//! A PE image as it lies in a file.

use std::io::{Read, Seek, SeekFrom};

use super::certificate_table::CertificateTable;
use super::headers::Headers;
use super::sections::end_of_sections;
use super::{Entry, Error};

/// A PE32 or PE32+ image: its headers, and its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub(super) headers: Headers,
    pub(super) table: CertificateTable,
    /// Where the certificate table begins, or the file ends.
    pub(super) contents_end: u64,
    len: u64,
}

impl Image {
    /// Reads headers, section table and certificate table, and checks them against each other and the file's length. The
    /// contents are not looked at.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, Error> {
        let len = file.seek(SeekFrom::End(0)).map_err(Error::Read)?;
        let headers = Headers::read(file, len)?;
        let (table, contents_end) = CertificateTable::read(file, &headers, len)?;
        end_of_sections(&headers, contents_end)?;
        Ok(Self { headers, table, contents_end, len })
    }

    /// Length of the image without signatures, in bytes.
    pub const fn contents_len(&self) -> u64 {
        self.contents_end
    }

    /// Length of the file, in bytes.
    pub const fn file_len(&self) -> u64 {
        self.len
    }

    /// What the certificate table holds, in its order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.table.entries()
    }
}
