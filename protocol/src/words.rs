//! The validated words of the protocol: values that cannot hold anything bad, parsed at the door.
//!
//! Each word has one spelling in text (policy files, command lines, audit records) and one number on the wire. The
//! two stand in one table per word, so that they cannot drift apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not one of the words that were possible in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{found}` is not known; it is one of {known}")]
pub struct UnknownWord {
    /// What kind of word was looked for, such as `scheme`.
    pub what: &'static str,
    /// What stood there instead.
    pub found: String,
    /// The words that would have been accepted, separated by commas.
    pub known: String,
}

/// Defines an enum whose variants each have exactly one spelling, with `FromStr`, `Display` and an `ALL` list.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal, { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every word of this kind, in wire order. Shipped words keep their place for ever; new ones are appended.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word's number on the wire.
            pub const fn code(self) -> u16 {
                self as u16
            }

            /// The word with this number; `None` for one that this version does not know.
            pub fn from_code(code: u16) -> Option<Self> {
                Self::ALL.get(usize::from(code)).copied()
            }

            /// The one spelling of this word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| UnknownWord {
                    what: $what,
                    found: text.chars().take(64).collect(),
                    known: Self::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

words! {
    /// A hash function of FIPS 180-4. SHA-1 and MD5 are absent on purpose.
    Hash, "hash", {
        /// SHA-256, 32 bytes.
        Sha256 = "sha256",
        /// SHA-384, 48 bytes.
        Sha384 = "sha384",
        /// SHA-512, 64 bytes.
        Sha512 = "sha512",
    }
}

impl Hash {
    /// Length of a digest, in bytes.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

words! {
    /// What kind of key an object in the token is.
    Algorithm, "algorithm", {
        /// RSA with a modulus of 2048 bits.
        Rsa2048 = "rsa2048",
        /// RSA with a modulus of 3072 bits.
        Rsa3072 = "rsa3072",
        /// RSA with a modulus of 4096 bits.
        Rsa4096 = "rsa4096",
        /// ECDSA over NIST P-256 (FIPS 186-5, secp256r1).
        P256 = "p256",
        /// ECDSA over NIST P-384 (secp384r1).
        P384 = "p384",
        /// ECDSA over NIST P-521 (secp521r1).
        P521 = "p521",
        /// Ed25519 (RFC 8032).
        Ed25519 = "ed25519",
    }
}

impl Algorithm {
    /// Length of a raw signature by a key of this algorithm, in bytes: RSA the modulus, ECDSA r and s of the curve's
    /// size side by side, Ed25519 its 64.
    pub const fn signature_len(self) -> usize {
        match self {
            Self::Rsa2048 => 256,
            Self::Rsa3072 => 384,
            Self::Rsa4096 => 512,
            Self::P256 | Self::Ed25519 => 64,
            Self::P384 => 96,
            Self::P521 => 132,
        }
    }

    /// The schemes that a key of this algorithm can serve.
    pub fn schemes(self) -> impl Iterator<Item = Scheme> {
        Scheme::ALL.iter().copied().filter(move |scheme| scheme.fits(self))
    }
}

/// Which family of keys a scheme belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    Ecdsa,
    Ed25519,
}

words! {
    /// How a signature is made: the algorithm's family, its padding or mode, and the hash.
    Scheme, "scheme", {
        /// RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2) with SHA-256.
        RsaPkcs1Sha256 = "rsa-pkcs1-sha256",
        /// RSASSA-PKCS1-v1_5 with SHA-384.
        RsaPkcs1Sha384 = "rsa-pkcs1-sha384",
        /// RSASSA-PKCS1-v1_5 with SHA-512.
        RsaPkcs1Sha512 = "rsa-pkcs1-sha512",
        /// RSASSA-PSS (RFC 8017, section 8.1) with SHA-256, MGF1 of the same hash, salt as long as the hash.
        RsaPssSha256 = "rsa-pss-sha256",
        /// RSASSA-PSS with SHA-384.
        RsaPssSha384 = "rsa-pss-sha384",
        /// RSASSA-PSS with SHA-512.
        RsaPssSha512 = "rsa-pss-sha512",
        /// ECDSA (FIPS 186-5, section 6) over a SHA-256 digest; the curve is the key's.
        EcdsaSha256 = "ecdsa-sha256",
        /// ECDSA over a SHA-384 digest.
        EcdsaSha384 = "ecdsa-sha384",
        /// ECDSA over a SHA-512 digest.
        EcdsaSha512 = "ecdsa-sha512",
        /// Ed25519 (RFC 8032) whose message is a SHA-256 digest, as OpenPGP uses it (RFC 9580, section 5.2.3.4).
        Ed25519Sha256 = "ed25519-sha256",
        /// Ed25519 whose message is a SHA-384 digest, as OpenPGP uses it.
        Ed25519Sha384 = "ed25519-sha384",
        /// Ed25519 whose message is a SHA-512 digest, as OpenPGP uses it.
        Ed25519Sha512 = "ed25519-sha512",
        /// Ed25519 (RFC 8032) over the message itself; only `SignMessage` can carry it.
        Ed25519 = "ed25519",
    }
}

