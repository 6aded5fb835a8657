//! SSH signatures, judged by ssh-keygen, compared with its own, and taken apart by a reader that knows only the standard.
#![cfg(all(feature = "ssh", feature = "x509"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs::File;
use std::process::{Command, Stdio};

use chancery_formats::raw::Input;
use chancery_formats::ssh::{Error, MessageHash, Namespace, SigningKey, armor, sign};
use chancery_protocol::{Algorithm, Digest, Hash, PublicKey};
use proptest::prelude::*;
use support::openssl::OpenSslKey;
use support::{SoftKey, have, run, try_run, write};

fn signed(key: &OpenSslKey, namespace: &str, hash: MessageHash, data: &[u8]) -> Vec<u8> {
    let signing = SigningKey::new(key.algorithm, &key.public).unwrap();
    let pending = sign(&signing, &Namespace::new(namespace).unwrap(), hash, data).unwrap();
    let raw = key.sign(pending.input());
    pending.finish(&raw).unwrap()
}

#[test]
fn ssh_keygen_accepts_signatures_of_every_algorithm_over_the_signed_data_alone() {
    if !have(&["openssl", "ssh-keygen"]) {
        return;
    }
    for &algorithm in Algorithm::ALL {
        let key = OpenSslKey::new(algorithm);
        let line = SigningKey::new(algorithm, &key.public).unwrap().line("a comment");
        let signers = write(key.folder(), "signers", format!("me@example.org {line}\n"));
        let text = armor(&signed(&key, "file", MessageHash::Sha512, b"some data\n"));
        let signature = write(key.folder(), "sig", text);
        for (data, namespace, good) in
            [("some data\n", "file", true), ("some data", "file", false), ("some data\n", "git", false)]
        {
            let data = write(key.folder(), "data", data);
            let mut command = Command::new("ssh-keygen");
            command.args(["-Y", "verify", "-I", "me@example.org", "-n", namespace, "-f"]).arg(&signers);
            command.arg("-s").arg(&signature).stdin(Stdio::from(File::open(data).unwrap()));
            let (ok, said) = try_run(&mut command);
            assert_eq!(ok, good, "{algorithm} {namespace}: {said}");
        }
    }
}

#[test]
fn an_rsa_signature_and_public_key_are_byte_for_byte_those_of_ssh_keygen() {
    if !have(&["openssl", "ssh-keygen"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa3072);
    let data = write(key.folder(), "data", "some data\n".repeat(50_000));
    let signing = SigningKey::new(key.algorithm, &key.public).unwrap();
    let theirs = run(Command::new("ssh-keygen").args(["-y", "-f"]).arg(key.path()));
    assert_eq!(theirs.trim(), signing.line("").trim());
    let listed = run(Command::new("ssh-keygen").args(["-l", "-f"]).arg(key.path()));
    assert!(listed.contains(&signing.fingerprint().unwrap()), "{listed}");
    // ssh-keygen reads the public key of such a file beside it.
    write(key.folder(), "key.pem.pub", signing.line(""));
    for &hash in MessageHash::ALL {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", "file", "-O", &format!("hashalg={}", hash.as_str()), "-f"]);
        let output = command.arg(key.path()).stdin(Stdio::from(File::open(&data).unwrap())).output().unwrap();
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert!(theirs.starts_with("-----BEGIN SSH SIGNATURE-----\n"), "{theirs}");
        assert_eq!(armor(&signed(&key, "file", hash, &std::fs::read(&data).unwrap())), theirs);
    }
}

/// Takes a `string` (RFC 4251, section 5) off the front.
fn string<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, behind) = rest.split_first_chunk().unwrap();
    let (string, behind) = behind.split_at(u32::from_be_bytes(*length).try_into().unwrap());
    *rest = behind;
    string
}

/// Takes a positive `mpint` off the front: without its sign, and without a zero too many.
fn number<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let number = string(rest);
    assert!(number.first().is_none_or(|first| first & 0x80 == 0), "it is not negative");
    let value = number.strip_prefix(&[0]).unwrap_or(number);
    assert!(value.len() == number.len() || value[0] & 0x80 != 0, "its zero is needed");
    value
}

fn padded(number: &[u8], size: usize) -> Vec<u8> {
    [vec![0; size - number.len()], number.to_vec()].concat()
}

