//! What can go wrong with CMS, whatever it signs.

use std::io;

use chancery_protocol::Algorithm;

use crate::raw;

/// A reason of a library, kept as the source of our own errors.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// A signature was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("the file could not be read")]
    Read(#[source] io::Error),
    /// The signature could not be written.
    #[error("the signature could not be written")]
    Write(#[source] io::Error),
    /// Of the file, something else was read the second time.
    #[error("the file changed while it was being signed")]
    Changed,
    /// The file is too long to stand inside a signature.
    #[error("the file is longer than {0} bytes, which is what verifiers take inside a signature")]
    TooLarge(u64),
    /// Ed25519 signs otherwise.
    #[error("an Ed25519 key signs CMS with {0} only (RFC 8419)")]
    Ed25519(&'static str),
    /// Its verifiers know no such keys.
    #[error("its verifiers know no {0} keys; sign with an RSA, P-256, P-384 or P-521 key")]
    Algorithm(Algorithm),
    /// The certificate has no name for its key, by which a signature could find it.
    #[error("the certificate has no subject key identifier, by which the signature would name it")]
    NoKeyIdentifier,
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
pub(super) fn library<E: Into<Reason>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |reason| Error::Library { what, source: reason.into() }
}

/// A signature is not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It could not be read.
    #[error("the signature could not be read")]
    Read(#[source] io::Error),
    /// The certificate of its signer is not there.
    #[error("the signature is by {0}, whose certificate is neither in it nor given")]
    NoSigner(String),
    /// Its signer is none of the given certificates, nor was its certificate issued by one of them.
    #[error("the signature is by {0}, which none of the given certificates vouches for")]
    UnknownSigner(String),
    /// It cannot be read, or says what is not taken here.
    #[error("the signature {0}")]
    Malformed(&'static str),
    /// It is over something else.
    #[error("the signature is over other contents")]
    AnotherContent,
    /// It is not by the certificate's key, or not over these attributes.
    #[error("bad signature: it is not by its signer's key, or was changed")]
    BadSignature(#[source] raw::Error),
}
