//! Public keys: the blob by which SSH knows a key, and the line in which it travels.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chancery_protocol::{Algorithm, Hash, PublicKey, Scheme};

use super::Error;
use super::wire::{mpint, string};
use crate::openpgp::hash_algorithm;
use crate::raw;

/// Longest line of a public key that is read, in bytes; RSA-16384, the largest that OpenSSH takes, has 2,800.
const MAX_LINE: usize = 16 * 1024;

/// A key of the token as SSH sees it. The private half is elsewhere.
#[derive(Debug, Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    public: PublicKey,
    blob: Vec<u8>,
}

impl SigningKey {
    /// The key of `algorithm` with these numbers.
    pub fn new(algorithm: Algorithm, key: &PublicKey) -> Result<Self, Error> {
        if key.algorithm() != Some(algorithm) {
            return Err(Error::Raw(raw::Error::Key));
        }
        let mut blob = Vec::new();
        string(&mut blob, key_type(algorithm).as_bytes());
        match key {
            // RFC 4253, section 6.6.
            PublicKey::Rsa { n, e } => {
                mpint(&mut blob, e);
                mpint(&mut blob, n);
            }
            // RFC 5656, section 3.1.
            PublicKey::Ec { point } => {
                string(&mut blob, curve(algorithm).as_bytes());
                string(&mut blob, point);
            }
            // RFC 8709, section 4.
            PublicKey::Ed25519 { point } => string(&mut blob, point),
        }
        Ok(Self { algorithm, public: key.clone(), blob })
    }

    /// The bytes by which SSH knows the key.
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The algorithm of this key.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How this key makes SSH signatures: RSA by SHA-512, as OpenSSH does since 8.2; ECDSA by the hash of its curve.
    pub const fn scheme(&self) -> Scheme {
        match self.algorithm() {
            Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => Scheme::RsaPkcs1Sha512,
            Algorithm::P256 => Scheme::EcdsaSha256,
            Algorithm::P384 => Scheme::EcdsaSha384,
            Algorithm::P521 => Scheme::EcdsaSha512,
            Algorithm::Ed25519 => Scheme::Ed25519,
        }
    }

    /// The public key as one line, without its end: `ssh-ed25519 AAAA... comment`.
    pub fn line(&self, comment: &str) -> String {
        format!("{} {} {comment}", key_type(self.algorithm()), STANDARD.encode(&self.blob))
    }

    /// The fingerprint as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> Result<String, Error> {
        fingerprint(&self.blob)
    }

    /// The key, to check a raw signature.
    pub(super) const fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// A line with a public key, of ours or anybody's: `[key::]TYPE BASE64 [COMMENT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyLine {
    /// The bytes by which SSH knows the key.
    pub blob: Vec<u8>,
    /// What stands behind them; may be empty.
    pub comment: String,
}

impl PublicKeyLine {
    /// The fingerprint as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> Result<String, Error> {
        fingerprint(&self.blob)
    }
}

impl FromStr for PublicKeyLine {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LINE {
            return Err(Error::NotAPublicKey("it is too long"));
        }
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let line = line.ok_or(Error::NotAPublicKey("it is empty"))?;
        // As git's `user.signingKey` has it.
        let line = line.strip_prefix("key::").unwrap_or(line);
        let (named, rest) = line.split_once([' ', '\t']).ok_or(Error::NotAPublicKey("it is one word"))?;
        let rest = rest.trim_start();
        let (encoded, comment) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
        let blob =
            STANDARD.decode(encoded).map_err(|_| Error::NotAPublicKey("its second word is not base64"))?;
        // The blob begins with the type again, which is what counts.
        let mut begin = Vec::new();
        string(&mut begin, named.as_bytes());
        if !blob.starts_with(&begin) {
            return Err(Error::NotAPublicKey("its two words are not of one type"));
        }
        Ok(Self { blob, comment: comment.trim().to_owned() })
    }
}

/// The name of the key's type (RFC 4253, section 6.6; RFC 5656, section 6.1; RFC 8709, section 4).
const fn key_type(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => "ssh-rsa",
        Algorithm::P256 => "ecdsa-sha2-nistp256",
        Algorithm::P384 => "ecdsa-sha2-nistp384",
        Algorithm::P521 => "ecdsa-sha2-nistp521",
        Algorithm::Ed25519 => "ssh-ed25519",
    }
}

/// The name of the signature's type: the key's, but for RSA (RFC 8332, section 3).
pub(super) const fn signature_type(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => "rsa-sha2-512",
        other => key_type(other),
    }
}

/// The name of the curve (RFC 5656, section 10.1).
const fn curve(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::P384 => "nistp384",
        Algorithm::P521 => "nistp521",
        _ => "nistp256",
    }
}

fn fingerprint(blob: &[u8]) -> Result<String, Error> {
    let digest = super::sign::digest_of(hash_algorithm(Hash::Sha256), blob)?;
    Ok(format!("SHA256:{}", STANDARD_NO_PAD.encode(digest.bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let key = PublicKey::Ed25519 { point: [7; 32] };
        let key = SigningKey::new(Algorithm::Ed25519, &key).unwrap();
        let line = key.line("release");
        for text in [&line, &format!("key::{line}\n"), &format!("# ours\n\n  {line}  \r\nmore\n")] {
            let read: PublicKeyLine = text.parse().unwrap();
            assert_eq!((read.blob.as_slice(), read.comment.as_str()), (key.blob(), "release"));
            assert_eq!(read.fingerprint().unwrap(), key.fingerprint().unwrap());
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let long = format!("ssh-rsa {}", "A".repeat(MAX_LINE));
        for text in [
            "",
            "release",
            "ssh-ed25519 ?",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            &long,
        ] {
            assert!(matches!(text.parse::<PublicKeyLine>(), Err(Error::NotAPublicKey(_))), "{text}");
        }
    }
}
