//! The headers of a PE image, up to its section table ("PE Format", "File Headers" and "Section Table").

use std::io::{self, Read, Seek, SeekFrom};

use super::Error;

/// Size of the MS-DOS header, whose last field points to the PE header.
const DOS_LEN: usize = 64;
/// Offset of that field, `e_lfanew` ("MS-DOS Stub").
const E_LFANEW: usize = 0x3c;
/// Size of the signature and the COFF file header together.
const COFF_LEN: usize = 24;
/// Size of an entry of the section table ("Section Table").
pub(super) const SECTION_LEN: usize = 40;
/// Offset of SectionAlignment in the optional header ("Optional Header Windows-Specific Fields"), for both magics.
const SECTION_ALIGNMENT: usize = 32;
/// Offset of SizeOfHeaders in the optional header ("Optional Header Windows-Specific Fields"), for both magics.
const SIZE_OF_HEADERS: usize = 60;
/// Offset of CheckSum in the optional header, for both magics.
const CHECK_SUM: usize = 64;
/// Index of the Certificate Table in the data directories ("Optional Header Data Directories").
const CERTIFICATE_TABLE: usize = 4;
/// Size of a data directory's entry: an offset or address, and a size.
const DIRECTORY_LEN: usize = 8;

/// Where in a file the headers are, and what they say of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Headers {
    /// Where the PE header begins.
    pub(super) at: u64,
    /// Everything from there to the end of the section table.
    pub(super) bytes: Vec<u8>,
    /// Where the section table begins in the file.
    pub(super) sections_at: u64,
    /// Where CheckSum stands in the file.
    pub(super) checksum_at: u64,
    /// Where the certificate table's entry of the data directories stands in the file.
    pub(super) directory_at: u64,
    /// SectionAlignment: the size of a page in memory.
    pub(super) section_alignment: u32,
    /// SizeOfHeaders: how long all headers are, padding included.
    pub(super) all_len: u32,
    /// Where SizeOfHeaders stands in the file.
    pub(super) all_len_at: u64,
    /// Where the certificate table begins in the file, and its size, as the data directories say.
    pub(super) certificate_table: (u32, u32),
}

impl Headers {
    /// Reads the headers of a file of this length.
    pub(super) fn read(file: &mut (impl Read + Seek), len: u64) -> Result<Self, Error> {
        let mut dos = [0; DOS_LEN];
        if len < DOS_LEN as u64 {
            return Err(Error::NotPe("it is shorter than an MS-DOS header"));
        }
        read_at(file, 0, &mut dos)?;
        if !dos.starts_with(b"MZ") {
            return Err(Error::NotPe("it does not begin with MZ"));
        }
        let at = u64::from(u32_at(&dos, E_LFANEW));
        let bad = |at, why| Error::Malformed { at, why };
        let pointer = E_LFANEW as u64;
        if at < DOS_LEN as u64 || !at.is_multiple_of(2) {
            let why =
                format!("the PE header would begin at {at:#x}, in the MS-DOS header or at an odd place");
            return Err(bad(pointer, why));
        }
        if at + COFF_LEN as u64 > len {
            return Err(bad(
                pointer,
                format!("the PE header would begin at {at:#x}, and the file ends at {len:#x}"),
            ));
        }
        let mut coff = [0; COFF_LEN];
        read_at(file, at, &mut coff)?;
        if !coff.starts_with(b"PE\0\0") {
            return Err(Error::NotPe("it is a program for MS-DOS: where its PE header would be is none"));
        }
        let sections = u64::from(u16_at(&coff, 6));
        let optional_len = u64::from(u16_at(&coff, 20));
        let end = at + COFF_LEN as u64 + optional_len + sections * SECTION_LEN as u64;
        if end > len {
            let why = format!(
                "an optional header of {optional_len} bytes and {sections} sections would end at {end:#x}, and the file \
                 ends at {len:#x}"
            );
            return Err(bad(at, why));
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(at)).map_err(Error::Read)?;
        let read = file.take(end - at).read_to_end(&mut bytes).map_err(Error::Read)?;
        if read as u64 != end - at {
            return Err(Error::Changed);
        }
        Self::parse(at, bytes, optional_len)
    }

    /// Reads the optional header, which `bytes` hold whole.
    fn parse(at: u64, bytes: Vec<u8>, optional_len: u64) -> Result<Self, Error> {
        let optional_at = at + COFF_LEN as u64;
        let bad = |why| Error::Malformed { at: optional_at, why };
        let begin = COFF_LEN;
        let optional = bytes.get(begin..).unwrap_or_default();
        let optional = optional.get(..usize::try_from(optional_len).unwrap_or(0)).unwrap_or_default();
        let magic = if optional.len() < 2 { 0 } else { u16_at(optional, 0) };
        // "Optional Header Data Directories": where they begin, for PE32 and PE32+.
        let directories = match magic {
            0x10b => 96,
            0x20b => 112,
            _ => {
                return Err(bad(format!(
                    "the optional header's magic is {magic:#x}, neither PE32 nor PE32+"
                )));
            }
        };
        let directory = directories + CERTIFICATE_TABLE * DIRECTORY_LEN;
        if optional.len() < directory + DIRECTORY_LEN {
            let why = format!(
                "the optional header of {} bytes has no room for the certificate table's entry, which needs {}",
                optional.len(),
                directory + DIRECTORY_LEN
            );
            return Err(bad(why));
        }
        let count = u32_at(optional, directories - 4);
        if count as usize <= CERTIFICATE_TABLE {
            let why =
                format!("NumberOfRvaAndSizes is {count}, and the certificate table's entry is the fifth");
            return Err(bad(why));
        }
        Ok(Self {
            at,
            sections_at: optional_at + optional_len,
            checksum_at: optional_at + CHECK_SUM as u64,
            directory_at: optional_at + directory as u64,
            section_alignment: u32_at(optional, SECTION_ALIGNMENT),
            all_len: u32_at(optional, SIZE_OF_HEADERS),
            all_len_at: optional_at + SIZE_OF_HEADERS as u64,
            certificate_table: (u32_at(optional, directory), u32_at(optional, directory + 4)),
            bytes,
        })
    }

    /// The section table.
    pub(super) fn section_table(&self) -> &[u8] {
        let begin = usize::try_from(self.sections_at - self.at).unwrap_or(usize::MAX);
        self.bytes.get(begin..).unwrap_or_default()
    }

    /// Where the section table ends in the file.
    pub(super) const fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }
}

/// Fills `into` from `at`, which the file's length allows.
pub(super) fn read_at(file: &mut (impl Read + Seek), at: u64, into: &mut [u8]) -> Result<(), Error> {
    file.seek(SeekFrom::Start(at)).map_err(Error::Read)?;
    file.read_exact(into).map_err(|error| match error.kind() {
        // The length was asked before.
        io::ErrorKind::UnexpectedEof => Error::Changed,
        _ => Error::Read(error),
    })
}

/// The number at `at`, where there is one.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk());
    number.map_or(0, |number| u32::from_le_bytes(*number))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk());
    number.map_or(0, |number| u16::from_le_bytes(*number))
}
