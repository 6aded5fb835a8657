//! Detached signatures (RFC 9580, section 10.4).

use std::io::{BufReader, Read};

use chancery_protocol::Hash;
use sequoia_openpgp::types::SignatureType;

use super::pending::Draft;
use super::stream::feed;
use super::text::each_line;
use super::{Error, Pending, SigningKey};

/// How the signed data is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// As it is, byte for byte (signature type 0x00).
    #[default]
    Binary,
    /// As text whose line ends do not matter (signature type 0x01).
    Text,
}

/// Prepares a detached signature over all of `data`, made at `created` (seconds since 1970).
///
/// Memory does not grow with the data. [`Pending::finish`] gives the binary packet; [`armor_signature`] dresses it.
///
/// [`armor_signature`]: super::armor_signature
pub fn detached(
    key: &SigningKey,
    hash: Hash,
    created: u32,
    content: Content,
    data: impl Read,
) -> Result<Pending, Error> {
    let kind = match content {
        Content::Binary => SignatureType::Binary,
        Content::Text => SignatureType::Text,
    };
    let draft = Draft::new(key, kind, hash, created, vec![])?;
    let mut digester = draft.context()?;
    match content {
        Content::Binary => {
            feed(data, |chunk| digester.update(chunk)).map_err(Error::Read)?;
        }
        Content::Text => each_line(BufReader::new(data), |line| {
            digester.update(line.text);
            if !line.end.is_empty() {
                digester.update(b"\r\n");
            }
            Ok(())
        })?,
    }
    draft.seal(digester)
}
