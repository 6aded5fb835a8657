//! What may be said on chanceryd's sockets.
//!
//! docs/PROTOCOL.md is the normative text; this crate is its Rust form. Read in this order: [`frame`] (where a message
//! ends), [`hello`] (who speaks what), [`agent`] and [`admin`] (the two sockets), [`Refusal`], and the client.

pub mod admin;
pub mod agent;
#[cfg(feature = "client")]
pub mod client;
pub mod codec;
pub mod frame;
pub mod hello;
mod message;
mod public_key;
mod refusal;
#[cfg(feature = "stream")]
pub mod stream;
mod words;

pub use hello::{Extensions, MAX_BATCH, MAX_MESSAGE};
pub use message::{BadMessage, Message};
pub use public_key::{BadPublicKey, PublicKey};
pub use refusal::{Reason, Refusal};
pub use serde_bytes::ByteBuf;
pub use words::{
    Algorithm, BadDigest, BadKeyName, CertificateKind, Digest, Format, Hash, KeyName, Scheme, UnknownWord,
};

/// One of the daemon's sockets: which messages it speaks.
pub trait Service: Send + 'static {
    /// The magic of its hello.
    const MAGIC: [u8; 8];
    /// Its name in messages and logs.
    const NAME: &'static str;
    /// What clients ask.
    type Request: Message + Clone;
    /// What the daemon answers.
    type Response: Message;

    /// Whether a request whose answer was lost may be sent again.
    fn is_repeatable(request: &Self::Request) -> bool;
    /// The response if the request was served, the refusal if it was not.
    fn refusal(response: Self::Response) -> Result<Self::Response, Refusal>;
    /// The response that refuses a request.
    fn refused(refusal: Refusal) -> Self::Response;
}

/// Where agents find the daemon unless told otherwise.
pub const AGENT_SOCKET: &str = "/run/chancery/chanceryd.sock";
/// Where operators find the daemon unless told otherwise.
pub const ADMIN_SOCKET: &str = "/run/chancery/admin.sock";
