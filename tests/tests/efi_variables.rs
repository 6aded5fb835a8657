//! Updates of Secure Boot's variables, signed by a key in a token: byte for byte those of efitools with the same key.

use std::fs;
use std::process::Command;

use chancery_protocol::Algorithm;
use chancery_tests::tools::have;
use chancery_tests::{House, Page, capped, run};

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
        let variable = our_words.split(' ').next().unwrap();
        let verified = house
            .shell(&format!("chancery verify efi-variable {variable} theirs.auth --key pk --cert other.pem"));
        let does = if our_words.contains("--append") { "adds to" } else { "replaces" };
        let told = format!(
            "good signature of `CN=pk of a test,O=Example`: {does} {variable}, made 2026-11-25T12:00:00Z\n"
        );
        assert!(verified.succeeded().stdout.ends_with(&told), "{our_words}");
    }
    house.chancery(&["audit", "verify", "audit"]).succeeded();
}

#[test]
fn what_an_update_says_is_listed_and_who_may_not_sign_it_is_told() {
    if !have(&["openssl", "cert-to-efi-sig-list", "sign-efi-sig-list"]) {
        return;
    }
    let house = House::builder().key("kek", Algorithm::Rsa2048).key("vendor", Algorithm::P256).start();
    house.x509("kek", "efi");
    house.x509("vendor", "efi");
    let hash = "ab".repeat(32);
    let line = format!(
        "chancery sign efi-variable db --key kek --owner {OWNER} --add-cert vendor.pem --add-hash {hash} \
         --time 2026-11-25T12:00:00Z -o db.auth"
    );
    house.shell(&line).succeeded();
    let said = house.chancery(&["show", "efi-variable", "db.auth", "--json"]).succeeded().stdout;
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    let fingerprint =
        house.shell("openssl x509 -in vendor.pem -outform DER | sha256sum | cut -c -64").succeeded().stdout;
    let entries = serde_json::json!([
        { "kind": "certificate", "value": "CN=vendor of a test,O=Example", "fingerprint": fingerprint.trim(), "owner": OWNER },
        { "kind": "sha256", "value": hash, "fingerprint": null, "owner": OWNER },
    ]);
    assert_eq!(shown["entries"], entries);
    assert_eq!((&shown["time"], &shown["hash"]), (&"2026-11-25T12:00:00Z".into(), &"sha256".into()));
    let said = house.chancery(&["show", "efi-variable", "db.auth"]).succeeded().stdout;
    let mut words = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    for line in
        ["subject CN=kek of a test,O=Example".to_owned(), format!("sha256 {hash}"), format!("owner {OWNER}")]
    {
        assert!(words.any(|said| said == line), "{line}: {said}");
    }

    house.chancery(&["verify", "efi-variable", "db", "db.auth", "--cert", "kek.pem"]).succeeded();
    house.write("text", "no update, but long enough for the header of one, which has forty bytes\n");
    for (words, code, told) in [
        (
            &["db", "db.auth", "--cert", "vendor.pem"][..],
            1,
            "which none of the given certificates vouches for",
        ),
        (
            &["dbx", "db.auth", "--cert", "kek.pem"],
            1,
            "is signed for something else than dbx, or was changed",
        ),
        (
            &["PK", "db.auth", "--cert", "kek.pem"],
            1,
            "is for PK, and holds something else than one certificate",
        ),
        (
            &["db", "text", "--cert", "kek.pem"],
            5,
            "text: this is no signed update of a variable: at offset 0x0",
        ),
        (&["db", "db.auth"], 2, "--cert"),
    ] {
        let said = house.chancery(&[&["verify", "efi-variable"], words].concat()).failed(code).stderr;
        assert!(said.contains(told), "{words:?}: {said}");
    }
    let said = house.chancery(&["show", "efi-variable", "text"]).failed(5).stderr;
    assert!(said.contains("hint: `chancery sign efi-variable` writes such files"), "{said}");
}

#[test]
fn what_cannot_be_signed_is_told_and_writes_nothing() {
    let house = House::builder().key("k", Algorithm::P256).key("young", Algorithm::Ed25519).start();
    let cert = house.x509("k", "efi");
    let cert = cert.to_str().unwrap();
    fs::write(house.path("text"), "no image").unwrap();
    // A real image of 950891 bytes, which firmware would hash in another way once it is signed.
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/shimx64.efi"), house.path("odd.efi")).unwrap();
    let hash = "00".repeat(31);
    for (words, code, told) in [
        (&["db", "--key", "k"][..], 2, "--add-cert"),
        (&["Db", "--key", "k", "--add-cert", cert], 2, "possible values: PK, KEK, db, dbx"),
        (&["dbx", "--key", "k", "--add-hash", &hash], 2, "a SHA-256 has 64 hexadecimal digits"),
        (&["db", "--key", "k", "--remove", "--append"], 2, "cannot be used with"),
        (&["dbx", "--key", "k", "--add-image", "text"], 5, "text: "),
        (
            &["dbx", "--key", "k", "--add-image", "odd.efi"],
            5,
            "odd.efi: has 950891 bytes, no multiple of 8: firmware hashes",
        ),
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

#[test]
fn the_page_says_how_the_machines_own_variables_are_signed() {
    const PROGRAM: &str = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi";
    if !have(&["pesign", PROGRAM]) {
        return;
    }
    let keys = ["pk", "kek", "boot"];
    let house =
        keys.into_iter().fold(House::builder(), |house, key| house.key(key, Algorithm::Rsa2048)).start();
    for key in keys {
        house.x509(key, "efi");
    }
    house
        .shell(&format!("cp boot.pem db.pem && chancery sign efi --key boot -o old.efi {PROGRAM}"))
        .succeeded();
    for block in Page::of("secure-boot").under("The machine's own keys") {
        house.shell(&block).succeeded();
    }
    for (variable, signer, does) in [
        ("PK", "pk", "replaces"),
        ("KEK", "pk", "replaces"),
        ("db", "kek", "replaces"),
        ("dbx", "kek", "adds to"),
    ] {
        let line = format!("chancery verify efi-variable {variable} {variable}.auth --key {signer}");
        let said = house.shell(&line).succeeded().stdout;
        assert!(
            said.contains(&format!("CN={signer} of a test,O=Example`: {does} {variable}, made")),
            "{said}"
        );
    }
    let hash = house.shell("pesign -h -i old.efi").succeeded().stdout;
    let shown = house.chancery(&["show", "efi-variable", "dbx.auth", "--json"]).succeeded().stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(format!("hash: {}", shown["entries"][0]["value"].as_str().unwrap()), hash.trim());
}
