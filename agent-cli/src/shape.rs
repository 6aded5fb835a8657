//! What OpenPGP makes of data: read and hashed first, finished once the raw signature is there.

use std::io::{BufWriter, Read, Write};

use chancery_formats::openpgp::{
    Content, Encoding, Error, SigningKey, armor_signature, cleartext, detached, inline,
};
use chancery_protocol::{Digest, Hash, Scheme};

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The signature alone.
    Detached(Encoding, Content),
    /// The text, readable, and its signature.
    Clear,
    /// A message that holds the data and its signature.
    Inline(Encoding),
}

impl Shape {
    /// What is appended to a file's name; gpg's habits.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Clear | Self::Detached(Encoding::Armor, _) | Self::Inline(Encoding::Armor) => ".asc",
            Self::Detached(Encoding::Binary, _) => ".sig",
            Self::Inline(Encoding::Binary) => ".gpg",
        }
    }
}

/// An artifact that lacks only its raw signature.
pub(crate) struct Begun<W> {
    pub(crate) scheme: Scheme,
    pub(crate) digest: Digest,
    /// Checks the raw signature, writes what lacked it, and gives the output back.
    pub(crate) finish: Finish<W>,
}

type Finish<W> = Box<dyn FnOnce(&[u8]) -> Result<W, Error> + Send>;

/// Reads and hashes `data`, and writes to `output` what comes before the signature.
pub(crate) fn begin<W: Write + Send + Sync + 'static>(
    shape: Shape,
    key: &SigningKey,
    hash: Hash,
    created: u32,
    data: impl Read,
    mut output: W,
) -> Result<Begun<W>, Error> {
    Ok(match shape {
        Shape::Detached(encoding, content) => {
            let pending = detached(key, hash, created, content, data)?;
            Begun {
                scheme: pending.scheme(),
                digest: pending.digest().clone(),
                finish: Box::new(move |raw| {
                    let packet = pending.finish(raw)?;
                    let bytes = match encoding {
                        Encoding::Binary => packet,
                        Encoding::Armor => armor_signature(&packet)?,
                    };
                    output.write_all(&bytes).map_err(Error::Write)?;
                    Ok(output)
                }),
            }
        }
        Shape::Clear => {
            let started = cleartext(key, hash, created, data, BufWriter::new(output))?;
            Begun {
                scheme: started.scheme(),
                digest: started.digest().clone(),
                finish: Box::new(move |raw| unbuffered(started.finish(raw)?)),
            }
        }
        Shape::Inline(encoding) => {
            let started = inline(key, hash, created, encoding, data, BufWriter::new(output))?;
            Begun {
                scheme: started.scheme(),
                digest: started.digest().clone(),
                finish: Box::new(move |raw| unbuffered(started.finish(raw)?)),
            }
        }
    })
}

fn unbuffered<W: Write>(output: BufWriter<W>) -> Result<W, Error> {
    output.into_inner().map_err(|error| Error::Write(error.into_error()))
}
