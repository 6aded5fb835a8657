//! What can go wrong with timestamps.

use chancery_protocol::Hash;

use super::MAX_LEN;
use super::response::Refusal;
use crate::cms;

/// A reason of a library, kept as the source of our own errors.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// A signature was not timestamped, or its timestamp is not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The signature cannot be read, or written with a timestamp.
    #[error("the signature cannot be timestamped: it {0}")]
    Signature(&'static str),
    /// An answer or a token is larger than any.
    #[error("the answer is larger than {MAX_LEN} bytes")]
    TooLarge,
    /// What the server sent is no TimeStampResp (RFC 3161, section 2.4.2).
    #[error("the answer {0}")]
    NotAnAnswer(&'static str),
    /// The server gives no timestamp, and says why.
    #[error("the server gives no timestamp: {0}")]
    Refused(Refusal),
    /// The token cannot be read, or says what is not taken here.
    #[error("the timestamp {0}")]
    Malformed(&'static str),
    /// The token is of another signature.
    #[error("the timestamp is of another signature: it is over the {} {}, and not over {}", found.0, found.1, expected.1)]
    AnotherSignature {
        /// Hash and digest of the signature, in hexadecimal.
        expected: (Hash, String),
        /// Those that the token is over.
        found: (Hash, String),
    },
    /// The token answers another request.
    #[error("the timestamp answers another request: its nonce is not the one that was sent")]
    Nonce,
    /// The token is by another policy than the one that was asked for.
    #[error("the timestamp is by policy {found}, and not by {asked}")]
    Policy {
        /// The one that was asked for.
        asked: super::Policy,
        /// The token's.
        found: super::Policy,
    },
    /// The server's clock and this one are too far apart.
    #[error(
        "the timestamp's time is {found} and this machine's is {now} (seconds since 1970): one of the clocks is wrong"
    )]
    Clock {
        /// The token's time.
        found: u64,
        /// The time here.
        now: u64,
    },
    /// The TSA's certificate is none for timestamps, or not the one that signed.
    #[error("the certificate of the TSA `{subject}` {why}")]
    Certificate {
        /// Its subject.
        subject: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// None of the trusted certificates vouches for the TSA.
    #[error("the timestamp is by `{0}`, which none of the given certificates vouches for")]
    Untrusted(String),
    /// A library refused.
    #[error("the timestamp's structures could not be used: could not {what}")]
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

/// What is wrong with a signature, as part of a sentence about it.
pub(super) const fn told(error: &cms::VerifyError) -> &'static str {
    match error {
        cms::VerifyError::Malformed(why) => why,
        cms::VerifyError::AnotherContent => "is over other contents than it holds",
        _ => "is not by its signer's key, or was changed",
    }
}
