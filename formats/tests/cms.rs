//! CMS signatures over files, judged by openssl, and byte for byte its own where the algorithm is deterministic.
#![cfg(feature = "cms")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use chancery_formats::cms::file::{
    Attributes, Certificates, Content, Opened, Options, Signature, SigningCertificate, Verified, enclose,
    of_text, open, prepare, to_text,
};
use chancery_formats::cms::{Error, Form, SignerId, VerifyError};
use chancery_formats::x509::{Certificate, Profile, default_hash};
use chancery_protocol::{Algorithm, Hash};
use support::openssl::OpenSslKey;
use support::{NOW, have, run, try_run, write};

const CONTENTS: &[u8] = b"firmware of no device";

/// What openssl writes without options that say otherwise, but for the time.
const PLAIN: Options = Options {
    attributes: Attributes::Signed { time: None, certificate: SigningCertificate::Unnamed },
    certificates: Certificates::All,
    signer: SignerId::IssuerAndSerialNumber,
    form: Form::Cms,
};
const BARE: Options = Options { attributes: Attributes::None, certificates: Certificates::None, ..PLAIN };

fn sign(key: &OpenSslKey, certificate: &Certificate, hash: Hash, options: Options) -> Vec<u8> {
    let content = Content::read(hash, CONTENTS).unwrap();
    let pending = prepare(&content, certificate, &[], &options).unwrap();
    let raw = key.sign(pending.input());
    pending.finish(&raw).unwrap()
}

fn enclosed(cms: &[u8], hash: Hash) -> Vec<u8> {
    let mut output = Vec::new();
    enclose(cms, &Content::read(hash, CONTENTS).unwrap(), CONTENTS, &mut output).unwrap();
    output
}

fn check(cms: &[u8], contents: &[u8], certificates: &[Certificate]) -> Result<Verified, VerifyError> {
    let Opened { cms, .. } = open(&mut Cursor::new(cms))?;
    let signature = Signature::decode(&cms)?;
    signature.verify(&Content::read(signature.hash(), contents).unwrap(), certificates)
}

#[test]
fn with_rsa_every_byte_is_that_of_openssl() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let certificate = key.certificate(Profile::Code);
    let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
    let data = write(key.folder(), "file", CONTENTS);
    let by_key = Options { signer: SignerId::SubjectKeyIdentifier, ..BARE };
    let no_attributes = Options { attributes: Attributes::None, ..PLAIN };
    let cases: [(&str, &[&str], Options); 6] = [
        ("cms", &["-noattr", "-nocerts"], BARE),
        ("cms", &["-noattr"], no_attributes),
        ("cms", &["-noattr", "-nocerts", "-keyid"], by_key),
        ("smime", &["-noattr", "-nocerts"], Options { form: Form::Pkcs7, ..BARE }),
        ("smime", &["-noattr"], Options { form: Form::Pkcs7, ..no_attributes }),
        ("cms", &["-noattr", "-nocerts", "-nodetach"], BARE),
    ];
    for &hash in Hash::ALL {
        for (tool, arguments, options) in &cases {
            let signed = key.folder().join("theirs");
            run(Command::new("openssl")
                .args([tool, "-sign", "-binary", "-outform", "DER", "-md", hash.as_str()])
                .args(*arguments)
                .arg("-signer")
                .arg(&cert)
                .arg("-inkey")
                .arg(key.path())
                .arg("-in")
                .arg(&data)
                .arg("-out")
                .arg(&signed));
            let mut ours = sign(&key, &certificate, hash, *options);
            if arguments.contains(&"-nodetach") {
                ours = enclosed(&ours, hash);
            }
            assert!(ours == fs::read(&signed).unwrap(), "{tool} {arguments:?} {hash}");
        }
    }
}

