//! Modules that are large, cut, or made to mislead.
#![cfg(feature = "module")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use chancery_formats::module::{Existing, Module, Options, SignerId, prepare, verify};
use chancery_formats::raw::Input;
use chancery_formats::x509::Profile;
use chancery_protocol::{Algorithm, Hash};
use proptest::prelude::*;
use support::have;
use support::openssl::OpenSslKey;

/// A file of zeros that is nowhere: what grows with it would be noticed.
struct Large {
    len: u64,
    at: u64,
    largest_read: usize,
}

impl Read for Large {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.largest_read = self.largest_read.max(buffer.len());
        let read = usize::try_from(self.len - self.at).unwrap_or(usize::MAX).min(buffer.len());
        buffer[..read].fill(0);
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
fn memory_does_not_grow_with_the_module() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Module);
    let options =
        Options { hash: Hash::Sha512, signer: SignerId::IssuerAndSerialNumber, existing: Existing::Replace };
    let mut file = Large { len: 1 << 28, at: 0, largest_read: 0 };
    let module = Module::read(&mut file).unwrap();
    let pending = prepare(&module, &mut file, &certificate, &options).unwrap();
    let raw = key.sign(&Input::Digest(pending.digest().clone()));
    let mut written = 0;
    let signed = pending.finish(&raw).unwrap();
    signed.write_to(&mut file, Counter(&mut written)).unwrap();
    assert_eq!(written, signed.file_len());
    assert!(file.largest_read <= 64 * 1024, "{}", file.largest_read);
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

/// A module signed once and kept, so that hostile input needs no key.
fn sample() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/module/rsa2048");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_signed_module_cut_at_its_front_or_back_is_never_good() {
    let sample = sample();
    for cut in 1..sample.len() {
        for part in [&sample[cut..], &sample[..cut]] {
            let mut file = Cursor::new(part);
            let Ok(module) = Module::read(&mut file) else { continue };
            assert!(verify(&module, &mut file, &[]).is_err());
            assert!(module.contents_len() <= part.len() as u64);
        }
    }
}

proptest! {
    #[test]
    fn any_trailer_is_read_or_refused(
        contents in proptest::collection::vec(any::<u8>(), 0..200),
        info in proptest::array::uniform12(any::<u8>()),
        is_cms in any::<bool>(),
        len in any::<u32>(),
    ) {
        let mut info = info;
        if is_cms {
            info[..8].copy_from_slice(&[0, 0, 2, 0, 0, 0, 0, 0]);
            info[8..].copy_from_slice(&(len % 256).to_be_bytes());
        }
        let file = [&contents[..], &info, b"~Module signature appended~\n"].concat();
        if let Ok(module) = Module::read(&mut Cursor::new(&file)) {
            prop_assert!(module.contents_len() > 0 && module.contents_len() <= contents.len() as u64);
            prop_assert!(verify(&module, &mut Cursor::new(&file), &[]).is_err());
        }
    }

    #[test]
    fn a_signature_changed_anywhere_is_read_or_refused(at in 0..2000_usize, byte in any::<u8>()) {
        let mut sample = sample();
        let at = at % sample.len();
        sample[at] = byte;
        let mut file = Cursor::new(&sample);
        if let Ok(module) = Module::read(&mut file) {
            let _ = verify(&module, &mut file, &[]);
        }
    }
}
