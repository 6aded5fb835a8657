//! Kernel module signatures, judged by the kernel's own sign-file, openssl and modinfo.
#![cfg(feature = "module")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::process::Command;

use chancery_formats::cms;
use chancery_formats::module::{
    Error, Existing, Module, Options, SignerId, VerifyError, prepare, signature_of, verify, verify_detached,
};
use chancery_formats::raw::Input;
use chancery_formats::x509::{Certificate, Profile};
use chancery_protocol::{Algorithm, Digest, Hash};
use support::openssl::OpenSslKey;
use support::{have, run, try_run, write};

/// What stands in for a module: no format is asked of it, as none is by sign-file.
const CONTENTS: &[u8] = b"\x7fELF, but not for long";

const PLAIN: Options =
    Options { hash: Hash::Sha512, signer: SignerId::IssuerAndSerialNumber, existing: Existing::Replace };

fn sign(key: &OpenSslKey, certificate: &Certificate, options: Options, module: &[u8]) -> Vec<u8> {
    let mut file = Cursor::new(module);
    let read = Module::read(&mut file).unwrap();
    let pending = prepare(&read, &mut file, certificate, &options).unwrap();
    let raw = key.sign(&Input::Digest(pending.digest().clone()));
    let signed = pending.finish(&raw).unwrap();
    let mut output = Vec::new();
    signed.write_to(&mut file, &mut output).unwrap();
    assert_eq!(output.len() as u64, signed.file_len());
    output
}

fn check(
    module: &[u8],
    certificates: &[Certificate],
) -> Result<chancery_formats::module::Verified, VerifyError> {
    let mut file = Cursor::new(module);
    let read = Module::read(&mut file)?;
    verify(&read, &mut file, certificates)
}

/// The kernel's tool, as Debian packages it.
fn sign_file() -> Option<PathBuf> {
    let kbuild = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let tool = kbuild
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("linux-kbuild-"))
        })
        .map(|path| path.join("scripts/sign-file"))
        .find(|path| path.is_file());
    assert!(tool.is_some() || std::env::var_os("CI").is_none(), "missing in CI: sign-file of linux-kbuild");
    if tool.is_none() {
        eprintln!("skipped: install linux-kbuild-6.1, or that of another version");
    }
    tool
}

#[test]
fn with_rsa_every_byte_is_that_of_the_kernels_sign_file() {
    let Some(tool) = sign_file() else { return };
    if !have(&["openssl"]) {
        return;
    }
    for algorithm in [Algorithm::Rsa2048, Algorithm::Rsa4096] {
        let key = OpenSslKey::new(algorithm);
        let certificate = key.certificate(Profile::Module);
        let path = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
        for &hash in Hash::ALL {
            for (flag, signer) in
                [(None, SignerId::IssuerAndSerialNumber), (Some("-k"), SignerId::SubjectKeyIdentifier)]
            {
                let module = write(key.folder(), "a.ko", CONTENTS);
                let mut command = Command::new(&tool);
                command.args(flag).arg("-p").arg(hash.as_str()).arg(key.path()).arg(&path).arg(&module);
                run(&mut command);
                let ours = sign(&key, &certificate, Options { hash, signer, ..PLAIN }, CONTENTS);
                assert!(ours == fs::read(&module).unwrap(), "{algorithm} {hash} {signer:?}");
                // And once more on top of it.
                run(&mut command);
                let options = Options { hash, signer, existing: Existing::Stack };
                let ours = sign(&key, &certificate, options, &ours);
                assert!(ours == fs::read(&module).unwrap(), "{algorithm} {hash} {signer:?}, stacked");
            }
        }
    }
}

#[test]
fn openssl_accepts_every_signature_and_refuses_a_changed_module() {
    if !have(&["openssl"]) {
        return;
    }
    for algorithm in
        [Algorithm::Rsa2048, Algorithm::Rsa3072, Algorithm::P256, Algorithm::P384, Algorithm::P521]
    {
        let key = OpenSslKey::new(algorithm);
        let certificate = key.certificate(Profile::Module);
        let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
        for &hash in Hash::ALL {
            for signer in [SignerId::IssuerAndSerialNumber, SignerId::SubjectKeyIdentifier] {
                let signed = sign(&key, &certificate, Options { hash, signer, ..PLAIN }, CONTENTS);
                let module = Module::read(&mut Cursor::new(&signed)).unwrap();
                let signature = write(key.folder(), "a.p7s", module.last_signature().unwrap());
                let judge = |contents: &[u8]| {
                    let contents = write(key.folder(), "a.ko", contents);
                    try_run(
                        Command::new("openssl")
                            .args(["cms", "-verify", "-binary", "-inform", "DER", "-nointern", "-noverify"])
                            .arg("-certfile")
                            .arg(&cert)
                            .arg("-in")
                            .arg(&signature)
                            .arg("-content")
                            .arg(contents)
                            .args(["-out", "/dev/null"]),
                    )
                };
                let (good, said) = judge(CONTENTS);
                assert!(good, "{algorithm} {hash} {signer:?}: {said}");
                let (good, _) = judge(&CONTENTS[1..]);
                assert!(!good, "{algorithm} {hash} {signer:?}");
                let verified = check(&signed, std::slice::from_ref(&certificate)).unwrap();
                assert_eq!((verified.hash, verified.signer), (hash, signer));
                assert_eq!(verified.subject, certificate.subject());
            }
        }
    }
}