#[test]
fn openssl_accepts_signatures_of_every_kind_and_refuses_a_changed_file() {
    if !have(&["openssl", "certtool"]) {
        return;
    }
    let told = Attributes::Signed { time: Some(NOW.into()), certificate: SigningCertificate::Named };
    let shapes = [
        PLAIN,
        BARE,
        Options { form: Form::Pkcs7, ..PLAIN },
        Options { signer: SignerId::SubjectKeyIdentifier, ..PLAIN },
        Options { attributes: told, ..PLAIN },
    ];
    for algorithm in
        [Algorithm::Rsa3072, Algorithm::P256, Algorithm::P384, Algorithm::P521, Algorithm::Ed25519]
    {
        let key = OpenSslKey::new(algorithm);
        let certificate = key.certificate(Profile::Code);
        let cert = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
        for options in shapes {
            if algorithm == Algorithm::Ed25519 && options.attributes == Attributes::None {
                continue;
            }
            let hash = default_hash(algorithm);
            let signature = sign(&key, &certificate, hash, options);
            let judge = |signature: &[u8], data: Option<&[u8]>| {
                let signature = write(key.folder(), "a.p7s", signature);
                let data = data.map(|data| write(key.folder(), "file", data));
                let inside = key.folder().join("inside");
                if algorithm == Algorithm::Ed25519 {
                    return judged_by_gnutls(&signature, data.as_deref(), &cert, &inside);
                }
                let mut command = Command::new("openssl");
                command.args(["cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile"]);
                command.arg(&cert).arg("-certfile").arg(&cert).arg("-in").arg(signature);
                command.args(data.iter().flat_map(|data| [Path::new("-content"), data]));
                if options.attributes == told {
                    command.arg("-cades");
                }
                try_run(command.arg("-out").arg(inside))
            };
            let (good, said) = judge(&signature, Some(CONTENTS));
            assert!(good, "{algorithm} {options:?}: {said}");
            let (good, _) = judge(&signature, Some(b"firmware of no devicE"));
            assert!(!good, "{algorithm} {options:?}: another file is good");
            let around = enclosed(&signature, hash);
            let (good, said) = judge(&around, None);
            assert!(good, "{algorithm} {options:?}, attached: {said}");
            assert_eq!(fs::read(key.folder().join("inside")).unwrap(), CONTENTS);

            // And so do we.
            let certificates = std::slice::from_ref(&certificate);
            let verified = check(&signature, CONTENTS, certificates).unwrap();
            assert_eq!(verified.signing_time, (options.attributes == told).then_some(NOW.into()));
            assert_eq!(verified.signer, options.signer);
            let refused = check(&signature, b"firmware of no devicE", certificates).unwrap_err();
            assert!(
                matches!(refused, VerifyError::AnotherContent | VerifyError::BadSignature(_)),
                "{refused:?}"
            );
            let opened = open(&mut Cursor::new(&around)).unwrap();
            let range = opened.content.unwrap();
            assert!(opened.cms == signature, "taking the file out changes the signature");
            assert_eq!(
                &around[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()],
                CONTENTS
            );
        }
    }
}

/// OpenSSL 3.0 verifies no Ed25519 in CMS; GnuTLS does.
fn judged_by_gnutls(signature: &Path, data: Option<&Path>, cert: &Path, inside: &Path) -> (bool, String) {
    let mut command = Command::new("certtool");
    command.args(["--p7-verify", "--inder", "--load-certificate"]).arg(cert).arg("--infile").arg(signature);
    command.args(data.iter().flat_map(|data| [Path::new("--load-data"), data]));
    let judged = try_run(&mut command);
    if data.is_none() && judged.0 {
        run(Command::new("certtool")
            .args(["--p7-info", "--p7-show-data", "--inder", "--infile"])
            .arg(signature)
            .arg("--outfile")
            .arg(inside));
    }
    judged
}

#[test]
fn a_signature_by_another_key_or_by_nobody_known_is_not_good() {
    if !have(&["openssl"]) {
        return;
    }
    let (key, other) = (OpenSslKey::new(Algorithm::P256), OpenSslKey::new(Algorithm::P256));
    let (certificate, others) = (key.certificate(Profile::Code), other.certificate(Profile::Code));
    let signature = sign(&key, &certificate, Hash::Sha256, PLAIN);
    assert!(matches!(check(&signature, CONTENTS, &[]), Err(VerifyError::UnknownSigner(_))));
    let unknown = check(&signature, CONTENTS, std::slice::from_ref(&others)).unwrap_err();
    assert!(matches!(unknown, VerifyError::UnknownSigner(_)));
    let bare = sign(&key, &certificate, Hash::Sha256, BARE);
    assert!(matches!(check(&bare, CONTENTS, &[others]), Err(VerifyError::NoSigner(_))));
    // The token answered for another key.
    let pending =
        prepare(&Content::read(Hash::Sha256, CONTENTS).unwrap(), &certificate, &[], &PLAIN).unwrap();
    let raw = other.sign(pending.input());
    assert!(matches!(pending.finish(&raw), Err(Error::WrongSignature(_))));
}

