//! Where the sections lie in the file ("PE Format", "Section Table").

use super::Error;
use super::headers::{Headers, SECTION_LEN, u32_at};

/// Where SizeOfRawData and PointerToRawData stand in an entry.
const SIZE_OF_RAW_DATA: usize = 16;
const POINTER_TO_RAW_DATA: usize = 20;

/// What a section has in the file.
pub(super) struct Section {
    name: String,
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Where its entry stands.
    at: u64,
}

/// Checks that headers and sections fill the file from its beginning, one behind the other, and end before
/// `contents_end`; returns where they end.
pub(super) fn end_of_sections(headers: &Headers, contents_end: u64) -> Result<u64, Error> {
    let (size, at) = (u64::from(headers.all_len), headers.all_len_at);
    if size < headers.end() {
        let end = headers.end();
        let why = format!("SizeOfHeaders is {size:#x}, and the section table ends at {end:#x}");
        return Err(Error::Malformed { at, why });
    }
    if size > contents_end {
        let why = format!("SizeOfHeaders is {size:#x}, and the image's contents end at {contents_end:#x}");
        return Err(Error::Malformed { at, why });
    }
    // The order of the hash ("Calculating the PE Image Hash", step 10).
    let mut sections = sections(headers);
    sections.sort_by_key(|section| (section.begin, section.end));
    let (mut end, mut before) = (size, "the headers".to_owned());
    for section in sections {
        let Section { name, begin, .. } = &section;
        if section.end > contents_end {
            let why = format!(
                "section {name} lies from {begin:#x} to {:#x}, and the image's contents end at {contents_end:#x}",
                section.end
            );
            return Err(Error::Malformed { at: section.at, why });
        }
        if *begin < end {
            let why = format!("section {name} begins at {begin:#x}, and {before} end only at {end:#x}");
            return Err(Error::Malformed { at: section.at, why });
        }
        if *begin > end {
            return Err(Error::Ambiguous(format!(
                "{:#x} bytes between {before}, which end at {end:#x}, and section {name} belong to nothing, and not \
                 every verifier would look at them",
                begin - end
            )));
        }
        end = section.end;
        before = format!("those of section {name}");
    }
    Ok(end)
}

/// The sections that have something in the file, in the order of their table.
pub(super) fn sections(headers: &Headers) -> Vec<Section> {
    let entries = headers.section_table().chunks_exact(SECTION_LEN);
    let sections = entries.zip((headers.sections_at..).step_by(SECTION_LEN)).map(|(entry, at)| {
        let name: Vec<u8> = entry.iter().take(8).copied().take_while(|&byte| byte != 0).collect();
        let begin = u64::from(u32_at(entry, POINTER_TO_RAW_DATA));
        let end = begin + u64::from(u32_at(entry, SIZE_OF_RAW_DATA));
        Section { name: format!("`{}`", name.escape_ascii()), begin, end, at }
    });
    sections.filter(|section| section.begin < section.end).collect()
}
