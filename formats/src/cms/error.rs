//! What can go wrong with CMS, whatever it signs.

use chancery_protocol::Algorithm;

use crate::raw;

/// A reason of a library, kept as the source of our own errors.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// A signature was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its verifiers know no such keys.
    #[error("its verifiers know no {0} keys; sign with an RSA, P-256, P-384 or P-521 key")]
    Algorithm(Algorithm),
    /// The signer returned a signature that does not fit key and content.
    #[error(
        "the signer returned a wrong signature; nothing was attached; check that it signed with the certificate's key"
    )]
    WrongSignature(#[from] raw::Error),
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
#[cfg(feature = "pe")]
pub(super) fn library<E: Into<Reason>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |reason| Error::Library { what, source: reason.into() }
}

/// A signature is not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It cannot be read, or says what is not taken here.
    #[error("the signature {0}")]
    Malformed(&'static str),
    /// It is not by the certificate's key, or not over these attributes.
    #[error("bad signature: it is not by its signer's key, or was changed")]
    BadSignature(#[source] raw::Error),
}
