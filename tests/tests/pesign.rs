//! `chancery-pesign` in pesign's place: called by rpmbuild, ukify's way and mkosi's, judged by pesign, sbverify and
//! osslsigncode.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use chancery_tests::images::{P256, RSA, have_images_and};
use chancery_tests::tools::{have, is_root};
use chancery_tests::{House, Page};

const JUDGES: [&str; 4] = ["openssl", "osslsigncode", "pesign", "sbverify"];

/// All judges accept `image` as signed by `boot`.
#[track_caller]
fn accept(house: &House, image: &str) {
    house.judges_accept("boot", image);
    let said = house.shell(&format!("pesign -S -i {image}")).succeeded().stdout;
    assert!(said.contains("The signer's common name is boot of a test\n"), "{said}");
}

/// `%pesign` as distributions have it: the same arguments, and the program called with those that their helper gives it.
const MACROS: &str = r#"
%pesign(i:o:C:e:c:n:a:s) %{_pesign} --certdir /etc/pki/pesign %{?pe_signing_token:-t "%{pe_signing_token}"} -c "%{pe_signing_cert}" %{-s:-s} %{-e:-e "%{-e*}"} %{-C:-C "%{-C*}"} %{-i:-i "%{-i*}"} %{-o:-o "%{-o*}"}
"#;

#[test]
fn rpmbuild_signs_by_the_macro_with_the_key_that_two_lines_name() {
    if !have_images_and(&JUDGES) || !have(&["rpmbuild"]) {
        return;
    }
    let house = House::with_boot();
    let recorder = house.recorder("pesign", "chancery-pesign");
    house.write("macros.pesign", MACROS);
    house.write(
        "grub.spec",
        "Name: grub\nVersion: 1\nRelease: 1\nSummary: A program\nLicense: MIT\n%description\nA program.\n\
         %build\ncp ../a.efi grubx64.efi\n%pesign -s -i grubx64.efi -o grubx64.efi.signed\n\
         %pesign -C signer.cer\n%install\ninstall -D -m 644 grubx64.efi.signed %{buildroot}/boot/grubx64.efi\n\
         %files\n/boot/grubx64.efi\n",
    );
    let rpmbuild = |key: &str, more: &str| {
        house.shell(&format!(
            "rm -rf BUILD RPMS && mkdir -p BUILD && rpmbuild -bb --define '_topdir '\"$PWD\" --define 'debug_package %{{nil}}' \
             --define '__os_install_post %{{nil}}' --define '_pesign {}' --define 'pe_signing_cert {key}' {more} \
             --load macros.pesign grub.spec",
            recorder.program.display()
        ))
    };
    rpmbuild("boot", "").succeeded();
    accept(&house, "BUILD/grubx64.efi.signed");
    house.shell("cmp BUILD/signer.cer <(openssl x509 -in boot.pem -outform DER)").succeeded();
    let calls = recorder.lines();
    let begin = "--certdir /etc/pki/pesign -c boot";
    assert_eq!(
        calls,
        [format!("{begin} -s -i grubx64.efi -o grubx64.efi.signed"), format!("{begin} -C signer.cer"),]
    );
    assert!(house.shell("ls RPMS/*/*.rpm").succeeded().stdout.contains("grub-1-1"));
    // The token's label, where the daemon shows the key's URI or not.
    let token = format!("--define 'pe_signing_token {}'", house.token.label());
    rpmbuild("boot", &token).succeeded();
    accept(&house, "BUILD/grubx64.efi.signed");

    let said = rpmbuild("none", "").failed(1);
    assert!(
        said.text().contains("error: key `none` does not exist, or you may not use it"),
        "{}",
        said.text()
    );
    assert!(!house.path("BUILD/grubx64.efi.signed").exists());
    assert_eq!(house.shell("find . -name '*.rpm'").succeeded().stdout, "");
}

