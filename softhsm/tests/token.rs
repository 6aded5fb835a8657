//! What a token of the harness promises, judged by tools that are not ours: pkcs11-tool and openssl.

#![allow(
    clippy::expect_used,
    reason = "tests may; the lint's exception does not see the functions they share"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use chancery_protocol::Algorithm;
use chancery_softhsm::{Folder, Token};

const KEYS: &[(&str, Algorithm)] =
    &[("rsa", Algorithm::Rsa2048), ("curve", Algorithm::P256), ("edwards", Algorithm::Ed25519)];

#[test]
fn every_algorithm_signs_and_its_key_never_leaves() {
    let keys: Vec<_> = Algorithm::ALL.iter().map(|&algorithm| (algorithm.as_str(), algorithm)).collect();
    let token = Token::with_keys(&keys).unwrap();
    let mut expected: Vec<_> = keys
        .iter()
        .map(|(name, _)| format!("{name} private sensitive always-sensitive never-extractable signs"))
        .collect();
    expected.sort();
    let report = token.check().unwrap();
    let found: Vec<_> = report.lines().collect();
    assert_eq!(found, expected);
}

#[test]
fn openssl_accepts_what_pkcs11_tool_signs_with_a_key_of_ours() {
    // SoftHSM 2.6 has no ECDSA with the hash inside, so pkcs11-tool is given the digest.
    for (algorithm, mechanism, input) in
        [(Algorithm::Rsa2048, "SHA256-RSA-PKCS", "message"), (Algorithm::P256, "ECDSA", "digest")]
    {
        // One key in the token: pkcs11-tool 0.23 signs with the first one, whatever --label says.
        let token = Token::with_keys(&[("key", algorithm)]).unwrap();
        let file = |name: &str| token.folder().join(name).display().to_string();
        let (message, digest, public, signature) =
            (file("message"), file("digest"), file("public"), file("signature"));
        fs::write(&message, "to be signed\n").unwrap();
        succeeds(&run(
            Command::new("openssl").args(["dgst", "-sha256", "-binary", "-out", &digest, &message])
        ));
        succeeds(&pkcs11_tool(
            &token,
            &["--read-object", "--type", "pubkey", "--label", "key", "-o", &public],
        ));
        let sign = ["--sign", "--mechanism", mechanism, "--signature-format", "openssl", "-o", &signature];
        succeeds(&pkcs11_tool(&token, &[&sign[..], &["-i", &file(input)]].concat()));
        let verify = ["dgst", "-sha256", "-keyform", "DER", "-verify", &public, "-signature", &signature];
        succeeds(&run(Command::new("openssl").args(verify).arg(&message)));
        fs::write(&message, "to be forged\n").unwrap();
        assert!(!run(Command::new("openssl").args(verify).arg(&message)).status.success());
    }
}

#[test]
fn two_tokens_of_one_list_are_independent() {
    let (one, two) = (Token::with_keys(KEYS).unwrap(), Token::with_keys(KEYS).unwrap());
    one.generate("only-here", Algorithm::P256).unwrap();
    assert!(one.check().unwrap().contains("only-here"));
    assert_eq!(two.check().unwrap().lines().count(), KEYS.len());
    fs::remove_dir_all(one.folder()).unwrap();
    assert_eq!(two.check().unwrap().lines().count(), KEYS.len());
}

#[test]
fn eight_tokens_can_be_made_and_used_at_once() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let token = Token::labelled("together", &[("curve", Algorithm::P384)]).unwrap();
                assert_eq!(token.check().unwrap().lines().count(), 1);
            });
        }
    });
}

#[test]
fn a_dropped_token_leaves_no_folder() {
    let token = Token::create().unwrap();
    let folder = token.folder().to_owned();
    assert!(folder.is_dir());
    drop(token);
    assert!(!folder.exists());
}

#[test]
fn the_pin_is_for_its_owner_and_differs_from_token_to_token() {
    let home = tempfile::tempdir().unwrap();
    let make = |name: &str| Folder::create(&home.path().join(name), "chancery", &[]).unwrap();
    let (one, two) = (make("one"), make("two"));
    assert_ne!(pin(&one), pin(&two));
    assert_eq!(pin(&one).len(), 32);
    for private in [one.pin_file(), &one.folder().join("token.toml"), &one.folder().join("tokens")] {
        assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o077, 0, "{}", private.display());
    }
}

