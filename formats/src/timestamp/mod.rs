//! Timestamps of signatures (RFC 3161, with RFC 5816): a server, the TSA, signs the hash of a signature together with the
//! time. Verifiers so know that the signature was there before its certificate expired.
//!
//! What the TSA gets is a hash, and what comes from it is believed in nothing before it was checked: a [`Token`] can be
//! had in no other way. It is kept beside the signature as an unsigned attribute, whose name depends on the [`Kind`].
//!
//! ```no_run
//! use chancery_formats::timestamp::{Error, Kind, Request, Trust, attach};
//! # fn ask(_: &[u8]) -> Vec<u8> { vec![] }
//! # fn example(signature: &[u8], now: u64) -> Result<Vec<u8>, Error> {
//! let request = Request::of(signature, None)?;
//! let answer = ask(&request.to_der()?);
//! let token = request.answered(&answer, &Trust::Anyone, now)?;
//! attach(signature, &token, Kind::Authenticode)
//! # }
//! ```

mod attach;
mod error;
mod imprint;
mod info;
mod policy;
mod request;
mod response;
mod token;
mod tsa;

pub use attach::{Kind, attach, is_stamped, read};
pub use error::Error;
pub use imprint::Imprint;
pub use policy::{BadPolicy, Policy};
pub use request::Request;
pub use response::{Refusal, Status};
pub use token::Token;
pub use tsa::Trust;

/// Largest answer of a server, and largest token, that is read, in bytes. With a chain of certificates there are some
/// thousand.
pub const MAX_LEN: usize = 128 * 1024;
