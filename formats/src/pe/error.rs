//! What can go wrong while signing and while verifying PE images.

use std::io;

use crate::{cms, timestamp};

/// A reason of a library, kept as the source of our own errors.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// An image was not read, signed or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The image could not be read.
    #[error("the image could not be read")]
    Read(#[source] io::Error),
    /// The new image could not be written.
    #[error("the new image could not be written")]
    Write(#[source] io::Error),
    /// It has not the marks of a PE image.
    #[error("this is no PE image: {0}")]
    NotPe(&'static str),
    /// It says something about itself that is not so.
    #[error("the PE image is malformed at offset {at:#x}: {why}")]
    Malformed {
        /// Where it says so, in bytes from the file's beginning.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// Its sections do not lie one behind the other.
    #[error("the PE image cannot be signed unambiguously: {0}")]
    Ambiguous(String),
    /// A gzip file is damaged.
    #[error("the image cannot be unwrapped as gzip")]
    Gzip(#[source] io::Error),
    /// A gzip file holds more than one stream.
    #[error("there is more behind the gzip stream, which would be lost")]
    BehindGzip,
    /// A gzip file holds more than any image.
    #[error("the image is larger than {0} bytes when it is unwrapped, and not read further")]
    LargeInside(u64),
    /// With signatures it would be larger than a PE image can be.
    #[error("the image is too large: a certificate table cannot begin behind 4 GiB")]
    TooLarge,
    /// Its signatures would be more than are read.
    #[error(
        "the certificate table would be larger than {limit} bytes; replace the signatures that are there"
    )]
    TooManySignatures {
        /// The largest table that is read.
        limit: u32,
    },
    /// Hashes of pages were asked for.
    #[error("the image has no pages that could be hashed one by one: {0}")]
    NoPages(String),
    /// Of the image, something else was read the second time.
    #[error("the image changed while it was being signed")]
    Changed,
    /// There is no signature to remove.
    #[error("the image is not signed")]
    NotSigned,
    /// The signature was not made.
    #[error(transparent)]
    Cms(#[from] cms::Error),
    /// The timestamp does not belong there.
    #[error(transparent)]
    Timestamp(#[from] timestamp::Error),
    /// A library refused.
    #[error("the Authenticode structures could not be used: could not {what}")]
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

/// An image carries no good signature of the given certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no signature at all.
    #[error("the image is not signed")]
    NoSignature,
    /// The signature cannot be read, or says what is not taken here.
    #[error("the signature {0}")]
    Malformed(&'static str),
    /// The signature is over another image.
    #[error("the signature is over another image: its {hash} is {signed}, this image's is {found}")]
    AnotherImage {
        /// The hash.
        hash: chancery_protocol::Hash,
        /// The digest that was signed, in hexadecimal.
        signed: String,
        /// The digest of the image, in hexadecimal.
        found: String,
    },
    /// The digest of the image is right, but the hashes of its pages are not: Windows would stop the program later.
    #[error("the signature holds hashes of other pages than this image's")]
    OtherPages,
    /// The certificate of the signer is neither given nor embedded.
    #[error("the signature is by {0}, whose certificate it does not hold")]
    NoSigner(String),
    /// Neither the signer nor any of its issuers is among the given certificates.
    #[error("the signature is by {0}, which none of the given certificates vouches for")]
    UnknownSigner(String),
    /// The signature does not fit its own signer.
    #[error(transparent)]
    Cms(#[from] cms::VerifyError),
    /// The image could not be read.
    #[error(transparent)]
    Image(#[from] Error),
}
