//! Frames: where one message ends and the next begins.
//!
//! ```text
//! 0        4         5      6          8       12
//! +--------+---------+------+----------+--------+----------------+
//! | length | version | type | reserved |   id   | body ...       |
//! +--------+---------+------+----------+--------+----------------+
//! ```
//!
//! All integers are big-endian. `length` counts everything behind itself. `reserved` is zero. `id` is chosen by the
//! client and repeated in the answer.

use bytes::{Buf, BufMut, BytesMut};

/// Largest value of the length field: header and body, in bytes.
pub const MAX_FRAME: usize = 64 * 1024;
/// Bytes of the header behind the length field.
pub const HEADER: usize = 8;
/// Largest body, in bytes.
pub const MAX_BODY: usize = MAX_FRAME - HEADER;
/// Bytes of the length field.
const LENGTH: usize = 4;

/// A frame that breaks the protocol. There is no way to go on after it: the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The length field is smaller than the header or larger than [`MAX_FRAME`].
    #[error("a frame of {0} bytes; between 8 and 65536 are allowed")]
    Length(usize),
    /// A field that must be zero is not.
    #[error("reserved field is {0:#06x}, not zero")]
    Reserved(u16),
}

/// One frame, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Protocol version of the body; 0 in the hello exchange.
    pub version: u8,
    /// Message type; the numbers stand in docs/PROTOCOL.md.
    pub kind: u8,
    /// The request's id.
    pub id: u32,
    /// The encoded message.
    pub body: BytesMut,
}

impl Frame {
    /// Takes the next whole frame off the front of `buffer`; `None` if it has not arrived yet.
    ///
    /// The length is checked as soon as its four bytes are there, so that a bad one costs no memory.
    pub fn take(buffer: &mut BytesMut) -> Result<Option<Self>, BadFrame> {
        let Some((length, _)) = buffer.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if !(HEADER..=MAX_FRAME).contains(&length) {
            return Err(BadFrame::Length(length));
        }
        if buffer.len() < LENGTH + length {
            return Ok(None);
        }
        buffer.advance(LENGTH);
        let mut frame = buffer.split_to(length);
        let (version, kind, reserved, id) =
            (frame.get_u8(), frame.get_u8(), frame.get_u16(), frame.get_u32());
        if reserved != 0 {
            return Err(BadFrame::Reserved(reserved));
        }
        Ok(Some(Self { version, kind, id, body: frame }))
    }
}

/// Appends a frame to `out`. The body is at most [`MAX_BODY`] bytes, which the encoder has made sure of.
pub fn put(out: &mut BytesMut, version: u8, kind: u8, id: u32, body: &[u8]) {
    debug_assert!(body.len() <= MAX_BODY);
    // MAX_FRAME fits u32, so the conversion cannot fail.
    out.put_u32(u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX));
    out.put_u8(version);
    out.put_u8(kind);
    out.put_u16(0);
    out.put_u32(id);
    out.put_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(frame: &Frame) -> BytesMut {
        let mut out = BytesMut::new();
        put(&mut out, frame.version, frame.kind, frame.id, &frame.body);
        out
    }

    #[test]
    fn a_bad_length_is_refused_after_four_bytes() {
        for length in [0_u32, 7, 65_537, u32::MAX] {
            let mut buffer = BytesMut::from(&length.to_be_bytes()[..]);
            assert_eq!(Frame::take(&mut buffer), Err(BadFrame::Length(length as usize)));
        }
    }

    #[test]
    fn a_reserved_field_must_be_zero() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 8, 1, 1, 0, 1, 0, 0, 0, 0][..]);
        assert_eq!(Frame::take(&mut buffer), Err(BadFrame::Reserved(1)));
    }

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            frames in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u32>(),
                prop::collection::vec(any::<u8>(), 0..300)), 0..8),
            chunk in 1_usize..64,
        ) {
            let frames: Vec<Frame> = frames.into_iter()
                .map(|(version, kind, id, body)| Frame { version, kind, id, body: BytesMut::from(&body[..]) })
                .collect();
            let wire: Vec<u8> = frames.iter().flat_map(|f| bytes_of(f).to_vec()).collect();
            let (mut buffer, mut seen) = (BytesMut::new(), Vec::new());
            for piece in wire.chunks(chunk) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = Frame::take(&mut buffer).unwrap() { seen.push(frame); }
            }
            prop_assert_eq!(seen, frames);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn any_bytes_are_taken_or_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = Frame::take(&mut buffer) {}
        }
    }
}
