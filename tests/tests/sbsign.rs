//! `chancery-sbsign` in sbsign's place: compared with sbsign byte for byte, called by dracut, judged by sbverify.

use std::fs;
use std::path::PathBuf;

use chancery_tests::images::{RSA, STUB, have_images_and};
use chancery_tests::tools::{have, is_root};
use chancery_tests::{House, Page};

const JUDGES: [&str; 5] = ["openssl", "osslsigncode", "sbattach", "sbsign", "sbverify"];

#[test]
fn with_a_key_that_is_in_token_and_file_every_byte_is_sbsigns() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::with_keys_in_files(&[("boot", RSA)]);
    house.write("b.efi", fs::read(STUB).unwrap());
    house
        .shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=One -days 30 &&
             openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out two.pem -subj /CN=Two -days 30 &&
             cat two.pem >>ca.pem",
        )
        .succeeded();
    let both = "--cert boot.pem --output";
    for (words, made) in [
        ("", "image"),
        ("--addcert ca.pem", "image"),
        ("--detached", "signature"),
        ("--detached --addcert=ca.pem", "signature"),
    ] {
        for image in ["a.efi", "b.efi"] {
            // Of what was signed once, too: signatures stay.
            for again in ["", "-again"] {
                let image = format!("{image}{again}");
                house.shell(&format!("sbsign --key boot.key {words} {both} theirs {image}")).succeeded();
                // sbsign tells the time, and takes none: ours is told it.
                let signed = match made {
                    "image" => "cp theirs signed".to_owned(),
                    _ => format!("cp {image} signed && sbattach --attach theirs signed"),
                };
                let time =
                    "chancery show efi --json signed | sed 's/.*\"signing_time\":\"\\([^\"]*\\)\".*/\\1/'";
                let line = format!(
                    "{signed} && SOURCE_DATE_EPOCH=$(date +%s -d \"$({time})\") chancery-sbsign --key boot {words} {both} ours {image} &&
                     cmp ours theirs && cp signed {image}-again"
                );
                house.shell(&line).succeeded();
            }
        }
    }
}

#[test]
fn every_argument_of_sbsign_is_taken_and_outputs_are_called_as_it_calls_them() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::with_boot();
    for (words, made) in [
        ("--key boot --cert boot.pem a.efi", "a.efi.signed"),
        ("a.efi --key boot", "a.efi.signed"),
        ("--key pkcs11:object=boot --cert boot.pem --engine pkcs11 a.efi --output out.efi", "out.efi"),
        ("-k boot -c boot.pem -e pkcs11 -v -oout.efi a.efi", "out.efi"),
        ("--ke boot --ce=boot.pem --verb --out out.efi -- a.efi", "out.efi"),
        ("--key none --key boot --output none --output out.efi a.efi", "out.efi"),
        // A file of the certificate stands for the key where a caller wants a file.
        ("--key boot.pem --cert boot.pem --output out.efi a.efi", "out.efi"),
        ("--key boot.pem --output out.efi a.efi", "out.efi"),
        // In its place.
        ("--key boot --cert boot.pem --output copy.efi copy.efi", "copy.efi"),
    ] {
        let line = format!("cp a.efi copy.efi && chancery-sbsign {words}");
        let said = house.shell(&line).succeeded();
        assert_eq!(said.text(), "", "{words}");
        house.shell(&format!("sbverify --cert boot.pem {made} && rm {made}")).succeeded();
    }
    for words in ["--detached", "-d"] {
        house.shell(&format!("chancery-sbsign --key boot {words} a.efi && cp a.efi c.efi")).succeeded();
        house
            .shell("sbattach --attach a.efi.pk7 c.efi && sbverify --cert boot.pem c.efi && rm a.efi.pk7")
            .succeeded();
    }
    let said = house.shell("chancery-sbsign --version").succeeded().stdout;
    assert_eq!(said, format!("chancery-sbsign {}\n", env!("CARGO_PKG_VERSION")));
    assert!(house.shell("chancery-sbsign --help").succeeded().stdout.contains("--addcert"));
    let trail = house.audit_trail();
    assert!(trail.iter().any(|record| record["format"] == "efi" && record["artifact"] == "a.efi"));
}

