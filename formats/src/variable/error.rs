//! What can go wrong with variables.

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
