//! OpenPGP (RFC 9580) with version 4 keys and signatures, which every deployed verifier accepts.
//!
//! Signatures carry three subpackets in the order of GnuPG 2.2 (issuer fingerprint and creation time hashed, issuer
//! key id unhashed) and nothing else: no salt notation, so that a signature depends on its input, key and time alone,
//! and nothing critical, because rpm from 4.17 on refuses critical subpackets that it does not know.
//!
//! ```no_run
//! use chancery_formats::openpgp::{Content, Error, SigningKey, armor_signature, detached};
//! # fn sign(_: chancery_protocol::Scheme, _: &chancery_protocol::Digest) -> Vec<u8> { vec![] }
//! # fn example(key: &SigningKey, now: u32, file: std::fs::File) -> Result<(), Error> {
//! let pending = detached(key, key.default_hash(), now, Content::Binary, file)?;
//! let raw = sign(pending.scheme(), pending.digest());
//! let signature = armor_signature(&pending.finish(&raw)?)?;
//! # Ok(())
//! # }
//! ```

mod armor;
mod certificate;
mod cleartext;
mod detached;
mod error;
mod identifiers;
mod inline;
mod key;
mod make_certificate;
mod pending;
mod stream;
mod text;
mod verify;

pub use armor::armor_signature;
pub use certificate::{Certificate, Subkey};
pub use cleartext::cleartext;
pub use detached::{Content, detached};
pub use error::{Error, VerifyError};
pub use identifiers::{Fingerprint, KeyId};
pub use inline::{Encoding, inline};
pub use key::SigningKey;
pub use make_certificate::{CertificateOptions, PendingCertificate, prepare_certificate};
pub use pending::Pending;
pub use stream::Started;
pub use verify::{Verified, verify_detached, verify_message};

#[cfg(any(feature = "rpm", feature = "ssh"))]
pub(crate) use error::library;
#[cfg(any(feature = "rpm", feature = "ssh", feature = "x509"))]
pub(crate) use pending::hash_algorithm;
#[cfg(feature = "rpm")]
pub(crate) use {key::seconds, pending::Draft, verify::issuer};
#[cfg(any(feature = "rpm", feature = "ssh", feature = "module", feature = "pe"))]
pub(crate) use {pending::digest, stream::feed};
