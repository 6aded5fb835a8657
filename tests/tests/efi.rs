//! PE images signed by `chancery sign efi` with keys in a token: judged by sbverify, pesign and osslsigncode.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chancery_protocol::Algorithm;
use chancery_tests::tools::have;
use chancery_tests::{House, Output, Page};

/// A UEFI program, a program of Windows for another processor, and the packages that they are of.
const SYSTEMD_BOOT: (&str, &str) = ("/usr/lib/systemd/boot/efi/systemd-bootx64.efi", "systemd-boot-efi");
const WINDOWS: (&str, &str) = ("/usr/lib/python3/dist-packages/distlib/t64-arm.exe", "python3-distlib");
const JUDGES: [&str; 4] = ["sbverify", "sbsign", "pesign", "osslsigncode"];

/// A copy of an installed image. If there is none, says so, and fails where nothing may be skipped.
#[track_caller]
fn copy(house: &House, (path, package): (&str, &str), name: &str) -> Option<PathBuf> {
    let there = Path::new(path).is_file();
    assert!(there || std::env::var_os("CI").is_none(), "missing here: {path} of {package}");
    if !there {
        eprintln!("skipped: missing here: {path} of {package}");
        return None;
    }
    Some(house.write(name, fs::read(path).unwrap()))
}

/// What sbverify says of a file in the house.
fn sbverify(house: &House, certificate: &Path, image: &str) -> Output {
    house.shell(&format!("sbverify --cert {} {image}", certificate.display()))
}

fn leftovers(house: &House) -> Vec<String> {
    let names = fs::read_dir(house.path(".")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with(".chancery-")).collect()
}

#[test]
fn the_judges_accept_what_rsa_and_ecdsa_keys_of_the_token_signed() {
    if !have(&JUDGES) {
        return;
    }
    let house = House::builder().key("rsa", Algorithm::Rsa2048).key("p256", Algorithm::P256).start();
    for name in ["rsa", "p256"] {
        let certificate = house.x509(name, "efi");
        let (Some(program), Some(_)) = (copy(&house, SYSTEMD_BOOT, "a.efi"), copy(&house, WINDOWS, "a.exe"))
        else {
            return;
        };
        let mode = fs::metadata(&program).unwrap().mode();
        let said = house.chancery(&["sign", "efi", "--key", name, "a.efi", "a.exe"]).succeeded();
        assert!(said.stdout.ends_with("signed 2 of 2\n"), "{}", said.stdout);
        for image in ["a.efi", "a.exe"] {
            let said = sbverify(&house, &certificate, image).succeeded();
            assert!(said.text().contains("Signature verification OK"), "{}", said.text());
            let line = format!("osslsigncode verify -CAfile {name}.pem -in {image}");
            assert!(house.shell(&line).succeeded().stdout.contains("Succeeded"), "{name} {image}");
            let said = house.shell(&format!("pesign -S -i {image}")).succeeded().stdout;
            assert!(said.contains(&format!("The signer's common name is {name} of a test\n")), "{said}");
            house.chancery(&["verify", "efi", "--key", name, image]).succeeded();
        }
        assert_eq!(fs::metadata(&program).unwrap().mode(), mode);
        // A flipped byte is nobody's.
        let mut flipped = fs::read(&program).unwrap();
        flipped[0x1000] ^= 1;
        fs::write(&program, &flipped).unwrap();
        assert_ne!(sbverify(&house, &certificate, "a.efi").code, Some(0));
        let said = house.chancery(&["verify", "efi", "--key", name, "a.efi"]).failed(1);
        assert!(said.stderr.contains("the signature is over another image"), "{}", said.stderr);
    }
    assert_eq!(leftovers(&house), Vec::<String>::new());
}

