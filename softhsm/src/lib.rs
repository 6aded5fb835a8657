//! Private PKCS#11 tokens for tests, benches and the demo.
//!
//! [`Token::with_keys`] gives a test a token of its own in one call: its own folder, its own random PIN, keys that can
//! sign and cannot leave. The keys are generated once, in a prepared token under the target directory, and each test
//! gets a copy of that folder: generating RSA-4096 takes seconds, and SoftHSM rewrites its token file at each login, so
//! that processes that log in to one folder at the same moment fail.
//!
//! ```no_run
//! use chancery_protocol::Algorithm;
//! use chancery_softhsm::Token;
//!
//! let token = Token::with_keys(&[("release", Algorithm::Rsa4096), ("repo", Algorithm::Ed25519)])?;
//! println!("{}", token.config_toml("main")); // the table that chanceryd.toml needs
//! # Ok::<(), chancery_softhsm::Error>(())
//! ```
//!
//! A PKCS#11 module is initialised once per process and reads its configuration from the environment, so everything
//! that touches a token happens in a companion program, `softhsm-token`, which is also what a person runs to make one.
//! The module is SoftHSM's, or the one that `CHANCERY_TEST_MODULE` names ([`Module`]).
//!
//! [`Remote`] serves a token through a socket and can take it away and bring it back. The `container` module (a
//! feature) boots systemd with SoftHSM and the daemon in a container.

mod companion;
#[cfg(feature = "container")]
pub mod container;
mod error;
mod folder;
mod module;
mod remote;
mod template;
mod token;

pub use error::Error;
pub use folder::Folder;
pub use module::Module;
pub use remote::Remote;
pub use token::Token;