#[test]
fn callers_sign_as_they_call_pesign() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::with_boot();
    fs::set_permissions(house.path("a.efi"), fs::Permissions::from_mode(0o750)).unwrap();
    for words in [
        // ukify, mkosi, and by hand.
        "-s --force -n /etc/pki/pesign -c boot -i a.efi -o out.efi",
        "--certdir /etc/pki/pesign --certificate boot --sign --force --in a.efi --out out.efi",
        "-sf -cboot -i=a.efi --out=out.efi -t 'NSS Certificate DB' -v",
        "-s -c pkcs11:object=boot -P -d sha256 -i a.efi -o out.efi --pinfile none",
        "--sign --certficate=boot --in=a.efi --out=out.efi --ascii",
    ] {
        let said = house.shell(&format!("rm -f out.efi && umask 022 && chancery-pesign {words}")).succeeded();
        assert_eq!(said.text(), "", "{words}");
        accept(&house, "out.efi");
        // pesign's new files have the mode of the image.
        assert_eq!(
            fs::metadata(house.path("out.efi")).unwrap().permissions().mode() & 0o777,
            0o750,
            "{words}"
        );
    }
    house.shell("chancery-pesign -s -c boot -d sha512 -i a.efi -o sha512.efi").succeeded();
    let said = house.shell("osslsigncode verify -CAfile boot.pem -in sha512.efi").succeeded().stdout;
    assert!(said.contains("SHA512") && said.contains("Succeeded"), "{said}");
    // What pesign signs of an image, byte for byte but for the content that it is about.
    house
        .shell(
            "mkdir nss && certutil -N -d sql:nss --empty-password &&
             openssl req -x509 -newkey rsa:2048 -nodes -keyout o.key -out o.pem -subj /CN=o -days 30 &&
             openssl pkcs12 -export -inkey o.key -in o.pem -name o -passout pass: -out o.p12 &&
             pk12util -i o.p12 -d sql:nss -W '' && pesign -n nss -i a.efi -E theirs && chancery-pesign -i a.efi -E ours",
        )
        .succeeded();
    let shape = "openssl asn1parse -inform DER -in ours | sed 's/\\(UTCTIME\\|DUMP\\).*//'";
    let line = format!("diff <({shape}) <({})", shape.replace("ours", "theirs"));
    house.shell(&line).succeeded();
}

#[test]
fn a_signature_is_written_alone_and_told_of() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::with_boot();
    house.shell("chancery-pesign -s -c boot -i a.efi -e a.p7 && cp a.efi b.efi").succeeded();
    house.shell("chancery attach efi a.p7 b.efi").succeeded();
    accept(&house, "b.efi");
    house.shell("SOURCE_DATE_EPOCH=1800000000 chancery-pesign -s -c boot -i a.efi -a -e a.asc").succeeded();
    let text = fs::read_to_string(house.path("a.asc")).unwrap();
    assert!(text.starts_with("-----BEGIN AUTHENTICODE SIGNATURE-----\n"), "{text}");
    house
        .shell(
            "sed 1d a.asc | sed '$d' | base64 -d >a2.p7 && cp a.efi c.efi && chancery attach efi a2.p7 c.efi",
        )
        .succeeded();

    let ours = house.shell("chancery-pesign -S -i c.efi").succeeded().stdout;
    assert!(ours.contains("Signing time: Fri Jan 15, 2027\n"), "{ours}");
    // pesign tells an address in memory, and that there is no mail address.
    let theirs = "pesign -S -i c.efi | grep -v -e '^certificate address' -e '^No signer email'";
    assert_eq!(house.shell(theirs).succeeded().stdout, ours);
    for image in ["a.efi", "c.efi"] {
        let line = format!(
            "cmp <(pesign -h -P -i {image}) <(chancery-pesign -h -P -i {image} | sed 's/^\\([^ ]*\\) .*/hash: \\1/')"
        );
        house.shell(&line).succeeded();
    }
    let said = house.shell("chancery-pesign -i a.efi -S").succeeded().stdout;
    assert_eq!(said, "No signatures found.\n", "the words that ukify looks for");
    house.shell("chancery-pesign -C c.der -c boot && chancery-pesign -C c.pem -a --cert boot").succeeded();
    house.shell("cmp c.der <(openssl x509 -in boot.pem -outform DER) && cmp c.pem boot.pem").succeeded();
    assert_eq!(house.shell("chancery-pesign").succeeded().stdout, "nothing to do: -s signs\n");
}

