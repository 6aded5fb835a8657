//! X.509 certificates and requests of keys in a token, judged by openssl.

use std::path::Path;

use chancery_protocol::Algorithm;
use chancery_tests::tools::have;
use chancery_tests::{House, Output, capped, run};

fn openssl(arguments: &[&str]) -> Output {
    run(capped(30, "openssl").args(arguments))
}

fn text(certificate: &Path) -> String {
    openssl(&["x509", "-noout", "-text", "-in", certificate.to_str().unwrap()]).succeeded().stdout
}

#[test]
fn openssl_accepts_strictly_a_certificate_of_every_algorithm_and_profile() {
    if !have(&["openssl"]) {
        return;
    }
    let keys = [
        ("rsa2048", Algorithm::Rsa2048, "module"),
        ("rsa4096", Algorithm::Rsa4096, "efi"),
        ("p256", Algorithm::P256, "efi"),
        ("p384", Algorithm::P384, "module"),
        ("p521", Algorithm::P521, "code"),
        ("ed25519", Algorithm::Ed25519, "code"),
    ];
    let builder =
        keys.iter().fold(House::builder(), |builder, (name, algorithm, _)| builder.key(name, *algorithm));
    let house = builder.start();
    for (name, _, profile) in keys {
        let certificate = house.x509(name, profile);
        let path = certificate.to_str().unwrap();
        openssl(&["verify", "-x509_strict", "-check_ss_sig", "-CAfile", path, path]).succeeded();
        let said = text(&certificate);
        let authority = if profile == "efi" { "CA:TRUE" } else { "CA:FALSE" };
        assert!(said.contains(authority) && said.contains("Code Signing"), "{name}: {said}");
        assert!(said.contains(&format!("Subject: O = Example, CN = {name} of a test")), "{name}: {said}");
        // The key in it is the one in the token.
        let ours = house.chancery(&["key", "show", name, "--pem"]).succeeded().stdout;
        assert_eq!(openssl(&["x509", "-noout", "-pubkey", "-in", path]).stdout, ours, "{name}");
    }
    let formats: Vec<_> = house
        .audit_trail()
        .into_iter()
        .filter(|record| record["event"] == "intent")
        .map(|record| (record["format"].clone(), record["artifact"].clone()))
        .collect();
    assert_eq!(formats.len(), keys.len());
    assert!(formats.iter().all(|(format, _)| format == "x509"), "{formats:?}");
    assert_eq!(formats[0].1, "rsa2048.x509");
}

