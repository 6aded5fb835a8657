//! Signed messages that contain their data (RFC 9580, sections 5.4 and 10.3).

use std::io::{Read, Write};

use chancery_protocol::Hash;
use sequoia_openpgp::Packet;
use sequoia_openpgp::armor::Kind;
use sequoia_openpgp::packet::OnePassSig;
use sequoia_openpgp::packet::one_pass_sig::OnePassSig3;
use sequoia_openpgp::serialize::Marshal;
use sequoia_openpgp::serialize::stream::{LiteralWriter, Message};
use sequoia_openpgp::types::SignatureType;

use super::armor::Armored;
use super::error::library;
use super::pending::{Draft, hash_algorithm};
use super::stream::feed;
use super::{Error, SigningKey, Started};

/// Whether a message is bytes or text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Packets as they are.
    #[default]
    Binary,
    /// ASCII armor (RFC 9580, section 6).
    Armor,
}

/// Writes a one-pass signature packet and `data` as a literal packet to `output`, and prepares the signature that
/// ends the message. One pass; memory does not grow with the data. Armor comes out line by line: with it, give a
/// buffered writer.
pub fn inline<W: Write + Send + Sync>(
    key: &SigningKey,
    hash: Hash,
    created: u32,
    encoding: Encoding,
    data: impl Read,
    output: W,
) -> Result<Started<W>, Error> {
    let draft = Draft::new(key, SignatureType::Binary, hash, created, vec![])?;
    let mut context = draft.context()?;
    let kind = match encoding {
        Encoding::Binary => None,
        Encoding::Armor => Some(Kind::Message),
    };
    let mut output = Armored::new(output, kind).map_err(Error::Write)?;

    let mut announcement = OnePassSig3::new(SignatureType::Binary);
    announcement.set_hash_algo(hash_algorithm(hash));
    announcement.set_pk_algo(key.packet().pk_algo());
    announcement.set_issuer(key.packet().keyid());
    announcement.set_last(true);
    let announcement = Packet::from(OnePassSig::from(announcement));
    announcement.serialize(&mut output).map_err(library("write a one-pass signature packet"))?;

    let what = "write a literal packet";
    let mut literal = LiteralWriter::new(Message::new(&mut output)).build().map_err(library(what))?;
    let mut written = Ok(());
    feed(data, |chunk| {
        context.update(chunk);
        if written.is_ok() {
            written = literal.write_all(chunk);
        }
    })
    .map_err(Error::Read)?;
    written.map_err(Error::Write)?;
    literal.finalize().map_err(library(what))?;

    Ok(Started { pending: draft.seal(context)?, output })
}
