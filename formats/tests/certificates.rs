//! OpenPGP certificates, judged by gpg.
#![cfg(feature = "openpgp")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use chancery_formats::openpgp::{Certificate, CertificateOptions, Error, SigningKey, prepare_certificate};
use chancery_protocol::{Algorithm, Hash, PublicKey};
use support::gpg::Gpg;
use support::{CREATED, SoftKey, have, parsed, run, write};
use tempfile::TempDir;

const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Rsa2048, Algorithm::P256, Algorithm::P384, Algorithm::P521, Algorithm::Ed25519];

/// Seconds of a year.
const YEAR: u32 = 31_536_000;

#[test]
fn certificates_are_described_as_gpg_describes_them() {
    if !have(&["gpg", "gpgconf"]) {
        return;
    }
    for algorithm in ALGORITHMS {
        let key = SoftKey::new(algorithm);
        let users = ["First <a@example.org>", "Zweite Käuferin <b@example.org>"];
        for valid_for in [None, Some(2 * YEAR)] {
            let certificate = key.certificate_for(&users, valid_for);
            assert_eq!(certificate.fingerprint(), key.signing.fingerprint());
            assert_eq!(certificate.created(), CREATED);
            assert_eq!(certificate.expires(), valid_for.map(|seconds| CREATED + seconds));
            assert_eq!(certificate.user_ids(), users);

            let folder = TempDir::new().unwrap();
            let path = write(folder.path(), "cert.asc", certificate.to_armored().unwrap());
            let gpg = Gpg::new();
            gpg.import(&path);
            let listed = run(gpg.command().args(["--with-colons", "--list-keys"]));
            let public = listed.lines().find(|line| line.starts_with("pub:")).unwrap();
            let fields: Vec<_> = public.split(':').collect();
            assert_eq!(fields[4], certificate.key_id().to_string());
            assert_eq!(fields[5], CREATED.to_string());
            assert_eq!(
                fields[6],
                valid_for.map(|seconds| (CREATED + seconds).to_string()).unwrap_or_default()
            );
            assert_eq!(fields[11], "scSC", "{listed}");
            assert!(listed.contains(&format!("fpr:::::::::{}:", certificate.fingerprint())), "{listed}");
            assert!(users.iter().all(|user| listed.contains(user)), "{listed}");
        }
    }
}

#[test]
fn a_certificate_of_rsa_or_ed25519_comes_out_the_same_twice() {
    for algorithm in [Algorithm::Rsa2048, Algorithm::Ed25519] {
        let key = SoftKey::new(algorithm);
        assert_eq!(key.certificate().to_binary().unwrap(), key.certificate().to_binary().unwrap());
    }
}

#[test]
fn a_key_is_found_in_its_certificate_and_in_no_other() {
    for algorithm in ALGORITHMS {
        let key = SoftKey::new(algorithm);
        let binary = key.certificate().to_binary().unwrap();
        let armored = key.certificate().to_armored().unwrap();
        for certificate in [&binary, &armored] {
            let found = SigningKey::from_certificate(&parsed(certificate), &key.public).unwrap();
            assert_eq!(found.fingerprint(), key.signing.fingerprint());
            assert_eq!((found.algorithm(), found.created()), (algorithm, CREATED));
        }
        let other = SoftKey::new(algorithm);
        let found = SigningKey::from_certificate(&parsed(&binary), &other.public);
        assert!(matches!(found, Err(Error::NotInCertificate { .. })), "{found:?}");
    }
}

#[test]
fn a_subkey_of_a_gpg_certificate_is_found_by_its_numbers() {
    if !have(&["gpg", "gpgconf"]) {
        return;
    }
    let gpg = Gpg::new();
    gpg.generate("rsa2048");
    let fingerprint = &gpg.fingerprint();
    run(gpg.command().args(["--passphrase", "", "--quick-add-key", fingerprint, "ed25519", "sign", "never"]));
    let certificate = gpg.command().arg("--export").output().unwrap().stdout;
    let described = Certificate::parse(&certificate).unwrap();
    let [subkey] = &described.subkeys()[..] else { panic!("one subkey") };
    let public = support::gpg_subkey(&certificate);
    let found = SigningKey::from_certificate(&parsed(&certificate), &public).unwrap();
    assert_eq!(found.fingerprint(), subkey.fingerprint);
    assert_eq!(found.algorithm(), Algorithm::Ed25519);
}

#[test]
fn what_cannot_be_in_a_certificate_is_refused() {
    let key = SoftKey::new(Algorithm::Ed25519);
    for user_ids in [vec![], vec![String::new()], vec!["a\nb".to_owned()], vec!["x".repeat(3000)]] {
        let options = CertificateOptions { user_ids, created: CREATED, valid_for: None, hash: Hash::Sha512 };
        assert!(prepare_certificate(&key.signing, &options).is_err(), "{:?}", options.user_ids);
    }
    let shapes = [
        (Algorithm::Rsa3072, PublicKey::Rsa { n: vec![0xff; 256], e: vec![1, 0, 1] }),
        (Algorithm::Rsa2048, PublicKey::Rsa { n: vec![0x7f; 256], e: vec![1, 0, 1] }),
        (Algorithm::Rsa2048, PublicKey::Rsa { n: vec![0xff; 256], e: vec![] }),
        (Algorithm::P256, PublicKey::Ec { point: vec![4; 97] }),
        (Algorithm::P384, PublicKey::Ec { point: vec![2; 97] }),
        (Algorithm::Ed25519, PublicKey::Ec { point: vec![4; 65] }),
        (Algorithm::P256, PublicKey::Ed25519 { point: [1; 32] }),
    ];
    for (algorithm, public) in shapes {
        let refused = SigningKey::new(algorithm, &public, CREATED);
        assert!(matches!(refused, Err(Error::KeyShape { .. })), "{public:?}");
    }
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parsing_arbitrary_bytes_as_a_certificate_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            _ = Certificate::parse(&bytes);
            _ = Certificate::parse_all(&bytes);
        }
    }

    #[test]
    fn a_certificate_cut_or_changed_anywhere_never_panics() {
        let key = SoftKey::new(Algorithm::Ed25519);
        let bytes = key.certificate().to_binary().unwrap();
        for at in 0..bytes.len() {
            _ = Certificate::parse(&bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] ^= 0x55;
            if let Ok(certificate) = Certificate::parse(&changed) {
                _ = (certificate.expires(), certificate.user_ids(), certificate.subkeys());
            }
        }
    }
}
