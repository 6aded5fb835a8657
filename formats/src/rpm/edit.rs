//! A new signature header, laid out as rpm 4.18's `rpmsign` does (its `sign/rpmgensig.c` and `lib/header.c`).

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::header::{ENTRY, Header, INTRO, MAGIC};
use super::package::Format;
use super::{Error, lead, tags};

/// The entries of a signature header, without the region around them.
#[derive(Debug, Clone)]
pub(super) struct Entries {
    /// In the order of their tags, which is the order of index and data.
    entries: Vec<Item>,
}

#[derive(Debug, Clone)]
struct Item {
    tag: u32,
    kind: u32,
    count: u32,
    data: Vec<u8>,
}

impl Entries {
    pub(super) fn of(header: &Header) -> Self {
        let mut entries: Vec<_> = header
            .entries()
            .map(|(entry, data)| Item {
                tag: entry.tag,
                kind: entry.kind,
                count: entry.count,
                data: data.to_vec(),
            })
            .collect();
        entries.sort_by_key(|item| item.tag);
        Self { entries }
    }

    /// Takes `tag` out; says whether it was there.
    pub(super) fn remove(&mut self, tag: u32) -> bool {
        let before = self.entries.len();
        self.entries.retain(|item| item.tag != tag);
        self.entries.len() < before
    }

    /// Puts binary `data` in the place of whatever `tag` held.
    pub(super) fn put_binary(&mut self, tag: u32, data: Vec<u8>) {
        let count = count(data.len());
        self.remove(tag);
        self.insert(Item { tag, kind: tags::BIN, count, data });
    }

    /// Appends one string to the string array of `tag`.
    pub(super) fn push_string(&mut self, tag: u32, text: &str) {
        let mut data = text.as_bytes().to_vec();
        data.push(0);
        let existing =
            self.entries.iter_mut().find(|item| item.tag == tag && item.kind == tags::STRING_ARRAY);
        if let Some(item) = existing {
            item.count += 1;
            item.data.extend_from_slice(&data);
        } else {
            self.remove(tag);
            self.insert(Item { tag, kind: tags::STRING_ARRAY, count: 1, data });
        }
    }

    fn insert(&mut self, item: Item) {
        let at = self.entries.partition_point(|other| other.tag <= item.tag);
        self.entries.insert(at, item);
    }

    /// Length of index and data with its alignment.
    pub(super) fn len(&self) -> usize {
        self.entries.iter().fold(0, |size, item| aligned(size, item.kind) + ENTRY + item.data.len())
    }

    /// Takes what was added since `original_len` out of the reserved space, if there is enough, so that the file keeps
    /// its size. In format 6 the space also grows back, as rpm 6 does; rpm 4 only ever shrinks it.
    pub(super) fn settle(&mut self, format: Format, original_len: usize) {
        let tag = match format {
            Format::V4 => tags::SIG_RESERVEDSPACE,
            Format::V6 => tags::SIG_RESERVED,
        };
        let len = self.len();
        let Some(reserved) = self.entries.iter_mut().find(|item| item.tag == tag && item.kind == tags::BIN)
        else {
            return;
        };
        let added = len.saturating_sub(original_len);
        let removed = original_len.saturating_sub(len);
        // An entry cannot be empty: at least one byte stays.
        if added < reserved.data.len() {
            reserved.data.truncate(reserved.data.len() - added);
        }
        if format == Format::V6 {
            reserved.data.resize(reserved.data.len() + removed, 0);
        }
        reserved.count = count(reserved.data.len());
    }

    /// The header with magic, region and padding.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut index = Vec::new();
        let mut data = Vec::new();
        for item in &self.entries {
            data.resize(aligned(data.len(), item.kind), 0);
            index.extend(entry(item.tag, item.kind, count(data.len()), item.count));
            data.extend_from_slice(&item.data);
        }
        // The region's entry stands first and points to its trailer, which stands last and counts back over the index.
        let region = entry(tags::HEADERSIGNATURES, tags::BIN, count(data.len()), count(ENTRY));
        let back = count(ENTRY + index.len()).wrapping_neg();
        data.extend(entry(tags::HEADERSIGNATURES, tags::BIN, back, count(ENTRY)));

