//! What can go wrong while signing.

use std::io;

use crate::{openpgp, raw};

/// Data was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data to be signed could not be read.
    #[error("the data to be signed could not be read")]
    Read(#[source] io::Error),
    /// An empty namespace, which verifiers refuse, or one that is no word of an allowed signers file.
    #[error("namespace {found:?} {why}; git's is `git`, that of files is `file`")]
    Namespace {
        /// The namespace, shortened.
        found: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A text is not a public key as `ssh-keygen` writes it.
    #[error("this is not an SSH public key: {0}; one looks like `ssh-ed25519 AAAA... comment`")]
    NotAPublicKey(&'static str),
    /// The library could not hash.
    #[error(transparent)]
    Hash(#[from] openpgp::Error),
    /// The key's numbers are of another algorithm, or it cannot sign so.
    #[error(transparent)]
    Raw(#[from] raw::Error),
    /// The signer returned a signature that does not fit data and key.
    #[error("the signature that the signer returned is not of key {fingerprint}; nothing was written")]
    WrongSignature {
        /// The key that should have signed, as `ssh-keygen -l` shows it.
        fingerprint: String,
        /// What the check said.
        source: raw::Error,
    },
}
