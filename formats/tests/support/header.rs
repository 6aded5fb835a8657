//! RPM headers written by hand, for packages that no rpmbuild makes.

/// An entry: tag, type, count, data.
pub type Entry<'a> = (u32, u32, u32, &'a [u8]);

/// A header with a region of tag `region` around its entries; of their data, only 32-bit numbers are aligned.
pub fn header(region: u32, entries: &[Entry<'_>]) -> Vec<u8> {
    let (index, mut store) = parts(entries);
    let first = words([region, 7, number(store.len()), 16]);
    let back = number(16 + index.len()).wrapping_neg();
    store.extend(words([region, 7, back, 16]));
    let intro = words([0x8ead_e801, 0, number(entries.len() + 1), number(store.len())]);
    [intro, first, index, store].concat()
}

/// A header without a region, as packages of format 3 have.
pub fn header_without_region(entries: &[Entry<'_>]) -> Vec<u8> {
    let (index, store) = parts(entries);
    let intro = words([0x8ead_e801, 0, number(entries.len()), number(store.len())]);
    [intro, index, store].concat()
}

fn parts(entries: &[Entry<'_>]) -> (Vec<u8>, Vec<u8>) {
    let mut index = Vec::new();
    let mut store = Vec::new();
    for &(tag, kind, count, data) in entries {
        if kind == 4 {
            store.resize(store.len().next_multiple_of(4), 0);
        }
        index.extend(words([tag, kind, number(store.len()), count]));
        store.extend(data);
    }
    (index, store)
}

/// A lead of a binary package.
pub fn lead() -> Vec<u8> {
    let mut lead = vec![0xed, 0xab, 0xee, 0xdb, 3, 0];
    lead.resize(96, 0);
    lead[79] = 5;
    lead
}

/// An entry that was read: tag, type, count, data with the padding that follows it.
pub type Found = (u32, u32, u32, Vec<u8>);

/// The entries of a package's signature header without the region, and where it ends with its padding.
pub fn signature_header(package: &[u8]) -> (Vec<Found>, usize) {
    let at = 96;
    let word = |at: usize| u32::from_be_bytes(package[at..at + 4].try_into().unwrap()) as usize;
    let (count, length) = (word(at + 8), word(at + 12));
    let store = at + 16 + 16 * count;
    let offsets: Vec<_> = (0..count).map(|n| word(at + 16 + 16 * n + 8)).collect();
    let entries = (1..count).map(|n| {
        let entry = at + 16 + 16 * n;
        let end = offsets.get(n + 1).copied().unwrap_or(length - 16);
        let data = &package[store + offsets[n]..store + end];
        (number(word(entry)), number(word(entry + 4)), number(word(entry + 12)), data.to_vec())
    });
    (entries.collect(), (store + length).next_multiple_of(8))
}

/// The binary data of `tag` in the signature header.
pub fn signature_data(package: &[u8], tag: u32) -> Option<Vec<u8>> {
    let (entries, _) = signature_header(package);
    entries.into_iter().find(|entry| entry.0 == tag).map(|entry| entry.3[..entry.2 as usize].to_vec())
}

/// The package with another signature header, of the entries that `keep` wants.
pub fn with_signature_header(package: &[u8], keep: impl Fn(u32) -> bool) -> Vec<u8> {
    let (entries, end) = signature_header(package);
    let kept: Vec<_> = entries.iter().filter(|entry| keep(entry.0)).collect();
    let kept: Vec<Entry<'_>> = kept.iter().map(|e| (e.0, e.1, e.2, &e.3[..])).collect();
    let mut edited = package[..96].to_vec();
    edited.extend(header(62, &kept));
    edited.resize(edited.len().next_multiple_of(8), 0);
    edited.extend(&package[end..]);
    edited
}

fn words(words: [u32; 4]) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_be_bytes).collect()
}

fn number(length: usize) -> u32 {
    length.try_into().unwrap()
}
