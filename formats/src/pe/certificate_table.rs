//! The attribute certificate table: a row of WIN_CERTIFICATE entries ("PE Format", "The Attribute Certificate Table").

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use der::{Reader, SliceReader};

use super::Error;
use super::headers::{Headers, read_at, u32_at};

/// WIN_CERT_REVISION_2_0 and WIN_CERT_TYPE_PKCS_SIGNED_DATA.
const REVISION_2: u16 = 0x0200;
const PKCS_SIGNED_DATA: u16 = 0x0002;
/// Size of what stands before a certificate: dwLength, wRevision and wCertificateType.
const HEADER_LEN: usize = 8;
/// Where the table and each of its entries begin: a multiple of this.
pub(super) const ALIGNMENT: usize = 8;
/// Largest table that is read, in bytes; with a chain, time stamps and hashes of pages there are some hundred thousand.
pub(super) const MAX_LEN: u32 = 4 * 1024 * 1024;

/// An entry of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// WIN_CERT_TYPE_PKCS_SIGNED_DATA: the CMS of an Authenticode signature.
    SignedData(&'a [u8]),
    /// Another type, which nobody looks at in images.
    Other(u16),
}

/// The table of an image, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CertificateTable(Vec<u8>);

impl CertificateTable {
    /// Reads the table of a file of this length; it has to be what the file ends in. Returns also where it begins.
    pub(super) fn read(
        file: &mut (impl Read + Seek),
        headers: &Headers,
        len: u64,
    ) -> Result<(Self, u64), Error> {
        let (begin, size) = headers.certificate_table;
        if size == 0 {
            return Ok((Self::default(), len));
        }
        let (begin, end) = (u64::from(begin), u64::from(begin) + u64::from(size));
        let why = if begin < headers.end() {
            Some("in the headers".to_owned())
        } else if !begin.is_multiple_of(ALIGNMENT as u64) {
            Some(format!("at no multiple of {ALIGNMENT}"))
        } else if !u64::from(size).is_multiple_of(ALIGNMENT as u64) {
            Some(format!("with a size that is no multiple of {ALIGNMENT}"))
        } else if end > len {
            Some(format!("and the file ends at {len:#x}"))
        } else if end < len {
            Some(format!("and the file goes on to {len:#x}"))
        } else if size > MAX_LEN {
            Some(format!("and more than {MAX_LEN} bytes of it are not read"))
        } else {
            None
        };
        if let Some(why) = why {
            let why = format!("the certificate table would lie from {begin:#x} to {end:#x}, {why}");
            return Err(Error::Malformed { at: headers.directory_at, why });
        }
        let mut bytes = vec![0; size as usize];
        read_at(file, begin, &mut bytes)?;
        let table = Self(bytes);
        table.check(begin)?;
        Ok((table, begin))
    }

    /// Whether entries fill the table, which begins at `begin`.
    fn check(&self, begin: u64) -> Result<(), Error> {
        let mut rest = self.0.as_slice();
        while !rest.is_empty() {
            let at = begin + (self.0.len() - rest.len()) as u64;
            let len = u32_at(rest, 0) as usize;
            let after = rest.get(len.next_multiple_of(ALIGNMENT)..);
            let (HEADER_LEN.., Some(after)) = (len, after) else {
                let why = format!(
                    "a certificate would have {len} bytes, and {} are left of the certificate table",
                    rest.len()
                );
                return Err(Error::Malformed { at, why });
            };
            rest = after;
        }
        Ok(())
    }

    /// Its entries, in their order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.whole_entries().map(|entry| {
            let len = u32_at(entry, 0) as usize;
            let content = entry.get(HEADER_LEN..len).unwrap_or_default();
            match u16::try_from(u32_at(entry, 4) >> 16) {
                Ok(PKCS_SIGNED_DATA) => Entry::SignedData(without_padding(content)),
                other => Entry::Other(other.unwrap_or(u16::MAX)),
            }
        })
    }

    /// The same with what stands before and behind each.
    fn whole_entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let len = u32_at(rest, 0) as usize;
            let (entry, after) = rest.split_at_checked(len.next_multiple_of(ALIGNMENT))?;
            rest = after;
            (len >= HEADER_LEN).then_some(entry)
        })
    }

    /// The same table with other signatures in some places, which are counted from 0.
    pub(super) fn with(&self, signatures: &BTreeMap<usize, Vec<u8>>) -> Result<Self, Error> {
        let mut table = Self::default();
        for (place, entry) in self.whole_entries().enumerate() {
            match signatures.get(&place) {
                Some(cms) => table.push(cms, Length::Padded)?,
                None => table.0.extend(entry),
            }
        }
        Ok(table)
    }

    /// Appends a signature.
    pub(super) fn push(&mut self, cms: &[u8], length: Length) -> Result<(), Error> {
        let too_many = Error::TooManySignatures { limit: MAX_LEN };
        let len = match length {
            Length::Padded => (HEADER_LEN + cms.len()).next_multiple_of(ALIGNMENT),
            Length::Bare => HEADER_LEN + cms.len(),
        };
        let Ok(len) = u32::try_from(len) else { return Err(too_many) };
        self.0.extend(len.to_le_bytes());
        self.0.extend(REVISION_2.to_le_bytes());
        self.0.extend(PKCS_SIGNED_DATA.to_le_bytes());
        self.0.extend(cms);
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
        if self.0.len() > MAX_LEN as usize { Err(too_many) } else { Ok(()) }
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// What an entry's dwLength counts beside its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// The signature and the zeros behind it: Microsoft's habit, and all that osslsigncode 2.5 takes.
    Padded,
    /// The signature alone: sbsign's habit.
    Bare,
}

/// DER without the zeros that some tools count in.
fn without_padding(entry: &[u8]) -> &[u8] {
    let der = SliceReader::new(entry).and_then(|mut reader| reader.tlv_bytes());
    match der {
        Ok(der) if entry[der.len()..].iter().all(|&byte| byte == 0) => der,
        _ => entry,
    }
}
