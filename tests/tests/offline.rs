//! Images whose signatures are made elsewhere: `chancery prepare efi`, a bare signature, `chancery attach efi`, and the same
//! in systemd-sbsign's words. openssl signs; sbverify and osslsigncode judge.

use std::fs;

use chancery_tests::images::{P256, RSA, have_images_and};
use chancery_tests::tools::is_root;
use chancery_tests::{House, Page};

const JUDGES: [&str; 3] = ["openssl", "osslsigncode", "sbverify"];

/// A house with keys in files, and an image `b.efi` that is not `a.efi`.
fn house(keys: &[(&str, &str)]) -> House {
    let house = House::with_keys_in_files(keys);
    let mut other = fs::read(house.path("a.efi")).unwrap();
    other[2000] ^= 1;
    house.write("b.efi", other);
    house
}

#[test]
fn a_signature_that_openssl_makes_elsewhere_gives_the_image_that_signing_here_gives() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = house(&[("rsa", RSA)]);
    house.shell("chancery sign efi --key rsa -o here.efi a.efi && cp a.efi b.efi").succeeded();
    house.shell("chancery prepare efi --cert rsa.pem -o data a.efi").succeeded();
    // What sbverify's OpenSSL takes for the signed attributes: a SET, with the content type of Authenticode.
    let parsed = house.shell("openssl asn1parse -inform DER -in data").succeeded().stdout;
    assert!(parsed.lines().next().is_some_and(|line| line.ends_with("cons: SET               ")), "{parsed}");
    assert!(parsed.contains(":1.3.6.1.4.1.311.2.1.4\n"), "{parsed}");
    house.shell("openssl dgst -sha256 -sign rsa.key -out sig data").succeeded();
    let said = house
        .shell("chancery attach efi --signed-data data --signature sig --cert rsa.pem a.efi")
        .succeeded()
        .stdout;
    assert_eq!(said, "a.efi: signed with sig\n");
    house.shell("cmp a.efi here.efi").succeeded();
    house.judges_accept("rsa", "a.efi");
    // By the daemon's key: the same bytes, and a record of what was signed.
    let said =
        house.shell("chancery sign efi --key rsa --prepared data && cmp data.sig sig").succeeded().stdout;
    assert_eq!(said, "data: signed to data.sig\n");
    house
        .shell("openssl dgst -sha256 -verify <(chancery key show rsa --pem) -signature data.sig data")
        .succeeded();
    let trail = house.audit_trail();
    assert!(trail.iter().any(|record| record["format"] == "efi" && record["artifact"] == "data"));
}

#[test]
fn every_kind_of_key_and_hash_signs_elsewhere() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = house(&[("p256", P256), ("rsa", RSA)]);
    for (key, hash) in [("p256", "sha256"), ("p256", "sha384"), ("rsa", "sha512")] {
        house
            .shell(&format!(
                "chancery prepare efi --hash {hash} -o data a.efi && cp a.efi one.efi && cp a.efi two.efi"
            ))
            .succeeded();
        let attach = format!("chancery attach efi --signed-data data --cert {key}.pem --signature");
        house
            .shell(&format!("openssl dgst -{hash} -sign {key}.key -out sig data && {attach} sig one.efi"))
            .succeeded();
        house
            .shell(&format!("chancery sign efi --key {key} --prepared data -o own && {attach} own two.efi"))
            .succeeded();
        for image in ["one.efi", "two.efi"] {
            let said =
                house.shell(&format!("osslsigncode verify -CAfile {key}.pem -in {image}")).succeeded().stdout;
            assert!(said.contains("Succeeded"), "{key} {hash}: {said}");
            house.chancery(&["verify", "efi", "--key", key, image]).succeeded();
        }
    }
}

#[test]
fn what_does_not_belong_together_is_not_attached_and_nothing_else_is_signed() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = house(&[("rsa", RSA), ("other", RSA), ("p256", P256)]);
    house
        .shell("chancery prepare efi -o data a.efi && openssl dgst -sha256 -sign rsa.key -out sig data")
        .succeeded();
    house
        .shell(
            "head -c -1 data >cut; cat data data >twice; openssl x509 -in rsa.pem -outform DER -out rsa.der",
        )
        .succeeded();
    let before = fs::read(house.path("a.efi")).unwrap();
    for (words, code, told) in [
        ("--signed-data data --signature sig --cert rsa.pem b.efi", 1, "data: this is about another image"),
        ("--signed-data data --signature sig --cert other.pem a.efi", 1, "sig: bad signature"),
        (
            "--signed-data data --signature sig --cert p256.pem a.efi",
            1,
            "sig: this is no signature of a key of p256",
        ),
        ("--signed-data data --signature data --cert rsa.pem a.efi", 1, "data: bad signature"),
        (
            "--signed-data cut --signature sig --cert rsa.pem a.efi",
            5,
            "cut: this is not what a signature of an image is over",
        ),
        ("--signed-data data --signature sig a.efi", 2, "--cert"),
        ("--signed-data data --cert rsa.pem a.efi", 2, "--signature"),
        ("--signature sig a.efi a.efi", 2, "--signed-data"),
    ] {
        let said = house.shell(&format!("chancery attach efi {words}")).failed(code);
        assert!(said.stderr.contains(told), "{words}: {}", said.stderr);
        assert!(fs::read(house.path("a.efi")).unwrap() == before, "{words}");
    }
    for (words, code, told) in [
        ("cut", 5, "cut: this is not what a signature of an image is over"),
        ("twice", 5, "twice: this is not what a signature of an image is over"),
        ("a.efi", 5, "a.efi: this is not what a signature of an image is over"),
        ("rsa.der", 5, "rsa.der: this is not what a signature of an image is over"),
        ("none", 1, "none: cannot read"),
        ("data --hash sha512", 2, "--hash"),
        ("data cut -o x", 2, "`-o` takes one file"),
    ] {
        let said = house.shell(&format!("chancery sign efi --key rsa --prepared {words}")).failed(code);
        assert!(said.stderr.contains(told), "{words}: {}", said.stderr);
        assert!(!house.path("x").exists() && !house.path("cut.sig").exists(), "{words}");
    }
}

