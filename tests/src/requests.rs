//! Requests for tests that speak to the daemon without an agent, and the judge of what comes back.

use std::path::Path;
use std::process::Command;

use chancery_protocol::agent::{Context, Sign};
use chancery_protocol::{ByteBuf, Format, PublicKey, Scheme};
use sha2::{Digest as _, Sha256};

pub use bytes::BytesMut;

use crate::process::run;

/// A request of one SHA-256 digest, of a text that `number` makes different.
pub fn sign(key: &str, scheme: Scheme, number: u32) -> Sign {
    Sign {
        key: key.parse().expect("a key name"),
        scheme: scheme.code(),
        digests: vec![ByteBuf::from(digest(number))],
        context: Context {
            format: Format::Raw.code(),
            artifact: format!("artifact-{number}"),
            artifact_digest: ByteBuf::default(),
            build: "build-1".to_owned(),
        },
        extensions: Vec::new(),
    }
}

/// The digest that [`sign`] asks for.
pub fn digest(number: u32) -> Vec<u8> {
    Sha256::digest(number.to_be_bytes()).to_vec()
}

/// Whether openssl accepts a raw signature over a SHA-256 digest by the key with this SubjectPublicKeyInfo.
pub fn openssl_accepts(folder: &Path, spki: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    let signature = match PublicKey::from_spki(spki).expect("a public key") {
        PublicKey::Ec { .. } => ecdsa_sig_value(signature),
        _ => signature.to_vec(),
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file for openssl");
        path
    };
    let (key, data, sig) = (write("key.der", spki), write("digest", digest), write("signature", &signature));
    let mut command = Command::new("openssl");
    command.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-pkeyopt", "digest:sha256", "-inkey"]);
    command.arg(key).arg("-in").arg(data).arg("-sigfile").arg(sig);
    run(&mut command).code == Some(0)
}

/// ECDSA-Sig-Value (RFC 3279, section 2.2.3) of r and s side by side.
pub fn ecdsa_sig_value(raw: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut value: Vec<u8> = bytes.iter().copied().skip_while(|&byte| byte == 0).collect();
        if value.first().is_none_or(|byte| byte & 0x80 != 0) {
            value.insert(0, 0);
        }
        [&[2, length(value.len())][..], &value].concat()
    };
    let (r, s) = raw.split_at(raw.len() / 2);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, length(both.len())][..], &both].concat()
}

fn length(length: usize) -> u8 {
    let short = u8::try_from(length).expect("a curve of at most 384 bits");
    assert!(short < 0x80, "a curve of at most 384 bits");
    short
}
