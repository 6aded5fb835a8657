//! The agents' socket: asking for signatures, and for what is needed to package them.
//!
//! Words (schemes, formats, algorithms) travel as numbers, so that one from the future is a numbered refusal and not a
//! broken connection. Structs that have shipped never change; they grow through `extensions`.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::hello::{AGENT_MAGIC, Extensions};
use crate::message::messages;
use crate::words::KeyName;

/// What is being signed, for policy and the audit trail. All of it is the agent's claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Number of a [`crate::Format`].
    pub format: u16,
    /// Name of the artifact, such as `bash-5.2.15-1.x86_64.rpm`; at most [`Context::MAX_TEXT`] bytes.
    pub artifact: String,
    /// Digest of the artifact where the agent knows one, else empty; at most 64 bytes.
    pub artifact_digest: ByteBuf,
    /// The build that made it, as the build system calls it, else empty; at most [`Context::MAX_TEXT`] bytes.
    pub build: String,
}

impl Context {
    /// Longest text field, in bytes.
    pub const MAX_TEXT: usize = 512;
}

/// Signatures over digests of one key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug))]
pub struct Sign {
    /// The key.
    pub key: KeyName,
    /// Number of a [`crate::Scheme`] that has a hash.
    pub scheme: u16,
    /// 1 to [`crate::MAX_BATCH`] digests, each of exactly the length of the scheme's hash.
    pub digests: Vec<ByteBuf>,
    /// What they are digests of.
    pub context: Context,
    /// Room to grow.
    pub extensions: Extensions,
}

/// A signature over a message that the daemon hashes, or that the scheme takes whole.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug))]
pub struct SignMessage {
    /// The key.
    pub key: KeyName,
    /// Number of a [`crate::Scheme`].
    pub scheme: u16,
    /// The message, at most [`crate::MAX_MESSAGE`] bytes.
    pub message: ByteBuf,
    /// What it is.
    pub context: Context,
    /// Room to grow.
    pub extensions: Extensions,
}

/// The names of the keys that this peer may use, in order, a page at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListKeys {
    /// The last name of the page before; `None` for the first.
    pub after: Option<KeyName>,
}

/// What a key is and what this peer may do with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribeKey {
    /// The key.
    pub key: KeyName,
}

/// A certificate that is stored with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchCertificate {
    /// The key.
    pub key: KeyName,
    /// Number of a [`crate::CertificateKind`].
    pub kind: u16,
}

/// Raw signatures, in the order of the digests: RSA big-endian of the modulus' length, ECDSA r and s side by side,
/// each of the curve's size, Ed25519 as in RFC 8032.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signatures {
    /// One signature for each digest, or one for the message.
    pub signatures: Vec<ByteBuf>,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySummary {
    /// Its name.
    pub name: KeyName,
    /// Number of an [`crate::Algorithm`]; `None` while the token has not said.
    pub algorithm: Option<u16>,
}

/// A page of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// At most [`Keys::PAGE`] keys.
    pub keys: Vec<KeySummary>,
    /// Whether more keys follow the last one.
    pub more: bool,
}

impl Keys {
    /// Most keys in a page.
    pub const PAGE: usize = 256;
}

/// A key, as far as this peer may know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDescription {
    /// Its name.
    pub name: KeyName,
    /// The operator's words about it; may be empty.
    pub description: String,
    /// Number of an [`crate::Algorithm`].
    pub algorithm: u16,
    /// DER of the SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    pub public_key: ByteBuf,
    /// Numbers of the schemes that this peer may ask for.
    pub schemes: Vec<u16>,
    /// Numbers of the formats that this peer may sign.
    pub formats: Vec<u16>,
    /// When the key was made, in seconds since 1970: OpenPGP's creation time (RFC 9580, section 5.5.2), which is part
    /// of the fingerprint and never changes.
    pub created: Option<u32>,
    /// When the key's validity ends, in seconds since 1970.
    pub not_after: Option<u64>,
    /// The object's PKCS#11 URI (RFC 7512), if this peer may know it.
    pub uri: Option<String>,
    /// Numbers of the certificate kinds stored with the key.
    pub certificates: Vec<u16>,
    /// Room to grow.
    pub extensions: Extensions,
}

/// A stored certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Number of a [`crate::CertificateKind`].
    pub kind: u16,
    /// The certificate: OpenPGP packets without armor, or X.509 DER.
    pub bytes: ByteBuf,
}

messages! {
    /// What agents may ask.
    Request {
        /// Sign digests.
        0x10 => Sign(Sign),
        /// Sign a message.
        0x11 => SignMessage(SignMessage),
        /// List keys.
        0x12 => ListKeys(ListKeys),
        /// Describe one key.
        0x13 => DescribeKey(DescribeKey),
        /// Fetch a stored certificate.
        0x14 => FetchCertificate(FetchCertificate),
    }
}

messages! {
    /// What agents are answered.
    Response {
        /// The signatures.
        0x90 => Signatures(Signatures),
        /// A page of keys.
        0x92 => Keys(Keys),
        /// A key.
        0x93 => KeyDescription(KeyDescription),
        /// A certificate.
        0x94 => Certificate(Certificate),
        /// The request was refused.
        0xff => Refused(crate::Refusal),
    }
}

/// The agents' socket.
#[derive(Debug, Clone, Copy)]
pub struct Agent;

impl crate::Service for Agent {
    const MAGIC: [u8; 8] = AGENT_MAGIC;
    const NAME: &'static str = "agent";
    type Request = Request;
    type Response = Response;

    fn is_repeatable(_: &Request) -> bool {
        true
    }

    fn refusal(response: Response) -> Result<Response, crate::Refusal> {
        match response {
            Response::Refused(refusal) => Err(refusal),
            served => Ok(served),
        }
    }

    fn refused(refusal: crate::Refusal) -> Response {
        Response::Refused(refusal)
    }
}
