//! Signed updates of UEFI variables: efitools makes the same bytes, and openssl verifies what is signed.
#![cfg(feature = "variable")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chancery_formats::raw::Input;
use chancery_formats::variable::{
    Entry, Error, Guid, Known, SignedUpdate, Update, Variable, VerifyError, lists, prepare,
};
use chancery_formats::x509::{Certificate, Profile};
use chancery_formats::{cms, pe};
use chancery_protocol::{Algorithm, Digest, Hash};
use support::openssl::OpenSslKey;
use support::pe::images;
use support::{NOW, have, run, write};

const EFITOOLS: [&str; 4] = ["openssl", "cert-to-efi-sig-list", "hash-to-efi-sig-list", "sign-efi-sig-list"];
const OWNER: &str = "11111111-2222-3333-4444-123456789abc";
/// [`NOW`] as sign-efi-sig-list takes it, where the clock is in UTC.
const THEN: &str = "2026-11-01 00:00:00";

fn owner() -> Guid {
    OWNER.parse().unwrap()
}

fn of(certificate: &Certificate) -> Entry {
    Entry::Certificate(Box::new(certificate.clone()))
}

fn update(variable: Variable, entries: Vec<Entry>) -> Update {
    Update { variable, entries, owner: owner(), append: false, time: NOW.into() }
}

fn signed(key: &OpenSslKey, certificate: &Certificate, update: &Update) -> Vec<u8> {
    let pending = prepare(update, certificate, &[]).unwrap();
    let raw = key.sign(&Input::Digest(pending.digest().clone()));
    pending.finish(&raw).unwrap()
}

fn pem(key: &OpenSslKey, certificate: &Certificate) -> PathBuf {
    write(key.folder(), "cert.pem", certificate.to_pem().unwrap())
}

/// The list that efitools makes of a certificate.
fn their_list(folder: &Path, cert: &Path) -> PathBuf {
    let list = folder.join("theirs.esl");
    run(Command::new("cert-to-efi-sig-list").args(["-g", OWNER]).arg(cert).arg(&list));
    list
}

#[test]
fn efitools_makes_the_same_lists() {
    if !have(&EFITOOLS) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Efi);
    let theirs = fs::read(their_list(key.folder(), &pem(&key, &certificate))).unwrap();
    assert_eq!(lists(&[of(&certificate)], owner()).unwrap(), theirs);

    // Its digests have no owner that one could choose.
    let images = images();
    let paths = [0, 1].map(|number| write(key.folder(), &format!("{number}.efi"), &images[number].bytes));
    let list = key.folder().join("hashes.esl");
    run(Command::new("hash-to-efi-sig-list").args(&paths).arg(&list));
    let theirs = fs::read(list).unwrap();
    let entries = paths.map(|path| {
        let mut file = fs::File::open(path).unwrap();
        let image = pe::Image::read(&mut file).unwrap();
        Entry::Image(pe::digest(&image, &mut file, Hash::Sha256).unwrap())
    });
    let ours = lists(&entries, owner()).unwrap();
    let without_owners = |list: &[u8]| {
        let (header, signatures) = list.split_at(28);
        let data = signatures.chunks(48).flat_map(|signature| &signature[16..]).copied();
        header.iter().copied().chain(data).collect::<Vec<_>>()
    };
    assert_eq!(without_owners(&ours), without_owners(&theirs));
}

#[test]
fn efitools_makes_the_same_updates() {
    if !have(&EFITOOLS) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Efi);
    let cert = pem(&key, &certificate);
    let list = their_list(key.folder(), &cert);
    for variable in [Variable::Pk, Variable::Kek, Variable::Db, Variable::Dbx] {
        for append in [false, true] {
            let theirs = key.folder().join("theirs.auth");
            let mut command = Command::new("sign-efi-sig-list");
            command.env("TZ", "UTC").args(["-t", THEN, "-k"]).arg(key.path()).arg("-c").arg(&cert);
            command.args(append.then_some("-a")).arg(variable.as_str()).arg(&list).arg(&theirs);
            run(&mut command);
            let ours =
                signed(&key, &certificate, &Update { append, ..update(variable, vec![of(&certificate)]) });
            assert!(ours == fs::read(theirs).unwrap(), "{variable}, append: {append}");
        }
    }
}

