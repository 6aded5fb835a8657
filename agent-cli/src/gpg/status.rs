//! `--status-fd`: lines that programs read (GnuPG, doc/DETAILS, "Format of the --status-fd output").

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use chancery_formats::openpgp::{Content, Fingerprint, SigningKey};
use chancery_protocol::{Algorithm, Hash};

use super::request::StatusTo;
use crate::exit::Exit;
use crate::failure::{Failure, plain};
use crate::shape::Shape;

/// Where status lines go.
pub(super) enum Status {
    Nowhere,
    Stdout,
    Stderr,
    File(File),
}

impl Status {
    /// Opens the place. A descriptor is opened once more by its name under /proc (proc_pid_fd(5)), as nothing else can
    /// be made of a number without trusting that it is nobody else's.
    pub(super) fn open(to: Option<StatusTo>) -> Result<Self, Failure> {
        let failed = |what: &str, error: &io::Error| {
            Failure::new(Exit::Usage, format!("{what} cannot be written to: {}", plain(error)))
        };
        match to {
            None => Ok(Self::Nowhere),
            Some(StatusTo::Descriptor(1)) => Ok(Self::Stdout),
            Some(StatusTo::Descriptor(2)) => Ok(Self::Stderr),
            Some(StatusTo::Descriptor(number)) => {
                let file = OpenOptions::new().append(true).open(format!("/proc/self/fd/{number}"));
                file.map(Self::File)
                    .map_err(|error| failed(&format!("the status descriptor {number}"), &error))
            }
            Some(StatusTo::File(path)) => {
                let file = File::create(&path);
                file.map(Self::File).map_err(|error| failed(&path.display().to_string(), &error))
            }
        }
    }

    /// The key that will be used: the fingerprint of its primary key, and no flags.
    pub(super) fn key_considered(&mut self, primary: &Fingerprint) {
        self.line(&format!("KEY_CONSIDERED {primary} 0"));
    }

    /// Signing begins, with this hash.
    pub(super) fn begin_signing(&mut self, hash: Hash) {
        self.line(&format!("BEGIN_SIGNING H{}", hash_number(hash)));
    }

    /// The signature is made, and where it belongs.
    pub(super) fn sig_created(&mut self, shape: Shape, key: &SigningKey, hash: Hash, created: u32) {
        // Signature types 0x00 and 0x01 (RFC 9580, section 5.2.1).
        let (letter, class) = match shape {
            Shape::Detached(_, Content::Binary) => ('D', "00"),
            Shape::Detached(_, Content::Text) => ('D', "01"),
            Shape::Clear => ('C', "01"),
            Shape::Inline(_) => ('S', "00"),
        };
        let (algorithm, hash) = (algorithm_number(key.algorithm()), hash_number(hash));
        let fingerprint = key.fingerprint();
        self.line(&format!("SIG_CREATED {letter} {algorithm} {hash} {class} {created} {fingerprint}"));
    }

    /// There is no key to sign with.
    pub(super) fn invalid_signer(&mut self, invalid: &InvalidSigner) {
        self.line(format!("INV_SGNR {} {}", invalid.reason as u8, invalid.asked).trim_end());
    }

    /// Nothing was signed.
    pub(super) fn failure(&mut self, place: &str, code: Code) {
        self.line(&format!("FAILURE {place} {}", code.0));
    }

    /// A reader that went away is no reason to fail.
    fn line(&mut self, text: &str) {
        let line = format!("[GNUPG:] {text}\n");
        let _ = match self {
            Self::Nowhere => Ok(()),
            Self::Stdout => io::stdout().write_all(line.as_bytes()).and_then(|()| io::stdout().flush()),
            Self::Stderr => io::stderr().write_all(line.as_bytes()),
            Self::File(file) => file.write_all(line.as_bytes()),
        };
    }
}

/// Why a signer does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvalidSigner {
    pub(super) reason: Reason,
    /// As the user named it, or empty.
    pub(super) asked: String,
}

/// The reasons of INV_SGNR that occur here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reason {
    Ambiguous = 2,
    NotASecretKey = 9,
}

/// An error number of libgpg-error, whose source GnuPG is 2 << 24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(u32);

impl Code {
    const GNUPG: u32 = 2 << 24;
    /// GPG_ERR_NO_SECKEY, which gpg tells without a source.
    pub(super) const NO_SECRET_KEY: Self = Self(17);
    /// GPG_ERR_GENERAL.
    pub(super) const GENERAL: Self = Self(Self::GNUPG + 1);
    /// GPG_ERR_AMBIGUOUS_NAME.
    pub(super) const AMBIGUOUS: Self = Self(Self::GNUPG + 107);
    /// GPG_ERR_NO_AGENT.
    pub(super) const NO_AGENT: Self = Self(Self::GNUPG + 77);
    /// GPG_ERR_EEXIST.
    pub(super) const EXISTS: Self = Self(Self::GNUPG + 32_803);
    /// GPG_ERR_ENOENT.
    pub(super) const NOT_FOUND: Self = Self(Self::GNUPG + 32_849);
}

/// RFC 9580, section 9.5.
const fn hash_number(hash: Hash) -> u8 {
    match hash {
        Hash::Sha256 => 8,
        Hash::Sha384 => 9,
        Hash::Sha512 => 10,
    }
}

/// RFC 9580, section 9.1.
const fn algorithm_number(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => 1,
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => 19,
        Algorithm::Ed25519 => 22,
    }
}
