//! X.509 certificates and requests, judged by openssl.
#![cfg(feature = "x509")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::process::Command;

use chancery_formats::raw::Input;
use chancery_formats::x509::{
    Certificate, CertificateOptions, Error, Profile, Serial, Subject, Validity, prepare_certificate,
    prepare_request,
};
use chancery_protocol::{Algorithm, Hash, Scheme};
use proptest::prelude::*;
use support::openssl::OpenSslKey;
use support::{NOW, have, run, try_run, write};

const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rsa2048,
    Algorithm::Rsa4096,
    Algorithm::P256,
    Algorithm::P384,
    Algorithm::P521,
    Algorithm::Ed25519,
];

fn options(subject: &str, profile: Profile) -> CertificateOptions {
    CertificateOptions {
        subject: subject.parse().unwrap(),
        profile,
        validity: Validity { not_before: NOW.into(), not_after: Some(u64::from(NOW) + 86_400) },
        serial: Serial::random().unwrap(),
        hash: None,
    }
}

#[test]
fn openssl_accepts_strictly_what_every_algorithm_and_profile_makes() {
    if !have(&["openssl"]) {
        return;
    }
    for algorithm in ALGORITHMS {
        let key = OpenSslKey::new(algorithm);
        for profile in Profile::ALL {
            let certificate = key.certificate(profile);
            let path = write(key.folder(), "cert.pem", certificate.to_pem().unwrap());
            // The certificate's own time: the clock of this machine is nobody's business.
            let said = run(Command::new("openssl")
                .args(["verify", "-x509_strict", "-check_ss_sig", "-attime", &(NOW + 1).to_string()])
                .arg("-CAfile")
                .arg(&path)
                .arg(&path));
            assert!(said.ends_with(": OK\n"), "{algorithm} {profile}: {said}");
            assert_eq!(Certificate::parse(certificate.as_der()).unwrap(), certificate);
            assert_eq!(Certificate::parse(certificate.to_pem().unwrap().as_bytes()).unwrap(), certificate);
            assert_eq!(certificate.profile(), Some(profile));
            assert_eq!(certificate.public_key(), &key.public);
        }
    }
}

#[test]
fn openssl_reads_what_each_profile_says() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    for (profile, authority, usage, code) in [
        (Profile::Module, "CA:FALSE", "Digital Signature", "X509v3 Extended Key Usage: \n"),
        (
            Profile::Efi,
            "CA:TRUE, pathlen:0",
            "Digital Signature, Certificate Sign, CRL Sign",
            "X509v3 Extended Key Usage: \n",
        ),
        (Profile::Code, "CA:FALSE", "Digital Signature", "X509v3 Extended Key Usage: critical\n"),
    ] {
        let certificate = key.certificate(profile);
        let path = write(key.folder(), "cert.der", certificate.as_der());
        let text =
            run(Command::new("openssl").args(["x509", "-inform", "DER", "-noout", "-text", "-in"]).arg(path));
        let said = |what: &str| assert!(text.contains(what), "{profile}: {what}: {text}");
        said("Version: 3 (0x2)");
        said("Issuer: C = DE, O = Example, CN = Test modules");
        said("Subject: C = DE, O = Example, CN = Test modules");
        said("Not After : Dec 31 23:59:59 9999 GMT");
        said(&format!("X509v3 Basic Constraints: critical\n                {authority}\n"));
        said(&format!("X509v3 Key Usage: critical\n                {usage}\n"));
        said(code);
        said("                Code Signing\n");
        // The same identifier in both.
        let identifiers: Vec<_> =
            text.lines().skip_while(|line| !line.contains("Subject Key Identifier")).collect();
        assert_eq!(identifiers[1].trim(), identifiers[3].trim(), "{text}");
        assert!(identifiers[2].contains("Authority Key Identifier"), "{text}");
        let serial = certificate.serial();
        let spaced: Vec<_> = (0..serial.len()).step_by(2).map(|at| &serial[at..at + 2]).collect();
        said(&spaced.join(":"));
        assert_eq!(certificate.not_after(), 253_402_300_799);
    }
}

