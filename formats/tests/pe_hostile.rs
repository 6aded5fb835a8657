//! PE images that are large, cut, or made to mislead.
#![cfg(feature = "pe")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use chancery_formats::pe::{
    Attributes, Existing, Image, Options, PageHashes, attach, digest, prepare, remove, signatures, verify,
};
use chancery_formats::x509::Profile;
use chancery_protocol::{Algorithm, Hash};
use proptest::prelude::*;
use support::have;
use support::openssl::OpenSslKey;
use support::pe::{finish, small};

/// The fields of [`small`] PE32+ images.
const E_LFANEW: usize = 0x3c;
const SECTIONS: usize = 0x46;
const OPTIONAL_LEN: usize = 0x54;
const MAGIC: usize = 0x58;
const SIZE_OF_HEADERS: usize = 0x58 + 60;
const DIRECTORIES: usize = 0x58 + 108;
const TABLE: usize = 0x58 + 112 + 4 * 8;
const SECTION: usize = 0x58 + 112 + 16 * 8;
const RAW_LEN: usize = SECTION + 16;
const RAW: usize = SECTION + 20;

const OPTIONS: Options = Options {
    hash: Hash::Sha256,
    existing: Existing::Append,
    attributes: Attributes::Authenticode,
    signing_time: None,
    page_hashes: PageHashes::Leave,
};

