//! Passing data through: from a reader to a hash, from a hash to a half-written message.

use std::io::{self, Read, Write};

use chancery_protocol::{Digest, Scheme};
use sequoia_openpgp::Packet;
use sequoia_openpgp::serialize::Marshal;

use super::armor::Armored;
use super::error::library;
use super::{Error, Pending};

/// How much is read at a time; memory does not grow with the artifact.
const CHUNK: usize = 64 * 1024;

/// Reads `input` to its end and hands it on in chunks; returns the number of bytes.
pub(crate) fn feed(mut input: impl Read, mut chunk: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => {
                chunk(&buffer[..read]);
                total += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A message whose text is already written and whose signature is still to come.
#[derive(Debug)]
#[must_use]
pub struct Started<W: Write> {
    pub(super) pending: Pending,
    pub(super) output: Armored<W>,
}

impl<W: Write> Started<W> {
    /// What is to be signed.
    pub const fn digest(&self) -> &Digest {
        self.pending.digest()
    }

    /// How it is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.pending.scheme()
    }

    /// Checks `raw` against the key and writes the signature after the text; gives the writer back, flushed.
    ///
    /// If the signature is wrong, what was written stays without it and is no message: write to a temporary file.
    pub fn finish(mut self, raw: &[u8]) -> Result<W, Error> {
        let signature = Packet::from(self.pending.into_signature(raw)?);
        signature.serialize(&mut self.output).map_err(library("write a signature packet"))?;
        let mut output = self.output.finish().map_err(Error::Write)?;
        output.flush().map_err(Error::Write)?;
        Ok(output)
    }
}
