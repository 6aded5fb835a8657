//! What a record says.

use serde::{Deserialize, Serialize};

/// One line of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1, without gaps, across files.
    pub seq: u64,
    /// SHA-256 of the line before, in hexadecimal.
    pub prev: String,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}

/// What happened, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the record was written, in UTC, as RFC 3339.
    pub time: jiff::Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// The kinds of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The daemon started to write here.
    Started {
        /// Name and version.
        software: String,
        /// A line that a crash had left unfinished, and that was cut off: its first 4096 bytes in hexadecimal; empty if
        /// there was none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        torn: String,
    },
    /// A signature was granted and is about to be made. Without an outcome behind it, it may have been made.
    Intent(Intent),
    /// What became of an intent.
    Outcome(Outcome),
    /// A request was refused by policy.
    Refused(Refused),
    /// A key was made in a token.
    KeyGenerated {
        /// Who asked.
        caller: Caller,
        /// The key.
        key: String,
        /// Its algorithm.
        algorithm: String,
    },
    /// A certificate was stored with a key.
    CertificateStored {
        /// Who asked.
        caller: Caller,
        /// The key.
        key: String,
        /// `openpgp` or `x509`.
        kind: String,
        /// SHA-256 of the certificate's bytes, in hexadecimal.
        sha256: String,
    },
    /// A policy came into force.
    PolicyLoaded {
        /// How many keys it names.
        keys: usize,
        /// SHA-256 over the policy files, in hexadecimal.
        sha256: String,
    },
    /// Everything up to an earlier line, fixed by a signature.
    Checkpoint(Checkpoint),
    /// The daemon stopped in good order.
    Stopped {},
}

/// Who asked, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Process id; 0 for a process in a PID namespace that the daemon cannot see.
    pub pid: i32,
    /// Executable, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// systemd unit or other cgroup, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// A granted request, before the token sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Who asked.
    pub caller: Caller,
    /// The key's name.
    pub key: String,
    /// The scheme.
    pub scheme: String,
    /// `digest` or `message`.
    pub input: String,
    /// The digests that are signed, in hexadecimal; for pure Ed25519 the SHA-256 of the message.
    pub digests: Vec<String>,
    /// The format, as the agent states it.
    pub format: String,
    /// The artifact's name, as the agent states it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub artifact: String,
    /// The artifact's digest, as the agent states it, in hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub artifact_digest: String,
    /// The build, as the agent states it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// The rule that allowed it: file name and place in it.
    pub rule: String,
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `seq` of the intent.
    pub intent: u64,
    /// `signed`, or the name of the refusal.
    pub result: String,
    /// From grant to answer, in microseconds.
    pub elapsed_us: u64,
}

/// A refusal by policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Who asked.
    pub caller: Caller,
    /// The key's name, as asked for.
    pub key: String,
    /// The name of the refusal.
    pub reason: String,
    /// Why in truth, which the peer was not told.
    pub detail: String,
}

/// A signature over everything up to an earlier line. Records go on being written while the token signs it, so it
/// names the line that it covers.
///
/// Signed is the text `chancery audit checkpoint\nseq COVERS\nsha256 HASH\n`, with the scheme's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Number of the last line that is covered.
    pub covers: u64,
    /// SHA-256 of that line, in hexadecimal.
    pub hash: String,
    /// The audit key's name.
    pub key: String,
    /// The scheme.
    pub scheme: String,
    /// The raw signature, as the daemon returns it, in hexadecimal.
    pub signature: String,
}

impl Checkpoint {
    /// The text that is signed for a checkpoint that covers the line `covers`, whose SHA-256 is `hash`.
    pub fn signed_text(covers: u64, hash: &str) -> String {
        format!("chancery audit checkpoint\nseq {covers}\nsha256 {hash}\n")
    }
}

/// Reads one line, without its newline.
pub fn entry(line: &[u8]) -> Result<Entry, serde_json::Error> {
    serde_json::from_slice(line)
}
