//! The header structure that signature header and main header share (rpm's `lib/header.c`): an index of entries and a
//! store of their data.

use std::io::Read;
use std::ops::Range;

use super::error::Part;
use super::{Error, tags};

/// What a header begins with: magic, version 1, four reserved bytes.
pub(super) const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
/// Magic, number of entries, length of the store.
pub(super) const INTRO: usize = 16;
/// One entry of the index: tag, type, offset, count. A region's trailer looks the same.
pub(super) const ENTRY: usize = 16;
/// Most elements in an entry that is not binary (`HEADER_ARRAY_MAX`).
const MAX_ELEMENTS: u32 = 0x000f_ffff;
/// Most bytes that room is made for before they arrive.
const AT_ONCE: usize = 64 * 1024;

/// The limits that rpm sets (`hdrblobVerifyLengths`), checked before anything is allocated.
struct Limits {
    entries: u32,
    store: u32,
}

const fn limits(part: Part) -> Limits {
    match part {
        Part::SignatureHeader => Limits { entries: 32, store: 64 * 1024 * 1024 },
        _ => Limits { entries: 0xffff, store: 0x0fff_ffff },
    }
}

/// An entry of the index. The store holds its data.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) tag: u32,
    pub(super) kind: u32,
    pub(super) count: u32,
    /// Where its data is in the header's bytes.
    data: Range<usize>,
}

/// A header whose every entry has been checked to lie inside the store.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Everything from the magic to the end of the store.
    bytes: Vec<u8>,
    /// The entries of the region, or all if there is none; the region itself is left out.
    entries: Vec<Entry>,
    region: Option<Region>,
}

/// The region that covers a header or its beginning.
#[derive(Debug, Clone, Copy)]
struct Region {
    /// Number of entries that it covers, its own included.
    entries: usize,
    /// Length of the part of the store that it covers, its trailer included.
    store: usize,
}

impl Header {
    /// Reads a header that begins at byte `at` of the file; memory grows as bytes arrive.
    pub(super) fn read(input: &mut impl Read, part: Part, at: u64) -> Result<Self, Error> {
        let mut bytes = read_up_to(input, INTRO, part)?;
        if !bytes.starts_with(&MAGIC[..MAGIC.len().min(bytes.len())]) {
            return Err(Error::Malformed { part, at, why: "it does not begin with 8e ad e8 01".into() });
        }
        if bytes.len() < INTRO {
            return Err(Error::Truncated { part, at: at + bytes.len() as u64 });
        }
        let limits = limits(part);
        let entries = word(&bytes, 8);
        let store = word(&bytes, 12);
        for (offset, what, found, limit) in
            [(8, "entries", entries, limits.entries), (12, "bytes of data", store, limits.store)]
        {
            if found > limit {
                return Err(Error::TooLarge { part, at: at + offset, what, found, limit });
            }
        }
        let wanted = entries as usize * ENTRY + store as usize;
        if append(input, &mut bytes, wanted, part)? < wanted {
            return Err(Error::Truncated { part, at: at + bytes.len() as u64 });
        }
        Parser { part, at, bytes: &bytes, entries: entries as usize }.parse().map(|(entries, region)| Self {
            bytes,
            entries,
            region,
        })
    }

    /// The header from its magic to the end of its store: what a header-only signature covers.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether one region covers all of the header, as in every package since rpm 4.0.
    pub(super) fn is_immutable(&self) -> bool {
        self.region.is_some()
    }

    /// The entries, in the order of the index.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Entry, &[u8])> {
        self.entries.iter().map(|entry| (entry, &self.bytes[entry.data.clone()]))
    }

    /// Whether there is an entry with this tag.
    pub(super) fn has(&self, tag: u32) -> bool {
        self.entries.iter().any(|entry| entry.tag == tag)
    }

    /// The binary data of `tag`.
    pub(super) fn binary(&self, tag: u32) -> Option<&[u8]> {
        self.entries().find(|(entry, _)| entry.tag == tag && entry.kind == tags::BIN).map(|(_, data)| data)
    }

    /// The strings of `tag`, one for a plain string; none if it is missing or of another type.
    pub(super) fn strings(&self, tag: u32) -> impl Iterator<Item = &[u8]> {
        let found = self.entries().find(|(entry, _)| {
            entry.tag == tag && matches!(entry.kind, tags::STRING | tags::STRING_ARRAY | tags::I18NSTRING)
        });
        // Parsing has seen to it that the data is exactly `count` strings, each with its NUL.
        found
            .into_iter()
            .flat_map(|(_, data)| data.split_inclusive(|&byte| byte == 0))
            .map(|s| &s[..s.len() - 1])
    }

    /// The first string of `tag`.
    pub(super) fn string(&self, tag: u32) -> Option<String> {
        self.strings(tag).next().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// The first 32-bit number of `tag`.
    pub(super) fn number(&self, tag: u32) -> Option<u32> {
        let found = self.entries().find(|(entry, _)| entry.tag == tag && entry.kind == tags::INT32);
        found.map(|(_, data)| word(data, 0))
    }
}

/// Reads at most `wanted` bytes, fewer only at the end of the input.
pub(super) fn read_up_to(input: &mut impl Read, wanted: usize, part: Part) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    append(input, &mut bytes, wanted, part)?;
    Ok(bytes)
}

/// Reads at most `wanted` bytes more. Room is made for [`AT_ONCE`] before they arrive; beyond, `bytes` grows with them.
fn append(input: &mut impl Read, bytes: &mut Vec<u8>, wanted: usize, part: Part) -> Result<usize, Error> {
    bytes.reserve(wanted.min(AT_ONCE));
    input.by_ref().take(wanted as u64).read_to_end(bytes).map_err(|source| Error::Read { part, source })
}