#[test]
fn modinfo_shows_who_signed() {
    if !have(&["openssl", "modinfo", "gcc"]) {
        return;
    }
    for algorithm in [Algorithm::Rsa2048, Algorithm::P256, Algorithm::P384] {
        let key = OpenSslKey::new(algorithm);
        let certificate = key.certificate(Profile::Module);
        let source = write(
            key.folder(),
            "a.c",
            "const char info[] __attribute__((section(\".modinfo\"))) = \"license=GPL\";\n",
        );
        let object = key.folder().join("a.ko");
        run(Command::new("gcc").arg("-c").arg(source).arg("-o").arg(&object));
        let signed = sign(&key, &certificate, PLAIN, &fs::read(&object).unwrap());
        let path = write(key.folder(), "signed.ko", signed);
        let said = run(Command::new("modinfo").arg(path));
        assert!(said.contains("signer:         Test modules\n"), "{said}");
        assert!(
            said.contains("sig_hashalgo:   sha512\n") && said.contains("sig_id:         PKCS#7\n"),
            "{said}"
        );
    }
}

#[test]
fn signing_again_replaces_all_signatures_that_are_there() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Module);
    let once = sign(&key, &certificate, PLAIN, CONTENTS);
    let twice = sign(&key, &certificate, Options { existing: Existing::Stack, ..PLAIN }, &once);
    assert_eq!(Module::read(&mut Cursor::new(&twice)).unwrap().signatures(), 2);
    assert!(check(&twice, std::slice::from_ref(&certificate)).is_ok());
    assert!(sign(&key, &certificate, PLAIN, &twice) == once);
    assert!(sign(&key, &certificate, PLAIN, &once) == once);
}

#[test]
fn a_signature_is_known_again_only_as_what_signing_would_give() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let (certificate, another) = (key.certificate(Profile::Module), key.certificate(Profile::Module));
    let once = sign(&key, &certificate, PLAIN, CONTENTS);
    let twice = sign(&key, &certificate, Options { existing: Existing::Stack, ..PLAIN }, &once);
    let mut flipped = once.clone();
    flipped[3] ^= 1;
    let known = |module: &[u8], certificate: &Certificate, hash, form| {
        let mut file = Cursor::new(module);
        let read = Module::read(&mut file).unwrap();
        signature_of(&read, &mut file, certificate, hash, form).unwrap().is_some()
    };
    let (by_serial, by_key) = (SignerId::IssuerAndSerialNumber, SignerId::SubjectKeyIdentifier);
    assert!(known(&once, &certificate, Hash::Sha512, by_serial));
    for (module, certificate, hash, form) in [
        (&CONTENTS.to_vec(), &certificate, Hash::Sha512, by_serial),
        (&once, &another, Hash::Sha512, by_serial),
        (&once, &certificate, Hash::Sha256, by_serial),
        (&once, &certificate, Hash::Sha512, by_key),
        (&twice, &certificate, Hash::Sha512, by_serial),
        (&flipped, &certificate, Hash::Sha512, by_serial),
    ] {
        assert!(!known(module, certificate, hash, form));
    }
}

#[test]
fn every_flipped_bit_of_a_signed_module_is_noticed() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Module);
    let signed = sign(&key, &certificate, PLAIN, CONTENTS);
    for at in 0..signed.len() {
        let mut flipped = signed.clone();
        flipped[at] ^= 1;
        assert!(check(&flipped, std::slice::from_ref(&certificate)).is_err(), "byte {at}");
    }
}

#[test]
fn a_signature_of_another_key_is_not_attached() {
    if !have(&["openssl"]) {
        return;
    }
    let (key, other) = (OpenSslKey::new(Algorithm::P256), OpenSslKey::new(Algorithm::P256));
    let certificate = key.certificate(Profile::Module);
    let mut file = Cursor::new(CONTENTS);
    let module = Module::read(&mut file).unwrap();
    let pending = prepare(&module, &mut file, &certificate, &PLAIN).unwrap();
    let raw = other.sign(&Input::Digest(pending.digest().clone()));
    assert!(matches!(pending.finish(&raw), Err(Error::Cms(cms::Error::WrongSignature(_)))));
}