#[test]
fn systemd_sbsign_is_called_as_ukify_and_mkosi_call_it() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = house(&[("boot", RSA)]);
    for words in [
        "sign --private-key boot --certificate boot.pem a.efi --output out.efi",
        "sign --private-key pkcs11:object=boot --certificate boot.pem --private-key-source engine:pkcs11 a.efi --output out.efi",
        "sign --output out.efi --private-key=boot.pem --private-key-source=file --certificate=boot.pem --certificate-source=file a.efi",
        "sign --private-key=boot --certificate=pkcs11:object=boot --certificate-source=provider:pkcs11 --output=out.efi a.efi",
        "--out=out.efi --private-key=boot sign a.efi",
    ] {
        let said = house.shell(&format!("rm -f out.efi && chancery-systemd-sbsign {words}")).succeeded();
        assert_eq!(said.text(), "", "{words}");
        house.judges_accept("boot", "out.efi");
    }
    // As it is done in three steps: the same image at the same time.
    house
        .shell(
            "export SOURCE_DATE_EPOCH=1800000000
             chancery-systemd-sbsign sign --private-key=boot --certificate=boot.pem --output=here.efi a.efi &&
             chancery-systemd-sbsign sign --certificate=boot.pem --output=data --prepare-offline-signing a.efi &&
             openssl dgst -sha256 -sign boot.key -out sig data &&
             chancery-systemd-sbsign sign --certificate=boot.pem --output=apart.efi --signed-data=data --signed-data-signature=sig a.efi &&
             cmp here.efi apart.efi",
        )
        .succeeded();
    house.judges_accept("boot", "apart.efi");
    let parsed = house.shell("openssl asn1parse -inform DER -in data").succeeded().stdout;
    assert!(parsed.contains("UTCTIME           :270115080000Z"), "{parsed}");
    assert!(
        house
            .shell("chancery-systemd-sbsign --help")
            .succeeded()
            .stdout
            .contains("--prepare-offline-signing")
    );
}

#[test]
fn what_systemd_sbsign_is_refused_leaves_no_file_and_ends_with_1() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = house(&[("boot", RSA), ("other", RSA)]);
    house
        .shell("chancery prepare efi -o data b.efi && openssl dgst -sha256 -sign boot.key -out sig data")
        .succeeded();
    let with = "--certificate=boot.pem --output=out.efi";
    house.refuses(
        &format!("chancery-systemd-sbsign sign {with}"),
        &[
            ("--private-key=none a.efi", "key `none` does not exist, or you may not use it"),
            ("--private-key=boot.key a.efi", "give `boot` in place of the file"),
            ("--private-key=other a.efi", "boot.pem: the certificate of `boot of a test` is for another key"),
            ("--private-key=boot none.efi", "none.efi: cannot read"),
            ("--private-key=boot --private-key-source=engine:tpm2 a.efi", "engine:tpm2"),
            ("--signed-data=data --signed-data-signature=sig a.efi", "data: this is about another image"),
            ("--signed-data=data a.efi", "belong together"),
            ("a.efi", "nobody is named who signs"),
            ("--private-key=boot", "no image is named"),
        ],
    );
    house.refuses(
        "chancery-systemd-sbsign",
        &[("sign --private-key=boot a.efi", "no output is named"), ("verify a.efi", "verify")],
    );
    if is_root() {
        let line = "chancery-systemd-sbsign sign --private-key=boot --certificate=boot.pem --output=theirs/out.efi a.efi";
        house.refuses_a_stranger(line);
    }
}

#[test]
fn the_page_says_what_works() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::builder().start();
    house.image("linux.efi");
    let page = Page::of("ukify");
    page.under("Once, by an operator").iter().for_each(|block| house.follow(block));
    house.shell(&page.under("After")[1]).succeeded();
    house
        .shell("PATH=$PWD/tools:$PATH sbsign --key boot --cert db.pem --output three.efi linux.efi")
        .succeeded();
    house.shell("PATH=$PWD/tools:$PATH pesign -s -c boot -i linux.efi -o four.efi").succeeded();
    for image in ["three.efi", "four.efi"] {
        house.shell(&page.block("Checking").replace("signed.efi", image)).succeeded();
    }
    for block in page.under("Signing where the image is not") {
        house.shell(&block).succeeded();
        house.shell("sbverify --cert db.pem linux.efi").succeeded();
    }
    let said = house.shell(&page.block("Checking")).succeeded().text();
    assert!(said.contains("Signature verification OK"), "{said}");
}