        let mut bytes = Vec::with_capacity(INTRO + ENTRY + index.len() + data.len() + 8);
        bytes.extend(MAGIC);
        bytes.extend(count(self.entries.len() + 1).to_be_bytes());
        bytes.extend(count(data.len()).to_be_bytes());
        bytes.extend(region);
        bytes.extend(index);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }
}

/// `size` rounded up to the alignment of `kind`.
fn aligned(size: usize, kind: u32) -> usize {
    size.next_multiple_of(tags::element_size(kind).unwrap_or(1))
}

fn entry(tag: u32, kind: u32, offset: u32, count: u32) -> impl Iterator<Item = u8> {
    [tag, kind, offset, count].into_iter().flat_map(u32::to_be_bytes)
}

/// A number of the header. What was read is under 64 MiB, and a signature adds a few hundred bytes.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The new beginning of a package: lead, signature header and padding.
#[derive(Debug, Clone)]
#[must_use]
pub struct Edited {
    prefix: Vec<u8>,
    old_prefix: Vec<u8>,
}

impl Edited {
    /// `old_prefix` is lead and signature header as they were, without the padding.
    pub(super) fn new(old_prefix: Vec<u8>, entries: &Entries) -> Self {
        let mut prefix = old_prefix[..lead::LEN].to_vec();
        prefix.extend(entries.to_bytes());
        Self { prefix, old_prefix }
    }

    /// What the file begins with from now on.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// How many bytes of the original the prefix replaces; what follows them is copied as it is.
    pub fn old_prefix_len(&self) -> u64 {
        (self.old_prefix.len() as u64).next_multiple_of(8)
    }

    /// Whether the new prefix has the length of the old one, so that nothing else in the file has to move.
    pub fn fits_in_place(&self) -> bool {
        self.prefix.len() as u64 == self.old_prefix_len()
    }

    /// Writes the whole edited package to `output`: the new prefix, then the rest of `original`. Returns its length.
    ///
    /// With two files, the kernel copies the rest.
    pub fn write_to(&self, mut original: impl Read + Seek, mut output: impl Write) -> Result<u64, Error> {
        self.check_unchanged(&mut original)?;
        output.write_all(&self.prefix).map_err(Error::Write)?;
        original.seek(SeekFrom::Start(self.old_prefix_len())).map_err(Error::Write)?;
        let copied = io::copy(&mut original, &mut output).map_err(Error::Write)?;
        output.flush().map_err(Error::Write)?;
        Ok(self.prefix.len() as u64 + copied)
    }

    /// Writes the new signature header over the old one in `file`. A crash in between leaves a damaged package, so
    /// this is for those who ask for it; rpmsign works so.
    pub fn write_in_place(&self, mut file: impl Read + Write + Seek) -> Result<(), Error> {
        if !self.fits_in_place() {
            return Err(Error::DoesNotFit);
        }
        self.check_unchanged(&mut file)?;
        file.seek(SeekFrom::Start(lead::LEN as u64)).map_err(Error::Write)?;
        file.write_all(&self.prefix[lead::LEN..]).map_err(Error::Write)?;
        file.flush().map_err(Error::Write)
    }

    /// Refuses to edit a file whose beginning is no longer what was read.
    fn check_unchanged(&self, original: &mut (impl Read + Seek)) -> Result<(), Error> {
        let mut found = Vec::with_capacity(self.old_prefix.len());
        let mut read = || {
            original.seek(SeekFrom::Start(0))?;
            original.by_ref().take(self.old_prefix.len() as u64).read_to_end(&mut found)
        };
        read().map_err(|source| Error::Read { part: super::Part::SignatureHeader, source })?;
        if found == self.old_prefix { Ok(()) } else { Err(Error::Changed) }
    }
}
