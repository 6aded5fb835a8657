//! ASCII armor (RFC 9580, section 6) with its checksum, which rpm up to 4.19 insists on.

use std::io::{self, Write};

use sequoia_openpgp::Profile;
use sequoia_openpgp::armor::{Kind, Writer};

use super::Error;

/// A binary signature packet, as `finish` returns it, in `-----BEGIN PGP SIGNATURE-----` armor.
pub fn armor_signature(packet: &[u8]) -> Result<Vec<u8>, Error> {
    armor(Kind::Signature, packet)
}

/// `bytes` in armor of `kind`.
pub(super) fn armor(kind: Kind, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut output = Armored::new(Vec::new(), Some(kind)).map_err(Error::Write)?;
    output.write_all(bytes).map_err(Error::Write)?;
    output.finish().map_err(Error::Write)
}

/// A writer with or without armor around what goes through it.
pub(super) enum Armored<W: Write> {
    Plain(W),
    Armor(Writer<W>),
}

impl<W: Write> Armored<W> {
    pub(super) fn new(output: W, kind: Option<Kind>) -> io::Result<Self> {
        let Some(kind) = kind else { return Ok(Self::Plain(output)) };
        let mut writer = Writer::new(output, kind)?;
        // The profile of RFC 4880 is the one with the checksum.
        writer.set_profile(Profile::RFC4880)?;
        Ok(Self::Armor(writer))
    }

    /// Writes the end of the armor.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(output) => Ok(output),
            Self::Armor(writer) => writer.finalize(),
        }
    }
}

impl<W: Write> Write for Armored<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Armor(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Armor(writer) => writer.flush(),
        }
    }
}

impl<W: Write> std::fmt::Debug for Armored<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Armored").finish_non_exhaustive()
    }
}