/// The companion is watched through strace while it makes, fills and checks a token.
#[test]
fn the_pin_is_in_no_argument_and_no_environment() {
    let home = tempfile::tempdir().unwrap();
    let (dir, trace) = (home.path().join("token"), home.path().join("trace"));
    let traced = |arguments: &[&str]| {
        let mut command = Command::new("strace");
        command.args(["-f", "-v", "-s", "4096", "-e", "trace=execve", "-A", "-o"]).arg(&trace);
        succeeds(&run(command.arg(env!("CARGO_BIN_EXE_softhsm-token")).args(arguments)));
    };
    let path = dir.to_str().unwrap();
    traced(&["create", path, "--key", "curve=p256"]);
    traced(&["generate", path, "more=p384"]);
    traced(&["check", path]);
    let pin = fs::read_to_string(dir.join("pin")).unwrap();
    let trace = fs::read_to_string(trace).unwrap();
    assert_eq!(trace.matches("\"inside\"").count(), 3, "{trace}");
    assert!(trace.contains("SOFTHSM2_CONF=") || trace.contains("KRYOPTIC_CONF="), "{trace}");
    assert!(!trace.contains(&pin));
}

#[test]
fn the_daemons_table_names_module_uri_pin_and_environment() {
    let token = Token::labelled("second", &[]).unwrap();
    let table: toml::Table = token.config_toml("spare").parse().unwrap();
    let spare = &table["token"]["spare"];
    assert_eq!(spare["module"].as_str(), token.module().to_str());
    assert_eq!(spare["uri"].as_str(), Some("pkcs11:token=second"));
    assert_eq!(spare["pin"]["file"].as_str(), token.pin_file().to_str());
    let (name, value) = &token.environment()[0];
    assert_eq!(spare["environment"][name].as_str(), Some(value.as_str()));
    assert!(Path::new(value).starts_with(token.folder()));
}

#[test]
fn a_person_is_told_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("token");
    let path = dir.to_str().unwrap();
    let made = softhsm_token(&["create", path, "--key", "demo=p256"]);
    assert!(made.status.success());
    assert!(fs::read_to_string(dir.join("token.toml")).unwrap().contains(&format!("\"{path}/pin\"")));
    for (arguments, said) in [
        (vec!["create", path], "is not empty; name a folder that does not exist yet"),
        (vec!["create", "/nowhere/x", "--label", "a b"], "token label `a b` is not usable"),
        (vec!["create", "/nowhere/x", "--key", "demo"], "write NAME=ALGORITHM, such as demo=p256"),
        (
            vec!["create", "/nowhere/x", "--key", "demo=dsa"],
            "algorithm `dsa` is not known; it is one of rsa2048",
        ),
        (vec!["generate", path, "demo=p256"], "the token already has an object `demo`"),
        (vec!["check", "/nowhere"], "make one with `softhsm-token create`"),
    ] {
        let output = softhsm_token(&arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && stderr.starts_with("error: ") && stderr.contains(said),
            "{stderr}"
        );
    }
}

#[test]
fn a_token_that_cannot_be_made_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("token");
    let twice = [("key".parse().unwrap(), Algorithm::P256), ("key".parse().unwrap(), Algorithm::P256)];
    let error = Folder::create(&dir, "chancery", &twice).unwrap_err().to_string();
    assert!(error.contains("the token already has an object `key`"), "{error}");
    assert!(!dir.exists());
}

#[test]
fn a_wrong_pin_is_the_modules_refusal_and_says_so() {
    let token = Token::with_keys(KEYS).unwrap();
    fs::write(token.pin_file(), "wrong").unwrap();
    let error = token.check().unwrap_err().to_string();
    assert!(error.contains("cannot log in") && error.contains("PIN"), "{error}");
}

fn pin(token: &Folder) -> String {
    fs::read_to_string(token.pin_file()).expect("every token has a readable PIN")
}

fn pkcs11_tool(token: &Folder, arguments: &[&str]) -> Output {
    let mut command = Command::new("pkcs11-tool");
    command
        .arg("--module")
        .arg(token.module())
        .envs(token.environment().iter().map(|(name, value)| (name, value)));
    run(command.args(["--token-label", token.label(), "--login", "--pin", &pin(token)]).args(arguments))
}

fn softhsm_token(arguments: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_softhsm-token")).args(arguments))
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn succeeds(output: &Output) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