#[test]
fn what_no_kernel_would_take_is_refused() {
    if !have(&["openssl"]) {
        return;
    }
    let mut file = Cursor::new(CONTENTS);
    let module = Module::read(&mut file).unwrap();
    let ed25519 = OpenSslKey::new(Algorithm::Ed25519).certificate(Profile::Module);
    let refused = prepare(&module, &mut file, &ed25519, &PLAIN).unwrap_err();
    assert!(refused.to_string().contains("RSA, P-256 or P-384"), "{refused}");

    // A certificate without a subject key identifier cannot be named by it.
    let key = OpenSslKey::new(Algorithm::P256);
    let (config, path) = (
        write(key.folder(), "config", "[req]\ndistinguished_name=dn\n[dn]\n"),
        key.folder().join("bare.pem"),
    );
    run(Command::new("openssl")
        .args(["req", "-x509", "-new", "-subj", "/CN=x", "-config"])
        .arg(config)
        .arg("-key")
        .arg(key.path())
        .arg("-out")
        .arg(&path));
    let bare = Certificate::parse(&fs::read(path).unwrap()).unwrap();
    let options = Options { signer: SignerId::SubjectKeyIdentifier, ..PLAIN };
    assert!(matches!(
        prepare(&module, &mut file, &bare, &options),
        Err(Error::Cms(cms::Error::NoKeyIdentifier))
    ));
    assert!(prepare(&module, &mut file, &bare, &PLAIN).is_ok());
}

#[test]
fn a_module_that_changes_meanwhile_gets_no_signature() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Module);
    let mut file = Cursor::new(CONTENTS.to_vec());
    let module = Module::read(&mut file).unwrap();
    let pending = prepare(&module, &mut file, &certificate, &PLAIN).unwrap();
    let raw = key.sign(&Input::Digest(pending.digest().clone()));
    let signed = pending.finish(&raw).unwrap();
    for change in [&CONTENTS[..4], b"\x7fELF, but another one now"] {
        let outcome = signed.write_to(&mut Cursor::new(change), &mut Vec::new());
        assert!(matches!(outcome, Err(Error::Changed)), "{outcome:?}");
    }
}

#[test]
fn a_signature_that_lies_apart_is_taken_only_if_it_is_good() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Module);
    let signed = sign(&key, &certificate, PLAIN, CONTENTS);
    let cms = Module::read(&mut Cursor::new(&signed)).unwrap().last_signature().unwrap().to_vec();
    let take = |cms: &[u8], contents: &[u8], certificate: &Certificate| {
        let mut file = Cursor::new(contents);
        let module = Module::read(&mut file)?;
        let taken = verify_detached(cms, &module, &mut file, certificate, Existing::Replace)?;
        let mut output = Vec::new();
        taken.write_to(&mut file, &mut output)?;
        Ok::<_, VerifyError>(output)
    };
    assert!(take(&cms, CONTENTS, &certificate).unwrap() == signed);
    let digest = Digest::new(Hash::Sha512, vec![7; 64]).unwrap();
    let bare = key.sign(&Input::Digest(digest));
    assert!(matches!(take(&bare, CONTENTS, &certificate), Err(VerifyError::Malformed(_))));
    assert!(matches!(take(&cms, b"another", &certificate), Err(VerifyError::BadSignature(_))));
    let another = key.certificate(Profile::Module);
    assert!(matches!(take(&cms, CONTENTS, &another), Err(VerifyError::UnknownSigner(_))));
}

#[test]
fn verification_names_what_is_missing() {
    if !have(&["openssl"]) {
        return;
    }
    assert!(matches!(check(CONTENTS, &[]), Err(VerifyError::NoSignature)));
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Module);
    let signed = sign(&key, &certificate, PLAIN, CONTENTS);
    let error = check(&signed, &[]).unwrap_err().to_string();
    assert!(
        error.contains(&format!("`CN=Test modules,O=Example,C=DE`, serial number {}", certificate.serial())),
        "{error}"
    );
}

#[test]
fn signatures_that_the_kernel_refuses_are_not_called_good() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Module);
    let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
    let contents = write(key.folder(), "a.ko", CONTENTS);
    for (more, why) in
        [(&["-nocerts"][..], "signed attributes"), (&["-nocerts", "-nodetach", "-noattr"], "contents")]
    {
        let signature = key.folder().join("theirs.p7s");
        run(Command::new("openssl")
            .args(["cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256"])
            .args(more)
            .arg("-signer")
            .arg(&cert)
            .arg("-inkey")
            .arg(key.path())
            .arg("-in")
            .arg(&contents)
            .arg("-out")
            .arg(&signature));
        let mut file = Cursor::new(CONTENTS);
        let module = Module::read(&mut file).unwrap();
        let signature = fs::read(signature).unwrap();
        let error =
            verify_detached(&signature, &module, &mut file, &certificate, Existing::Replace).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