#[test]
fn a_certificate_is_made_once_and_then_written_again() {
    if !have(&["openssl"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::P256).start();
    let said = house.chancery(&["key", "cert", "k", "--x509"]).failed(1);
    assert!(
        said.stderr.contains("hint: the operator makes it with `chancery x509 self-sign k "),
        "{}",
        said.stderr
    );

    let made = std::fs::read_to_string(house.x509("k", "module")).unwrap();
    let signatures = house.status_json()["signatures"].clone();
    assert_eq!(std::fs::read_to_string(house.x509("k", "module")).unwrap(), made);
    assert_eq!(house.chancery(&["key", "cert", "k", "--x509", "--armor"]).succeeded().stdout, made);
    house.chancery(&["key", "cert", "k", "--x509", "-o", "k.der"]).succeeded();
    let der = house.path("k.der");
    assert_eq!(openssl(&["x509", "-inform", "DER", "-in", der.to_str().unwrap()]).succeeded().stdout, made);
    let arguments =
        ["x509", "self-sign", "k", "--subject", "/O=Example/CN=k of a test", "--profile", "module"];
    assert_eq!(house.chancery(&[&arguments[..], &["-o", "again.der", "--no-armor"]].concat()).code, Some(0));
    assert!(std::fs::read(house.path("again.der")).unwrap() == std::fs::read(&der).unwrap());
    assert_eq!(house.status_json()["signatures"], signatures, "no signature was made that nobody needs");

    // What it would say otherwise, it cannot say any more.
    for (subject, profile) in [("CN=another", "module"), ("CN=k of a test, O=Example", "efi")] {
        let said =
            house.chancery(&["x509", "self-sign", "k", "--subject", subject, "--profile", profile]).failed(1);
        assert!(
            said.stderr.contains("has a certificate already, for `CN=k of a test,O=Example`, profile module"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_certificate_ends_when_it_is_told_to() {
    if !have(&["openssl"]) {
        return;
    }
    let keys = [("never", None), ("dated", Some("2031-12-31")), ("policy", None)];
    let uid = nix::unistd::geteuid();
    let house = keys
        .iter()
        .fold(House::builder(), |builder, (name, _)| builder.key(name, Algorithm::P256))
        .policy(
            "policy",
            &format!("not-after = \"2040-01-01T00:00:00Z\"\n[[allow]]\nwho = [\"user:{uid}\"]\n"),
        )
        .start();
    for (name, expires) in keys {
        let mut arguments =
            vec!["x509", "self-sign", name, "--subject", "CN=x", "--profile", "code", "-o", "x.pem"];
        arguments.extend(expires.into_iter().flat_map(|when| ["--expires", when]));
        house.chancery(&arguments).succeeded();
        let said = text(&house.path("x.pem"));
        let end = match name {
            "never" => "Not After : Dec 31 23:59:59 9999 GMT",
            "dated" => "Not After : Jan  1 00:00:00 2032 GMT",
            _ => "Not After : Jan  1 00:00:00 2040 GMT",
        };
        assert!(said.contains(end), "{name}: {said}");
    }
    let past =
        ["x509", "self-sign", "dated", "--subject", "CN=x", "--profile", "code", "--expires", "2020-01-01"];
    // The stored one is written whatever is asked of its end.
    house.chancery(&past).succeeded();
}

#[test]
fn a_request_is_verified_by_openssl_and_its_certificate_is_taken() {
    if !have(&["openssl"]) {
        return;
    }
    let house = House::builder().key("rsa", Algorithm::Rsa2048).key("ed", Algorithm::Ed25519).start();
    for name in ["rsa", "ed"] {
        let request = format!("{name}.csr");
        house
            .chancery(&["x509", "csr", name, "--subject", "/C=DE/O=Example/CN=Signer", "-o", &request])
            .succeeded();
        let path = house.path(&request);
        let said =
            openssl(&["req", "-verify", "-noout", "-subject", "-in", path.to_str().unwrap()]).succeeded();
        assert!(said.text().contains("self-signature verify OK"), "{}", said.text());
        assert!(said.stdout.contains("C = DE, O = Example, CN = Signer"), "{}", said.stdout);
    }
    // An authority that openssl plays makes the certificate.
    house
        .shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=Authority -out ca.pem 2>/dev/null &&
             openssl x509 -req -in rsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out issued.pem 2>/dev/null &&
             openssl verify -CAfile ca.pem issued.pem &&
             printf module > a.ko && chancery sign module --key rsa --cert issued.pem a.ko",
        )
        .succeeded();
    let signed = std::fs::read(house.path("a.ko")).unwrap();
    chancery_tests::kernel::openssl_verify(&signed, &house.path("issued.pem")).succeeded();
}

#[test]
fn ed25519_certificates_need_a_policy_that_lets_messages_be_signed() {
    let uid = nix::unistd::geteuid();
    let house = House::builder()
        .key("k", Algorithm::Ed25519)
        .policy("k", &format!("[[allow]]\nwho = [\"user:{uid}\"]\n"))
        .start();
    let said =
        house.chancery(&["x509", "self-sign", "k", "--subject", "CN=x", "--profile", "code"]).failed(3);
    assert!(said.stderr.contains("does not serve scheme ed25519 for you"), "{}", said.stderr);
    assert!(said.stderr.contains("inputs = [\"digest\", \"message\"]"), "{}", said.stderr);
}

#[test]
fn a_wrong_subject_says_what_is_wrong_with_it() {
    let house = House::builder().key("k", Algorithm::P256).start();
    for (subject, why) in
        [("Example", "without `=`"), ("CN=x,C=Germany", "two capital letters"), ("XY=1", "none of CN, O")]
    {
        let said = house.chancery(&["x509", "csr", "k", "--subject", subject]).failed(2);
        assert!(said.stderr.contains(why), "{}", said.stderr);
    }
}
