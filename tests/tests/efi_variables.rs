//! Updates of Secure Boot's variables, signed by a key in a token: byte for byte those of efitools with the same key.

use std::fs;
use std::process::Command;

use chancery_protocol::Algorithm;
use chancery_tests::tools::have;
use chancery_tests::{House, capped, run};

const OWNER: &str = "77fa9abd-0359-4d32-bd60-28f4e78f784b";

#[test]
fn with_a_key_that_is_in_token_and_file_every_byte_is_that_of_efitools() {
    if !have(&[
        "openssl",
        "softhsm2-util",
        "cert-to-efi-sig-list",
        "hash-to-efi-sig-list",
        "sign-efi-sig-list",
    ]) {
        return;
    }
    let mut house = House::builder().key("other", Algorithm::P256).prepare();
    let key = house.path("key.pem");
    run(capped(30, "openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
        .arg(&key))
    .succeeded();
    house.import("pk", &key);
    house.start();
    house.wait_until("every worker of the token is ready", House::is_ready);
    house.x509("pk", "efi");
    house.x509("other", "efi");
    let tool = |line: &str| {
        let mut command = Command::new("sh");
        command.env("TZ", "UTC").args(["-ec", line]).current_dir(house.path(""));
        run(&mut command).succeeded();
    };
    tool(&format!("cert-to-efi-sig-list -g {OWNER} other.pem other.esl; : >none.esl"));

    let theirs = "sign-efi-sig-list -t '2026-11-25 12:00:00' -k key.pem -c pk.pem";
    let ours = format!(
        "chancery sign efi-variable --key pk --time 2026-11-25T12:00:00Z --owner {OWNER} -o ours.auth"
    );
    for (their_words, list, our_words) in [
        ("PK", "other.esl", "PK --add-cert other.pem"),
        ("KEK", "other.esl", "KEK --add-cert other.pem --cert pk.pem"),
        ("db", "other.esl", "db --add-cert other.pem"),
        ("-a db", "other.esl", "db --append --add-cert other.pem"),
        ("PK", "none.esl", "PK --remove"),
    ] {
        tool(&format!("{theirs} {their_words} {list} theirs.auth"));
        let said = house.shell(&format!("{ours} {our_words}")).succeeded();
        assert!(said.stdout.contains("signed"), "{our_words}: {}", said.stdout);
        let [ours, theirs] = ["ours.auth", "theirs.auth"].map(|name| fs::read(house.path(name)).unwrap());
        assert!(ours == theirs, "{our_words}");
    }
    house.chancery(&["audit", "verify", "audit"]).succeeded();
}

#[test]
fn what_cannot_be_signed_is_told_and_writes_nothing() {
    let house = House::builder().key("k", Algorithm::P256).key("young", Algorithm::Ed25519).start();
    let cert = house.x509("k", "efi");
    let cert = cert.to_str().unwrap();
    fs::write(house.path("text"), "no image").unwrap();
    let hash = "00".repeat(31);
    for (words, code, told) in [
        (&["db", "--key", "k"][..], 2, "--add-cert"),
        (&["Db", "--key", "k", "--add-cert", cert], 2, "possible values: PK, KEK, db, dbx"),
        (&["dbx", "--key", "k", "--add-hash", &hash], 2, "a SHA-256 has 64 hexadecimal digits"),
        (&["db", "--key", "k", "--remove", "--append"], 2, "cannot be used with"),
        (&["dbx", "--key", "k", "--add-image", "text"], 5, "text: "),
        (&["db", "--key", "k", "--add-cert", "none.pem"], 1, "none.pem: "),
        (&["db", "--key", "young", "--add-cert", cert], 1, "ed25519"),
        (&["db", "--key", "unknown", "--add-cert", cert], 3, "key `unknown`"),
    ] {
        let arguments = [&["sign", "efi-variable", "-o", "out.auth"], words].concat();
        let output = house.chancery(&arguments);
        assert!(output.stderr.contains(told), "{words:?}: {}", output.stderr);
        assert_eq!(output.code, Some(code), "{words:?}: {}", output.stderr);
        assert!(!house.path("out.auth").exists(), "{words:?}");
    }
}