#[test]
fn ed25519_signs_attributes_with_sha512_alone() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Ed25519);
    let certificate = key.certificate(Profile::Code);
    for (hash, options, wanted) in
        [(Hash::Sha256, PLAIN, "SHA-512"), (Hash::Sha512, BARE, "signed attributes")]
    {
        let content = Content::read(hash, CONTENTS).unwrap();
        match prepare(&content, &certificate, &[], &options) {
            Err(Error::Ed25519(what)) => assert_eq!(what, wanted),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_changed_byte_of_a_signature_is_noticed() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Code);
    let named = Attributes::Signed { time: Some(NOW.into()), certificate: SigningCertificate::Named };
    let options = Options { attributes: named, certificates: Certificates::None, ..PLAIN };
    for options in [options, BARE, Options { form: Form::Pkcs7, ..options }] {
        let signature = sign(&key, &certificate, Hash::Sha256, options);
        for at in 0..signature.len() {
            for bit in [0, 7] {
                let mut changed = signature.clone();
                changed[at] ^= 1 << bit;
                let checked = check(&changed, CONTENTS, std::slice::from_ref(&certificate));
                assert!(checked.is_err(), "bit {bit} of byte {at} of {options:?}");
            }
        }
    }
}

#[test]
fn what_is_cut_off_goes_on_or_is_ber_is_refused_without_being_read() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Code);
    let signature = sign(&key, &certificate, Hash::Sha256, PLAIN);
    for whole in [&signature, &enclosed(&signature, Hash::Sha256)] {
        for end in 0..whole.len() {
            assert!(open(&mut Cursor::new(&whole[..end])).is_err(), "{end} of {} bytes", whole.len());
        }
        let longer = [whole.as_slice(), b"\0"].concat();
        assert!(open(&mut Cursor::new(longer)).is_err());
    }
    let says = |bytes: &[u8]| open(&mut Cursor::new(bytes)).unwrap_err().to_string();
    assert!(says(&[0x30, 0x80, 0, 0]).contains("-cmsout"));
    // 2 to the power of 63 bytes are not asked for, and not waited for.
    assert!(says(&[0x30, 0x88, 0x80, 0, 0, 0, 0, 0, 0, 0]).contains("cut off"));
    assert!(says(&[0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0]).contains("beyond reason"));
    assert!(says(b"\x30\x81\x02\x06\x00").contains("not in DER"));
    assert!(says(b"-----BEGIN CMS-----").contains("not CMS SignedData"));
    // A signature that says to be longer than signatures are, in a file that is.
    let mut large = vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x06, 0x84, 0x7f, 0xff, 0xff, 0xf0];
    large.resize(4096, 0);
    assert!(open(&mut Cursor::new(large)).is_err());
}

#[test]
fn text_is_read_by_openssl_and_read_again() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let certificate = key.certificate(Profile::Code);
    let data = write(key.folder(), "file", CONTENTS);
    for (form, tool, label) in [(Form::Cms, "cms", "CMS"), (Form::Pkcs7, "smime", "PKCS7")] {
        let signature = sign(&key, &certificate, Hash::Sha256, Options { form, ..PLAIN });
        let text = to_text(&signature, form).unwrap();
        assert!(text.starts_with(&format!("-----BEGIN {label}-----\n")));
        assert!(of_text(text.as_bytes()).unwrap() == (signature, form));
        let text = write(key.folder(), "text", text);
        run(Command::new("openssl")
            .args([tool, "-verify", "-binary", "-inform", "PEM", "-noverify", "-in"])
            .arg(text)
            .arg("-content")
            .arg(&data));
    }
    assert_eq!(of_text(b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), None);
    assert_eq!(of_text(b"0\x82"), None);
}

#[test]
fn a_file_that_changes_while_it_is_enclosed_is_not_given_the_signature() {
    let content = Content::read(Hash::Sha256, CONTENTS).unwrap();
    // id-signedData with nothing of a signature but its frame.
    let frame = b"\x30\x27\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x1a\x30\x18\x02\x01\x01\x31\x00\
        \x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\x31\x00\x31\x02\x05\x00";
    assert_eq!(open(&mut Cursor::new(frame)).unwrap().cms, frame);
    enclose(frame, &content, CONTENTS, Vec::new()).unwrap();
    for other in [&b"firmware of no devicE"[..], b"firmware of no device, and more", b"firm", b""] {
        assert!(matches!(enclose(frame, &content, other, Vec::new()), Err(Error::Changed)));
    }
    let large = Content { len: 1 << 32, ..content };
    assert!(matches!(enclose(frame, &large, CONTENTS, Vec::new()), Err(Error::TooLarge(_))));
}
