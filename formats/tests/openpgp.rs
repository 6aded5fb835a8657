//! OpenPGP signatures, judged by gpg, gpgv, sqv and apt.
#![cfg(feature = "openpgp")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_formats::openpgp::{
    Certificate, Content, Encoding, Error, SigningKey, VerifyError, armor_signature, cleartext, detached,
    inline, verify_detached, verify_message,
};
use chancery_protocol::{Algorithm, Hash, Scheme};
use proptest::prelude::*;
use support::gpg::Gpg;
use support::{CREATED, NOW, SoftKey, have, parsed, run, try_run, write};
use tempfile::TempDir;

const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Rsa2048, Algorithm::P256, Algorithm::P384, Algorithm::P521, Algorithm::Ed25519];

/// A key, its certificate on disk in both forms, and gpg with it imported.
struct Judge {
    key: SoftKey,
    certificate: Certificate,
    folder: TempDir,
    keyring: PathBuf,
    gpg: Gpg,
}

impl Judge {
    fn new(algorithm: Algorithm) -> Self {
        let key = SoftKey::new(algorithm);
        let certificate = key.certificate();
        let folder = TempDir::new().unwrap();
        let keyring = write(folder.path(), "cert.pgp", certificate.to_binary().unwrap());
        let armored = write(folder.path(), "cert.asc", certificate.to_armored().unwrap());
        let gpg = Gpg::new();
        gpg.import(&armored);
        Self { key, certificate, folder, keyring, gpg }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// All tools find a detached signature good, and none does after a byte has changed.
    fn accepts_detached(&self, signature: &Path, data: &Path) {
        let bytes = fs::read(data).unwrap();
        let mut changed = bytes.clone();
        changed.extend(b"x");
        let changed = write(self.path(), "changed", &changed);
        for (data, expected) in [(data, true), (&changed, false)] {
            let (good, said) = self.gpg.verify(&[signature, data]);
            assert_eq!(good, expected, "gpg: {said}");
            let mut gpgv = Command::new("gpgv");
            let (good, said) = try_run(gpgv.arg("--keyring").arg(&self.keyring).arg(signature).arg(data));
            assert_eq!(good, expected, "gpgv: {said}");
            let mut sqv = Command::new("sqv");
            let (good, said) = try_run(sqv.arg("--keyring").arg(&self.keyring).arg(signature).arg(data));
            assert_eq!(good, expected, "sqv: {said}");
            let ours = verify_detached(
                std::slice::from_ref(&self.certificate),
                &fs::read(signature).unwrap(),
                fs::File::open(data).unwrap(),
            );
            assert_eq!(ours.is_ok(), expected, "{ours:?}");
        }
    }
}

#[test]
fn every_tool_accepts_detached_signatures_of_every_algorithm() {
    if !have(&["gpg", "gpgv", "sqv"]) {
        return;
    }
    for algorithm in ALGORITHMS {
        let judge = Judge::new(algorithm);
        let data = write(judge.path(), "data", b"line one\r\nline two  \nlast".repeat(9000));
        let hashes: &[Hash] = match algorithm {
            // RFC 9580, section 5.2.3.2: no shorter hash than the curve asks for.
            Algorithm::P384 => &[Hash::Sha384, Hash::Sha512],
            Algorithm::P521 => &[Hash::Sha512],
            _ => Hash::ALL,
        };
        for &hash in hashes {
            for content in [Content::Binary, Content::Text] {
                let file = fs::File::open(&data).unwrap();
                let pending = detached(&judge.key.signing, hash, NOW, content, file).unwrap();
                assert_eq!(pending.scheme(), Scheme::over_digest(algorithm, hash));
                let raw = judge.key.sign(pending.digest());
                let packet = pending.finish(&raw).unwrap();
                let binary = write(judge.path(), "sig", &packet);
                judge.accepts_detached(&binary, &data);
                let armored = write(judge.path(), "sig.asc", armor_signature(&packet).unwrap());
                judge.accepts_detached(&armored, &data);
            }
        }
    }
}

#[test]
fn text_signatures_survive_other_line_ends() {
    if !have(&["gpg", "gpgv", "sqv"]) {
        return;
    }
    let judge = Judge::new(Algorithm::Ed25519);
    let pending = detached(&judge.key.signing, Hash::Sha512, NOW, Content::Text, &b"a\nb \n\nc"[..]).unwrap();
    let raw = judge.key.sign(pending.digest());
    let signature = write(judge.path(), "sig", pending.finish(&raw).unwrap());
    let crlf = write(judge.path(), "crlf", b"a\r\nb \r\n\r\nc");
    judge.accepts_detached(&signature, &crlf);
}

#[test]
fn the_same_input_and_time_give_the_same_signature() {
    for algorithm in [Algorithm::Rsa2048, Algorithm::Ed25519] {
        let key = SoftKey::new(algorithm);
        let make = |time| {
            let pending = detached(&key.signing, Hash::Sha512, time, Content::Binary, &b"data"[..]).unwrap();
            let raw = key.sign(pending.digest());
            pending.finish(&raw).unwrap()
        };
        assert_eq!(make(NOW), make(NOW));
        assert_ne!(make(NOW), make(NOW + 1));
    }
}

#[test]
fn a_signature_is_laid_out_as_gpg_lays_it_out() {
    if !have(&["gpg", "gpgconf"]) {
        return;
    }
    for (name, algorithm) in [("rsa2048", Algorithm::Rsa2048), ("ed25519", Algorithm::Ed25519)] {
        let gpg = Gpg::new();
        let certificate = gpg.generate(name);
        let folder = TempDir::new().unwrap();
        let data = write(folder.path(), "data", b"some data");
        run(gpg.command().args(["--digest-algo", "SHA256", "--detach-sign"]).arg(&data));
        let theirs = fs::read(folder.path().join("data.sig")).unwrap();

        let (public, packet) = (support::gpg_public(&certificate), support::packet(&theirs));
        let key = SigningKey::from_certificate(&parsed(&certificate), &public).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        let created = support::created(&packet);
        let pending = detached(&key, Hash::Sha256, created, Content::Binary, &b"some data"[..]).unwrap();
        let ours = pending.finish(&support::raw(packet.mpis(), algorithm)).unwrap();
        // gpg writes the packet's header in the legacy format of the same length (RFC 9580, section 4.2.2).
        let header = if algorithm == Algorithm::Ed25519 { 2 } else { 3 };
        assert_eq!(ours.len(), theirs.len());
        assert_eq!(ours[header..], theirs[header..], "{name}");
    }
}

/// Texts that trip cleartext signers: dashes, blanks at line ends, no end, only ends, CR LF.
const TEXTS: [(&str, &str); 12] = [
    ("plain", "hello\nworld\n"),
    ("no end", "hello\nworld"),
    ("empty", ""),
    ("one end", "\n"),
    ("many ends", "a\n\n\n\n"),
    ("blanks", "a \t\nb\t \n   \n \n"),
    ("blanks last", "a \t"),
    ("dashes", "-\n--\n- a\n-----BEGIN PGP SIGNATURE-----\n-----BEGIN PGP SIGNED MESSAGE-----\n"),
    ("from", "From me\n>From you\n"),
    ("crlf", "a\r\nb \r\n\r\n-c\r\n"),
    ("crlf without end", "a\r\nb"),
    ("utf-8", "Grüße, мир\n"),
];

#[test]
fn every_tool_accepts_cleartext_messages_and_reads_the_text() {
    if !have(&["gpg", "gpgv"]) {
        return;
    }
    let judge = Judge::new(Algorithm::Rsa2048);
    for (name, text) in TEXTS {
        let message = clearsign(&judge.key, text.as_bytes());
        let path = write(judge.path(), "message.asc", &message);
        let (good, said) = judge.gpg.verify(&[&path]);
        assert!(good, "{name}: gpg: {said}\n{}", String::from_utf8_lossy(&message));

        let output = judge.path().join("text");
        _ = fs::remove_file(&output);
        run(Command::new("gpgv")
            .arg("--keyring")
            .arg(&judge.keyring)
            .arg("--output")
            .arg(&output)
            .arg(&path));
        let mut ours = Vec::new();
        let verified = verify_message(std::slice::from_ref(&judge.certificate), &message[..], &mut ours);
        assert_eq!(verified.unwrap()[0].created, NOW, "{name}");
        let lines = |text: &str| {
            let lines: Vec<_> = text.lines().map(|line| line.trim_end().to_owned()).collect();
            lines.join("\n").trim_end().to_owned()
        };
        for (tool, read) in [("gpgv", fs::read(&output).unwrap()), ("ours", ours)] {
            assert_eq!(lines(&String::from_utf8(read).unwrap()), lines(text), "{name}: {tool}");
        }

        let mut changed = message;
        let at = changed.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
        changed.insert(at, b'X');
        let path = write(judge.path(), "changed.asc", &changed);
        let (good, said) = judge.gpg.verify(&[&path]);
        assert!(!good && said.contains("BADSIG"), "{name}: gpg: {said}");
    }
}

fn clearsign(key: &SoftKey, text: &[u8]) -> Vec<u8> {
    let started = cleartext(&key.signing, key.signing.default_hash(), NOW, text, Vec::new()).unwrap();
    let raw = key.sign(started.digest());
    started.finish(&raw).unwrap()
}

#[test]
fn apt_accepts_an_in_release_of_ours() {
    if !have(&["apt-get", "gpgv"]) {
        return;
    }
    for algorithm in [Algorithm::Rsa2048, Algorithm::Ed25519, Algorithm::P256] {
        let key = SoftKey::new(algorithm);
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        let keyring = write(root, "cert.pgp", key.certificate().to_binary().unwrap());
        let repository = root.join("repository");
        for part in ["repository", "state/lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(root.join(part)).unwrap();
        }
        write(&repository, "Packages", "");
        // The digest of nothing at all.
        let release = "Origin: test\nSuite: test\nDate: Sun, 01 Nov 2026 00:00:00 UTC\nSHA256:\n \
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 Packages\n";
        write(
            root,
            "etc/sources.list",
            format!("deb [signed-by={}] file:{} ./\n", keyring.display(), repository.display()),
        );
        write(root, "status", "");
        let update = || {
            let mut apt = Command::new("apt-get");
            let options = [
                format!("Dir::Etc={}", root.join("etc").display()),
                "Dir::Etc::sourceparts=/dev/null".to_owned(),
                format!("Dir::State={}", root.join("state").display()),
                format!("Dir::State::status={}", root.join("status").display()),
                format!("Dir::Cache={}", root.join("cache").display()),
                "APT::Sandbox::User=root".to_owned(),
                "APT::Update::Error-Mode=any".to_owned(),
            ];
            for option in &options {
                apt.arg("-o").arg(option);
            }
            try_run(apt.env("APT_CONFIG", "/dev/null").arg("update"))
        };
        write(&repository, "InRelease", clearsign(&key, release.as_bytes()));
        let (good, said) = update();
        assert!(good, "{algorithm}: {said}");

        let other = SoftKey::new(algorithm);
        write(
            &repository,
            "InRelease",
            clearsign(&other, release.replace("Origin: test", "Origin: evil").as_bytes()),
        );
        let (good, said) = update();
        assert!(!good && said.contains("NO_PUBKEY"), "{algorithm}: {said}");
    }
}

#[test]
fn gpg_reads_inline_messages_of_every_length() {
    if !have(&["gpg", "gpgv"]) {
        return;
    }
    let judge = Judge::new(Algorithm::Ed25519);
    for length in [0, 1, 511, 512, 8383, 70_000, 3_000_000] {
        let data: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[0]).collect();
        for encoding in [Encoding::Binary, Encoding::Armor] {
            let started =
                inline(&judge.key.signing, Hash::Sha256, NOW, encoding, &data[..], Vec::new()).unwrap();
            let raw = judge.key.sign(started.digest());
            let message = started.finish(&raw).unwrap();
            assert_eq!(message.starts_with(b"-----BEGIN PGP MESSAGE-----"), encoding == Encoding::Armor);
            let path = write(judge.path(), "message", &message);
            let output =
                judge.gpg.command().args(["--output", "-", "--decrypt"]).arg(&path).output().unwrap();
            assert!(output.status.success(), "{length}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == data, "{length}: gpg read other data");
            let mut ours = Vec::new();
            verify_message(std::slice::from_ref(&judge.certificate), &message[..], &mut ours).unwrap();
            assert!(ours == data, "{length}: we read other data");
        }
    }
}

#[test]
fn sqv_lets_nobody_sign_with_an_expired_certificate() {
    if !have(&["sqv"]) {
        return;
    }
    let key = SoftKey::new(Algorithm::Ed25519);
    let folder = TempDir::new().unwrap();
    let certificate = key.certificate_for(&["Short <a@example.org>"], Some(86_400));
    let keyring = write(folder.path(), "cert.pgp", certificate.to_binary().unwrap());
    let data = write(folder.path(), "data", "x");
    let pending = detached(&key.signing, Hash::Sha512, NOW, Content::Binary, &b"x"[..]).unwrap();
    let raw = key.sign(pending.digest());
    let packet = pending.finish(&raw).unwrap();
    let signature = write(folder.path(), "sig", &packet);
    let (good, said) = try_run(Command::new("sqv").arg("--keyring").arg(keyring).arg(signature).arg(data));
    assert!(!good, "{said}");
    let ours = verify_detached(&[certificate], &packet, &b"x"[..]);
    assert!(matches!(ours, Err(VerifyError::BadKey { .. })), "{ours:?}");
}

#[test]
fn a_wrong_signature_is_never_attached() {
    for algorithm in ALGORITHMS {
        let key = SoftKey::new(algorithm);
        let prepare = || detached(&key.signing, Hash::Sha512, NOW, Content::Binary, &b"data"[..]).unwrap();
        let raw = key.sign(prepare().digest());
        for changed in [0, raw.len() / 2, raw.len() - 1] {
            let mut wrong = raw.clone();
            wrong[changed] ^= 1;
            let result = prepare().finish(&wrong);
            assert!(matches!(result, Err(Error::WrongSignature { .. })), "{algorithm} {changed}: {result:?}");
        }
        for wrong in [&raw[1..], &[], &[&raw[..], &[0]].concat()] {
            let result = prepare().finish(wrong);
            assert!(matches!(result, Err(Error::SignatureLength { .. })), "{algorithm}: {result:?}");
        }
        assert!(prepare().finish(&SoftKey::new(algorithm).sign(prepare().digest())).is_err());
        assert!(prepare().finish(&vec![0; raw.len()]).is_err());
    }
}

#[test]
fn verification_says_what_is_wrong() {
    let key = SoftKey::new(Algorithm::Ed25519);
    let other = SoftKey::new(Algorithm::Ed25519);
    let certificates = [key.certificate()];
    let sign = |key: &SoftKey| {
        let pending = detached(&key.signing, Hash::Sha512, NOW, Content::Binary, &b"data"[..]).unwrap();
        let raw = key.sign(pending.digest());
        pending.finish(&raw).unwrap()
    };
    let verify = |signature: &[u8], data: &'static [u8]| verify_detached(&certificates, signature, data);

    let good = verify(&sign(&key), b"data").unwrap();
    assert_eq!((&good[0].key, good[0].created), (&key.signing.fingerprint(), NOW));
    assert_eq!(good[0].user_ids, ["Test <test@example.org>"]);
    let bad = verify(&sign(&key), b"other");
    assert!(
        matches!(bad, Err(VerifyError::BadSignature { key: id, .. }) if id == key.signing.key_id()),
        "{bad:?}"
    );
    let unknown = verify(&sign(&other), b"data");
    let id = other.signing.key_id();
    assert!(matches!(unknown, Err(VerifyError::UnknownKey(found)) if found == id), "{unknown:?}");
    assert!(matches!(verify(b"", b"data"), Err(VerifyError::NoSignature | VerifyError::Malformed(_))));
    assert!(verify(b"rubbish", b"data").is_err());
    let none = verify_message(&certificates, &b"no message"[..], &mut Vec::new());
    assert!(matches!(none, Err(VerifyError::NoSignature | VerifyError::Malformed(_))), "{none:?}");
}

#[test]
fn what_cannot_be_signed_is_refused_with_a_reason() {
    let key = SoftKey::new(Algorithm::Ed25519);
    let early = detached(&key.signing, Hash::Sha512, CREATED - 1, Content::Binary, &b""[..]);
    assert!(matches!(early, Err(Error::BeforeKey { .. })), "{early:?}");
    let long = vec![b'x'; 30_000];
    let refused = cleartext(&key.signing, Hash::Sha512, NOW, &long[..], Vec::new());
    assert!(matches!(refused, Err(Error::LineTooLong { line: 1, .. })));
    assert!(detached(&key.signing, Hash::Sha512, NOW, Content::Binary, &long[..]).is_ok());
}

proptest! {
    #[test]
    fn verifying_arbitrary_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        _ = verify_detached(&[], &bytes, &b""[..]);
        _ = verify_message(&[], &bytes[..], &mut Vec::new());
    }
}