#[test]
fn openssl_verifies_what_every_kind_of_key_signs() {
    if !have(&EFITOOLS) {
        return;
    }
    for algorithm in [Algorithm::Rsa4096, Algorithm::P256, Algorithm::P384, Algorithm::P521] {
        let key = OpenSslKey::new(algorithm);
        let certificate = key.certificate(Profile::Efi);
        let digest = Digest::new(Hash::Sha512, vec![7; 64]).unwrap();
        let entries = vec![Entry::Image(digest), of(&certificate)];
        let made = signed(&key, &certificate, &update(Variable::Db, entries.clone()));
        let length = usize::try_from(u32::from_le_bytes(made[16..20].try_into().unwrap())).unwrap();
        let (header, value) = made.split_at(16 + length);
        assert_eq!(value, lists(&entries, owner()).unwrap());
        // What is signed: name, vendor, attributes, time, value (UEFI, section 8.2.2).
        let vendor: Guid = "d719b2cb-3d3a-4596-a3bc-dad00e67656f".parse().unwrap();
        let message = [b"d\0b\0", &vendor.as_bytes()[..], &[0x27, 0, 0, 0], &header[..16], value].concat();
        // openssl wants the ContentInfo that firmware does not.
        let signed_data = &header[40..];
        let wrapped = |tag: u8, inner: &[u8]| {
            let length = u16::try_from(inner.len()).unwrap().to_be_bytes();
            [&[tag, 0x82, length[0], length[1]], inner].concat()
        };
        let oid = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
        let info = wrapped(0x30, &[&oid[..], &wrapped(0xa0, signed_data)].concat());
        let (info, content) = (write(key.folder(), "info", info), write(key.folder(), "content", &message));
        let verify = |content: &Path| {
            let mut command = Command::new("openssl");
            command.args(["cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-in"]).arg(&info);
            command.arg("-content").arg(content).args(["-out", "/dev/null"]);
            command.output().unwrap().status.success()
        };
        assert!(verify(&content), "{algorithm}");
        let mut other = message;
        other[20] ^= 1;
        assert!(!verify(&write(key.folder(), "other", other)), "{algorithm}");
    }
}

#[test]
fn a_variable_without_entries_is_removed_and_times_and_keys_are_checked() {
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Efi);
    let made = signed(&key, &certificate, &update(Variable::Pk, vec![]));
    assert_eq!(
        made.len(),
        16 + usize::try_from(u32::from_le_bytes(made[16..20].try_into().unwrap())).unwrap()
    );
    assert_eq!(&made[..8], b"\xea\x07\x0b\x01\0\0\0\0");

    let late = Update { time: u64::MAX, ..update(Variable::Db, vec![]) };
    assert!(matches!(prepare(&late, &certificate, &[]), Err(Error::Time)));
    let ed25519 = OpenSslKey::new(Algorithm::Ed25519).certificate(Profile::Module);
    let refused = prepare(&update(Variable::Db, vec![]), &ed25519, &[]);
    assert!(matches!(refused, Err(Error::Signature(cms::Error::Algorithm(Algorithm::Ed25519)))));

    let pending = prepare(&update(Variable::Db, vec![]), &certificate, &[]).unwrap();
    let other = OpenSslKey::new(Algorithm::P256);
    let raw = other.sign(&Input::Digest(pending.digest().clone()));
    assert!(matches!(pending.finish(&raw), Err(Error::Signature(cms::Error::WrongSignature(_)))));
}

fn decoded(auth: &[u8]) -> SignedUpdate {
    SignedUpdate::decode(auth).unwrap()
}

#[test]
fn updates_of_efitools_and_ours_are_read_and_verified_for_the_variable_they_are_for() {
    if !have(&EFITOOLS) {
        return;
    }
    let (key, other) = (OpenSslKey::new(Algorithm::Rsa2048), OpenSslKey::new(Algorithm::P384));
    let (certificate, stranger) = (key.certificate(Profile::Efi), other.certificate(Profile::Efi));
    let cert = pem(&key, &certificate);
    let list = their_list(key.folder(), &cert);
    for append in [false, true] {
        let theirs = key.folder().join("theirs.auth");
        let mut command = Command::new("sign-efi-sig-list");
        command.env("TZ", "UTC").args(["-t", THEN, "-k"]).arg(key.path()).arg("-c").arg(&cert);
        run(command.args(append.then_some("-a")).arg("db").arg(&list).arg(theirs.as_path()));
        let ours = Update { append, ..update(Variable::Db, vec![of(&certificate)]) };
        for auth in [fs::read(&theirs).unwrap(), signed(&key, &certificate, &ours)] {
            let read = decoded(&auth);
            assert_eq!((read.time(), read.hash()), (NOW.into(), Hash::Sha256));
            assert_eq!(read.certificates(), [(certificate.subject(), true)]);
            let [list] = read.lists() else { panic!("{:?}", read.lists()) };
            let [(owner_of_it, data)] = list.entries.as_slice() else { panic!("{list:?}") };
            assert_eq!((*owner_of_it, data.as_slice()), (owner(), certificate.as_der()));
            let Some(Known::Certificate { subject, fingerprint }) = list.known(data) else {
                panic!("{list:?}")
            };
            assert_eq!(subject, certificate.subject());
            assert_eq!(hex::encode(fingerprint), certificate.fingerprint().unwrap());

            let trusted = std::slice::from_ref(&certificate);
            let verified = read.verify(Variable::Db, trusted).unwrap();
            assert_eq!((verified.append, verified.subject), (append, certificate.subject()));
            // Another name, and another vendor.
            for variable in [Variable::Dbx, Variable::Kek] {
                let error = read.verify(variable, trusted).unwrap_err();
                assert!(matches!(error, VerifyError::NotOver { .. }), "{error}");
            }
            let error = read.verify(Variable::Db, std::slice::from_ref(&stranger)).unwrap_err();
            assert!(matches!(error, VerifyError::UnknownSigner(_)), "{error}");
        }
    }
}

