//! Authenticated variables of UEFI firmware: the keys and databases of Secure Boot, PK, KEK, db and dbx.
//!
//! A signed update is EFI_VARIABLE_AUTHENTICATION_2 (UEFI, section 8.2.2) followed by the variable's new value; tools call
//! a file of it `.auth`. As with every format here, it is made in two phases:
//!
//! ```
//! # use chancery_formats::variable::{Entry, Guid, Update, Variable, prepare};
//! # use chancery_formats::x509::Certificate;
//! # fn sign(digest: &chancery_protocol::Digest) -> Vec<u8> { Vec::new() }
//! # fn example(kek: &Certificate, vendor: Certificate, owner: Guid) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//! let update = Update {
//!     variable: Variable::Db,
//!     entries: vec![Entry::Certificate(Box::new(vendor))],
//!     owner,
//!     append: true,
//!     time: 1_795_600_800,
//! };
//! let pending = prepare(&update, kek, &[])?;
//! let raw = sign(pending.digest());
//! Ok(pending.finish(&raw)?)
//! # }
//! ```

mod error;
mod guid;
mod name;
mod signature_list;
mod signed;
mod update;

pub use error::{Error, Malformed, VerifyError};
pub use guid::{Guid, NotAGuid};
pub use name::Variable;
pub use signature_list::{Entry, Known, SignatureList, lists};
pub use signed::{SignedUpdate, Verified};
pub use update::{Pending, Update, prepare};