#[test]
fn signatures_are_kept_replaced_listed_and_removed() {
    if !have(&JUDGES) {
        return;
    }
    let house = House::builder().key("one", Algorithm::Rsa2048).key("two", Algorithm::P256).start();
    let (first, second) = (house.x509("one", "efi"), house.x509("two", "efi"));
    let Some(image) = copy(&house, SYSTEMD_BOOT, "a.efi") else { return };
    house.chancery(&["sign", "efi", "--key", "one", "a.efi"]).succeeded();
    let once = fs::read(&image).unwrap();
    let inode = fs::metadata(&image).unwrap().ino();
    let said = house.chancery(&["sign", "efi", "--key", "one", "a.efi"]).succeeded().stdout;
    assert_eq!(said, "a.efi: already signed by this key, left alone\n");
    assert_eq!(fs::metadata(&image).unwrap().ino(), inode);

    house.chancery(&["sign", "efi", "--key", "two", "a.efi"]).succeeded();
    sbverify(&house, &first, "a.efi").succeeded();
    sbverify(&house, &second, "a.efi").succeeded();
    let said = house.chancery(&["show", "efi", "a.efi", "--json"]).succeeded().stdout;
    let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
    let signatures = shown["signatures"].as_array().unwrap();
    let subjects: Vec<_> = signatures.iter().map(|one| one["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["CN=one of a test,O=Example", "CN=two of a test,O=Example"]);
    assert!(signatures.iter().all(|one| one["matches"] == true));
    let digest = house.shell("pesign -h -i a.efi").succeeded().stdout;
    assert_eq!(digest.trim(), format!("hash: {}", shown["sha256"].as_str().unwrap()));

    house.chancery(&["sign", "efi", "--key", "one", "--replace", "a.efi"]).succeeded();
    assert!(fs::read(&image).unwrap() == once);
    let said = house.chancery(&["unsign", "efi", "a.efi"]).succeeded().stdout;
    assert_eq!(said, "a.efi: unsigned\n");
    assert!(house.shell("sbverify --list a.efi").text().contains("No signature table present"));
    let said = house.chancery(&["unsign", "efi", "a.efi"]).succeeded().stdout;
    assert_eq!(said, "a.efi: was not signed\n");
    let said = house.chancery(&["verify", "efi", "--key", "one", "a.efi"]).failed(1).stderr;
    assert!(said.contains("hint: `chancery sign efi --key NAME a.efi` signs it"), "{said}");
}

#[test]
fn a_signature_is_made_far_from_the_image_and_attached_to_it_alone() {
    if !have(&JUDGES) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let certificate = house.x509("k", "efi");
    let (Some(image), Some(_)) = (copy(&house, SYSTEMD_BOOT, "a.efi"), copy(&house, WINDOWS, "other.exe"))
    else {
        return;
    };
    let before = fs::read(&image).unwrap();
    house.chancery(&["sign", "efi", "--key", "k", "--detached", "a.efi"]).succeeded();
    assert!(fs::read(&image).unwrap() == before, "the image stays");
    house.chancery(&["sign", "efi", "--key", "k", "-o", "signed.efi", "a.efi"]).succeeded();
    assert!(fs::read(&image).unwrap() == before, "the image stays");
    // sbattach takes the same signature, but counts no zeros in dwLength, so that the CheckSum is another.
    house
        .shell(
            "cp a.efi theirs.efi && sbattach --attach a.efi.p7 theirs.efi &&
             test $(cmp -l theirs.efi signed.efi | wc -l) -le 5 && sbverify --cert k.pem theirs.efi",
        )
        .succeeded();
    let said = house.chancery(&["attach", "efi", "a.efi.p7", "other.exe"]).failed(1).stderr;
    assert!(said.contains("a.efi.p7: the signature is over another image"), "{said}");
    house.chancery(&["attach", "efi", "a.efi.p7", "a.efi"]).succeeded();
    assert!(fs::read(&image).unwrap() == fs::read(house.path("signed.efi")).unwrap());
    sbverify(&house, &certificate, "a.efi").succeeded();
}

#[test]
fn hashes_of_pages_are_added_for_windows_where_an_image_has_pages() {
    if !have(&JUDGES) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.x509("k", "code");
    if copy(&house, WINDOWS, "a.exe").is_none() || copy(&house, SYSTEMD_BOOT, "a.efi").is_none() {
        return;
    }
    let page_hashes = || {
        let said = house.chancery(&["show", "efi", "a.exe", "--json"]).succeeded().stdout;
        let shown: serde_json::Value = serde_json::from_str(&said).unwrap();
        shown["signatures"][0]["page_hashes"].clone()
    };
    house.chancery(&["sign", "efi", "--key", "k", "--replace", "a.exe"]).succeeded();
    assert_eq!(page_hashes(), serde_json::Value::Null);
    // Not the same as what is there.
    let sign = ["sign", "efi", "--key", "k", "--page-hashes", "--replace", "a.exe"];
    assert_eq!(house.chancery(&sign).succeeded().stdout, "a.exe: signed\n");
    assert_eq!(house.chancery(&sign).succeeded().stdout, "a.exe: already signed by this key, left alone\n");
    assert_eq!(page_hashes(), "match");
    let said = house.shell("osslsigncode verify -CAfile k.pem -in a.exe").succeeded().stdout;
    assert!(said.contains("Page hash algorithm  : SHA256") && !said.contains("MISMATCH"), "{said}");
    house.chancery(&["verify", "efi", "--key", "k", "a.exe"]).succeeded();

    let said = house.chancery(&["sign", "efi", "--key", "k", "--page-hashes", "a.efi"]).failed(5).stderr;
    assert!(said.contains("a.efi: the image has no pages that could be hashed one by one"), "{said}");
    assert!(said.contains("hint: sign it without `--page-hashes`"), "{said}");
}

#[test]
fn a_chain_is_embedded_and_its_end_vouches_for_the_signer() {
    if !have(&JUDGES) || !have(&["openssl"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::P256).start();
    if copy(&house, SYSTEMD_BOOT, "a.efi").is_none() {
        return;
    }
    house
        .shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=Authority -days 3650 &&
             chancery x509 csr k --subject CN=Leaf -o k.csr &&
             openssl x509 -req -in k.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -out leaf.pem",
        )
        .succeeded();
    house
        .chancery(&["sign", "efi", "--key", "k", "--cert", "leaf.pem", "--chain", "ca.pem", "a.efi"])
        .succeeded();
    sbverify(&house, &house.path("ca.pem"), "a.efi").succeeded();
    let said = house.shell("sbverify --list a.efi").succeeded().stdout;
    assert!(
        said.contains(" - subject: /CN=Leaf\n   issuer:  /CN=Authority\n - subject: /CN=Authority"),
        "{said}"
    );
    let said = house.chancery(&["verify", "efi", "--cert", "ca.pem", "a.efi"]).succeeded().stdout;
    assert_eq!(said, "a.efi: good signature of `CN=Leaf` over sha256, vouched for by `CN=Authority`\n");
}

#[test]
fn a_kernel_in_a_gzip_file_is_signed_inside() {
    if !have(&JUDGES) || !have(&["gzip"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let certificate = house.x509("k", "efi");
    if copy(&house, SYSTEMD_BOOT, "vmlinuz").is_none() {
        return;
    }
    house.shell("gzip -n -9 vmlinuz && mv vmlinuz.gz vmlinuz").succeeded();
    house.chancery(&["sign", "efi", "--key", "k", "vmlinuz"]).succeeded();
    house.shell("gzip -dc vmlinuz > inside").succeeded();
    sbverify(&house, &certificate, "inside").succeeded();
    house.chancery(&["verify", "efi", "--key", "k", "vmlinuz"]).succeeded();
    // The header of `gzip -n -9`: no name, no time, best, Unix.
    assert_eq!(fs::read(house.path("vmlinuz")).unwrap()[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3]);
    let said = house.chancery(&["sign", "efi", "--key", "k", "vmlinuz"]).succeeded().stdout;
    assert_eq!(said, "vmlinuz: already signed by this key, left alone\n");
}

#[test]
fn what_cannot_be_signed_stays_as_it_was_and_the_reason_is_told() {
    let house = House::builder()
        .key("k", Algorithm::Rsa2048)
        .key("ed", Algorithm::Ed25519)
        .key("bare", Algorithm::P256)
        .start();
    house.x509("k", "efi");
    let cut =
        Path::new(SYSTEMD_BOOT.0).is_file().then(|| fs::read(SYSTEMD_BOOT.0).unwrap()[..0x4000].to_vec());
    if let Some(cut) = &cut {
        house.write("cut.efi", cut);
        let said = house.chancery(&["sign", "efi", "--key", "k", "cut.efi"]).failed(5).stderr;
        assert!(said.contains("cut.efi: the PE image is malformed at offset 0x"), "{said}");
        assert!(said.contains("hint: build the image again"), "{said}");
        assert!(fs::read(house.path("cut.efi")).unwrap() == *cut);
    }
    house.write(
        "text",
        "no image, but long enough for a header of MS-DOS, which is what all of them begin with\n",
    );
    let said = house.chancery(&["sign", "efi", "--key", "bare", "text"]).failed(1).stderr;
    assert!(said.contains("no x509 certificate is stored with key `bare`"), "{said}");
    assert!(said.contains("--profile efi"), "{said}");
    let said = house.chancery(&["verify", "efi", "--key", "bare", "text"]).failed(1).stderr;
    assert!(said.contains("--profile efi") && !said.contains("module"), "{said}");
    for (arguments, code, why) in [
        (&["sign", "efi", "--key", "k", "text"][..], 5, "this is no PE image: it does not begin with MZ"),
        (&["sign", "efi", "--key", "k", "none.efi"], 1, "none.efi: cannot read: no such file or directory"),
        (&["sign", "efi", "--key", "k", "."], 5, "is not a regular file"),
        (&["sign", "efi", "--key", "ed", "text"], 3, "sign with an RSA, P-256, P-384 or P-521 key"),
        (&["sign", "efi", "--key", "k", "-o", "x", "text", "k.pem"], 2, "`-o` takes one image"),
        (&["show", "efi", "text"], 5, "it does not begin with MZ"),
        (&["attach", "efi", "k.pem", "text"], 5, "it does not begin with MZ"),
    ] {
        let said = house.chancery(arguments).failed(code).stderr;
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    assert_eq!(leftovers(&house), Vec::<String>::new());
}

#[test]
fn the_trail_tells_which_images_were_signed() {
    let mut house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.x509("k", "efi");
    if copy(&house, SYSTEMD_BOOT, "grubx64.efi").is_none() {
        return;
    }
    house.chancery(&["sign", "efi", "--key", "k", "--build-id", "build 7", "grubx64.efi"]).succeeded();
    house.stop();
    let trail = house.audit_trail();
    let text = trail.iter().map(ToString::to_string).find(|line| line.contains("grubx64.efi"));
    let text = text.unwrap_or_else(|| panic!("{trail:?}"));
    assert!(text.contains("\"efi\"") && text.contains("build 7"), "{text}");
}

#[test]
fn the_page_says_what_works() {
    if !have(&JUDGES) {
        return;
    }
    let house = House::builder().start();
    let (Some(_), Some(_)) =
        (copy(&house, SYSTEMD_BOOT, "grubx64.efi"), copy(&house, SYSTEMD_BOOT, "linux.efi"))
    else {
        return;
    };
    let page = Page::of("secure-boot");
    let me = format!("user:{}", nix::unistd::geteuid());
    house.shell(&page.block("Once, by an operator").replace("group:farm", &me)).succeeded();
    for block in page.under("After") {
        house.shell(&block).succeeded();
    }
    let said = house.shell(&page.block("Checking")).succeeded();
    for line in ["Signature verification OK", "The signer's common name is Example Secure Boot", "Succeeded"]
    {
        assert!(said.text().contains(line), "{line}: {}", said.text());
    }
    sbverify(&house, &house.path("db.pem"), "linux.efi").succeeded();
    house.shell(&page.block("Going back")).succeeded();
    assert!(house.shell("sbverify --list grubx64.efi").text().contains("No signature table present"));
}
