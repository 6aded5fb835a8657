//! Linux kernel modules: signatures as the kernel's scripts/sign-file appends them (Linux,
//! Documentation/admin-guide/module-signing.rst, and include/linux/module_signature.h).
//!
//! ```text
//! module || CMS SignedData, DER || struct module_signature, 12 bytes || "~Module signature appended~\n"
//! ```
//!
//! With RSA the output is sign-file's, byte for byte. The kernel looks at the last signature alone, so an earlier one is
//! replaced unless somebody asks for sign-file's habit of appending after it.
//!
//! ```no_run
//! use chancery_formats::module::{Error, Existing, Module, Options, SignerId, prepare};
//! # fn sign(_: chancery_protocol::Scheme, _: &chancery_protocol::Digest) -> Vec<u8> { vec![] }
//! # fn example(certificate: &chancery_formats::x509::Certificate) -> Result<(), Error> {
//! let mut file = std::fs::File::open("example.ko").map_err(Error::Read)?;
//! let options = Options {
//!     hash: chancery_protocol::Hash::Sha512,
//!     signer: SignerId::IssuerAndSerialNumber,
//!     existing: Existing::Replace,
//! };
//! let module = Module::read(&mut file)?;
//! let pending = prepare(&module, &mut file, certificate, &options)?;
//! let raw = sign(pending.scheme(), pending.digest());
//! let signed = pending.finish(&raw)?;
//! let output = std::fs::File::create("example.signed.ko").map_err(Error::Write)?;
//! signed.write_to(&mut file, output)?;
//! # Ok(())
//! # }
//! ```

mod cms;
mod compression;
mod error;
mod sign;
mod trailer;
mod verify;

pub use crate::cms::SignerId;
pub use compression::Compression;
pub use error::{Error, VerifyError};
pub use sign::{Existing, Options, Pending, Signed, prepare};
pub use trailer::Module;
pub use verify::{Verified, signature_of, verify, verify_detached};
