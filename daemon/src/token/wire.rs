//! What the daemon and a worker process say to each other on the socket pair between them. Both ends are the same
//! binary, so these messages have no versions.
//!
//! Frames: u32 big-endian length, then a bincode body.

use std::io::{self, Write};

use bytes::{Buf, BytesMut};
use chancery_protocol::{ByteBuf, codec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Largest body, in bytes: the longest message that is signed whole, and room for the rest.
const MAX_BODY: usize = chancery_protocol::frame::MAX_BODY;
const LENGTH: usize = 4;

/// What a worker is told.
#[derive(Serialize, Deserialize)]
pub enum ToWorker {
    /// First: which token to serve. The PIN is not here; it comes by a descriptor of its own.
    Start(Start),
    /// Sign.
    Sign {
        /// Repeated in the answer.
        id: u64,
        /// URI of the private key object.
        object: String,
        /// How.
        mechanism: SignMechanism,
        /// What, ready for the mechanism.
        input: ByteBuf,
    },
    /// Tell the public key of an object.
    Inspect {
        /// Repeated in the answer.
        id: u64,
        /// URI of the private key object.
        object: String,
    },
    /// Make a key pair.
    Generate {
        /// Repeated in the answer.
        id: u64,
        /// CKA_LABEL of both objects.
        label: String,
        /// Number of an [`chancery_protocol::Algorithm`].
        algorithm: u16,
    },
}

/// Which token to serve, and how.
#[derive(Serialize, Deserialize)]
pub struct Start {
    /// Path of the PKCS#11 module.
    pub module: String,
    /// URI of the token.
    pub token: String,
    /// Sessions, each with a thread of its own.
    pub sessions: u16,
    /// Whether sessions are opened read-only.
    pub read_only: bool,
    /// Whether the worker looks for the next message for a moment before it sleeps.
    pub vigil: bool,
}

/// The mechanisms that are used, with the input that each takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignMechanism {
    /// CKM_RSA_PKCS over a DigestInfo.
    RsaPkcs,
    /// CKM_RSA_PKCS_PSS over a SHA-256 digest.
    RsaPssSha256,
    /// CKM_RSA_PKCS_PSS over a SHA-384 digest.
    RsaPssSha384,
    /// CKM_RSA_PKCS_PSS over a SHA-512 digest.
    RsaPssSha512,
    /// CKM_ECDSA over a digest no longer than the curve's order.
    Ecdsa,
    /// CKM_EDDSA over a message.
    Eddsa,
}

/// What a worker answers.
#[derive(Serialize, Deserialize)]
pub enum FromWorker {
    /// The module is initialised and the user logged in.
    Ready,
    /// It cannot start; the worker ends.
    Failed(Fault),
    /// A signature.
    Signed {
        /// Of the request.
        id: u64,
        /// Raw.
        signature: ByteBuf,
    },
    /// The public key of an object, or of a pair that was made: DER of the SubjectPublicKeyInfo.
    PublicKey {
        /// Of the request.
        id: u64,
        /// DER.
        spki: ByteBuf,
    },
    /// A request failed. After a fatal fault the worker ends.
    Fault {
        /// Of the request.
        id: u64,
        /// How.
        fault: Fault,
    },
}

/// Whose fault it is, which decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// The worker or the token behind it is lost: a new worker, and the request again.
    Fatal,
    /// The token is busy: the same request again, later.
    Transient,
    /// This session's handles are stale: look up again, once. A worker keeps this to itself.
    Stale,
    /// The request or the key is at fault; another try would end the same.
    Request,
    /// Only the operator can help (a wrong PIN): never tried again by itself, so that no token locks itself.
    Operator,
}

/// A failure of the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// Whose fault it is.
    pub class: Class,
    /// Code, function and likely cause, for the operator.
    pub text: String,
}

/// Appends a message as a frame.
pub fn put<T: Serialize>(message: &T, out: &mut BytesMut) -> io::Result<()> {
    let mut body = Vec::with_capacity(256);
    codec::encode(message, &mut body).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

/// Takes the next whole message off the front of `buffer`.
pub fn take<T: DeserializeOwned>(buffer: &mut BytesMut) -> io::Result<Option<T>> {
    let Some((length, _)) = buffer.split_first_chunk::<LENGTH>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_BODY {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    if buffer.len() < LENGTH + length {
        return Ok(None);
    }
    buffer.advance(LENGTH);
    let body = buffer.split_to(length);
    codec::decode(&body).map(Some).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))
}

/// Whether two whole messages are at the front of `buffer`.
pub fn holds_two(buffer: &[u8]) -> bool {
    let after_one = |buffer: &[u8]| {
        let (length, rest) = buffer.split_first_chunk::<LENGTH>()?;
        rest.len().checked_sub(u32::from_be_bytes(*length) as usize)
    };
    let second = after_one(buffer).map(|rest| &buffer[buffer.len() - rest..]);
    second.is_some_and(|second| after_one(second).is_some())
}

/// Writes one message.
pub fn write<T: Serialize>(stream: &mut impl Write, message: &T) -> io::Result<()> {
    let mut out = BytesMut::new();
    put(message, &mut out)?;
    stream.write_all(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_whole_messages_are_seen_and_one_and_a_half_are_not() {
        let mut buffer = BytesMut::new();
        assert!(!holds_two(&buffer));
        for id in 0..2 {
            assert!(!holds_two(&buffer));
            put(&ToWorker::Inspect { id, object: "pkcs11:object=k".to_owned() }, &mut buffer).unwrap();
        }
        assert!(holds_two(&buffer));
        assert!(!holds_two(&buffer[..buffer.len() - 1]));
        assert!(take::<ToWorker>(&mut buffer).unwrap().is_some());
        assert!(!holds_two(&buffer));
    }
}
