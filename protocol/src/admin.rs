//! The operator's socket: health, and the making of keys.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::agent::KeyDescription;
use crate::hello::{ADMIN_MAGIC, Extensions};
use crate::message::messages;
use crate::words::KeyName;

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Room to grow.
    pub extensions: Extensions,
}

/// Make a key in a token, and its policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerateKey {
    /// The new key's name.
    pub name: KeyName,
    /// Number of an [`crate::Algorithm`].
    pub algorithm: u16,
    /// Name of the token in the daemon's configuration; empty if there is only one.
    pub token: String,
    /// The operator's words about the key.
    pub description: String,
    /// Who may use it, as in a policy file: `user:NAME`, `group:NAME`, `unit:GLOB`. Empty: nobody yet.
    pub allow: Vec<String>,
    /// Numbers of the formats that they may sign; empty: every format.
    pub formats: Vec<u16>,
    /// Room to grow.
    pub extensions: Extensions,
}

/// Keep a certificate with its key. One of each kind, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCertificate {
    /// The key.
    pub key: KeyName,
    /// Number of a [`crate::CertificateKind`].
    pub kind: u16,
    /// OpenPGP packets without armor, or X.509 DER.
    pub bytes: ByteBuf,
}

/// Read the policy files again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Room to grow.
    pub extensions: Extensions,
}

/// The state of one token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `starting`, `ready`, `unavailable` or `locked-out`.
    pub state: String,
    /// Seconds that it has been in that state.
    pub since: u64,
    /// Worker processes that can sign.
    pub workers_ready: u16,
    /// Worker processes that are configured.
    pub workers: u16,
    /// Requests waiting for a worker.
    pub queued: u32,
    /// Requests at a worker.
    pub in_flight: u32,
    /// Signatures made since the daemon started.
    pub signatures: u64,
    /// Workers that died or were killed since the daemon started.
    pub restarts: u64,
    /// The last failure, for the operator; empty if there was none.
    pub last_error: String,
}

/// The state of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStatus {
    /// The file that is written now.
    pub file: String,
    /// Sequence number of the last record on disk.
    pub sequence: u64,
    /// SHA-256 of the last record, in hexadecimal.
    pub head: String,
    /// Why it cannot be written; empty if it can.
    pub fault: String,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Name and version.
    pub software: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Keys in the policy in force.
    pub keys: u32,
    /// Why the last reload was refused; empty if the policy in force is what the files say.
    pub policy_fault: String,
    /// Open connections on both sockets.
    pub connections: u32,
    /// Signatures that left since it started.
    pub signatures: u64,
    /// Requests refused since it started.
    pub refusals: u64,
    /// Every token.
    pub tokens: Vec<TokenStatus>,
    /// The audit trail.
    pub audit: AuditStatus,
    /// Room to grow.
    pub extensions: Extensions,
}

/// A request was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What was done, in words for a person.
    pub message: String,
}

messages! {
    /// What operators may ask.
    Request {
        /// How is the daemon?
        0x40 => Status(Status),
        /// Make a key.
        0x41 => GenerateKey(GenerateKey),
        /// Keep a certificate.
        0x42 => StoreCertificate(StoreCertificate),
        /// Read the policy again.
        0x43 => Reload(Reload),
    }
}

messages! {
    /// What operators are answered.
    Response {
        /// The state of the daemon.
        0xc0 => StatusReport(StatusReport),
        /// The key that was made.
        0xc1 => KeyDescription(KeyDescription),
        /// It is done.
        0xc2 => Done(Done),
        /// The request was refused.
        0xff => Refused(crate::Refusal),
    }
}

/// The operator's socket.
#[derive(Debug, Clone, Copy)]
pub struct Admin;

impl crate::Service for Admin {
    const MAGIC: [u8; 8] = ADMIN_MAGIC;
    const NAME: &'static str = "admin";
    type Request = Request;
    type Response = Response;

    fn is_repeatable(request: &Request) -> bool {
        // A second key of the same name would be another key.
        !matches!(request, Request::GenerateKey(_))
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