impl Scheme {
    /// The hash whose digest is signed; `None` for pure Ed25519, which hashes inside.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1Sha256 | Self::RsaPssSha256 | Self::EcdsaSha256 | Self::Ed25519Sha256 => {
                Some(Hash::Sha256)
            }
            Self::RsaPkcs1Sha384 | Self::RsaPssSha384 | Self::EcdsaSha384 | Self::Ed25519Sha384 => {
                Some(Hash::Sha384)
            }
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 | Self::EcdsaSha512 | Self::Ed25519Sha512 => {
                Some(Hash::Sha512)
            }
            Self::Ed25519 => None,
        }
    }

    const fn family(self) -> Family {
        match self {
            Self::RsaPkcs1Sha256
            | Self::RsaPkcs1Sha384
            | Self::RsaPkcs1Sha512
            | Self::RsaPssSha256
            | Self::RsaPssSha384
            | Self::RsaPssSha512 => Family::Rsa,
            Self::EcdsaSha256 | Self::EcdsaSha384 | Self::EcdsaSha512 => Family::Ecdsa,
            Self::Ed25519Sha256 | Self::Ed25519Sha384 | Self::Ed25519Sha512 | Self::Ed25519 => {
                Family::Ed25519
            }
        }
    }

    /// Whether a key of `algorithm` can make signatures of this scheme.
    pub const fn fits(self, algorithm: Algorithm) -> bool {
        matches!(
            (self.family(), algorithm),
            (Family::Rsa, Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096)
                | (Family::Ecdsa, Algorithm::P256 | Algorithm::P384 | Algorithm::P521)
                | (Family::Ed25519, Algorithm::Ed25519)
        )
    }

    /// The scheme that OpenPGP, CMS v1.5 and kernel modules use for a key of `algorithm` and a digest of `hash`.
    pub const fn over_digest(algorithm: Algorithm, hash: Hash) -> Self {
        match (algorithm, hash) {
            (Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096, Hash::Sha256) => {
                Self::RsaPkcs1Sha256
            }
            (Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096, Hash::Sha384) => {
                Self::RsaPkcs1Sha384
            }
            (Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096, Hash::Sha512) => {
                Self::RsaPkcs1Sha512
            }
            (Algorithm::P256 | Algorithm::P384 | Algorithm::P521, Hash::Sha256) => Self::EcdsaSha256,
            (Algorithm::P256 | Algorithm::P384 | Algorithm::P521, Hash::Sha384) => Self::EcdsaSha384,
            (Algorithm::P256 | Algorithm::P384 | Algorithm::P521, Hash::Sha512) => Self::EcdsaSha512,
            (Algorithm::Ed25519, Hash::Sha256) => Self::Ed25519Sha256,
            (Algorithm::Ed25519, Hash::Sha384) => Self::Ed25519Sha384,
            (Algorithm::Ed25519, Hash::Sha512) => Self::Ed25519Sha512,
        }
    }
}

words! {
    /// What is being signed, as the agent states it: a policy can narrow a key to some formats, and the audit trail
    /// records it. It is the agent's claim; the daemon cannot see the artifact.
    Format, "format", {
        /// An OpenPGP signature over data (RFC 9580): detached, cleartext or inline.
        Openpgp = "openpgp",
        /// An OpenPGP certificate's own bindings (RFC 9580, section 10.1).
        OpenpgpCertificate = "openpgp-certificate",
        /// An RPM package's header or header and payload.
        Rpm = "rpm",
        /// A Linux kernel module's appended CMS signature.
        Module = "module",
        /// A UEFI or Windows PE/COFF image (Authenticode).
        Efi = "efi",
        /// A CMS SignedData (RFC 5652).
        Cms = "cms",
        /// An X.509 certificate, request or revocation list (RFC 5280).
        X509 = "x509",
        /// The daemon's own check that a token signs.
        Health = "health",
        /// Anything else: a bare signature.
        Raw = "raw",
        /// An SSH signature over data (OpenSSH, PROTOCOL.sshsig).
        Ssh = "ssh",
    }
}

