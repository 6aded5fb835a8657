//! What can go wrong with certificates and requests.

use crate::raw;

/// A reason of a library, kept as the source of our own errors.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// A certificate or request was not made, or not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A subject is not a name.
    #[error(
        "subject `{found}` {why}; the usual forms are `CN=Example, O=Example Org` and `/CN=Example/O=Example Org`"
    )]
    Subject {
        /// The subject, shortened.
        found: String,
        /// What is wrong with it.
        why: String,
    },
    /// The word is none of the profiles.
    #[error("profile `{0}` is not known; it is one of module, efi, code")]
    UnknownProfile(String),
    /// A serial number is not positive, or longer than RFC 5280, section 4.1.2.2 allows.
    #[error("a serial number has 1 to 20 bytes and is positive")]
    Serial,
    /// A validity that ends before it begins, or a time that X.509 cannot spell.
    #[error("the certificate would be valid from {not_before} to {not_after} (seconds since 1970)")]
    Validity {
        /// Its beginning.
        not_before: u64,
        /// Its end.
        not_after: u64,
    },
    /// The public key is of a kind or size that is not supported.
    #[error("the public key is of a kind or size that is not supported here")]
    Key(#[source] Reason),
    /// The bytes are not an X.509 certificate.
    #[error("this is not an X.509 certificate, DER or PEM")]
    NotACertificate(#[source] Reason),
    /// The bytes are longer than any certificate should be.
    #[error(
        "this is larger than {limit} bytes, and not read as a certificate; give the one certificate alone"
    )]
    CertificateTooLarge {
        /// The largest size that is read.
        limit: usize,
    },
    /// The signer returned a signature that does not fit key and input.
    #[error(
        "the signer returned a wrong signature; nothing was attached; check that it signed with the certificate's key"
    )]
    WrongSignature(#[from] raw::Error),
    /// The X.509 library refused, or the system has no random numbers.
    #[error("the X.509 library could not {what}")]
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
