//! RPM packages of formats 4 and 6: their signature headers, byte for byte as rpm 4.18's `rpmsign` writes them.
//!
//! Only the lead and the two headers are read, unless a signature has to cover the payload too: since rpm 4.14 the
//! main header holds the payload's digest, and a signature over the header covers both.
//!
//! ```no_run
//! use chancery_formats::openpgp::SigningKey;
//! use chancery_formats::rpm::{Error, Options, Package, Prepared};
//! # fn sign(_: chancery_protocol::Scheme, _: &[chancery_protocol::Digest]) -> Vec<Vec<u8>> { vec![] }
//! # fn example(key: &SigningKey, now: u32, path: &std::path::Path, new: std::fs::File) -> Result<(), Error> {
//! let (package, file) = Package::open(path)?;
//! match package.prepare(&Options::default(), key, now, &file)? {
//!     Prepared::AlreadySigned(_) => {}
//!     Prepared::Pending(pending) => {
//!         let raw = sign(pending.scheme(), &pending.digests());
//!         pending.finish(&raw)?.write_to(&file, new)?;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod digests;
mod edit;
mod error;
mod header;
mod lead;
mod package;
mod sign;
mod signatures;
mod tags;
mod verify;

pub use edit::Edited;
pub use error::{Error, Part};
pub use package::{Format, Identity, Kind, Package};
pub use sign::{Existing, Options, Pending, Prepared, SignatureKind};
pub use signatures::SignatureInfo;
pub use verify::{Check, Outcome, Report, verify};
