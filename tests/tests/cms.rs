//! Files signed by CMS with keys in a token, judged by openssl, fsverity and veritysetup.

use std::fs;

use chancery_protocol::Algorithm;
use chancery_tests::tools::have;
use chancery_tests::{House, capped, run};

const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("rsa2048", Algorithm::Rsa2048),
    ("p256", Algorithm::P256),
    ("p521", Algorithm::P521),
    ("ed25519", Algorithm::Ed25519),
];

/// A house with a key of every algorithm, each with its certificate in `NAME.pem`, and a file to sign.
fn house() -> House {
    let builder =
        ALGORITHMS.iter().fold(House::builder(), |builder, (name, algorithm)| builder.key(name, *algorithm));
    let house = builder.start();
    for (name, _) in ALGORITHMS {
        house.x509(name, "code");
    }
    // Longer than any buffer on the way.
    house.write("data", (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    house.write("other", "other");
    house
}

#[test]
fn openssl_accepts_signatures_of_every_algorithm_beside_the_file_and_around_it_and_over_nothing_else() {
    if !have(&["openssl", "certtool"]) {
        return;
    }
    let house = house();
    for (key, _) in ALGORITHMS {
        for (options, suffix) in [
            ("", "p7s"),
            ("--armor --pkcs7", "p7s"),
            ("--cades --no-signing-time", "p7s"),
            ("--pkcs7", "p7s"),
            ("--key-identifier", "p7s"),
            ("--attached", "p7m"),
        ] {
            let said = house.shell(&format!("chancery sign cms --key {key} {options} data")).succeeded();
            assert_eq!(said.stdout, format!("data: signed to data.{suffix}\n"));
            let judged = judge(key, options, suffix);
            house.shell(&judged).succeeded();
            let named = if suffix == "p7m" { "data.p7m" } else { "data" };
            let said = house.shell(&format!("chancery verify cms --cert {key}.pem {named}")).succeeded();
            assert!(
                said.stdout.starts_with(&format!("{named}: good signature of `CN={key}")),
                "{}",
                said.stdout
            );
            house.shell(&format!("chancery verify cms --key {key} {named}")).succeeded();
            if suffix == "p7s" {
                let other = house.shell(&judged.replace(" data ", " other "));
                assert_ne!(other.code, Some(0), "{judged}: {}", other.text());
                let said =
                    house.shell(&format!("chancery verify cms --key {key} -s data.p7s other")).failed(1);
                assert!(said.stderr.contains("other contents"), "{}", said.stderr);
            }
            fs::remove_file(house.path(&format!("data.{suffix}"))).unwrap();
        }
    }
    house.chancery(&["audit", "verify", "audit"]).succeeded();
}

/// The line that verifies a signature over `data`: by openssl, or by GnuTLS, as OpenSSL 3.0 verifies no Ed25519 in CMS.
fn judge(key: &str, options: &str, suffix: &str) -> String {
    let (attached, text) = (suffix == "p7m", options.contains("--armor"));
    if key == "ed25519" {
        let form = if text { "" } else { "--inder" };
        let content = if attached { "" } else { "--load-data data " };
        return format!(
            "certtool --p7-verify {form} --load-certificate {key}.pem {content} --infile data.{suffix}"
        );
    }
    let form = if text { "PEM" } else { "DER" };
    let content = if attached { "" } else { "-content data " };
    let cades = if options.contains("--cades") { "-cades" } else { "" };
    format!(
        "openssl cms -verify -binary -purpose any -CAfile {key}.pem {cades} -inform {form} -in data.{suffix} {content} \
         -out read && cmp read data"
    )
}

#[test]
fn standard_input_is_signed_to_standard_output_and_what_a_signature_holds_comes_out_again() {
    if !have(&["openssl"]) {
        return;
    }
    let house = house();
    for line in [
        "cat data | chancery sign cms --key p256 --attached > signed",
        "chancery sign cms --key p256 --attached --json -o - data > signed",
        "chancery sign cms --key p256 --attached -o signed - < data",
    ] {
        house.shell(line).succeeded();
        house.shell("openssl cms -verify -binary -purpose any -CAfile p256.pem -inform DER -in signed -out read && cmp read data").succeeded();
        house.shell("chancery verify cms --cert p256.pem -o read signed && cmp read data").succeeded();
        house.shell("chancery verify cms --quiet --cert p256.pem -o - signed | cmp - data").succeeded();
    }
    house.shell("chancery sign cms --key p256 < data > signed").succeeded();
    house.shell("chancery verify cms --cert p256.pem -s signed data").succeeded();
    let said = house.shell("chancery verify cms --cert p256.pem signed").failed(5);
    assert!(said.stderr.contains("is a detached signature"), "{}", said.stderr);
    // Nothing comes out of what is not good.
    let mut bytes = fs::read(house.path("read")).unwrap();
    house.shell("chancery sign cms --key p256 --attached -o signed data").succeeded();
    bytes.clone_from(&fs::read(house.path("signed")).unwrap());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    house.write("signed", bytes);
    fs::remove_file(house.path("read")).unwrap();
    house.shell("chancery verify cms --cert p256.pem -o read signed").failed(1);
    assert!(!house.path("read").exists());
    let said = house.shell("chancery verify cms --cert p256.pem -o - signed").failed(1);
    assert_eq!(said.stdout, "");
}

#[test]
fn a_signature_for_fs_verity_is_byte_for_byte_that_of_fsverity() {
    if !have(&["openssl", "softhsm2-util", "fsverity", "xxd"]) {
        return;
    }
    let mut house = House::builder().prepare();
    let key = house.path("key.pem");
    run(capped(30, "openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
        .arg(&key))
    .succeeded();
    house.import("verity", &key);
    house.start();
    house.wait_until("every worker of the token is ready", House::is_ready);
    house.x509("verity", "code");
    house.write("data", vec![7; 100_000]);
    house.shell("fsverity sign data theirs --key=key.pem --cert=verity.pem").succeeded();
    house
        .shell(
            "fsverity digest --for-builtin-sig --compact data | xxd -r -p \
             | chancery sign cms --key verity --pkcs7 --no-attributes --no-certificates > ours",
        )
        .succeeded();
    house.shell("cmp ours theirs").succeeded();
}

#[test]
fn a_root_hash_of_dm_verity_is_signed_as_systemd_and_the_kernel_want_it() {
    if !have(&["openssl", "veritysetup"]) {
        return;
    }
    let house = house();
    house.write("image", vec![1; 1 << 20]);
    house
        .shell("veritysetup format image image.verity --root-hash-file=image.roothash >/dev/null")
        .succeeded();
    house
        .shell(
            "chancery sign cms --key rsa2048 --no-attributes --no-certificates \
             -o image.roothash.p7s image.roothash",
        )
        .succeeded();
    let judge = "openssl smime -verify -binary -nointern -noverify -certfile rsa2048.pem -inform DER";
    house.shell(&format!("{judge} -in image.roothash.p7s -content image.roothash -out read")).succeeded();
    house.shell(&format!("{judge} -in image.roothash.p7s -content other -out read")).failed(4);
}

#[test]
fn what_cannot_be_signed_is_told_and_writes_nothing() {
    let house = House::builder().key("k", Algorithm::P256).key("young", Algorithm::Ed25519).start();
    house.write("data", "some data");
    fs::create_dir(house.path("folder")).unwrap();
    let without = house.chancery(&["sign", "cms", "--key", "k", "data"]).failed(1);
    assert!(without.stderr.contains("no x509 certificate is stored"), "{}", without.stderr);
    house.x509("k", "code");
    house.x509("young", "code");
    for (words, code, told) in [
        (&["--key", "k", "missing"][..], 1, "missing: cannot read: no such file"),
        (&["--key", "k", "folder"], 5, "folder: is a directory"),
        (&["--key", "unknown", "data"], 3, "key `unknown`"),
        (&["--key", "young", "--no-attributes", "data"], 3, "with signed attributes only (RFC 8419)"),
        (&["--key", "young", "--hash", "sha256", "data"], 3, "with SHA-512 only (RFC 8419)"),
        (&["--key", "k", "--cert", "young.pem", "data"], 1, "for another key than `k`"),
        (&["--key", "k", "--attached", "--armor", "data"], 2, "cannot be used with"),
        (&["--key", "k", "--no-attributes", "--cades", "data"], 2, "cannot be used with"),
        (&["--key", "k", "-o", "one", "data", "k.pem"], 2, "is for one file"),
    ] {
        let output = house.chancery(&[&["sign", "cms"], words].concat());
        assert!(output.stderr.contains(told), "{words:?}: {}", output.stderr);
        output.failed(code);
    }
    house.shell("test -z \"$(ls | grep -e p7 -e one -e chancery-)\"").succeeded();
    house.write("data.p7s", "no signature");
    let said = house.chancery(&["verify", "cms", "--cert", "k.pem", "data"]).failed(5);
    assert!(said.stderr.contains("data.p7s: the signature is not CMS"), "{}", said.stderr);
}