#[test]
fn a_key_identifier_is_the_one_that_openssl_gives() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::Rsa2048);
    let path = key.folder().join("theirs.pem");
    run(Command::new("openssl")
        .args(["req", "-x509", "-new", "-subj", "/CN=x", "-key"])
        .arg(key.path())
        .arg("-out")
        .arg(&path));
    let identifier = |path: &std::path::Path| {
        run(Command::new("openssl").args(["x509", "-noout", "-ext", "subjectKeyIdentifier", "-in"]).arg(path))
    };
    let ours = write(key.folder(), "ours.pem", key.certificate(Profile::Module).to_pem().unwrap());
    assert_eq!(identifier(&ours), identifier(&path));
    // One that openssl made is read as well, and was made by no profile of ours.
    let theirs = Certificate::parse(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!((theirs.public_key(), theirs.profile()), (&key.public, None));
    assert_eq!(theirs.subject().to_string(), "CN=x");
}

#[test]
fn names_come_out_as_openssl_makes_them() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    for subject in [
        "/CN=Example modules",
        "/C=DE/ST=Bayern/L=München/O=Example, Inc./OU=Kernel/CN=C\\+\\+ team/emailAddress=a@example.org",
        "/DC=org/DC=example/UID=build/CN=a\\/b",
        "/CN=x+serialNumber=7/street=Main",
    ] {
        let path = key.folder().join("theirs.der");
        run(Command::new("openssl")
            .args(["req", "-x509", "-new", "-utf8", "-outform", "DER", "-subj", subject, "-key"])
            .arg(key.path())
            .arg("-out")
            .arg(&path));
        let theirs = Certificate::parse(&std::fs::read(path).unwrap()).unwrap();
        // With the same kinds of strings in the same order, so that names compare byte for byte.
        assert_eq!(subject.parse::<Subject>().unwrap(), theirs.subject(), "{subject}");
    }
}

#[test]
fn requests_prove_the_possession_of_their_key() {
    if !have(&["openssl"]) {
        return;
    }
    for algorithm in ALGORITHMS {
        let key = OpenSslKey::new(algorithm);
        let subject = "CN=Example, O=Example Org".parse().unwrap();
        let pending = prepare_request(&key.public, &subject, Some(Hash::Sha384)).unwrap();
        let raw = key.sign(pending.input());
        let request = pending.finish(&raw).unwrap();
        let path = write(key.folder(), "request.pem", request.to_pem().unwrap());
        let said = run(Command::new("openssl").args(["req", "-verify", "-noout", "-text", "-in"]).arg(&path));
        assert!(said.contains("self-signature verify OK"), "{said}");
        assert!(said.contains("Subject: O = Example Org, CN = Example"), "{said}");
        let mut changed = request.to_der().unwrap();
        let at = changed.windows(11).position(|window| window == b"Example Org").unwrap();
        changed[at] ^= 1;
        let path = write(key.folder(), "request.der", changed);
        let (_, said) = try_run(
            Command::new("openssl").args(["req", "-verify", "-noout", "-inform", "DER", "-in"]).arg(&path),
        );
        assert!(said.contains("verify failure"), "{said}");
    }
}

#[test]
fn ed25519_signs_the_whole_and_others_a_digest() {
    if !have(&["openssl"]) {
        return;
    }
    for (algorithm, scheme) in [
        (Algorithm::Ed25519, Scheme::Ed25519),
        (Algorithm::P384, Scheme::EcdsaSha384),
        (Algorithm::Rsa2048, Scheme::RsaPkcs1Sha256),
    ] {
        let key = OpenSslKey::new(algorithm);
        let pending = prepare_certificate(&key.public, &options("CN=x", Profile::Code)).unwrap();
        assert_eq!(pending.scheme(), scheme);
        assert_eq!(matches!(pending.input(), Input::Message(_)), scheme.hash().is_none());
    }
}