proptest! {
    // Each case makes a signature.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_signature_holds_key_namespace_hash_and_numbers_and_nothing_more(
        algorithm in prop::sample::select(vec![Algorithm::Rsa2048, Algorithm::P256, Algorithm::P384, Algorithm::P521]),
        namespace in "[a-z@.]{1,40}",
        hash in prop::sample::select(MessageHash::ALL),
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let key = soft_key(algorithm);
        let signing = SigningKey::new(algorithm, &key.public).unwrap();
        let pending = sign(&signing, &Namespace::new(&namespace).unwrap(), hash, &data[..]).unwrap();
        let Input::Digest(digest) = pending.input() else { panic!("not a digest") };
        let raw = key.sign(digest);
        let signature = pending.finish(&raw).unwrap();

        let mut rest = signature.strip_prefix(b"SSHSIG\0\0\0\x01").unwrap();
        prop_assert_eq!(string(&mut rest), signing.blob());
        prop_assert_eq!(string(&mut rest), namespace.as_bytes());
        prop_assert_eq!(string(&mut rest), b"");
        prop_assert_eq!(string(&mut rest), hash.as_str().as_bytes());
        let mut numbers = string(&mut rest);
        prop_assert!(rest.is_empty());
        let named = string(&mut numbers);
        let mut value = string(&mut numbers);
        prop_assert!(numbers.is_empty());
        if algorithm == Algorithm::Rsa2048 {
            prop_assert_eq!((named, value), (&b"rsa-sha2-512"[..], &raw[..]));
        } else {
            let mut blob = signing.blob();
            prop_assert_eq!(named, string(&mut blob));
            let size = raw.len() / 2;
            let both = [padded(number(&mut value), size), padded(number(&mut value), size)].concat();
            prop_assert!(value.is_empty());
            prop_assert_eq!(both, raw);
        }
    }

    #[test]
    fn a_public_key_holds_its_numbers_and_nothing_more(
        n in prop::collection::vec(any::<u8>(), 256),
        e in prop::sample::select(vec![vec![3_u8], vec![1, 0, 1], vec![0x80, 1]]),
        point in any::<[u8; 32]>(),
    ) {
        let mut n = n;
        n[0] |= 0x80;
        let key = PublicKey::Rsa { n: n.clone(), e: e.clone() };
        let key = SigningKey::new(Algorithm::Rsa2048, &key).unwrap();
        let mut rest = key.blob();
        prop_assert_eq!(string(&mut rest), b"ssh-rsa");
        prop_assert_eq!(number(&mut rest), &e[..]);
        prop_assert_eq!(number(&mut rest), &n[..]);
        prop_assert!(rest.is_empty());

        let key = SigningKey::new(Algorithm::Ed25519, &PublicKey::Ed25519 { point }).unwrap();
        let mut rest = key.blob();
        prop_assert_eq!(string(&mut rest), b"ssh-ed25519");
        prop_assert_eq!(string(&mut rest), &point[..]);
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_changed_raw_signature_is_never_written(bit in 0..2048_usize, algorithm in prop::sample::select(vec![Algorithm::Rsa2048, Algorithm::P256])) {
        let key = soft_key(algorithm);
        let signing = SigningKey::new(algorithm, &key.public).unwrap();
        let namespace = Namespace::new("file").unwrap();
        let pending = sign(&signing, &namespace, MessageHash::Sha512, &b"data"[..]).unwrap();
        let Input::Digest(digest) = pending.input() else { panic!("not a digest") };
        let mut raw = key.sign(digest);
        let bit = bit % (raw.len() * 8);
        raw[bit / 8] ^= 1 << (bit % 8);
        let refused = matches!(pending.finish(&raw), Err(Error::WrongSignature { .. }));
        prop_assert!(refused);
    }
}

/// One key of each algorithm for all cases: RSA keys take a while to make.
fn soft_key(algorithm: Algorithm) -> &'static SoftKey {
    use std::sync::OnceLock;
    static KEYS: OnceLock<Vec<SoftKey>> = OnceLock::new();
    let all = [Algorithm::Rsa2048, Algorithm::P256, Algorithm::P384, Algorithm::P521];
    let keys = KEYS.get_or_init(|| all.map(SoftKey::new).into());
    keys.iter().find(|key| key.signing.algorithm() == algorithm).unwrap()
}

#[test]
fn an_ed25519_key_signs_the_signed_data_itself_and_a_signature_of_another_length_is_refused() {
    let key = PublicKey::Ed25519 { point: [7; 32] };
    let key = SigningKey::new(Algorithm::Ed25519, &key).unwrap();
    let pending = sign(&key, &Namespace::new("git").unwrap(), MessageHash::Sha256, &b"abc"[..]).unwrap();
    let Input::Message(message) = pending.input() else { panic!("not a message") };
    let mut rest = message.strip_prefix(b"SSHSIG").unwrap();
    let parts = [string(&mut rest), string(&mut rest), string(&mut rest), string(&mut rest)];
    // FIPS 180-4's example.
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(parts, [&b"git"[..], b"", b"sha256", &hex::decode(digest).unwrap()]);
    assert!(rest.is_empty());
    assert_eq!(pending.message_digest(), &Digest::new(Hash::Sha256, hex::decode(digest).unwrap()).unwrap());
    assert!(matches!(pending.finish(&[0; 63]), Err(Error::WrongSignature { .. })));
}
