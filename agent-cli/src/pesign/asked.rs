//! What pesign is asked for, one thing at a time.

use std::ffi::OsString;
use std::path::PathBuf;

use chancery_protocol::Hash;

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To sign: the image, or the signature alone.
    Sign { key: OsString, image: PathBuf, to: Out, made: Made, hash: Hash },
    /// To write what is to be signed.
    Export { image: PathBuf, to: Out, hash: Hash },
    /// To attach what was signed elsewhere.
    Import { key: OsString, image: PathBuf, to: Out, attributes: PathBuf, signature: PathBuf },
    /// To write a certificate.
    Certificate { key: OsString, to: Out, form: Form },
    /// To tell the hash.
    Hash { image: PathBuf, hash: Hash },
    /// To tell who signed.
    List { image: PathBuf },
    /// Nothing.
    Nothing,
}

/// A file that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Out {
    pub(super) path: PathBuf,
    pub(super) existing: Existing,
}

/// What becomes of a file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is replaced (`--force`).
    Replaced,
    /// It stays, and nothing is done.
    Kept,
}

/// What is made of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Image,
    Signature(Form),
}

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Der,
    Text,
}

impl Asked {
    /// The file that is made, if one is.
    pub(super) const fn out(&self) -> Option<&Out> {
        match self {
            Self::Sign { to, .. }
            | Self::Export { to, .. }
            | Self::Import { to, .. }
            | Self::Certificate { to, .. } => Some(to),
            Self::Hash { .. } | Self::List { .. } | Self::Nothing => None,
        }
    }
}
