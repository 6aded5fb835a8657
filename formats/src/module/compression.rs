//! Compressed modules: signed inside, and compressed again as the kernel's scripts/Makefile.modinst does it.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::GzBuilder;
use flate2::bufread::MultiGzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use liblzma::write::XzEncoder;

use super::Error;
use super::error::library;

/// Largest module that is decompressed, in bytes; the largest there are, with all their debugging information, have some
/// hundred million.
const MAX_MODULE: u64 = 1024 * 1024 * 1024;
/// What a decoder may hold: enough for every preset of xz and every level of zstd but `--ultra`.
const MAX_MEMORY: u64 = 128 * 1024 * 1024;
/// The same as a power of two, for zstd.
const MAX_WINDOW_LOG: u32 = 27;
/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// How a module is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `gzip -n`.
    Gzip,
    /// `xz --check=crc32 --lzma2=dict=1MiB`: the kernel's own decoder knows no other check.
    Xz,
    /// `zstd`, at its own level, with a check sum.
    Zstd,
}

impl Compression {
    /// Every compression.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Xz, Self::Zstd];

    /// What the names of such modules end in, behind `.ko`.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// How the module of this name is compressed, if it is: by the name, as kmod does it.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        Self::ALL.into_iter().find(|compression| {
            name.strip_suffix(compression.suffix())
                .is_some_and(|stem| Path::new(stem).extension().is_some_and(|extension| extension == "ko"))
        })
    }

    /// Decompresses a module, as far as modules are large.
    pub fn decompress(self, input: impl Read, output: &mut impl Write) -> Result<(), Error> {
        self.decompress_up_to(MAX_MODULE, input, output)
    }

    fn decompress_up_to(self, limit: u64, input: impl Read, output: &mut impl Write) -> Result<(), Error> {
        let bad = |error| Error::Compressed(self.name(), error);
        let input = BufReader::with_capacity(CHUNK, input);
        let mut decoder: Box<dyn Read + '_> = match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(input)),
            Self::Xz => {
                /// LZMA_CONCATENATED (liblzma, lzma/container.h): `xz` decodes all streams of a file.
                const CONCATENATED: u32 = 0x08;
                let stream = Stream::new_stream_decoder(MAX_MEMORY, CONCATENATED);
                Box::new(XzDecoder::new_stream(input, stream.map_err(library("start decompressing"))?))
            }
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(input).map_err(bad)?;
                decoder.window_log_max(MAX_WINDOW_LOG).map_err(bad)?;
                Box::new(decoder)
            }
        };
        let mut buffer = vec![0; CHUNK];
        let mut total = 0;
        loop {
            let read = decoder.read(&mut buffer).map_err(bad)?;
            if read == 0 {
                return Ok(());
            }
            total += read as u64;
            if total > limit {
                return Err(Error::TooLarge(limit));
            }
            output.write_all(&buffer[..read]).map_err(Error::Write)?;
        }
    }

    /// Compresses what `write` writes, which are `len` bytes.
    pub fn compress<W: Write>(
        self,
        len: u64,
        output: W,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Gzip => {
                /// Unix (RFC 1952, section 2.3.1), as gzip says it.
                const UNIX: u8 = 3;
                let mut encoder = GzBuilder::new()
                    .mtime(0)
                    .operating_system(UNIX)
                    .write(output, flate2::Compression::default());
                write(&mut encoder)?;
                encoder.finish().and_then(|mut output| output.flush()).map_err(Error::Write)
            }
            Self::Xz => {
                let what = "start compressing";
                let mut options = LzmaOptions::new_preset(XZ_PRESET).map_err(library(what))?;
                options.dict_size(XZ_DICTIONARY);
                let stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc32);
                let mut encoder = XzEncoder::new_stream(output, stream.map_err(library(what))?);
                write(&mut encoder)?;
                encoder.finish().and_then(|mut output| output.flush()).map_err(Error::Write)
            }
            Self::Zstd => {
                let begin = |output| -> io::Result<_> {
                    let mut encoder = zstd::Encoder::new(output, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                    encoder.include_checksum(true)?;
                    encoder.set_pledged_src_size(Some(len))?;
                    Ok(encoder)
                };
                let mut encoder = begin(output).map_err(Error::Write)?;
                write(&mut encoder)?;
                encoder.finish().and_then(|mut output| output.flush()).map_err(Error::Write)
            }
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

/// `--check=crc32 --lzma2=dict=1MiB` leaves xz's default preset otherwise as it is.
const XZ_PRESET: u32 = 6;
const XZ_DICTIONARY: u32 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(compression: Compression, data: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        let write = |output: &mut dyn Write| output.write_all(data).map_err(Error::Write);
        compression.compress(data.len() as u64, &mut output, write).unwrap();
        output
    }

    #[test]
    fn the_name_tells_the_compression() {
        for (name, expected) in [
            ("a.ko.xz", Some(Compression::Xz)),
            ("dir.ko/b.ko.zst", Some(Compression::Zstd)),
            ("c.ko.gz", Some(Compression::Gzip)),
            ("d.ko", None),
            ("Image.gz", None),
            ("e.ko.xz.tmp", None),
        ] {
            assert_eq!(Compression::of(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let data = b"module ".repeat(50_000);
        for compression in Compression::ALL {
            let packed = compressed(compression, &data);
            assert!(packed.len() < data.len());
            let mut back = Vec::new();
            compression.decompress(packed.as_slice(), &mut back).unwrap();
            assert!(back == data, "{compression:?}");
        }
    }

    #[test]
    fn a_damaged_or_truncated_file_is_refused() {
        let data: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for compression in Compression::ALL {
            let packed = compressed(compression, &data);
            for cut in [0, 1, 5, packed.len() / 2, packed.len() - 1] {
                let outcome = compression.decompress(&packed[..cut], &mut io::sink());
                // No bytes at all are no module either, which is noticed later: some decoders take them for an empty one.
                assert!(outcome.is_err() || cut == 0, "{compression:?}: {cut} bytes");
            }
            let mut flipped = packed.clone();
            flipped[packed.len() / 2] ^= 1;
            assert!(compression.decompress(flipped.as_slice(), &mut io::sink()).is_err(), "{compression:?}");
            assert!(compression.decompress(&b"\x7fELF module"[..], &mut io::sink()).is_err());
        }
    }

    #[test]
    fn a_bomb_is_given_up_at_the_limit() {
        let data = vec![0; 1 << 20];
        for compression in Compression::ALL {
            let packed = compressed(compression, &data);
            let mut output = Vec::new();
            let outcome = compression.decompress_up_to(100_000, packed.as_slice(), &mut output);
            assert!(matches!(outcome, Err(Error::TooLarge(100_000))), "{compression:?}");
            assert!(output.len() <= 100_000 + CHUNK);
        }
    }
}
