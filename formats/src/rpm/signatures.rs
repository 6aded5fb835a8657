//! The signatures that a package already has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sequoia_openpgp::Packet;
use sequoia_openpgp::packet::Signature;
use sequoia_openpgp::parse::Parse;

use super::digests::{Range, hash_name};
use super::package::Package;
use super::tags;
use crate::openpgp::{KeyId, issuer, seconds};

/// A signature in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureInfo {
    /// The tag that holds it: 268 or 267 over the header, 278 over the header in rpm 6, 1002 or 1005 over header and
    /// payload.
    pub tag: u32,
    /// The key that it names, if it can be read.
    pub key_id: Option<KeyId>,
    /// When it says that it was made, in seconds since 1970.
    pub created: Option<u32>,
    /// Version, algorithm and hash as rpm writes them, such as `V4 RSA/SHA256`.
    pub algorithms: String,
}

/// A signature of a package, as far as it can be read.
pub(super) struct Found {
    pub(super) tag: u32,
    pub(super) signature: Option<Signature>,
}

impl Found {
    pub(super) const fn range(&self) -> Range {
        match self.tag {
            tags::SIG_PGP | tags::SIG_GPG | tags::SIG_PGP5 => Range::Both,
            _ => Range::Header,
        }
    }

    pub(super) fn info(&self) -> SignatureInfo {
        SignatureInfo {
            tag: self.tag,
            key_id: self.signature.as_ref().and_then(issuer),
            created: self
                .signature
                .as_ref()
                .and_then(|signature| signature.signature_creation_time())
                .map(seconds),
            algorithms: self.signature.as_ref().map_or_else(|| "unreadable".to_owned(), algorithms),
        }
    }
}

impl Package {
    /// The signatures in the package, readable or not; nothing is verified.
    pub fn signatures(&self) -> Vec<SignatureInfo> {
        self.found_signatures().map(|found| found.info()).collect()
    }

    pub(super) fn found_signatures(&self) -> impl Iterator<Item = Found> {
        tags::SIGNATURES
            .into_iter()
            .flat_map(|tag| self.packets(tag).map(move |signature| Found { tag, signature }))
    }

    /// The packets in `tag`, with `None` for what is no signature.
    fn packets(&self, tag: u32) -> impl Iterator<Item = Option<Signature>> {
        let binary = self.signatures.binary(tag).map(read);
        let strings = self.signatures.strings(tag).map(|text| read(&BASE64.decode(text.trim_ascii()).ok()?));
        binary.into_iter().chain(strings)
    }
}

fn read(packet: &[u8]) -> Option<Signature> {
    match Packet::from_bytes(packet) {
        Ok(Packet::Signature(signature)) => Some(signature),
        _ => None,
    }
}

fn algorithms(signature: &Signature) -> String {
    use sequoia_openpgp::types::PublicKeyAlgorithm as Algorithm;
    #[allow(deprecated, reason = "old packages carry them")]
    let algorithm = match signature.pk_algo() {
        Algorithm::RSAEncryptSign | Algorithm::RSASign => "RSA".to_owned(),
        Algorithm::DSA => "DSA".to_owned(),
        Algorithm::ECDSA => "ECDSA".to_owned(),
        Algorithm::EdDSA => "EdDSA".to_owned(),
        other => other.to_string(),
    };
    format!("V{} {algorithm}/{}", signature.version(), hash_name(signature.hash_algo()))
}
