//! The Cleartext Signature Framework (RFC 9580, section 7).

use std::io::{BufReader, BufWriter, Read, Write};

use chancery_protocol::Hash;
use sequoia_openpgp::armor::Kind;
use sequoia_openpgp::types::SignatureType;

use super::armor::Armored;
use super::pending::Draft;
use super::text::each_line;
use super::{Error, SigningKey, Started};

/// Writes `text` as the first part of a cleartext signed message to `output`, and prepares its signature.
///
/// One pass, holding one line at a time. As section 7.2 asks, blanks at the end of a line are not signed; they are not
/// written either, so that nothing in the message is unsigned. Line ends stay as they are, and the last line gets one
/// if it has none; that end is not signed (section 7.1).
pub fn cleartext<W: Write>(
    key: &SigningKey,
    hash: Hash,
    created: u32,
    text: impl Read,
    mut output: W,
) -> Result<Started<W>, Error> {
    let draft = Draft::new(key, SignatureType::Text, hash, created, vec![])?;
    let mut context = draft.context()?;
    let name = header_name(hash);
    let mut body = BufWriter::new(&mut output);
    write!(body, "-----BEGIN PGP SIGNED MESSAGE-----\nHash: {name}\n\n").map_err(Error::Write)?;

    let mut first = true;
    let mut ended = false;
    each_line(BufReader::new(text), |line| {
        // A line's end is hashed when another line follows: the last one belongs to the framework.
        if !std::mem::take(&mut first) {
            context.update(b"\r\n");
        }
        let text = line.trimmed();
        context.update(text);
        ended = !line.end.is_empty();
        [escape(text), text, line.end].iter().try_for_each(|part| body.write_all(part)).map_err(Error::Write)
    })?;
    if !ended {
        body.write_all(b"\n").map_err(Error::Write)?;
    }
    body.flush().map_err(Error::Write)?;
    drop(body);

    let output = Armored::new(output, Some(Kind::Signature)).map_err(Error::Write)?;
    Ok(Started { pending: draft.seal(context)?, output })
}

/// What stands before a line in the message (section 7.2): needed before a dash, and before `From ` so that mail
/// programs leave it alone.
fn escape(line: &[u8]) -> &'static [u8] {
    if line.starts_with(b"-") || line.starts_with(b"From ") { b"- " } else { b"" }
}

/// A hash in the `Hash` header (section 9.5).
const fn header_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha256 => "SHA256",
        Hash::Sha384 => "SHA384",
        Hash::Sha512 => "SHA512",
    }
}
