//! openssl: a software key in the place of the token, and the judge.

use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_formats::raw::Input;
use chancery_formats::x509::{
    Certificate, CertificateOptions, Profile, Serial, Validity, prepare_certificate,
};
use chancery_protocol::{Algorithm, PublicKey};
use tempfile::TempDir;

use super::{NOW, run, write};

/// A key in a PEM file, which openssl signs with as the token would.
pub struct OpenSslKey {
    folder: TempDir,
    pub algorithm: Algorithm,
    pub public: PublicKey,
}

impl OpenSslKey {
    pub fn new(algorithm: Algorithm) -> Self {
        let folder = TempDir::new().unwrap();
        let (kind, option) = match algorithm {
            Algorithm::Rsa2048 => ("RSA", Some("rsa_keygen_bits:2048")),
            Algorithm::Rsa3072 => ("RSA", Some("rsa_keygen_bits:3072")),
            Algorithm::Rsa4096 => ("RSA", Some("rsa_keygen_bits:4096")),
            Algorithm::P256 => ("EC", Some("ec_paramgen_curve:P-256")),
            Algorithm::P384 => ("EC", Some("ec_paramgen_curve:P-384")),
            Algorithm::P521 => ("EC", Some("ec_paramgen_curve:P-521")),
            Algorithm::Ed25519 => ("ED25519", None),
        };
        let mut generate = Command::new("openssl");
        generate.args(["genpkey", "-algorithm", kind, "-out"]).arg(folder.path().join("key.pem"));
        generate.args(option.into_iter().flat_map(|option| ["-pkeyopt", option]));
        run(&mut generate);
        let spki = folder.path().join("key.der");
        run(Command::new("openssl")
            .args(["pkey", "-pubout", "-outform", "DER", "-in"])
            .arg(folder.path().join("key.pem"))
            .arg("-out")
            .arg(&spki));
        let public = PublicKey::from_spki(&std::fs::read(spki).unwrap()).unwrap();
        Self { folder, algorithm, public }
    }

    /// Its file, for tools that sign with files.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The raw signature that the daemon would return.
    pub fn sign(&self, input: &Input) -> Vec<u8> {
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-sign", "-inkey"]).arg(self.path());
        let data = match input {
            Input::Digest(digest) => {
                command.args(["-pkeyopt", &format!("digest:{}", digest.hash())]);
                digest.bytes()
            }
            Input::Message(message) => {
                command.arg("-rawin");
                message
            }
        };
        let (data, signature) = (write(self.folder(), "data", data), self.folder().join("signature"));
        run(command.arg("-in").arg(data).arg("-out").arg(&signature));
        let value = std::fs::read(signature).unwrap();
        match self.algorithm {
            Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => {
                raw(&value, self.algorithm.signature_len() / 2)
            }
            _ => value,
        }
    }

    /// A self-signed certificate, made by this crate.
    pub fn certificate(&self, profile: Profile) -> Certificate {
        let options = CertificateOptions {
            subject: "CN=Test modules, O=Example, C=DE".parse().unwrap(),
            profile,
            validity: Validity { not_before: NOW.into(), not_after: None },
            serial: Serial::random().unwrap(),
            hash: None,
        };
        let pending = prepare_certificate(&self.public, &options).unwrap();
        let raw = self.sign(pending.input());
        pending.finish(&raw).unwrap()
    }
}

/// `r || s` of an Ecdsa-Sig-Value whose lengths are short enough for two bytes of length.
fn raw(value: &[u8], size: usize) -> Vec<u8> {
    let mut rest = if value[1] == 0x81 { &value[3..] } else { &value[2..] };
    let mut raw = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        raw.extend(std::iter::repeat_n(0, size - number.len()));
        raw.extend(number);
        rest = &rest[2 + length..];
    }
    raw
}
