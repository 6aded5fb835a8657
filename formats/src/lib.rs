//! Pure packaging: what to sign in an artifact, and the signed artifact.
//!
//! Every format works in two phases, with nothing but bytes in between, so that the crate knows no socket and no
//! private key:
//!
//! 1. *prepare* reads the artifact and says which digests (or, for X.509 by Ed25519, which message) are to be signed,
//!    and by which [`Scheme`](chancery_protocol::Scheme);
//! 2. *finish* takes the raw signatures in the same order, checks each against the public key, and gives the bytes to
//!    write. A wrong signature is never attached.
//!
//! A raw signature is what a token returns: RSA the modulus' length, big-endian; ECDSA `r || s`, each of the curve's
//! size; Ed25519 the 64 bytes of RFC 8032.
//!
//! Each format also verifies and describes what it makes. That is a convenience: the judge of an output is the tool
//! that its consumers trust.

#[cfg(feature = "cms")]
pub mod cms;
#[cfg(feature = "module")]
pub mod module;
#[cfg(feature = "openpgp")]
pub mod openpgp;
#[cfg(feature = "pe")]
pub mod pe;
#[cfg(any(feature = "ssh", feature = "x509"))]
pub mod raw;
#[cfg(feature = "rpm")]
pub mod rpm;
#[cfg(feature = "ssh")]
pub mod ssh;
#[cfg(feature = "timestamp")]
pub mod timestamp;
#[cfg(feature = "variable")]
pub mod variable;
#[cfg(feature = "x509")]
pub mod x509;
