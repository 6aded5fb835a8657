//! The hello exchange: who speaks which versions, and how much the daemon takes.

use serde::{Deserialize, Serialize};

use crate::message::messages;

/// The protocol version of this crate.
pub const VERSION: u8 = 1;
/// The version field of frames in the hello exchange itself.
pub const HELLO_VERSION: u8 = 0;
/// Most digests in one request: as many RSA-4096 signatures fit one frame.
pub const MAX_BATCH: usize = 64;
/// Longest message that the daemon hashes itself, in bytes.
pub const MAX_MESSAGE: usize = 60 * 1024;

/// Room for what later versions of a message need to say: numbered byte strings. Unknown numbers are ignored.
pub type Extensions = Vec<(u16, serde_bytes::ByteBuf)>;

/// First frame of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Which socket the client believes to talk to: [`AGENT_MAGIC`] or [`ADMIN_MAGIC`].
    pub magic: [u8; 8],
    /// Lowest protocol version that the client speaks.
    pub min_version: u8,
    /// Highest protocol version that the client speaks.
    pub max_version: u8,
    /// The client's name and version, for the journal; nothing depends on it.
    pub software: String,
    /// Room to grow.
    pub extensions: Extensions,
}

/// First frame of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that both will speak: the highest that both know.
    pub version: u8,
    /// Largest frame that the daemon takes, in bytes behind the length field.
    pub max_frame: u32,
    /// Most digests in one request.
    pub max_batch: u16,
    /// Most requests of one connection that may be unanswered at a time.
    pub max_in_flight: u16,
    /// The daemon's name and version.
    pub software: String,
    /// Room to grow.
    pub extensions: Extensions,
}

/// The magic of the agents' socket.
pub const AGENT_MAGIC: [u8; 8] = *b"CHANCERY";
/// The magic of the operator's socket.
pub const ADMIN_MAGIC: [u8; 8] = *b"CHANCADM";

messages! {
    /// What a client says first.
    FromClient {
        /// The client's hello.
        0x01 => Hello(Hello),
    }
}

messages! {
    /// What the daemon answers to a hello.
    FromDaemon {
        /// The terms of the connection.
        0x02 => Welcome(Welcome),
        /// The connection is refused (too many of this user, no common version); it is closed next.
        0xff => Refused(crate::Refusal),
    }
}

/// The highest version in both `min..=max` and what this crate speaks.
pub fn agree(min: u8, max: u8) -> Option<u8> {
    (min <= VERSION && VERSION <= max).then_some(VERSION)
}