#[test]
fn a_signature_of_another_key_or_over_something_else_is_not_attached() {
    if !have(&["openssl"]) {
        return;
    }
    for algorithm in [Algorithm::Rsa2048, Algorithm::P256, Algorithm::Ed25519] {
        let (key, other) = (OpenSslKey::new(algorithm), OpenSslKey::new(algorithm));
        let prepare = || prepare_certificate(&key.public, &options("CN=x", Profile::Module)).unwrap();
        let pending = prepare();
        let theirs = other.sign(pending.input());
        let mut flipped = key.sign(pending.input());
        flipped[20] ^= 1;
        // Another serial number each time.
        let of_another = key.sign(prepare().input());
        for raw in [theirs, flipped, of_another, vec![], vec![0; algorithm.signature_len()]] {
            let options = options("CN=x", Profile::Module);
            let error = prepare_certificate(&key.public, &options).unwrap().finish(&raw).unwrap_err();
            assert!(matches!(error, Error::WrongSignature(_)), "{error}");
        }
        let raw = key.sign(pending.input());
        assert!(pending.finish(&raw).is_ok());
    }
}

#[test]
fn a_validity_that_cannot_be_is_refused() {
    let public = chancery_protocol::PublicKey::Ed25519 { point: [7; 32] };
    let mut options = options("CN=x", Profile::Module);
    for (not_before, not_after) in [(10, Some(10)), (10, Some(9)), (10, Some(u64::MAX)), (u64::MAX, None)] {
        options.validity = Validity { not_before, not_after };
        assert!(matches!(prepare_certificate(&public, &options), Err(Error::Validity { .. })));
    }
}

#[test]
fn what_is_no_certificate_is_called_so() {
    for bytes in [
        &b""[..],
        b"-----BEGIN CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
        &[0x30, 0x00],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(matches!(Certificate::parse(bytes), Err(Error::NotACertificate(_))), "{bytes:?}");
    }
    assert!(matches!(Certificate::parse(&vec![0; 1 << 21]), Err(Error::CertificateTooLarge { .. })));
}

#[test]
fn a_certificate_is_found_after_text_and_before_others() {
    if !have(&["openssl"]) {
        return;
    }
    let key = OpenSslKey::new(Algorithm::P256);
    let (first, second) = (key.certificate(Profile::Module), key.certificate(Profile::Efi));
    let file = format!("Certificate of Example\n{}{}", first.to_pem().unwrap(), second.to_pem().unwrap());
    assert_eq!(Certificate::parse(file.as_bytes()).unwrap(), first);
    assert_eq!(Certificate::parse_all(first.as_der()).unwrap(), std::slice::from_ref(&first));
    assert_eq!(Certificate::parse_all(file.as_bytes()).unwrap(), [first, second]);
    // One that is damaged is not passed over.
    let damaged = file.replacen("-----BEGIN CERTIFICATE-----\nMII", "-----BEGIN CERTIFICATE-----\nMIA", 1);
    assert!(damaged != file && Certificate::parse_all(damaged.as_bytes()).is_err());
    assert!(matches!(Certificate::parse_all(b"none"), Err(Error::NotACertificate(_))));
}

#[test]
fn a_certificate_cut_or_lengthened_is_refused() {
    if !have(&["openssl"]) {
        return;
    }
    let der = OpenSslKey::new(Algorithm::P256).certificate(Profile::Module).as_der().to_vec();
    for length in 0..der.len() {
        assert!(Certificate::parse(&der[..length]).is_err(), "{length}");
    }
    assert!(Certificate::parse(&[&der[..], &[0]].concat()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_certificate_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Certificate::parse(&bytes);
        let _ = Certificate::parse(&[&[0x30, 0x82, 1, 0x8c][..], &bytes].concat());
    }

    #[test]
    fn any_text_is_a_subject_or_none(text in "[/,=+ \\\\CNO#a-f0-9ä\"]{0,40}") {
        if let Ok(subject) = text.parse::<Subject>() {
            let again = subject.to_string().parse::<Subject>();
            prop_assert!(again.is_ok_and(|again| again == subject), "{}", text);
        }
    }
}
