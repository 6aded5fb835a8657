//! A request for signatures, parsed: what cannot be right is refused here, with a number.

use chancery_protocol::agent::{Context, Sign, SignMessage};
use chancery_protocol::{Digest, Format, Hash, KeyName, MAX_BATCH, MAX_MESSAGE, Reason, Refusal, Scheme};
use sha2::Digest as _;

use crate::policy::Input;

/// A request for signatures that could be served.
pub struct Order {
    /// The key's name.
    pub key: KeyName,
    /// The scheme; it has a hash unless the input is a message.
    pub scheme: Scheme,
    /// What to sign.
    pub input: OrderInput,
    /// The agent's claim about the format.
    pub format: Format,
    /// The agent's other claims, for the audit trail.
    pub context: Context,
}

/// What to sign.
pub enum OrderInput {
    /// Digests of the scheme's hash: at least one, at most a batch.
    Digests(Vec<Digest>),
    /// A message.
    Message(Vec<u8>),
}

impl Order {
    /// Parses a request over digests.
    pub fn over_digests(request: Sign) -> Result<Self, Refusal> {
        let scheme = scheme(request.scheme)?;
        let Some(hash) = scheme.hash() else {
            return Err(Refusal::new(
                Reason::Unsupported,
                format!("scheme {scheme} signs messages, not digests; send SignMessage"),
            ));
        };
        if request.digests.is_empty() || request.digests.len() > MAX_BATCH {
            let message = format!(
                "{} digests in a request; between 1 and {MAX_BATCH} are taken",
                request.digests.len()
            );
            return Err(Refusal::new(Reason::BadRequest, message));
        }
        let digests = request.digests.into_iter().map(|bytes| Digest::new(hash, bytes.into_vec()));
        let digests = digests
            .collect::<Result<_, _>>()
            .map_err(|bad| Refusal::new(Reason::BadRequest, format!("scheme {scheme}: {bad}")))?;
        Self::new(request.key, scheme, OrderInput::Digests(digests), request.context)
    }

    /// Parses a request over a message.
    pub fn over_message(request: SignMessage) -> Result<Self, Refusal> {
        let scheme = scheme(request.scheme)?;
        if request.message.len() > MAX_MESSAGE {
            let message =
                format!("a message of {} bytes; at most {MAX_MESSAGE} are taken", request.message.len());
            return Err(Refusal::new(Reason::BadRequest, message));
        }
        Self::new(request.key, scheme, OrderInput::Message(request.message.into_vec()), request.context)
    }

    fn new(key: KeyName, scheme: Scheme, input: OrderInput, context: Context) -> Result<Self, Refusal> {
        let format = Format::from_code(context.format).ok_or_else(|| {
            Refusal::new(Reason::Unsupported, format!("format {} is not known here", context.format))
        })?;
        for (name, length, most) in [
            ("artifact", context.artifact.len(), Context::MAX_TEXT),
            ("build", context.build.len(), Context::MAX_TEXT),
            ("artifact digest", context.artifact_digest.len(), 64),
        ] {
            if length > most {
                let message = format!("context: {name} has {length} bytes; at most {most} are taken");
                return Err(Refusal::new(Reason::BadRequest, message));
            }
        }
        Ok(Self { key, scheme, input, format, context })
    }

    /// Which kind of input it brings.
    pub fn kind(&self) -> Input {
        match self.input {
            OrderInput::Digests(_) => Input::Digest,
            OrderInput::Message(_) => Input::Message,
        }
    }

    /// How many signatures it asks for; a batch fits u32 by its cap.
    pub fn count(&self) -> u32 {
        match &self.input {
            OrderInput::Digests(digests) => u32::try_from(digests.len()).unwrap_or(u32::MAX),
            OrderInput::Message(_) => 1,
        }
    }

    /// The digests as the audit trail names them, in hexadecimal: for pure Ed25519 the SHA-256 of the message.
    pub fn audited_digests(&self) -> Vec<String> {
        match &self.input {
            OrderInput::Digests(digests) => {
                digests.iter().map(|digest| hex::encode(digest.bytes())).collect()
            }
            OrderInput::Message(message) => {
                vec![hex::encode(digest(self.scheme.hash().unwrap_or(Hash::Sha256), message))]
            }
        }
    }
}

fn scheme(code: u16) -> Result<Scheme, Refusal> {
    Scheme::from_code(code)
        .ok_or_else(|| Refusal::new(Reason::Unsupported, format!("scheme {code} is not known here")))
}

/// The digest of a message.
pub fn digest(hash: Hash, message: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => sha2::Sha256::digest(message).to_vec(),
        Hash::Sha384 => sha2::Sha384::digest(message).to_vec(),
        Hash::Sha512 => sha2::Sha512::digest(message).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chancery_protocol::ByteBuf;

    fn sign(scheme: u16, digests: &[usize]) -> Sign {
        Sign {
            key: "k".parse().unwrap(),
            scheme,
            digests: digests.iter().map(|&len| ByteBuf::from(vec![0; len])).collect(),
            context: Context { format: Format::Raw.code(), ..Context::default() },
            extensions: vec![],
        }
    }

    #[test]
    fn requests_that_cannot_be_right_are_refused_by_number() {
        let sha256 = Scheme::RsaPkcs1Sha256.code();
        for (request, reason) in [
            (sign(sha256, &[]), Reason::BadRequest),
            (sign(sha256, &[31]), Reason::BadRequest),
            (sign(sha256, &[32, 64]), Reason::BadRequest),
            (sign(sha256, &[32; 65]), Reason::BadRequest),
            (sign(Scheme::Ed25519.code(), &[64]), Reason::Unsupported),
            (sign(999, &[32]), Reason::Unsupported),
        ] {
            assert_eq!(Order::over_digests(request).err().unwrap().reason(), reason);
        }
        assert_eq!(Order::over_digests(sign(sha256, &[32; 64])).ok().unwrap().count(), 64);
    }

    #[test]
    fn an_unknown_format_is_refused_by_number() {
        let mut request = sign(Scheme::RsaPkcs1Sha256.code(), &[32]);
        request.context.format = 77;
        assert_eq!(Order::over_digests(request).err().unwrap().reason(), Reason::Unsupported);
    }
}
