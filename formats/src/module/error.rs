//! What can go wrong while signing and while verifying modules.

use std::io;

use chancery_protocol::Algorithm;

use crate::cms;
use crate::raw;

/// A reason of a library, kept as the source of our own errors.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// A module was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The module could not be read.
    #[error("the module could not be read")]
    Read(#[source] io::Error),
    /// The signed module could not be written.
    #[error("the signed module could not be written")]
    Write(#[source] io::Error),
    /// There is nothing to sign.
    #[error("the module is empty")]
    Empty,
    /// The file ends in the mark of a signature, and what stands before it is none.
    #[error("the file ends in the mark of a module signature, but {0}")]
    Trailer(&'static str),
    /// Of the module, something else was read the second time.
    #[error("the module changed while it was being signed")]
    Changed,
    /// The kernel does not verify signatures of this kind.
    #[error("the kernel verifies no {0} signatures on modules; sign with an RSA, P-256 or P-384 key")]
    Algorithm(Algorithm),
    /// No signature was made.
    #[error(transparent)]
    Cms(#[from] cms::Error),
    /// A compressed module is damaged, or none.
    #[error("the module cannot be decompressed as {0}")]
    Compressed(&'static str, #[source] io::Error),
    /// A compressed module is larger than anybody's module.
    #[error("the module is larger than {0} bytes when it is decompressed, and not read further")]
    TooLarge(u64),
    /// A library refused.
    #[error("the CMS library could not {what}")]
    Library {
        /// What was tried.
        what: &'static str,
        /// Its own words.
        source: Reason,
    },
}

/// Wraps an error of a library with what was tried.
pub(super) fn library<E: Into<Reason>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |reason| Error::Library { what, source: reason.into() }
}

/// A module carries no good signature of the given certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no signature at all.
    #[error("there is no module signature here")]
    NoSignature,
    /// The signature cannot be read, or says what the kernel does not take.
    #[error("the module's signature {0}")]
    Malformed(&'static str),
    /// None of the given certificates is the one that the signature names.
    #[error("the signature is by {0}, whose certificate is not among those given")]
    UnknownSigner(String),
    /// The module is not what was signed, or the key is not the one that signed it.
    #[error("bad signature: the module or its signature was changed")]
    BadSignature(#[source] raw::Error),
    /// The module could not be read.
    #[error(transparent)]
    Module(#[from] Error),
}

impl From<cms::VerifyError> for VerifyError {
    fn from(error: cms::VerifyError) -> Self {
        match error {
            cms::VerifyError::Malformed(why) => Self::Malformed(why),
            cms::VerifyError::NoSigner(signer) | cms::VerifyError::UnknownSigner(signer) => {
                Self::UnknownSigner(signer)
            }
            cms::VerifyError::AnotherContent => Self::Malformed("is over another module"),
            cms::VerifyError::Read(error) => Self::Module(Error::Read(error)),
            cms::VerifyError::BadSignature(error) => Self::BadSignature(error),
        }
    }
}
