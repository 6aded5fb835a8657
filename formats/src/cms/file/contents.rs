//! A file, as its signature knows it: digest and length.

use std::io::{Read, Write, sink};

use chancery_protocol::{Digest, Hash};
use sequoia_openpgp::crypto::hash::Context;

use crate::cms::Error;
use crate::cms::error::library;
use crate::openpgp::{digest, feed, hash_algorithm};

/// What was read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The digest of all its bytes.
    pub digest: Digest,
    /// Its length, in bytes.
    pub len: u64,
}

impl Content {
    /// Reads a file to its end. Memory does not grow with it.
    pub fn read(hash: Hash, file: impl Read) -> Result<Self, Error> {
        Self::copy(hash, file, sink())
    }

    /// The same, and writes all that is read to `output`.
    pub fn copy(hash: Hash, file: impl Read, mut output: impl Write) -> Result<Self, Error> {
        let mut context = context(hash)?;
        let mut written = Ok(());
        let read = feed(file, |chunk| {
            context.update(chunk);
            if written.is_ok() {
                written = output.write_all(chunk);
            }
        });
        let len = read.map_err(Error::Read)?;
        written.map_err(Error::Write)?;
        Ok(Self { digest: digest(context).map_err(library("finish a hash"))?, len })
    }
}

fn context(hash: Hash) -> Result<Context, Error> {
    Ok(hash_algorithm(hash).context().map_err(library("start a hash"))?.for_digest())
}