#[test]
fn every_byte_of_an_update_counts() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Efi);
    let digest = Digest::new(Hash::Sha256, vec![7; 32]).unwrap();
    let auth = signed(&key, &certificate, &update(Variable::Dbx, vec![Entry::Image(digest)]));
    let good = |bytes: &[u8]| {
        let update = SignedUpdate::decode(bytes);
        update.is_ok_and(|update| update.verify(Variable::Dbx, std::slice::from_ref(&certificate)).is_ok())
    };
    assert!(good(&auth));
    for at in 0..auth.len() {
        let mut flipped = auth.clone();
        flipped[at] ^= 1;
        assert!(!good(&flipped), "byte {at:#x}");
        assert!(!good(&auth[..at]), "cut at {at:#x}");
    }
    assert!(!good(&[&auth[..], &[0]].concat()));
}

#[test]
fn an_update_that_is_none_is_refused_with_the_place_and_the_reason() {
    type Change = fn(&mut Vec<u8>, usize);
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Efi);
    let digest = Digest::new(Hash::Sha256, vec![7; 32]).unwrap();
    let auth = signed(&key, &certificate, &update(Variable::Dbx, vec![Entry::Image(digest)]));
    let list = auth.len() - 28 - 48;
    let put = |number: u32| number.to_le_bytes();
    assert_eq!(auth[list + 16..list + 20], put(28 + 48));
    let changes: [(Change, &str); 14] = [
        (|auth, _| auth.truncate(39), "at offset 0x0, it is shorter than the header"),
        (|auth, _| auth[2] = 13, "at offset 0x0, it does not begin with a time in UTC"),
        (|auth, _| auth[8] = 1, "it does not begin with a time in UTC"),
        (|auth, _| auth[20] = 1, "at offset 0x14, what follows the time is no certificate of type"),
        (|auth, _| auth[24] ^= 1, "at offset 0x18, the signature is none of type"),
        (
            |auth, _| auth[16..20].copy_from_slice(&[23, 0, 0, 0]),
            "at offset 0x10, the signature would have 23 bytes",
        ),
        (|auth, _| auth[16..20].fill(0xff), "would have 4294967295 bytes"),
        (|auth, _| auth[40] ^= 1, "at offset 0x28, the signature is not CMS SignedData"),
        (|auth, list| auth.truncate(list + 27), "a signature list has a header of 28 bytes, and 27 are left"),
        (
            |auth, list| auth[list + 16] -= 1,
            "a signature list of 75 bytes would have a header of 0 more bytes",
        ),
        (|auth, list| auth[list + 16..list + 20].fill(0), "a signature list of 0 bytes"),
        (|auth, list| auth[list + 20] = 8, "a header of 8 more bytes"),
        (|auth, list| auth[list + 24] = 16, "entries of 16 bytes"),
        (|auth, _| auth.truncate(auth.len() - 48), "a signature list would have 76 bytes, and 28 are left"),
    ];
    for (change, why) in changes {
        let mut bad = auth.clone();
        change(&mut bad, list);
        let said = SignedUpdate::decode(&bad).unwrap_err().to_string();
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn the_platform_key_is_one_certificate_or_none() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Efi);
    let verify = |entries| {
        let auth = signed(&key, &certificate, &update(Variable::Pk, entries));
        decoded(&auth).verify(Variable::Pk, std::slice::from_ref(&certificate))
    };
    assert!(verify(vec![of(&certificate)]).is_ok() && verify(vec![]).is_ok());
    let digest = Digest::new(Hash::Sha256, vec![7; 32]).unwrap();
    for entries in [vec![of(&certificate), of(&certificate)], vec![Entry::Image(digest)]] {
        assert!(matches!(verify(entries), Err(VerifyError::PlatformKey)));
    }
}
