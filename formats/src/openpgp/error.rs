//! What can go wrong while signing and while verifying.

use std::io;

use chancery_protocol::{Algorithm, PublicKey};

use super::{Fingerprint, KeyId};

/// A reason of the OpenPGP library, kept as the source of our own errors.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// An artifact was not signed, or a certificate not made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data to be signed could not be read.
    #[error("the data to be signed could not be read")]
    Read(#[source] io::Error),
    /// The signed data could not be written.
    #[error("the signed data could not be written")]
    Write(#[source] io::Error),
    /// The numbers of a public key do not belong to the algorithm that was named with them.
    #[error("the public key is not one of {algorithm}: {why}; ask the token again for the key's attributes")]
    KeyShape {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// What does not fit.
        why: &'static str,
    },
    /// No key of the certificate has the token key's numbers.
    #[error(
        "certificate {fingerprint} does not hold this {} key; give the certificate that was made for the key in the token",
        family(key)
    )]
    NotInCertificate {
        /// The certificate's fingerprint.
        fingerprint: Fingerprint,
        /// The key that was looked for.
        key: Box<PublicKey>,
    },
    /// The bytes are not an OpenPGP certificate.
    #[error("this is not an OpenPGP certificate, armored or binary")]
    NotACertificate(#[source] Reason),
    /// The bytes are longer than any certificate should be.
    #[error(
        "this is larger than {limit} bytes, and not read as a certificate; give the one certificate alone"
    )]
    CertificateTooLarge {
        /// The largest size that is read.
        limit: usize,
    },
    /// A user id cannot stand in a certificate.
    #[error("user id {found:?} {why}; the usual form is `Name <mail@example.org>`")]
    UserId {
        /// The user id, shortened.
        found: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A certificate needs at least one user id: rpm and gpg import none without.
    #[error("a certificate needs a user id; the usual form is `Name <mail@example.org>`")]
    NoUserId,
    /// A signature would be older than its key, and no verifier accepts that.
    #[error(
        "the signature's time {signature} is before the key's creation {key} (seconds since 1970); set the clock"
    )]
    BeforeKey {
        /// Time of the signature.
        signature: u32,
        /// Creation time of the key.
        key: u32,
    },
    /// A line of text is longer than gpg reads.
    #[error(
        "line {line} is longer than {limit} bytes, which gpg would cut and then call the signature bad; sign the file as binary"
    )]
    LineTooLong {
        /// Number of the line, from 1.
        line: u64,
        /// Longest line, in bytes.
        limit: usize,
    },
    /// A carriage return stands elsewhere than right before a line feed, and verifiers disagree about its meaning.
    #[error(
        "line {line} holds a carriage return that does not end it, which verifiers read differently; sign the file as binary"
    )]
    StrayCarriageReturn {
        /// Number of the line, from 1.
        line: u64,
    },
    /// The signer returned another number of signatures than digests were given to it.
    #[error("the signer returned {found} signatures for {expected} digests; nothing was attached")]
    SignatureCount {
        /// Number of digests.
        expected: usize,
        /// Number of signatures.
        found: usize,
    },
    /// The signer returned a signature of the wrong length.
    #[error("the signer returned {found} bytes, and a signature of {algorithm} has {}; nothing was attached", algorithm.signature_len())]
    SignatureLength {
        /// The key's algorithm.
        algorithm: Algorithm,
        /// Length of what was returned.
        found: usize,
    },
    /// The signer returned a signature that does not fit digest and key.
    #[error(
        "the signature that the signer returned is not of key {key_id}; nothing was attached; check that the key's name and its certificate belong together"
    )]
    WrongSignature {
        /// The key that should have signed.
        key_id: KeyId,
        /// What the check said.
        source: Reason,
    },
    /// The OpenPGP library or its cryptography refused.
    #[error("the OpenPGP library could not {what}")]
    Library {
        /// What was tried.
        what: &'static str,
        /// Its own words.
        source: Reason,
    },
}

/// Wraps an error of the OpenPGP library with what was tried.
pub(crate) fn library<E: Into<Reason>>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |reason| Error::Library { what, source: reason.into() }
}

fn family(key: &PublicKey) -> &'static str {
    match key {
        PublicKey::Rsa { .. } => "RSA",
        PublicKey::Ec { .. } => "ECDSA",
        PublicKey::Ed25519 { .. } => "Ed25519",
    }
}

/// Data carries no good signature of the given certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no signature at all.
    #[error("there is no OpenPGP signature here")]
    NoSignature,
    /// A key signed that none of the certificates holds; its id is zero if the signature does not name it.
    #[error("the signature is of key {0}, which none of the given certificates holds")]
    UnknownKey(KeyId),
    /// The data is not what was signed.
    #[error("bad signature of key {key}: the data or the signature was changed")]
    BadSignature {
        /// The key that the signature names.
        key: KeyId,
        /// What the check said.
        source: Reason,
    },
    /// The key is there, but may not have made this signature: expired, revoked, not for signing, or too weak.
    #[error("the key {key} cannot have made this signature")]
    BadKey {
        /// The key that the signature names.
        key: KeyId,
        /// Why not.
        source: Reason,
    },
    /// There is no signature that can be read: it is damaged, of a kind that we do not read, or no OpenPGP data.
    #[error("there is no readable OpenPGP signature here")]
    Malformed(#[source] Reason),
    /// The data could not be read, or what was verified could not be written.
    #[error("the data to be verified could not be read or passed on")]
    Io(#[source] io::Error),
}
