//! Signatures over files of any kind: beside them (detached) or around them (attached).
//!
//! What asks for them: fs-verity and dm-verity in the Linux kernel, firmware updates, and whoever verifies with
//! `openssl cms` or `openssl smime`. Signing has two phases: [`Content::read`] and [`prepare`] tell what is to be signed,
//! [`Pending::finish`] makes the signature, and [`enclose`] writes it around the file.

mod contents;
mod enclosed;
mod sign;
mod text;
mod verify;

pub use contents::Content;
pub use enclosed::{MAX_ENCLOSED, Opened, enclose, open};
pub use sign::{Attributes, Certificates, Options, Pending, SigningCertificate, prepare};
pub use text::{of_text, to_text};
pub use verify::{Signature, Verified};
