//! What is signed: read once, as a stream, and looked at to know an RPM package's header.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use chancery_protocol::{Digest, Format, Hash};
use sha2::{Digest as _, Sha256};

use super::Stop;
use super::status::Code;
use crate::args::{Input, Output};
use crate::failure::Failure;
use crate::signer::artifact_name;

/// How a header begins: magic, version, reserved, number of entries, size of the data (rpm, docs/manual/format.md).
const HEADER_INTRO: usize = 16;
/// The magic and version with which rpm gives a package's header to its signing program.
const HEADER_MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
/// Size of an entry.
const HEADER_ENTRY: u64 = 16;

/// The data, from the standard input, a file or a fifo.
pub(super) struct Data {
    source: io::Chain<Cursor<Vec<u8>>, Box<dyn Read>>,
    header: Option<Header>,
}

/// The header of a package, of which this is the SHA-256 as far as it was read.
struct Header {
    context: Sha256,
    left: u64,
}

impl Data {
    pub(super) fn open(input: &Input) -> Result<Self, Stop> {
        let path = input.shown();
        let failed = |error: io::Error| {
            let code = if error.kind() == io::ErrorKind::NotFound { Code::NOT_FOUND } else { Code::GENERAL };
            Stop::new(Failure::file("read", path, &error), code)
        };
        let source: Box<dyn Read> = match input {
            Input::Stdin => Box::new(io::stdin().lock()),
            Input::File(path) => Box::new(File::open(path).map_err(failed)?),
        };
        Self::of(source).map_err(failed)
    }

    fn of(mut source: Box<dyn Read>) -> io::Result<Self> {
        let mut intro = Vec::with_capacity(HEADER_INTRO);
        source.by_ref().take(HEADER_INTRO as u64).read_to_end(&mut intro)?;
        let header = header_len(&intro).map(|left| Header { context: Sha256::new(), left });
        Ok(Self { source: Cursor::new(intro).chain(source), header })
    }

    /// What policy and the audit trail are told that this is.
    pub(super) fn format(&self) -> Format {
        if self.header.is_some() { Format::Rpm } else { Format::Openpgp }
    }

    /// Once all was read: the digest of a package's header, which rpm shows as `%{SHA256HEADER}`.
    pub(super) fn header_digest(self) -> Option<Digest> {
        let header = self.header.filter(|header| header.left == 0)?;
        Digest::new(Hash::Sha256, header.context.finalize().to_vec()).ok()
    }
}

impl Read for Data {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if let Some(header) = &mut self.header {
            let of_header = usize::try_from(header.left).unwrap_or(usize::MAX).min(count);
            header.context.update(&buffer[..of_header]);
            header.left -= of_header as u64;
        }
        Ok(count)
    }
}

/// The length of the header that begins so, if one does.
fn header_len(intro: &[u8]) -> Option<u64> {
    let word = |at: usize| -> Option<u64> {
        Some(u32::from_be_bytes(intro.get(at..at + 4)?.try_into().ok()?).into())
    };
    let (entries, data) = (word(8)?, word(12)?);
    intro.starts_with(&HEADER_MAGIC).then_some(HEADER_INTRO as u64 + entries * HEADER_ENTRY + data)
}

/// The artifact in the audit trail. rpmsign pipes a package's header and wants `PACKAGE.rpm.sig`; of other data the
/// input's name is told, or what the output is called if only that has a name.
pub(super) fn artifact(format: Format, input: &Input, output: Option<&Output>) -> String {
    let from_output = |path: &Path| {
        let name = artifact_name(path);
        let stem = [".sig", ".asc", ".gpg"].iter().find_map(|suffix| name.strip_suffix(suffix));
        stem.map(str::to_owned).unwrap_or(name)
    };
    match (format, input, output) {
        (Format::Rpm, _, Some(Output::File(path))) | (_, Input::Stdin, Some(Output::File(path))) => {
            from_output(path)
        }
        _ => artifact_name(input.shown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(entries: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0, 0, 0, 0, entries, 0, 0, 0];
        bytes.push(u8::try_from(data.len()).unwrap());
        bytes.resize(bytes.len() + 16 * usize::from(entries), 7);
        bytes.extend(data);
        bytes
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Format, Option<Digest>) {
        let mut data = Data::of(Box::new(Cursor::new(bytes))).unwrap();
        let mut read = Vec::new();
        data.read_to_end(&mut read).unwrap();
        let format = data.format();
        (read, format, data.header_digest())
    }

    #[test]
    fn a_package_header_is_known_and_its_digest_leaves_the_payload_out() {
        let header = header(2, b"data");
        let expected = sha2::Sha256::digest(&header).to_vec();
        for payload in [&b""[..], b"payload"] {
            let all = [header.as_slice(), payload].concat();
            let (bytes, format, digest) = read(all.clone());
            assert_eq!((bytes, format), (all, Format::Rpm));
            assert_eq!(digest.unwrap().bytes(), expected);
        }
        // It ends too early: nothing is claimed.
        assert_eq!(read(header[..40].to_vec()).2, None);
    }

    #[test]
    fn other_data_is_openpgp_and_read_whole() {
        for bytes in [vec![], b"text".to_vec(), vec![0x8e, 0xad, 0xe8, 1], vec![0; 100], vec![0x8e; 16]] {
            let (read, format, digest) = read(bytes.clone());
            assert_eq!((read, format, digest), (bytes, Format::Openpgp, None));
        }
    }

    #[test]
    fn the_audit_trail_is_told_the_package_or_the_file() {
        let output = |path: &str| Some(Output::File(path.into()));
        let named = |format, input: &str, out: Option<Output>| {
            artifact(format, &Input::from(std::ffi::OsString::from(input)), out.as_ref())
        };
        assert_eq!(named(Format::Rpm, "-", output("a/bash.rpm.sig")), "bash.rpm");
        assert_eq!(named(Format::Rpm, "/tmp/fifo", output("bash.rpm.sig")), "bash.rpm");
        assert_eq!(named(Format::Openpgp, "a/x.dsc", output("t/x.dsc.asc")), "x.dsc");
        assert_eq!(named(Format::Openpgp, "-", output("Release.gpg")), "Release");
        assert_eq!(named(Format::Openpgp, "-", Some(Output::Stdout)), "stdin");
        assert_eq!(named(Format::Openpgp, "-", None), "stdin");
    }
}
