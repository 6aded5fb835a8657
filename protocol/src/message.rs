//! How a set of messages becomes frames: one table per direction and socket, so that a message of one socket cannot be
//! decoded on the other.

use bytes::BytesMut;

use crate::codec::{BadBody, TooLong};

/// A frame that is no message of the set that is spoken here.
#[derive(Debug, thiserror::Error)]
pub enum BadMessage {
    /// The message type does not exist in this set.
    #[error("message type {0:#04x} is not spoken here")]
    UnknownType(u8),
    /// The frame carries another protocol version than the negotiated one.
    #[error("a frame of protocol version {0} after another was agreed")]
    Version(u8),
    /// The body is not that of its type.
    #[error("message type {kind:#04x}: {source}")]
    Body {
        /// The message type.
        kind: u8,
        /// What is wrong with the body.
        source: BadBody,
    },
}

/// A set of messages that share one direction of one socket.
pub trait Message: Sized + Send + 'static {
    /// Appends this message as a frame with `id`.
    fn put(&self, version: u8, id: u32, out: &mut BytesMut) -> Result<(), TooLong>;

    /// Decodes the body of a frame of type `kind`.
    fn decode(kind: u8, body: &[u8]) -> Result<Self, BadMessage>;
}

/// Defines a set of messages with their type numbers.
macro_rules! messages {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $kind:literal => $variant:ident($body:ty)),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq)]
        #[cfg_attr(test, derive(Debug))]
        pub enum $name { $($(#[$vmeta])* $variant($body)),+ }

        impl $crate::message::Message for $name {
            fn put(&self, version: u8, id: u32, out: &mut bytes::BytesMut) -> Result<(), $crate::codec::TooLong> {
                let mut body = Vec::with_capacity(256);
                let kind = match self {
                    $(Self::$variant(message) => { $crate::codec::encode(message, &mut body)?; $kind })+
                };
                $crate::frame::put(out, version, kind, id, &body);
                Ok(())
            }

            fn decode(kind: u8, body: &[u8]) -> Result<Self, $crate::message::BadMessage> {
                let bad = |source| $crate::message::BadMessage::Body { kind, source };
                match kind {
                    $($kind => $crate::codec::decode(body).map(Self::$variant).map_err(bad),)+
                    _ => Err($crate::message::BadMessage::UnknownType(kind)),
                }
            }
        }

        impl $name {
            /// The name of this message in logs: its type alone, never its content.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant)),+ }
            }
        }
    };
}
pub(crate) use messages;
