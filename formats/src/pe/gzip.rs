//! Kernels that are a PE image in a gzip file, as arm64's `vmlinuz` is (Linux, Documentation/arch/arm64/booting.rst): the
//! image inside is signed, and wrapped again as the kernel's build does it.

use std::io::{BufReader, Read, Write};

use flate2::GzBuilder;
use flate2::bufread::GzDecoder;

use super::Error;

/// What a gzip file begins with (RFC 1952, section 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Unix, as gzip says it.
const UNIX: u8 = 3;
/// Largest image that is unwrapped, in bytes; a kernel with everything built in has some ten million.
const MAX_IMAGE: u64 = 1024 * 1024 * 1024;
/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// Whether a file that begins so is a gzip file.
pub fn is_gzip(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC)
}

/// Unwraps an image, as far as images are large.
pub fn gunzip(input: impl Read, mut output: impl Write) -> Result<(), Error> {
    let mut decoder = GzDecoder::new(BufReader::with_capacity(CHUNK, input));
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let read = decoder.read(&mut buffer).map_err(Error::Gzip)?;
        if read == 0 {
            break;
        }
        total += read as u64;
        if total > MAX_IMAGE {
            return Err(Error::LargeInside(MAX_IMAGE));
        }
        output.write_all(&buffer[..read]).map_err(Error::Write)?;
    }
    output.flush().map_err(Error::Write)?;
    // What stands behind the stream would be lost.
    match decoder.into_inner().read(&mut [0]).map_err(Error::Gzip)? {
        0 => Ok(()),
        _ => Err(Error::BehindGzip),
    }
}

/// Wraps what `write` writes as `gzip -n -9` does: without a name and a time, so that the same image gives the same file.
pub fn gzip<W: Write, T>(
    output: W,
    write: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut encoder =
        GzBuilder::new().mtime(0).operating_system(UNIX).write(output, flate2::Compression::best());
    let written = write(&mut encoder)?;
    encoder.finish().and_then(|mut output| output.flush()).map_err(Error::Write)?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(image: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        gzip(&mut output, |output| output.write_all(image).map_err(Error::Write)).unwrap();
        output
    }

    #[test]
    fn what_was_wrapped_is_unwrapped_and_what_is_damaged_refused() {
        let image: Vec<u8> = (0..200_000_u32).map(|n| (n % 241) as u8).collect();
        let file = wrapped(&image);
        assert!(is_gzip(&file) && file == wrapped(&image));
        let mut output = Vec::new();
        gunzip(&*file, &mut output).unwrap();
        assert!(output == image);
        let mut damaged = file.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let more = [&file[..], b"more"].concat();
        for (bad, why) in [
            (&damaged, "cannot be unwrapped"),
            (&file[..file.len() - 9].to_vec(), "cannot be unwrapped"),
            (&more, "more behind"),
        ] {
            let error = gunzip(&**bad, std::io::sink()).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
