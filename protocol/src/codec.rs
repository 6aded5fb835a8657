//! The encoding of message bodies: bincode 2, one configuration, in this file alone.
//!
//! bincode's "standard" configuration: little-endian, variable-length integers. Every decode is limited, because
//! without a limit a length field of a few bytes can claim all memory, and must consume its input to the last byte,
//! because bincode itself lets trailing bytes pass. Byte-identical successors exist (docs/PROTOCOL.md, "Encoding"), so
//! that the dependency can be replaced without a change on the wire.

use serde::{Serialize, de::DeserializeOwned};

use crate::frame::MAX_BODY;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_BODY>,
> = bincode::config::standard().with_limit::<MAX_BODY>();

/// A body that is not what its message type says.
#[derive(Debug, thiserror::Error)]
pub enum BadBody {
    /// The bytes do not form the message: cut short, an unknown variant, or a length over the limit.
    #[error("the body does not decode: {0}")]
    Malformed(#[from] bincode::error::DecodeError),
    /// The message ended before its bytes did.
    #[error("{0} bytes follow the body's end")]
    Trailing(usize),
}

/// A message that cannot be written: longer than a frame.
#[derive(Debug, thiserror::Error)]
#[error("the message does not fit a frame of 64 KiB: {0}")]
pub struct TooLong(#[from] bincode::error::EncodeError);

/// Appends the encoding of `value` to `out`.
pub fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), TooLong> {
    bincode::serde::encode_into_std_write(value, out, CONFIG)?;
    Ok(())
}

/// Decodes exactly `bytes`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadBody> {
    let (value, consumed) = bincode::serde::decode_from_slice(bytes, CONFIG)?;
    match bytes.len() - consumed {
        0 => Ok(value),
        trailing => Err(BadBody::Trailing(trailing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_length_is_refused_before_memory_is_taken() {
        // A varint claiming 2^62 bytes, then nothing.
        let hostile = [253, 0, 0, 0, 0, 0, 0, 0, 0x40];
        assert!(matches!(decode::<serde_bytes::ByteBuf>(&hostile), Err(BadBody::Malformed(_))));
        assert!(matches!(decode::<String>(&hostile), Err(BadBody::Malformed(_))));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = Vec::new();
        encode(&7_u32, &mut bytes).unwrap();
        bytes.push(0);
        assert!(matches!(decode::<u32>(&bytes), Err(BadBody::Trailing(1))));
    }
}
