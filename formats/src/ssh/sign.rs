//! A signature in its two phases (PROTOCOL.sshsig, sections 2 and 3).

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use chancery_protocol::{Algorithm, Digest, Scheme};
use sequoia_openpgp::types::HashAlgorithm;

use super::key::signature_type;
use super::wire::{mpint, string};
use super::{Error, SigningKey};
use crate::openpgp::{self, digest, feed};
use crate::raw::{self, Input};

/// What signature and signed data begin with.
const MAGIC: &[u8; 6] = b"SSHSIG";
/// SIG_VERSION.
const VERSION: u32 = 1;
/// Longest namespace, in bytes; those in use have a few.
const MAX_NAMESPACE: usize = 256;

/// What a signature is for, so that one made for a file cannot stand for a commit: `git`, `file`, `email` or
/// `NAME@DOMAIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

impl Namespace {
    /// Takes `text` if a verifier can be told to expect it.
    pub fn new(text: &str) -> Result<Self, Error> {
        let bad = |why| Err(Error::Namespace { found: text.chars().take(64).collect(), why });
        if text.is_empty() {
            return bad("is empty");
        }
        if text.len() > MAX_NAMESPACE {
            return bad("is too long");
        }
        // ssh-keygen(1), ALLOWED SIGNERS: a list in quotes, separated by commas.
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',' || c == '"') {
            return bad("holds a space, a comma or a quote");
        }
        Ok(Self(text.to_owned()))
    }

    /// The namespace as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The hash of the message; whichever it is, the key signs in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MessageHash {
    /// SHA-256.
    Sha256,
    /// SHA-512, which OpenSSH uses unless told otherwise.
    #[default]
    Sha512,
}

impl MessageHash {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Sha256, Self::Sha512];

    /// Its name in signatures and on command lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn algorithm(self) -> HashAlgorithm {
        match self {
            Self::Sha256 => HashAlgorithm::SHA256,
            Self::Sha512 => HashAlgorithm::SHA512,
        }
    }
}

/// A signature that lacks only its numbers: sign [`input`](Self::input) by [`scheme`](Self::scheme), then
/// [`finish`](Self::finish).
#[derive(Debug)]
#[must_use]
pub struct Pending {
    key: SigningKey,
    namespace: Namespace,
    hash: MessageHash,
    message: Digest,
    input: Input,
}

/// Prepares a signature over all of `data`. Memory does not grow with the data.
pub fn sign(
    key: &SigningKey,
    namespace: &Namespace,
    hash: MessageHash,
    data: impl Read,
) -> Result<Pending, Error> {
    let mut context = context(hash.algorithm())?;
    feed(data, |chunk| context.update(chunk)).map_err(Error::Read)?;
    let message = digest(context)?;
    // PROTOCOL.sshsig, section 3.
    let mut signed = MAGIC.to_vec();
    for part in [namespace.as_str().as_bytes(), b"", hash.as_str().as_bytes(), message.bytes()] {
        string(&mut signed, part);
    }
    let input = Input::of(key.scheme(), signed)?;
    Ok(Pending { key: key.clone(), namespace: namespace.clone(), hash, message, input })
}

impl Pending {
    /// What is to be signed.
    pub const fn input(&self) -> &Input {
        &self.input
    }

    /// How it is to be signed.
    pub const fn scheme(&self) -> Scheme {
        self.key.scheme()
    }

    /// The digest of the data, by which it can be found again.
    pub const fn message_digest(&self) -> &Digest {
        &self.message
    }

    /// The binary signature, once `raw` has been checked against the key; [`armor`](super::armor) dresses it.
    pub fn finish(self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        if let Err(source) = raw::verify(self.key.public(), self.scheme(), &self.input, raw) {
            return Err(Error::WrongSignature { fingerprint: self.key.fingerprint()?, source });
        }
        // PROTOCOL.sshsig, section 2.
        let mut blob = MAGIC.to_vec();
        blob.extend(VERSION.to_be_bytes());
        let signature = signature_blob(self.key.algorithm(), raw);
        let (namespace, hash) = (self.namespace.as_str().as_bytes(), self.hash.as_str().as_bytes());
        for part in [self.key.blob(), namespace, b"", hash, &signature] {
            string(&mut blob, part);
        }
        Ok(blob)
    }
}

/// A raw signature as SSH has it: RSA as long as the modulus (RFC 8332, section 3), ECDSA as two numbers (RFC 5656,
/// section 3.1.2), Ed25519 its bytes (RFC 8709, section 6).
fn signature_blob(algorithm: Algorithm, raw: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    string(&mut blob, signature_type(algorithm).as_bytes());
    match algorithm {
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => {
            let (r, s) = raw.split_at(raw.len() / 2);
            let mut both = Vec::new();
            mpint(&mut both, r);
            mpint(&mut both, s);
            string(&mut blob, &both);
        }
        _ => string(&mut blob, raw),
    }
    blob
}

/// The digest of a few bytes.
pub(super) fn digest_of(hash: HashAlgorithm, bytes: &[u8]) -> Result<Digest, Error> {
    let mut context = context(hash)?;
    context.update(bytes);
    Ok(digest(context)?)
}

fn context(hash: HashAlgorithm) -> Result<sequoia_openpgp::crypto::hash::Context, Error> {
    Ok(hash.context().map_err(openpgp::library("start a hash"))?.for_digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_one_word_that_an_allowed_signers_file_can_name() {
        for good in ["git", "file", "release@example.org"] {
            assert_eq!(Namespace::new(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(MAX_NAMESPACE + 1);
        for bad in ["", "a b", "a,b", "\"a\"", "a\n", long.as_str()] {
            assert!(matches!(Namespace::new(bad), Err(Error::Namespace { .. })), "{bad:?}");
        }
    }
}
