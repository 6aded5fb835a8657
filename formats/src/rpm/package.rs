//! A package as far as signing needs it: lead, signature header and main header. The payload is not read.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use super::error::Part;
use super::header::{Header, read_up_to};
use super::{Error, lead, tags};

/// A package's lead and headers.
#[derive(Debug, Clone)]
pub struct Package {
    lead: Vec<u8>,
    pub(super) signatures: Header,
    pub(super) main: Header,
    /// Where the main header begins: lead, signature header and padding.
    prefix_len: u64,
    identity: Identity,
}

/// Which package this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// Epoch, where there is one.
    pub epoch: Option<u32>,
    /// Version.
    pub version: String,
    /// Release.
    pub release: String,
    /// Architecture; `src` or `nosrc` for a source package.
    pub arch: String,
}

/// `name-version-release.arch`, as rpm names a package and its file.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}.{}", self.name, self.version, self.release, self.arch)
    }
}

/// Whether a package holds sources or what was built from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A binary package, `noarch` included.
    Binary,
    /// A source package.
    Source,
}

/// The format of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Format 4, of rpm 4.0 and later: at most one signature over the header.
    V4,
    /// Format 6, of rpm 6: any number of signatures.
    V6,
}

impl Package {
    /// Reads lead and headers; `input` then stands at the payload.
    pub fn parse(input: &mut impl Read) -> Result<Self, Error> {
        let lead = lead::read(input)?;
        let at = lead::LEN as u64;
        let signatures = Header::read(input, Part::SignatureHeader, at)?;
        // The main header begins at a multiple of 8 bytes.
        let len = signatures.bytes().len();
        let wanted = len.next_multiple_of(8) - len;
        let padding = read_up_to(input, wanted, Part::SignatureHeader)?;
        let prefix_len = at + (len + padding.len()) as u64;
        if padding.len() < wanted {
            return Err(Error::Truncated { part: Part::SignatureHeader, at: prefix_len });
        }
        let main = Header::read(input, Part::MainHeader, prefix_len)?;
        if !main.is_immutable() {
            return Err(Error::Format3);
        }
        let identity = identity(&main)?;
        Ok(Self { lead, signatures, main, prefix_len, identity })
    }

    /// Opens the file and reads lead and headers; the file then stands at the payload.
    pub fn open(path: &Path) -> Result<(Self, File), Error> {
        let unreadable = |source| Error::Read { part: Part::Lead, source };
        // Opening a fifo would wait for a writer.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(Error::NotRpm("is not a regular file"));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        Ok((Self::parse(&mut file)?, file))
    }

    /// Which package this is.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Source or binary: binary packages name the source package that they come from.
    pub fn kind(&self) -> Kind {
        kind(&self.main)
    }

    /// The package's format.
    pub fn format(&self) -> Format {
        if self.main.number(tags::RPMFORMAT).is_some_and(|format| format >= 6) {
            Format::V6
        } else {
            Format::V4
        }
    }

    /// Lead and signature header, without the padding.
    pub(super) fn prefix(&self) -> Vec<u8> {
        [&self.lead, self.signatures.bytes()].concat()
    }

    /// Whether the main header holds a digest of the payload, so that a signature over the header covers both.
    pub fn covers_payload(&self) -> bool {
        [tags::PAYLOADDIGEST, tags::PAYLOADDIGESTALT, tags::PAYLOADSHA512, tags::PAYLOADSHA3_256]
            .iter()
            .any(|&tag| self.main.has(tag))
    }

    /// Where the payload begins in the file.
    pub fn payload_offset(&self) -> u64 {
        self.prefix_len + self.main.bytes().len() as u64
    }
}

fn kind(main: &Header) -> Kind {
    if main.has(tags::SOURCERPM) { Kind::Binary } else { Kind::Source }
}

fn identity(main: &Header) -> Result<Identity, Error> {
    let text = |tag, what| {
        let text = main.string(tag).ok_or(Error::Missing(what))?;
        // It will stand in logs and on terminals.
        if text.chars().any(char::is_control) { Err(Error::ControlCharacter(what)) } else { Ok(text) }
    };
    let arch = match kind(main) {
        Kind::Binary => text(tags::ARCH, "architecture")?,
        Kind::Source if main.has(tags::NOSOURCE) || main.has(tags::NOPATCH) => "nosrc".to_owned(),
        Kind::Source => "src".to_owned(),
    };
    Ok(Identity {
        name: text(tags::NAME, "name")?,
        epoch: main.number(tags::EPOCH),
        version: text(tags::VERSION, "version")?,
        release: text(tags::RELEASE, "release")?,
        arch,
    })
}