#[test]
fn what_is_not_signed_leaves_no_file_and_ends_with_1_as_sbsign_does() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::with_keys_in_files(&[("boot", RSA)]);
    house.write("text", "no image\n");
    house
        .shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout o.key -out other.pem -subj /CN=Other -days 30",
        )
        .succeeded();
    house.refuses(
        "chancery-sbsign",
        &[
            ("--key none --cert boot.pem a.efi", "key `none` does not exist, or you may not use it"),
            (
                "--key boot.key --cert boot.pem a.efi",
                "hint: the certificate of `boot of a test` belongs to key `boot`",
            ),
            (
                "--key boot --cert other.pem a.efi",
                "other.pem: the certificate of `Other` is for another key than `boot`",
            ),
            ("--key boot --cert none.pem a.efi", "none.pem: cannot read: no such file or directory"),
            ("--key boot --addcert none.pem a.efi", "none.pem: cannot read: no such file or directory"),
            ("--key boot none.efi", "none.efi: cannot read: no such file or directory"),
            ("--key boot text", "text: this is no PE image"),
            ("--key boot --output none/out.efi a.efi", "none"),
            ("--key boot --engine tpm2tss a.efi", "tpm2tss"),
            ("--key boot --digest sha1 a.efi", "'--digest'"),
            ("--key boot", "<efi-boot-image>"),
            ("a.efi", "--key"),
            ("--key boot a.efi boot.pem", "boot.pem"),
        ],
    );
    let told = "SOURCE_DATE_EPOCH is no time: `today`";
    house.refuses("SOURCE_DATE_EPOCH=today chancery-sbsign", &[("--key boot a.efi", told)]);
}

#[test]
fn a_user_without_a_grant_gets_sbsigns_exit_code_and_our_reason() {
    if !have_images_and(&JUDGES) || !is_root() {
        return;
    }
    let house = House::with_boot();
    house.refuses_a_stranger("chancery-sbsign --key boot --cert boot.pem --output theirs/out.efi a.efi");
}

#[test]
fn dracut_signs_its_image_with_three_lines_in_its_configuration() {
    if !have_images_and(&JUDGES) || !have(&["dracut", "objcopy"]) || !is_root() {
        return;
    }
    let house = House::with_boot();
    let recorder = house.recorder("sbsign", "chancery-sbsign");
    let certificate = house.path("boot.pem");
    // dracut has a PATH of its own.
    let folder = recorder.program.parent().unwrap();
    let configuration = |key: &str| {
        format!(
            "uefi_secureboot_key={key}\nuefi_secureboot_cert=\"{}\"\n\
             DRACUT_PATH=\"{} /sbin /bin /usr/sbin /usr/bin\"\n",
            certificate.display(),
            folder.display()
        )
    };
    house.write("dracut.conf", configuration("boot"));
    fs::create_dir(house.path("conf.d")).unwrap();
    let image = house.path("linux.efi");
    let line = format!(
        "dracut --force --no-kernel --no-hostonly --modules base --kver 6.1 --uefi \
         --kernel-image \"$PWD/a.efi\" --uefi-stub {STUB} --conf dracut.conf --confdir conf.d --tmpdir \"$PWD\" '{}'",
        image.display()
    );
    house.shell(&line).succeeded();
    let calls = recorder.calls();
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    let path = |path: &PathBuf| path.display().to_string();
    assert_eq!(call[..6], ["--key", "boot", "--cert", &path(&certificate), "--output", &path(&image)]);
    assert!(call.len() == 7 && call[6].ends_with("/linux.efi"), "{call:?}");
    house.shell("sbverify --cert boot.pem linux.efi").succeeded();
    // One that is refused is no image.
    house.write("dracut.conf", configuration("none"));
    fs::remove_file(&image).unwrap();
    let said = house.shell(&line).failed(1).text();
    assert!(said.contains("error: key `none` does not exist, or you may not use it"), "{said}");
    assert!(said.contains("Creating signed UEFI image file") && said.contains("failed"), "{said}");
    assert!(!image.exists());
}

#[test]
fn the_page_says_what_works() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::builder().start();
    house.image("grubx64.efi");
    let page = Page::of("sbsign");
    house.follow(&page.block("Once, by an operator"));
    for block in page.under("After") {
        house.shell(&block).succeeded();
    }
    let said = house.shell(&page.block("Checking")).succeeded().text();
    assert!(said.contains("Signature verification OK"), "{said}");
}
