//! What can be wrong with a package.

use std::{fmt, io};

use crate::openpgp;

/// A part of a package, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The first 96 bytes.
    Lead,
    /// The header with signatures and digests, and the padding after it.
    SignatureHeader,
    /// The header that describes the package.
    MainHeader,
    /// What follows: the compressed archive.
    Payload,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lead => "lead",
            Self::SignatureHeader => "signature header",
            Self::MainHeader => "main header",
            Self::Payload => "payload",
        })
    }
}

/// A package was not read, signed or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The package could not be opened or read.
    #[error("the package's {part} could not be read")]
    Read {
        /// Where reading failed.
        part: Part,
        /// Why.
        source: io::Error,
    },
    /// The edited package could not be written.
    #[error("the signed package could not be written")]
    Write(#[source] io::Error),
    /// The file does not begin as a package does.
    #[error("not an RPM package: the file {0}")]
    NotRpm(&'static str),
    /// The file ends too early.
    #[error(
        "the package ends inside the {part}, at byte {at}; it was probably not copied or downloaded whole"
    )]
    Truncated {
        /// Where it ends.
        part: Part,
        /// Length of the file, in bytes.
        at: u64,
    },
    /// A header claims more than rpm allows, and nothing was allocated for it.
    #[error(
        "the {part} at byte {at} claims {found} {what}, and rpm allows {limit}; the package is damaged or hostile"
    )]
    TooLarge {
        /// Which header.
        part: Part,
        /// Offset of the claim in the file.
        at: u64,
        /// What it counts.
        what: &'static str,
        /// The claim.
        found: u32,
        /// The limit.
        limit: u32,
    },
    /// A header is not well-formed.
    #[error("the {part} is malformed at byte {at}: {why}")]
    Malformed {
        /// Which header, or the lead.
        part: Part,
        /// Offset in the file.
        at: u64,
        /// What is wrong there.
        why: String,
    },
    /// A package of format 3 (before rpm 4.0) has no region that a signature could cover.
    #[error(
        "this is a package of format 3, which nothing can sign any more; build it anew with rpm 4 or later"
    )]
    Format3,
    /// The main header lacks a tag that every package has.
    #[error("the main header has no {0}")]
    Missing(&'static str),
    /// A digest in the package is not that of its contents, so that it is not signed.
    #[error(
        "the package is corrupt and was not signed: its {what} is {found}, and the package says {expected}"
    )]
    Corrupt {
        /// Which digest.
        what: String,
        /// The digest as it is.
        found: String,
        /// The digest as the package has it.
        expected: String,
    },
    /// A part of the package's name holds what no name should.
    #[error("the package's {0} holds a control character; no rpmbuild makes such a package")]
    ControlCharacter(&'static str),
    /// Header-and-payload signatures are not for packages of format 6.
    #[error("a package of format 6 takes no header-and-payload signature; leave that option out")]
    NoV3InFormat6,
    /// The file changed between preparing and writing.
    #[error("the package changed while it was being signed; sign it again")]
    Changed,
    /// An edit that does not have the old length was to be written in place.
    #[error("the new signature header does not fit in the place of the old one; write a new file")]
    DoesNotFit,
    /// The signature could not be made.
    #[error(transparent)]
    OpenPgp(#[from] openpgp::Error),
}