/// A signed image that is kept, so that hostile input needs no key.
fn signed() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/pe/rsa2048");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn put(image: &mut [u8], at: usize, number: u32) {
    image[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

fn refusal(image: &[u8]) -> String {
    match Image::read(&mut Cursor::new(image)) {
        Ok(image) => panic!("taken: {image:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_no_image_is_refused_with_the_place_and_the_reason() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, &str); 21] = [
        (|image| image.truncate(63), "shorter than an MS-DOS header"),
        (|image| image[0] = b'N', "does not begin with MZ"),
        (|image| image[0x40] = b'N', "a program for MS-DOS"),
        (
            |image| put(image, E_LFANEW, 0x20),
            "offset 0x3c: the PE header would begin at 0x20, in the MS-DOS header",
        ),
        (|image| put(image, E_LFANEW, 0x41), "or at an odd place"),
        (|image| put(image, E_LFANEW, u32::MAX - 3), "offset 0x3c: the PE header would begin at 0xfffffffc"),
        (|image| image[SECTIONS + 1] = 0xff, "65281 sections would end at"),
        (|image| image[OPTIONAL_LEN + 1] = 0xff, "sections would end at"),
        (|image| image[OPTIONAL_LEN] = 100, "no room for the certificate table's entry"),
        (|image| put(image, OPTIONAL_LEN, 0), "magic is 0x0"),
        (|image| image[MAGIC] = 7, "offset 0x58: the optional header's magic is 0x207"),
        (|image| put(image, DIRECTORIES, 4), "NumberOfRvaAndSizes is 4"),
        (
            |image| put(image, SIZE_OF_HEADERS, 0x100),
            "offset 0x94: SizeOfHeaders is 0x100, and the section table ends",
        ),
        (
            |image| put(image, SIZE_OF_HEADERS, 0x1000),
            "SizeOfHeaders is 0x1000, and the image's contents end at 0x400",
        ),
        (|image| put(image, RAW_LEN, 0x201), "section `.text` lies from 0x200 to 0x401"),
        (|image| put(image, RAW_LEN, u32::MAX), "section `.text` lies from 0x200 to 0x1000001ff"),
        (
            |image| put(image, RAW, 0x1f0),
            "section `.text` begins at 0x1f0, and the headers end only at 0x200",
        ),
        (|image| put(image, SIZE_OF_HEADERS, 0x1f0), "0x10 bytes between the headers, which end at 0x1f0"),
        (
            |image| {
                image[SECTIONS] = 2;
                image[SECTION + 40..SECTION + 45].copy_from_slice(b".\xffy\nz");
                put(image, RAW_LEN + 40, 0x100);
                put(image, RAW + 40, 0x240);
                put(image, SIZE_OF_HEADERS, 0x200);
            },
            "section `.\\xffy\\nz` begins at 0x240, and those of section `.text` end only at 0x400",
        ),
        (
            |image| {
                put(image, TABLE, 0x400);
                put(image, TABLE + 4, 8);
            },
            "the certificate table would lie from 0x400 to 0x408, and the file ends at 0x400",
        ),
        (|image| image.truncate(0x3ff), "section `.text` lies from 0x200 to 0x400"),
    ];
    for (change, why) in changes {
        let mut image = small(0x20b, b"");
        change(&mut image);
        let said = refusal(&image);
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn a_certificate_table_that_is_not_one_is_refused() {
    let with = |begin: u32, len: u32, table: &[u8]| {
        let mut image = small(0x20b, table);
        put(&mut image, TABLE, begin);
        put(&mut image, TABLE + 4, len);
        image
    };
    let entry = |len: u32| [&len.to_le_bytes()[..], &[0, 2, 2, 0], &[0; 24]].concat();
    assert!(Image::read(&mut Cursor::new(with(0x400, 32, &entry(32)))).is_ok());
    assert!(Image::read(&mut Cursor::new(with(0x400, 32, &entry(25)))).is_ok());
    let mut in_a_section = with(0x3f8, 40, &entry(32));
    put(&mut in_a_section, 0x3f8, 40);
    for (image, why) in [
        (with(0, 32, &entry(32)), "lie from 0x0 to 0x20, in the headers"),
        (in_a_section, "section `.text` lies from 0x200 to 0x400, and the image's contents end at 0x3f8"),
        (with(0x404, 28, &entry(32)), "at no multiple of 8"),
        (with(0x400, 31, &entry(32)), "no multiple of 8"),
        (with(0x400, 24, &entry(32)), "and the file goes on to 0x420"),
        (with(0x400, u32::MAX - 7, &entry(32)), "and the file ends at 0x420"),
        (with(0x400, 32, &entry(33)), "offset 0x400: a certificate would have 33 bytes, and 32 are left"),
        (with(0x400, 32, &entry(7)), "would have 7 bytes"),
        (with(0x400, 32, &entry(0)), "would have 0 bytes"),
        (with(0x400, 32, &entry(u32::MAX)), "would have 4294967295 bytes"),
        (with(0x400, 32, &entry(16)), "offset 0x410: a certificate would have 0 bytes"),
        (with(0x400, 5 << 20, &vec![0; 5 << 20]), "more than 4194304 bytes of it are not read"),
    ] {
        let said = refusal(&image);
        assert!(said.contains(why), "{why}: {said}");
    }
}

/// A small image before a file of zeros that is nowhere: what grows with it would be noticed.
struct Large {
    begin: Vec<u8>,
    len: u64,
    at: u64,
    largest_read: usize,
}

impl Large {
    fn new(len: u64) -> Self {
        Self { begin: small(0x20b, b""), len, at: 0, largest_read: 0 }
    }
}

impl Read for Large {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.largest_read = self.largest_read.max(buffer.len());
        let read = usize::try_from(self.len - self.at).unwrap_or(usize::MAX).min(buffer.len());
        buffer[..read].fill(0);
        let at = usize::try_from(self.at).unwrap().min(self.begin.len());
        let known = (self.begin.len() - at).min(read);
        buffer[..known].copy_from_slice(&self.begin[at..at + known]);
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Large {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(_) => self.len,
            SeekFrom::Current(_) => self.at,
        };
        Ok(self.at)
    }
}

#[test]
fn memory_does_not_grow_with_the_image() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let mut file = Large::new(1 << 28);
    let image = Image::read(&mut file).unwrap();
    let pending = prepare(&image, &mut file, &key.certificate(Profile::Efi), &[], &OPTIONS).unwrap();
    let signed = finish(&key, pending);
    let mut written = 0;
    signed.edited().write_to(&mut file, Counter(&mut written)).unwrap();
    assert_eq!(written, signed.edited().file_len());
    assert!(file.largest_read <= 64 * 1024, "{}", file.largest_read);
}

#[test]
fn an_image_of_more_than_4_gib_is_refused_before_it_is_read() {
    if !have(&["openssl"]) {
        return;
    }
    let certificate = OpenSslKey::new(Algorithm::P256).certificate(Profile::Efi);
    let mut file = Large::new((1 << 32) - 7);
    let image = Image::read(&mut file).unwrap();
    let refused = prepare(&image, &mut file, &certificate, &[], &OPTIONS).unwrap_err();
    assert!(refused.to_string().contains("behind 4 GiB"), "{refused}");
    assert!(file.largest_read < 0x1000, "{}", file.largest_read);
}

struct Counter<'a>(&'a mut u64);

impl std::io::Write for Counter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        assert!(bytes.len() <= 64 * 1024);
        *self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Asks everything of an image that is read.
fn walk(bytes: &[u8]) -> bool {
    let mut file = Cursor::new(bytes);
    let Ok(image) = Image::read(&mut file) else { return false };
    assert!(image.contents_len() <= image.file_len() && image.file_len() == bytes.len() as u64);
    assert!(verify(&image, &mut file, &[]).is_err());
    signatures(&image, &mut file).unwrap();
    digest(&image, &mut file, Hash::Sha512).unwrap();
    if let Ok(edited) = remove(&image, &mut file) {
        let mut output = Vec::new();
        assert_eq!(edited.write_to(&mut file, &mut output).unwrap(), output.len() as u64);
        let again = Image::read(&mut Cursor::new(&output)).unwrap();
        assert_eq!(again.entries().count(), 0);
    }
    true
}

#[test]
fn a_signed_image_that_is_cut_anywhere_is_refused() {
    let signed = signed();
    assert!(walk(&signed));
    for cut in 1..signed.len() {
        assert!(!walk(&signed[..cut]), "cut at {cut:#x}");
        walk(&signed[cut..]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_image_changed_anywhere_is_read_or_refused(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let mut image = signed();
        for (at, byte) in changes {
            let at = at % image.len();
            image[at] = byte;
        }
        walk(&image);
    }

    #[test]
    fn any_numbers_in_the_headers_are_read_or_refused(
        changes in proptest::collection::vec((0..0x200_usize / 4, prop_oneof![0..0x800_u32, any::<u32>()]), 1..6),
    ) {
        let mut image = signed();
        for (word, number) in changes {
            put(&mut image, 4 * word, number);
        }
        walk(&image);
    }

    #[test]
    fn any_bytes_are_no_signature_to_attach(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let image = small(0x10b, b"");
        let mut file = Cursor::new(&image);
        let read = Image::read(&mut file).unwrap();
        prop_assert!(attach(&read, &mut file, &bytes, Existing::Append).is_err());
    }
}