#[test]
fn what_is_signed_elsewhere_comes_back_by_pesigns_own_way() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::with_keys_in_files(&[("boot", RSA), ("other", P256)]);
    house
        .shell(
            "chancery-pesign -n sql:nss -i a.efi -E attributes && openssl dgst -sha256 -sign boot.key -out raw attributes &&
             chancery-pesign -n sql:nss --force -c boot -i a.efi -o out.efi -d sha256 -I attributes -R raw",
        )
        .succeeded();
    accept(&house, "out.efi");
    // Of another image, or by another key, it is nobody's.
    house.shell("cp a.efi b.efi && printf x | dd of=b.efi bs=1 seek=2000 conv=notrunc").succeeded();
    house.refuses(
        "chancery-pesign",
        &[
            ("-c boot -i b.efi -o no.efi -I attributes -R raw", "attributes: this is about another image"),
            (
                "-c other -i a.efi -o no.efi -I attributes -R raw",
                "raw: this is no signature of a key of p256",
            ),
            ("-c boot -i a.efi -o no.efi -I attributes -R attributes", "attributes: "),
            (
                "-c boot -i a.efi -o no.efi -I a.efi -R raw",
                "a.efi: this is not what a signature of an image is over",
            ),
        ],
    );
}

#[test]
fn what_is_not_done_leaves_no_file_and_ends_with_1_as_pesign_does() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::with_boot();
    house.write("there.efi", "there");
    house.refuses(
        "chancery-pesign",
        &[
            ("-s -c boot -i a.efi -o there.efi", "there.efi: exists, and --force was not given"),
            ("-s -c boot -i a.efi -o a.efi", "a.efi: in-place editing"),
            ("-s -i a.efi -o b.efi", "no key is named"),
            ("-s -c none -i a.efi -o b.efi", "key `none` does not exist, or you may not use it"),
            ("-s -c 'Red Hat Test Certificate' -i a.efi -o b.efi", "`Red Hat Test Certificate` is neither"),
            (
                "-s -c none -t other -i a.efi -o b.efi",
                "no key that you may use fits `pkcs11:token=other;object=none`",
            ),
            ("-s -c boot -i none.efi -o b.efi", "none.efi: cannot read"),
            ("-s -c boot -i boot.pem -o b.efi", "boot.pem: this is no PE image"),
            ("-s -c boot -d sha1 -i a.efi -o b.efi", "digest `sha1`"),
            ("-r -i a.efi -o b.efi", "`-r` of pesign is not done here"),
            ("-D", "chanceryd is the daemon"),
            ("--sign-it", "'--sign-it'"),
            ("-E there.efi -i a.efi", "there.efi: exists"),
        ],
    );
    assert_eq!(fs::read_to_string(house.path("there.efi")).unwrap(), "there");
    if is_root() {
        house.refuses_a_stranger("chancery-pesign -s -c boot -i a.efi -o theirs/out.efi");
    }
}

#[test]
fn the_page_says_what_works() {
    if !have_images_and(&JUDGES) {
        return;
    }
    let house = House::builder().start();
    house.image("grubx64.efi");
    let page = Page::of("pesign");
    house.follow(&page.block("Once, by an operator"));
    house.shell(&page.under("After")[0]).succeeded();
    let said = house.shell(&page.block("Checking")).succeeded().text();
    assert!(said.contains("The signer's common name is Example Secure Boot"), "{said}");
    assert!(said.contains("Signature verification OK"), "{said}");
}