/// The big-endian 32-bit number at `offset`, which must be inside.
fn word(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_be_bytes(word)
}

/// One entry of the index as it stands in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Raw {
    tag: u32,
    kind: u32,
    offset: u32,
    count: u32,
}

impl Raw {
    fn at(bytes: &[u8], offset: usize) -> Self {
        Self {
            tag: word(bytes, offset),
            kind: word(bytes, offset + 4),
            offset: word(bytes, offset + 8),
            count: word(bytes, offset + 12),
        }
    }
}

/// Checks a header as rpm does (`hdrblobVerifyRegion`, `hdrblobVerifyInfo`).
struct Parser<'a> {
    part: Part,
    at: u64,
    bytes: &'a [u8],
    entries: usize,
}

impl Parser<'_> {
    fn parse(&self) -> Result<(Vec<Entry>, Option<Region>), Error> {
        if self.entries == 0 {
            return Err(self.malformed(8, "it has no entries"));
        }
        let region = self.region()?;
        let first = usize::from(region.is_some());
        let mut entries = Vec::with_capacity(self.entries);
        let mut end = 0;
        for number in first..self.entries {
            let entry = self.entry(number, end)?;
            end = entry.data.end;
            // Nothing may lie over the region's trailer.
            if let Some(region) = region {
                let trailer = self.store() + region.store - ENTRY;
                if entry.data.start < trailer + ENTRY && end > trailer {
                    return Err(self
                        .malformed(index(number), &format!("tag {} overlaps the region's end", entry.tag)));
                }
            }
            entries.push(entry);
        }
        // What later tools appended outside the region is not part of what was built and checked.
        if let Some(region) = region {
            entries.truncate(region.entries - 1);
        }
        Ok((entries, region))
    }

    fn region(&self) -> Result<Option<Region>, Error> {
        let tag = match self.part {
            Part::SignatureHeader => tags::HEADERSIGNATURES,
            _ => tags::HEADERIMMUTABLE,
        };
        let entry = Raw::at(self.bytes, INTRO);
        if entry.tag != tag {
            return Ok(None);
        }
        let malformed = |why: &str| Err(self.malformed(INTRO, why));
        if entry.kind != tags::BIN || entry.count as usize != ENTRY {
            return malformed("its region is not 16 bytes of binary data");
        }
        let store = entry.offset as usize + ENTRY;
        if store > self.bytes.len() - self.store() {
            return malformed("its region ends outside the data");
        }
        let trailer = Raw::at(self.bytes, self.store() + entry.offset as usize);
        let is_old = self.part == Part::SignatureHeader && trailer.tag == tags::HEADERIMAGE;
        if (trailer.tag != tag && !is_old) || trailer.kind != tags::BIN || trailer.count as usize != ENTRY {
            return malformed("its region does not end with the region's trailer");
        }
        // The trailer counts backwards: minus the length of the index.
        let length = trailer.offset.wrapping_neg() as usize;
        let entries = length / ENTRY;
        if !length.is_multiple_of(ENTRY) || entries == 0 || entries > self.entries {
            return malformed("its region covers more entries than there are");
        }
        let covers_all = entries == self.entries && store == self.bytes.len() - self.store();
        if self.part == Part::MainHeader && !covers_all {
            return malformed("its region does not cover all of it");
        }
        Ok(Some(Region { entries, store }))
    }

    /// Entry `number`, whose data begins at `previous_end` of the header or later.
    fn entry(&self, number: usize, previous_end: usize) -> Result<Entry, Error> {
        let Raw { tag, kind, offset, count } = Raw::at(self.bytes, index(number));
        let malformed = |why: &str| {
            let what = format!("tag {tag} (type {kind}, offset {offset}, count {count}) {why}");
            Err(self.malformed(index(number), &what))
        };
        if tag < tags::FIRST_TAG {
            return malformed("is a region inside a header");
        }
        let Some(start) = self.store().checked_add(offset as usize).filter(|&start| start < self.bytes.len())
        else {
            return malformed("lies outside the data");
        };
        if start < previous_end {
            return malformed("overlaps the one before");
        }
        let rest = &self.bytes[start..];
        let length = match kind {
            tags::STRING if count != 1 => return malformed("is a string with a count"),
            tags::STRING | tags::STRING_ARRAY | tags::I18NSTRING => strings_length(rest, count),
            _ => match tags::element_size(kind) {
                None => return malformed("is of no known type"),
                Some(size) if !(offset as usize).is_multiple_of(size) => return malformed("is not aligned"),
                Some(size) => (count as usize).checked_mul(size).filter(|&length| length <= rest.len()),
            },
        };
        if count == 0 || (kind != tags::BIN && count > MAX_ELEMENTS) {
            return malformed("has an impossible count");
        }
        let Some(length) = length else { return malformed("ends outside the data") };
        Ok(Entry { tag, kind, count, data: start..start + length })
    }

    const fn store(&self) -> usize {
        INTRO + self.entries * ENTRY
    }

    fn malformed(&self, offset: usize, why: &str) -> Error {
        Error::Malformed { part: self.part, at: self.at + offset as u64, why: why.to_owned() }
    }
}

/// Where entry `number` of the index begins.
const fn index(number: usize) -> usize {
    INTRO + number * ENTRY
}

/// Length of `count` strings with their NULs, if all are there.
fn strings_length(data: &[u8], count: u32) -> Option<usize> {
    let mut ends = data.iter().enumerate().filter(|&(_, &byte)| byte == 0).map(|(at, _)| at + 1);
    (count as usize).checked_sub(1).and_then(|last| ends.nth(last))
}
