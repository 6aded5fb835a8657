//! Writing: each record becomes a line that holds the hash of the line before.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::record::Record;

/// An [`Entry`](crate::Entry) that is about to be written.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    prev: &'a str,
    #[serde(flatten)]
    record: &'a Record,
}

/// Where a trail stands: the number and hash of its last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Number of the last line; 0 before the first.
    pub seq: u64,
    /// SHA-256 of the last line in hexadecimal; zeros before the first.
    pub hash: String,
}

impl Link {
    /// Where a trail begins.
    pub fn start() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }

    /// The link that `line` (without its newline) makes with number `seq`.
    pub fn of(seq: u64, line: &[u8]) -> Self {
        Self { seq, hash: hex::encode(Sha256::digest(line)) }
    }
}

/// The writing end of a trail.
#[derive(Debug, Clone)]
pub struct Chain {
    head: Link,
}

impl Chain {
    /// Goes on behind `head`.
    pub fn after(head: Link) -> Self {
        Self { head }
    }

    /// Where the chain stands.
    pub fn head(&self) -> &Link {
        &self.head
    }

    /// Appends `record` to `out` as a line with its newline, and returns its number.
    pub fn put(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<u64, serde_json::Error> {
        let seq = self.head.seq + 1;
        let line = Line { seq, prev: &self.head.hash, record };
        let begin = out.len();
        if let Err(error) = serde_json::to_writer(&mut *out, &line) {
            out.truncate(begin);
            return Err(error);
        }
        self.head = Link::of(seq, &out[begin..]);
        out.push(b'\n');
        Ok(seq)
    }
}
