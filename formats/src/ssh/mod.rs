//! SSH signatures (OpenSSH, PROTOCOL.sshsig) and public keys as `ssh-keygen` and git write them.
//!
//! RSA signs as `rsa-sha2-512` (RFC 8332, section 3), ECDSA over the hash that belongs to its curve (RFC 5656, section
//! 6.2.1), Ed25519 the signed data itself (RFC 8709, section 6): a hundred bytes, whatever the message's size.
//!
//! ```no_run
//! use chancery_formats::raw::Input;
//! use chancery_formats::ssh::{Error, MessageHash, Namespace, SigningKey, armor, sign};
//! # fn ask(_: chancery_protocol::Scheme, _: &Input) -> Vec<u8> { vec![] }
//! # fn example(key: &SigningKey, file: std::fs::File) -> Result<(), Error> {
//! let pending = sign(key, &Namespace::new("git")?, MessageHash::Sha512, file)?;
//! let raw = ask(pending.scheme(), pending.input());
//! let text = armor(&pending.finish(&raw)?);
//! # Ok(())
//! # }
//! ```

mod armor;
mod error;
mod key;
mod sign;
mod wire;

pub use armor::armor;
pub use error::Error;
pub use key::{PublicKeyLine, SigningKey};
pub use sign::{MessageHash, Namespace, Pending, sign};
