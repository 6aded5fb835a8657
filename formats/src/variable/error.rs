//! What can go wrong with variables.

use chancery_protocol::Hash;

use super::Variable;
use crate::cms;

/// An update was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Firmware's numbers have 32 bits.
    #[error("the entries are too large for a variable")]
    TooLarge,
    /// EFI_TIME has years from 1900 to 9999; the library knows those from 1970.
    #[error("the time is none that a variable can have (1970 to 9999)")]
    Time,
    /// The signature was not made.
    #[error(transparent)]
    Signature(#[from] cms::Error),
}

/// Bytes are no signed update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no signed update of a variable: at offset {at:#x}, {why}")]
pub struct Malformed {
    /// Where, in bytes from the beginning.
    pub at: usize,
    /// What is wrong there.
    pub why: String,
}

/// An update is one that firmware would not take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Firmware knows SHA-256 alone here.
    #[error("the update is signed over {0}, and firmware takes sha256 alone")]
    Hash(Hash),
    /// PK has one owner.
    #[error("the update is for PK, and holds something else than one certificate")]
    PlatformKey,
    /// The certificate of the signer is not embedded, and firmware looks nowhere else.
    #[error("the update is signed by {0}, whose certificate it does not hold")]
    NoSigner(String),
    /// Neither the signer nor any of its issuers is among the given certificates.
    #[error("the update is signed by {0}, which none of the given certificates vouches for")]
    UnknownSigner(String),
    /// The signature does not fit what the update would do.
    #[error("the update is signed for something else than {variable}, or was changed since")]
    NotOver {
        /// What it would change.
        variable: Variable,
        /// Why the signature is not good.
        source: cms::VerifyError,
    },
}
