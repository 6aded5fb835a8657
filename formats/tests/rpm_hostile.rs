//! Truncated, oversized and damaged packages.
#![cfg(feature = "rpm")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::Read;

use chancery_formats::rpm::{Error, Package, Part};
use proptest::prelude::*;
use support::header::{Entry, header, header_without_region, lead};
use support::rpm::samples;

fn parse(bytes: &[u8]) -> Result<Package, Error> {
    Package::parse(&mut &bytes[..])
}

/// The smallest package that can be signed.
fn smallest() -> Vec<u8> {
    let mut package = lead();
    package.extend(header(62, &[(1008, 7, 32, &[0; 32])]));
    package.resize(package.len().next_multiple_of(8), 0);
    package.extend(main_header());
    package
}

fn main_header() -> Vec<u8> {
    let entries: [Entry<'_>; 5] = [
        (1000, 6, 1, b"name\0"),
        (1001, 6, 1, b"1\0"),
        (1002, 6, 1, b"2\0"),
        (1022, 6, 1, b"noarch\0"),
        (1044, 6, 1, b"src\0"),
    ];
    header(63, &entries)
}

#[test]
fn a_package_cut_anywhere_says_where_it_ends() {
    let mut packages = vec![smallest()];
    packages.extend(samples().iter().map(|path| fs::read(path).unwrap()));
    for bytes in packages {
        let whole = parse(&bytes).unwrap();
        let end = usize::try_from(whole.payload_offset()).unwrap();
        for length in 0..end {
            let result = parse(&bytes[..length]);
            if length == 0 {
                assert!(matches!(result, Err(Error::NotRpm(_))), "{result:?}");
                continue;
            }
            let Err(Error::Truncated { part, at }) = result else { panic!("{length}: {result:?}") };
            assert_eq!(at, length as u64);
            assert_eq!(part == Part::Lead, length < 96, "{length}");
        }
        assert!(parse(&bytes[..end]).is_ok());
    }
}

#[test]
fn what_is_no_package_is_called_so() {
    for bytes in [&b""[..], b"x", b"#!/bin/sh\n", &[0xed, 0xab, 0xee, 0xdc], &[0; 4096]] {
        let result = parse(bytes);
        assert!(matches!(result, Err(Error::NotRpm(_))), "{result:?}");
        assert!(result.unwrap_err().to_string().starts_with("not an RPM package"));
    }
    let folder = tempfile::TempDir::new().unwrap();
    assert!(matches!(Package::open(folder.path()), Err(Error::NotRpm("is not a regular file"))));
    assert!(matches!(Package::open(&folder.path().join("none")), Err(Error::Read { .. })));
}

#[test]
fn impossible_claims_are_refused_before_anything_is_allocated() {
    let first = 96;
    let second = smallest().len() - main_header().len();
    // Offset of a count, a claim over the limit of rpm.
    let claims = [
        (first + 8, 33),
        (first + 8, u32::MAX),
        (first + 12, 64 * 1024 * 1024 + 1),
        (first + 12, u32::MAX),
        (second + 8, 0x1_0000),
        (second + 12, 0x1000_0000),
        (second + 12, u32::MAX),
    ];
    for (offset, claim) in claims {
        let mut bytes = smallest();
        bytes[offset..offset + 4].copy_from_slice(&claim.to_be_bytes());
        // A reader that hands out more than is there would be noticed.
        let mut input = Counted { bytes: &bytes, read: 0 };
        let result = Package::parse(&mut input);
        let Err(Error::TooLarge { at, found, .. }) = result else { panic!("{result:?}") };
        assert_eq!((at, found), (offset as u64, claim));
        assert!(input.read <= offset + 16 - offset % 8, "read on to {}", input.read);
    }
    // Within the limits, but not there: memory grows with what arrives only.
    for (offset, claim) in [(first + 12, 60 * 1024 * 1024_u32), (second + 12, 0x0fff_ffff)] {
        let mut bytes = smallest();
        bytes[offset..offset + 4].copy_from_slice(&claim.to_be_bytes());
        assert!(matches!(parse(&bytes), Err(Error::Truncated { .. })));
    }
    assert!(peak_memory() < 64 * 1024 * 1024, "{} bytes", peak_memory());
}

struct Counted<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

/// The most memory that this process ever had mapped as its own, in bytes (Linux).
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_name_with_a_control_character_is_refused() {
    let mut bytes = smallest();
    let at = bytes.windows(5).position(|window| window == b"name\0").unwrap();
    bytes[at] = 0x1b;
    let result = parse(&bytes);
    assert!(matches!(result, Err(Error::ControlCharacter("name"))), "{result:?}");
}

#[test]
fn malformed_entries_are_refused() {
    let cases: [(&str, Entry<'_>); 9] = [
        ("a region inside", (62, 7, 4, &[0; 4])),
        ("type 0", (1000, 0, 4, &[0; 4])),
        ("type 10", (1000, 10, 4, &[0; 4])),
        ("count 0", (1000, 7, 0, &[0; 4])),
        ("count beyond the data", (1000, 7, 100, &[0; 4])),
        ("count that overflows", (1000, 5, u32::MAX, &[0; 8])),
        ("string without end", (1000, 6, 1, b"abcd")),
        ("fewer strings than counted", (1000, 8, 400, b"a\0b\0")),
        ("string with a count", (1000, 6, 2, b"a\0b\0")),
    ];
    for (name, entry) in cases {
        let mut bytes = lead();
        bytes.extend(header(62, &[entry]));
        bytes.extend([0; 64]);
        let result = parse(&bytes);
        assert!(
            matches!(result, Err(Error::Malformed { part: Part::SignatureHeader, .. })),
            "{name}: {result:?}"
        );
    }
    // Two entries at the same place.
    let mut bytes = lead();
    bytes.extend(header(62, &[(1000, 7, 4, &[0; 4]), (1001, 7, 4, &[0; 4])]));
    bytes[96 + 16 + 32 + 11] = 0;
    let result = parse(&bytes);
    assert!(matches!(&result, Err(Error::Malformed { why, .. }) if why.contains("overlaps")), "{result:?}");
}

#[test]
fn a_package_of_format_3_is_refused_with_the_reason() {
    let mut bytes = lead();
    bytes.extend(header(62, &[(1008, 7, 32, &[0; 32])]));
    let at = bytes.len().next_multiple_of(8);
    bytes.resize(at, 0);
    bytes.extend(header_without_region(&[(1000, 6, 1, b"name\0")]));
    let result = parse(&bytes);
    assert!(matches!(result, Err(Error::Format3)), "{result:?}");
}

proptest! {
    #[test]
    fn parsing_arbitrary_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        _ = parse(&bytes);
        // Past the lead, and past the first header.
        _ = parse(&[&lead()[..], &bytes].concat());
        let magic = [&lead()[..], &[0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0, 0, 0, 0], &bytes].concat();
        _ = parse(&magic);
    }

    #[test]
    fn a_package_changed_anywhere_never_panics(at in 96_usize..400, value: u8, also in 96_usize..400, other: u8) {
        let mut bytes = smallest();
        let length = bytes.len();
        bytes[at % length] = value;
        bytes[also % length] = other;
        if let Ok(package) = parse(&bytes) {
            _ = package.signatures();
            _ = package.without_signatures();
        }
    }
}
