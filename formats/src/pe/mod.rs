//! PE images with Authenticode signatures: UEFI programs, kernels with an EFI stub, unified kernel images, and programs
//! and libraries of Windows (Microsoft, "PE Format", and "Windows Authenticode Portable Executable Signature Format").
//!
//! ```text
//! headers and section table || sections || other data, padded to 8 || certificate table: WIN_CERTIFICATE ...
//! ```
//!
//! The signed hash leaves out the CheckSum, the certificate table and the entry that points to it. Firmware, shim and
//! sbverify hash section by section; others hash the file from its beginning to its end. Both are the same where
//! sections lie one behind the other, as linkers, objcopy and ukify leave them, and only such images are read: of any
//! other one, somebody would run bytes that nobody signed.
//!
//! With RSA and [`Attributes::Sbsign`] the output is sbsign's, byte for byte.
//!
//! ```no_run
//! use chancery_formats::pe::{Attributes, Error, Existing, Image, Options, PageHashes, prepare};
//! # fn sign(_: chancery_protocol::Scheme, _: &chancery_protocol::Digest) -> Vec<u8> { vec![] }
//! # fn example(certificate: &chancery_formats::x509::Certificate) -> Result<(), Error> {
//! let mut file = std::fs::File::open("grubx64.efi").map_err(Error::Read)?;
//! let options = Options {
//!     hash: chancery_protocol::Hash::Sha256,
//!     existing: Existing::Append,
//!     attributes: Attributes::Authenticode,
//!     signing_time: None,
//!     page_hashes: PageHashes::Leave,
//! };
//! let image = Image::read(&mut file)?;
//! let pending = prepare(&image, &mut file, certificate, &[], &options)?;
//! let raw = sign(pending.scheme(), pending.digest());
//! let signed = pending.finish(&raw)?;
//! let output = std::fs::File::create("grubx64.signed.efi").map_err(Error::Write)?;
//! signed.edited().write_to(&mut file, output)?;
//! # Ok(())
//! # }
//! ```

mod attach;
mod certificate_table;
mod checksum;
mod contents;
mod edit;
mod error;
mod gzip;
mod headers;
mod image;
mod indirect_data;
mod offline;
mod pages;
mod sections;
mod sign;
mod signatures;
mod timestamp;
mod verify;

pub use attach::{attach, remove};
pub use certificate_table::Entry;
pub use contents::digest;
pub use edit::{Edited, Existing};
pub use error::{Error, VerifyError};
pub use gzip::{gunzip, gzip, is_gzip};
pub use image::Image;
pub use offline::{OfflineError, SignedAttributes, assemble};
pub use pages::PageHashes;
pub use sign::{Attributes, Options, Pending, Signed, prepare};
pub use signatures::{Pages, Signature, signatures};
pub use timestamp::{stamp, unstamped};
pub use verify::{Verified, signature_of, verify};
