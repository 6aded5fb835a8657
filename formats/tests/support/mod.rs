//! What the tests share: a software key in the place of the token, and the foreign tools that judge.
#![allow(dead_code, reason = "each test crate uses a part")]
#![allow(unreachable_pub, reason = "the tests of other crates may take it over")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

pub mod gpg;
pub mod header;
#[cfg(feature = "x509")]
pub mod openssl;
#[cfg(feature = "pe")]
pub mod pe;
#[cfg(feature = "rpm")]
pub mod rpm;

use std::path::Path;
use std::process::{Command, Output};

use chancery_formats::openpgp::{Certificate, CertificateOptions, SigningKey, prepare_certificate};
use chancery_protocol::{Algorithm, Digest, PublicKey};
use sequoia_openpgp::crypto::{KeyPair, Signer as _, mpi};
use sequoia_openpgp::packet::key::{Key4, SecretParts, UnspecifiedRole};
use sequoia_openpgp::packet::{Key, Signature};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::types::{Curve, HashAlgorithm};
use sequoia_openpgp::{Cert, Packet};

/// 2026-01-01, when the keys of the tests are created.
pub const CREATED: u32 = 1_767_225_600;
/// 2026-11-01, when they sign.
pub const NOW: u32 = 1_793_491_200;

/// The certificate in `bytes`.
pub fn parsed(bytes: &[u8]) -> Certificate {
    Certificate::parse(bytes).unwrap()
}

/// A key in software that signs digests as the daemon does.
pub struct SoftKey {
    pub signing: SigningKey,
    pub public: PublicKey,
    pair: KeyPair,
}

impl SoftKey {
    pub fn new(algorithm: Algorithm) -> Self {
        let key: Key<SecretParts, UnspecifiedRole> = match algorithm {
            Algorithm::Rsa2048 => Key4::generate_rsa(2048),
            Algorithm::Rsa3072 => Key4::generate_rsa(3072),
            Algorithm::Rsa4096 => Key4::generate_rsa(4096),
            Algorithm::P256 => Key4::generate_ecc(true, Curve::NistP256),
            Algorithm::P384 => Key4::generate_ecc(true, Curve::NistP384),
            Algorithm::P521 => Key4::generate_ecc(true, Curve::NistP521),
            Algorithm::Ed25519 => Key4::generate_ecc(true, Curve::Ed25519),
        }
        .unwrap()
        .into();
        let public = public(key.mpis());
        let signing = SigningKey::new(algorithm, &public, CREATED).unwrap();
        Self { signing, public, pair: key.into_keypair().unwrap() }
    }

    /// The raw signature that the daemon would return.
    pub fn sign(&self, digest: &Digest) -> Vec<u8> {
        let hash = match digest.hash().digest_len() {
            32 => HashAlgorithm::SHA256,
            48 => HashAlgorithm::SHA384,
            _ => HashAlgorithm::SHA512,
        };
        let signature = self.pair.clone().sign(hash, digest.bytes()).unwrap();
        raw(&signature, self.signing.algorithm())
    }

    pub fn sign_all(&self, digests: &[Digest]) -> Vec<Vec<u8>> {
        digests.iter().map(|digest| self.sign(digest)).collect()
    }

    /// A certificate with one user id.
    pub fn certificate(&self) -> Certificate {
        self.certificate_for(&["Test <test@example.org>"], None)
    }

    pub fn certificate_for(&self, user_ids: &[&str], valid_for: Option<u32>) -> Certificate {
        let options = CertificateOptions {
            user_ids: user_ids.iter().map(ToString::to_string).collect(),
            created: CREATED,
            valid_for,
            hash: self.signing.default_hash(),
        };
        let pending = prepare_certificate(&self.signing, &options).unwrap();
        let raw = self.sign_all(&pending.digests());
        pending.finish(&raw).unwrap()
    }
}

/// OpenPGP's numbers of a public key as the token tells them.
pub fn public(numbers: &mpi::PublicKey) -> PublicKey {
    match numbers {
        mpi::PublicKey::RSA { e, n } => PublicKey::Rsa { n: n.value().to_vec(), e: e.value().to_vec() },
        mpi::PublicKey::ECDSA { q, .. } => PublicKey::Ec { point: q.value().to_vec() },
        mpi::PublicKey::EdDSA { q, .. } => PublicKey::Ed25519 { point: q.value()[1..].try_into().unwrap() },
        other => panic!("no key of ours: {other:?}"),
    }
}

/// OpenPGP's numbers of a signature as the token returns them.
pub fn raw(signature: &mpi::Signature, algorithm: Algorithm) -> Vec<u8> {
    let half = algorithm.signature_len() / 2;
    match signature {
        mpi::Signature::RSA { s } => s.value_padded(2 * half).unwrap().into_owned(),
        mpi::Signature::ECDSA { r, s } | mpi::Signature::EdDSA { r, s } => {
            [r.value_padded(half).unwrap(), s.value_padded(half).unwrap()].concat()
        }
        other => panic!("no signature of ours: {other:?}"),
    }
}

/// Whether all `tools` are installed; if not, the test says so and is skipped, except in CI.
pub fn have(tools: &[&str]) -> bool {
    let missing: Vec<_> = tools.iter().filter(|tool| !installed(tool)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "missing in CI: {missing:?}");
    eprintln!("skipped: install {missing:?}");
    false
}

fn installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Runs a tool in English and shows what it printed if it fails.
pub fn run(command: &mut Command) -> String {
    let (ok, text) = try_run(command);
    assert!(ok, "{command:?} failed:\n{text}");
    text
}

/// Runs a tool in English; whether it succeeded, and all that it printed.
pub fn try_run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.env("LC_ALL", "C").output().unwrap();
    let text = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
    (status.success(), text)
}

/// Writes a file and gives its path back.
pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The numbers of a certificate's primary key.
pub fn gpg_public(certificate: &[u8]) -> PublicKey {
    public(Cert::from_bytes(certificate).unwrap().primary_key().key().mpis())
}

/// The numbers of a certificate's only subkey.
pub fn gpg_subkey(certificate: &[u8]) -> PublicKey {
    public(Cert::from_bytes(certificate).unwrap().keys().subkeys().next().unwrap().key().mpis())
}

/// A binary signature packet.
pub fn packet(bytes: &[u8]) -> Signature {
    match Packet::from_bytes(bytes).unwrap() {
        Packet::Signature(signature) => signature,
        other => panic!("no signature: {other:?}"),
    }
}

/// When a signature was made, in seconds since 1970.
pub fn created(signature: &Signature) -> u32 {
    let time = signature.signature_creation_time().unwrap();
    time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}
