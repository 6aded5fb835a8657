//! The digests that a package carries of itself.

use std::io::Read;

use chancery_protocol::Digest;
use sequoia_openpgp::crypto::hash::Context;
use sequoia_openpgp::fmt::hex;
use sequoia_openpgp::types::HashAlgorithm;

use super::error::Part;
use super::package::Package;
use super::{Error, tags};
use crate::openpgp::{digest, feed, library};

/// What a digest or a signature is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Range {
    Header,
    Payload,
    Both,
}

impl Range {
    /// How rpm writes it before the name of a check.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Header => "Header ",
            Self::Payload => "Payload ",
            Self::Both => "",
        }
    }
}

/// One digest of the package, in lower-case hexadecimal, as the package states it.
#[derive(Debug, Clone)]
pub(super) struct Stated {
    pub(super) range: Range,
    pub(super) algorithm: HashAlgorithm,
    value: String,
}

/// A stated digest after the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    Different {
        found: String,
    },
    /// The library has no such hash.
    Unsupported,
}

impl Stated {
    /// Its name as rpm writes it, such as `Header SHA256 digest`.
    pub(super) fn name(&self) -> String {
        format!("{}{} digest", self.range.prefix(), hash_name(self.algorithm))
    }

    /// A fresh hash, if there is one here.
    pub(super) fn context(&self) -> Option<Context> {
        Some(self.algorithm.context().ok()?.for_digest())
    }

    /// Compares with what `context` has hashed.
    pub(super) fn compare(&self, context: Option<Context>) -> Compared {
        let Some(found) = context.and_then(|context| context.into_digest().ok()) else {
            return Compared::Unsupported;
        };
        let found = hexadecimal(&found);
        if found == self.value { Compared::Same } else { Compared::Different { found } }
    }

    pub(super) fn require(&self, compared: Compared) -> Result<(), Error> {
        match compared {
            Compared::Same | Compared::Unsupported => Ok(()),
            Compared::Different { found } => {
                Err(Error::Corrupt { what: self.name(), found, expected: self.value.clone() })
            }
        }
    }
}

impl Package {
    /// SHA-256 of the main header, which names a build of a package like nothing else: for audit records, and the same
    /// that rpm shows as `%{SHA256HEADER}`.
    pub fn header_digest(&self) -> Result<Digest, Error> {
        let mut context = HashAlgorithm::SHA256.context().map_err(library("start a hash"))?.for_digest();
        context.update(self.main.bytes());
        Ok(digest(context)?)
    }

    /// Refuses a package whose main header is not the one that its digests were made of.
    pub(super) fn check_header_digests(&self) -> Result<(), Error> {
        for digest in self.stated_digests().into_iter().filter(|digest| digest.range == Range::Header) {
            let context = digest.context().map(|mut context| {
                context.update(self.main.bytes());
                context
            });
            digest.require(digest.compare(context))?;
        }
        Ok(())
    }

    /// All digests of the package that can be compared with its bytes, in rpm's order.
    pub(super) fn stated_digests(&self) -> Vec<Stated> {
        let text = |range, algorithm, value: Option<String>| {
            value.map(|value| Stated { range, algorithm, value: value.to_ascii_lowercase() })
        };
        let header = |tag, algorithm| text(Range::Header, algorithm, self.signatures.string(tag));
        let payload = |tag, algorithm| text(Range::Payload, algorithm, self.main.string(tag));
        let payload_algorithm =
            self.main.number(tags::PAYLOADDIGESTALGO).and_then(|number| u8::try_from(number).ok());
        let md5 = self.signatures.binary(tags::SIG_MD5).map(hexadecimal);
        [
            header(tags::SIG_SHA3_256, HashAlgorithm::SHA3_256),
            header(tags::SIG_SHA256, HashAlgorithm::SHA256),
            header(tags::SIG_SHA1, HashAlgorithm::SHA1),
            payload(tags::PAYLOADSHA3_256, HashAlgorithm::SHA3_256),
            payload(tags::PAYLOADSHA512, HashAlgorithm::SHA512),
            payload(
                tags::PAYLOADDIGEST,
                payload_algorithm.map_or(HashAlgorithm::SHA256, HashAlgorithm::from),
            ),
            text(Range::Both, HashAlgorithm::MD5, md5),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Feeds the payload once to every context that wants it, the main header first to those over both.
    pub(super) fn feed_payload<'a>(
        &self,
        contexts: impl IntoIterator<Item = (Range, &'a mut Context)>,
        payload: impl Read,
    ) -> Result<(), Error> {
        let mut contexts: Vec<_> =
            contexts.into_iter().filter(|(range, _)| *range != Range::Header).collect();
        for (_, context) in contexts.iter_mut().filter(|(range, _)| *range == Range::Both) {
            context.update(self.main.bytes());
        }
        let update = |chunk: &[u8]| contexts.iter_mut().for_each(|(_, context)| context.update(chunk));
        feed(payload, update).map_err(|source| Error::Read { part: Part::Payload, source })?;
        Ok(())
    }
}

/// A hash as rpm writes it.
pub(super) fn hash_name(algorithm: HashAlgorithm) -> String {
    match algorithm {
        HashAlgorithm::SHA3_256 => "SHA3-256".to_owned(),
        other => other.to_string(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    hex::encode(bytes).to_ascii_lowercase()
}