words! {
    /// The kinds of certificate that are stored with keys.
    CertificateKind, "certificate kind", {
        /// An OpenPGP certificate (transferable public key, RFC 9580, section 10.1).
        Openpgp = "openpgp",
        /// An X.509 certificate (RFC 5280).
        X509 = "x509",
    }
}

/// A name was not a valid key name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "key name `{found}` {why}; use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit"
)]
pub struct BadKeyName {
    found: String,
    why: &'static str,
}

/// The name of a key: 1 to 64 of `a-z`, `0-9`, `-`, `_`, `.`, beginning with a letter or a digit.
///
/// It is also the stem of the key's policy file, so it can hold neither a path separator nor a hidden name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

impl KeyName {
    /// Longest key name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyName {
    type Error = BadKeyName;

    fn try_from(text: String) -> Result<Self, BadKeyName> {
        let bad = |why| Err(BadKeyName { found: text.chars().take(Self::MAX_LEN + 1).collect(), why });
        let Some(first) = text.bytes().next() else { return bad("is empty") };
        if text.len() > Self::MAX_LEN {
            return bad("is too long");
        }
        if !first.is_ascii_lowercase() && !first.is_ascii_digit() {
            return bad("begins with another character");
        }
        if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)) {
            return bad("has another character");
        }
        Ok(Self(text))
    }
}

impl FromStr for KeyName {
    type Err = BadKeyName;
    fn from_str(text: &str) -> Result<Self, BadKeyName> {
        Self::try_from(text.to_owned())
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A digest's bytes did not have its hash's length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {hash} digest has {} bytes, not {found}", hash.digest_len())]
pub struct BadDigest {
    hash: Hash,
    found: usize,
}

/// A digest and the hash that made it; the length always fits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Digest {
    hash: Hash,
    bytes: Vec<u8>,
}

impl Digest {
    /// Takes `bytes` as a digest of `hash` if they have its length.
    pub fn new(hash: Hash, bytes: impl Into<Vec<u8>>) -> Result<Self, BadDigest> {
        let bytes = bytes.into();
        if bytes.len() == hash.digest_len() {
            Ok(Self { hash, bytes })
        } else {
            Err(BadDigest { hash, found: bytes.len() })
        }
    }

    /// The hash that made it.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// The digest's bytes, exactly [`Hash::digest_len`] of them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_parsed_from_its_own_spelling() {
        for &scheme in Scheme::ALL {
            assert_eq!(scheme.as_str().parse(), Ok(scheme));
        }
        for &algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        for &format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
        }
    }

    #[test]
    fn broken_hashes_have_no_spelling() {
        for text in ["sha1", "md5", "rsa-pkcs1-sha1", "SHA256", ""] {
            assert!(text.parse::<Hash>().is_err() && text.parse::<Scheme>().is_err(), "{text}");
        }
    }

    #[test]
    fn key_names_cannot_leave_their_folder() {
        for bad in ["", ".", "..", ".hidden", "-x", "a/b", "A", "ä", "a b", "a\0", &"a".repeat(65)] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad:?}");
        }
        for good in ["a", "release-2026", "0", "el9.rsa_4096", &"a".repeat(64)] {
            assert!(good.parse::<KeyName>().is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_digest_of_another_length_is_refused() {
        assert!(Digest::new(Hash::Sha256, vec![0; 64]).is_err());
        assert!(Digest::new(Hash::Sha512, vec![0; 64]).is_ok());
    }

    #[test]
    fn each_algorithm_serves_the_schemes_of_its_family_only() {
        let of = |a: Algorithm| a.schemes().map(Scheme::as_str).collect::<Vec<_>>();
        assert_eq!(of(Algorithm::P256), ["ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512"]);
        assert_eq!(of(Algorithm::Ed25519), ["ed25519-sha256", "ed25519-sha384", "ed25519-sha512", "ed25519"]);
        assert_eq!(of(Algorithm::Rsa4096).len(), 6);
        for &algorithm in Algorithm::ALL {
            for &hash in Hash::ALL {
                let scheme = Scheme::over_digest(algorithm, hash);
                assert!(scheme.fits(algorithm) && scheme.hash() == Some(hash));
            }
        }
    }
}
