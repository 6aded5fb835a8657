//! X.509 certificates (RFC 5280) for keys of the token, and certification requests (RFC 2986).
//!
//! RSA and ECDSA keys sign a digest of what a certificate says; Ed25519 signs the whole of it (RFC 8410, section 3),
//! so what is to be signed is an [`Input`](crate::raw::Input).
//!
//! ```no_run
//! use chancery_formats::raw::Input;
//! use chancery_formats::x509::{CertificateOptions, Error, Profile, Serial, Validity, prepare_certificate};
//! # fn sign(_: chancery_protocol::Scheme, _: &Input) -> Vec<u8> { vec![] }
//! # fn example(key: &chancery_protocol::PublicKey, now: u64) -> Result<(), Error> {
//! let options = CertificateOptions {
//!     subject: "CN=Example module signing, O=Example".parse()?,
//!     profile: Profile::Module,
//!     validity: Validity { not_before: now, not_after: None },
//!     serial: Serial::random()?,
//!     hash: None,
//! };
//! let pending = prepare_certificate(key, &options)?;
//! let raw = sign(pending.scheme(), pending.input());
//! let pem = pending.finish(&raw)?.to_pem()?;
//! # Ok(())
//! # }
//! ```

mod certificate;
mod error;
#[cfg(feature = "cms")]
mod issuer;
mod make_certificate;
mod profile;
mod request;
mod serial;
mod signer;
mod subject;

pub use certificate::Certificate;
pub use error::Error;
pub use make_certificate::{CertificateOptions, PendingCertificate, Validity, prepare_certificate};
pub use profile::Profile;
pub use request::{PendingRequest, Request, prepare_request};
pub use serial::Serial;
pub use signer::default_hash;
pub use subject::Subject;

#[cfg(feature = "cms")]
pub(crate) use signer::{ED25519, RSA_ENCRYPTION, ecdsa_with, rsa_with};
