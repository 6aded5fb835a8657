//! Kernel modules signed by `chancery-sign-file` and `chancery sign module` with keys in a token: compared with the
//! kernel's sign-file, judged by openssl, modinfo, xz, zstd and gzip.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use chancery_protocol::Algorithm;
use chancery_tests::kernel::{modinfo, openssl_verify, parts, sign_file};
use chancery_tests::tools::{have, is_root};
use chancery_tests::{House, Output, capped, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What stands in for a module where nobody looks inside.
const CONTENTS: &[u8] = b"\x7fELF, but not for long";

fn shell(house: &House, line: &str) -> Output {
    house.shell(line)
}

/// A module that modinfo reads.
fn small_module(house: &House, name: &str) -> PathBuf {
    let source = house
        .write("small.c", "const char info[] __attribute__((section(\".modinfo\"))) = \"license=GPL\";\n");
    let module = house.path(name);
    run(capped(30, "gcc").arg("-c").arg(source).arg("-o").arg(&module)).succeeded();
    module
}

#[test]
fn with_an_rsa_key_that_is_in_token_and_file_every_byte_is_the_kernels() {
    let Some(tool) = sign_file() else { return };
    if !have(&["openssl", "softhsm2-util"]) {
        return;
    }
    let mut house = House::builder().key("other", Algorithm::P256).prepare();
    let key = house.path("key.pem");
    run(capped(30, "openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
        .arg(&key))
    .succeeded();
    house.import("k", &key);
    house.start();
    house.wait_until("every worker of the token is ready", House::is_ready);
    let certificate = house.x509("k", "module");
    let der = house.path("k.der");
    house.chancery(&["key", "cert", "k", "--x509", "-o", "k.der"]).succeeded();
    let (theirs, ours) = (house.path("theirs.ko"), house.path("ours.ko"));
    for hash in ["sha256", "sha384", "sha512"] {
        for (flags, certificate) in [("", &certificate), ("-p", &der), ("-k", &certificate), ("-kp", &der)] {
            for again in ["first", "second"] {
                if again == "first" {
                    fs::write(&theirs, CONTENTS).unwrap();
                    fs::write(&ours, CONTENTS).unwrap();
                }
                let (key, certificate, tool) = (key.display(), certificate.display(), tool.display());
                let line = format!(
                    "{tool} {flags} {hash} {key} {certificate} theirs.ko &&
                     chancery-sign-file --stack {flags} {hash} k {certificate} ours.ko"
                );
                let said = shell(&house, &line).succeeded();
                assert_eq!(said.text(), "", "the tool is silent where all goes well, and so are we");
                assert!(fs::read(&theirs).unwrap() == fs::read(&ours).unwrap(), "{hash} {flags} {again}");
                if flags.contains('p') {
                    let signature = fs::read(house.path("ours.ko.p7s")).unwrap();
                    assert!(fs::read(house.path("theirs.ko.p7s")).unwrap() == signature, "{hash} {flags}");
                    assert!(parts(&fs::read(&ours).unwrap()).1 == signature);
                }
            }
        }
    }
    // The signature alone, then appended, to another place: the same module.
    fs::write(&ours, CONTENTS).unwrap();
    shell(
        &house,
        "chancery-sign-file -d sha256 pkcs11:object=k k.pem ours.ko && test \"$(stat -c %s ours.ko)\" = 22 &&
         chancery-sign-file -s ours.ko.p7s sha256 k.pem ours.ko one.ko &&
         chancery-sign-file sha256 k k.pem ours.ko two.ko && cmp one.ko two.ko",
    )
    .succeeded();
    assert!(fs::read(&ours).unwrap() == CONTENTS);
    let line = format!(
        "cp ours.ko three.ko && {} sha256 {} k.pem three.ko && cmp two.ko three.ko",
        tool.display(),
        key.display()
    );
    shell(&house, &line).succeeded();
}

#[test]
fn ecdsa_modules_are_accepted_by_openssl_and_shown_by_modinfo() {
    if !have(&["openssl", "modinfo", "gcc"]) {
        return;
    }
    let house = House::builder().key("p256", Algorithm::P256).key("p384", Algorithm::P384).start();
    for (name, hash) in [("p256", "sha256"), ("p384", "sha384")] {
        let certificate = house.x509(name, "module");
        let module = small_module(&house, &format!("{name}.ko"));
        house
            .chancery(&["sign", "module", "--key", name, "--hash", hash, module.to_str().unwrap()])
            .succeeded();
        let said = modinfo(&module).succeeded().stdout;
        assert!(said.contains(&format!("signer:         {name} of a test\n")), "{said}");
        assert!(said.contains(&format!("sig_hashalgo:   {hash}\n")), "{said}");
        let signed = fs::read(&module).unwrap();
        openssl_verify(&signed, &certificate).succeeded();
        let verify = ["verify", "module", "--key", name, module.to_str().unwrap()];
        house.chancery(&verify).succeeded();
        let mut flipped = signed;
        flipped[100] ^= 1;
        fs::write(&module, &flipped).unwrap();
        assert_ne!(openssl_verify(&flipped, &certificate).code, Some(0));
        assert!(house.chancery(&verify).failed(1).stderr.contains("bad signature"));
    }
}

#[test]
fn signing_again_replaces_and_the_same_signature_is_left_alone() {
    let house = House::builder().key("k", Algorithm::Rsa2048).key("new", Algorithm::P256).start();
    let (old, new) = (house.x509("k", "module"), house.x509("new", "module"));
    let module = house.write("a.ko", CONTENTS);
    house.chancery(&["sign", "module", "--key", "k", "a.ko"]).succeeded();
    let once = fs::read(&module).unwrap();
    assert!(parts(&once).0 == CONTENTS);
    openssl_verify(&once, &old).succeeded();
    let inode = fs::metadata(&module).unwrap().ino();
    let said = house.chancery(&["sign", "module", "--key", "k", "a.ko"]).succeeded().stdout;
    assert_eq!(said, "a.ko: already signed by this key, left alone\n");
    assert_eq!(fs::metadata(&module).unwrap().ino(), inode);

    // Over the first one, as the kernel's tool does it: only the last counts.
    house.chancery(&["sign", "module", "--key", "new", "--stack", "a.ko"]).succeeded();
    let stacked = fs::read(&module).unwrap();
    assert!(parts(&stacked).0 == once);
    openssl_verify(&stacked, &new).succeeded();
    // And in place of both.
    shell(&house, "chancery-sign-file sha512 new new.pem a.ko").succeeded();
    assert!(parts(&fs::read(&module).unwrap()).0 == CONTENTS);
    shell(&house, "chancery-sign-file sha512 k k.pem a.ko").succeeded();
    assert!(fs::read(&module).unwrap() == once);
}

#[test]
fn compressed_modules_are_signed_inside_and_keep_the_kernels_settings() {
    if !have(&["gcc", "modinfo", "xz", "zstd", "gzip"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let certificate = house.x509("k", "module");
    let module = small_module(&house, "a.ko");
    shell(
        &house,
        "xz --check=crc32 --lzma2=dict=1MiB -k a.ko && zstd -T0 -q a.ko && gzip -n -k a.ko &&
         chancery sign module --key k a.ko a.ko.xz a.ko.zst a.ko.gz",
    )
    .succeeded();
    let plain = fs::read(&module).unwrap();
    openssl_verify(&plain, &certificate).succeeded();
    let said = shell(
        &house,
        "xz -dc a.ko.xz | cmp - a.ko && zstd -dcq a.ko.zst | cmp - a.ko && gzip -dc a.ko.gz | cmp - a.ko &&
         xz -lvv a.ko.xz && zstd -lv a.ko.zst",
    )
    .succeeded()
    .text();
    assert!(said.contains("CRC32") && said.contains("--lzma2=dict=1MiB"), "{said}");
    assert!(said.contains("Check: XXH64") && said.contains(&format!("({} B)", plain.len())), "{said}");
    // The header of `gzip -n`: no name, no time, Unix.
    assert_eq!(fs::read(house.path("a.ko.gz")).unwrap()[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    for name in ["a.ko.xz", "a.ko.zst"] {
        let said = modinfo(&house.path(name)).succeeded().stdout;
        assert!(said.contains("signer:         k of a test\n"), "{name}: {said}");
    }
    let said =
        house.chancery(&["verify", "module", "--key", "k", "a.ko.xz", "a.ko.zst", "a.ko.gz"]).succeeded();
    assert!(said.stdout.ends_with("good 3 of 3\n"), "{}", said.stdout);
    let said =
        house.chancery(&["sign", "module", "--key", "k", "a.ko.xz", "a.ko.zst", "a.ko.gz"]).succeeded();
    assert!(said.stdout.ends_with("already signed 3 of 3\n"), "{}", said.stdout);
    // The stand-in does the same, and what is not what its name says stays as it is.
    shell(&house, "chancery-sign-file sha256 k k.pem a.ko.xz && xz -dc a.ko.xz > b.ko").succeeded();
    openssl_verify(&fs::read(house.path("b.ko")).unwrap(), &certificate).succeeded();
    house.write("no.ko.zst", CONTENTS);
    let said = shell(&house, "chancery-sign-file sha256 k k.pem no.ko.zst").failed(1);
    assert!(said.stderr.contains("cannot be decompressed as zstd"), "{}", said.stderr);
    assert!(fs::read(house.path("no.ko.zst")).unwrap() == CONTENTS);
}

#[test]
fn a_hundred_modules_are_signed_and_a_bad_one_fails_alone() {
    let house = House::builder().key("k", Algorithm::P256).start();
    let certificate = house.x509("k", "module");
    let mut names: Vec<_> = (0..100).map(|n| format!("{n}.ko")).collect();
    for name in &names {
        house.write(name, [CONTENTS, name.as_bytes()].concat());
    }
    house.write("empty.ko", "");
    house.write("cut.ko", "~Module signature appended~\n");
    names.extend(["empty.ko".to_owned(), "cut.ko".to_owned()]);
    let arguments: Vec<_> =
        ["sign", "module", "--key", "k"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let said = house.chancery(&arguments).failed(1);
    assert!(said.stdout.ends_with("\nsigned 100, failed 2 of 102\n"), "{}", said.stdout);
    assert!(said.stderr.contains("error: empty.ko: the module is empty\n"), "{}", said.stderr);
    assert!(
        said.stderr.contains("error: cut.ko: the file ends in the mark of a module signature, but"),
        "{}",
        said.stderr
    );
    for name in &names[..100] {
        let signed = fs::read(house.path(name)).unwrap();
        assert!(parts(&signed).0.ends_with(name.as_bytes()));
        openssl_verify(&signed, &certificate).succeeded();
    }
    assert!(fs::read(house.path("cut.ko")).unwrap() == b"~Module signature appended~\n");
}

#[test]
fn the_stand_in_refuses_what_cannot_be_with_the_next_step() {
    if !have(&["openssl"]) {
        return;
    }
    let house = House::builder()
        .key("k", Algorithm::Rsa2048)
        .key("other", Algorithm::P256)
        .key("ed", Algorithm::Ed25519)
        .start();
    house.x509("k", "module");
    house.x509("other", "module");
    house.x509("ed", "code");
    house.write("a.ko", CONTENTS);
    shell(
        &house,
        "openssl genpkey -algorithm RSA -out signing_key.pem 2>/dev/null && mkdir certs && cp k.pem certs",
    )
    .succeeded();
    for (line, error) in [
        ("sha1 k k.pem a.ko", "hash `sha1` is not signed with: use sha256, sha384 or sha512"),
        ("sha224 k k.pem a.ko", "use sha256, sha384 or sha512"),
        ("sha256 k other.pem a.ko", "the certificate of `other of a test` is for another key than `k`"),
        ("sha256 none k.pem a.ko", "key `none` does not exist, or you may not use it"),
        ("sha256 ed ed.pem a.ko", "sign with an RSA, P-256 or P-384 key"),
        (
            "sha256 ./signing_key.pem k.pem a.ko",
            "hint: the certificate of `k of a test` belongs to key `k`: give `k` in place of the file",
        ),
        (
            "sha256 signing_key.pem k.pem a.ko",
            "signing_key.pem: holds a private key, and chancery-sign-file signs with a key in a token",
        ),
        ("sha256 /none/key.pem k.pem a.ko", "is neither the name of a key, nor a PKCS#11 URI, nor a file"),
        ("sha256 pkcs11:object=none k.pem a.ko", "no key that you may use fits"),
        ("sha256 pkcs11:object k.pem a.ko", "is not a usable PKCS#11 URI"),
        ("sha256 k signing_key.pem a.ko", "this is not an X.509 certificate"),
        ("sha256 k k.pem none.ko", "none.ko: cannot read: no such file or directory"),
        ("-s signing_key.pem sha256 k.pem a.ko", "hint: `-s` takes the whole CMS signature"),
    ] {
        let said = shell(&house, &format!("chancery-sign-file {line}")).failed(1);
        assert!(said.stderr.contains(error), "{line}: {}", said.stderr);
        assert!(said.stderr.starts_with("error: ") && said.stdout.is_empty(), "{line}: {}", said.stderr);
        assert!(fs::read(house.path("a.ko")).unwrap() == CONTENTS, "{line}");
    }
    for line in ["", "sha256 k k.pem", "-x sha256 k k.pem a.ko", "sha256 k k.pem a.ko b.ko c.ko"] {
        let said = shell(&house, &format!("chancery-sign-file {line}")).failed(2);
        assert!(said.stderr.starts_with("Usage: chancery-sign-file "), "{}", said.stderr);
    }
    // Where a build system insists on a file, the certificate is as good as the key's name.
    shell(&house, "KBUILD_SIGN_PIN=1234 chancery-sign-file sha256 certs/k.pem k.pem a.ko").succeeded();
    openssl_verify(&fs::read(house.path("a.ko")).unwrap(), &house.path("k.pem")).succeeded();
}

#[test]
fn a_pkcs11_uri_finds_the_key_whose_object_it_names() {
    let house = House::builder().key("object", Algorithm::P256).key("other", Algorithm::P256).prepare();
    // The key's name here is not the object's there, and whoever may use it is told where it lies.
    let (uid, label) = (nix::unistd::geteuid(), house.token.label().to_owned());
    fs::remove_file(house.path("keys.d/object.toml")).unwrap();
    let policy = format!(
        "uri = \"pkcs11:token={label};object=object;type=private\"\nuri-is = \"shown\"\n[[allow]]\nwho = [\"user:{uid}\"]\n"
    );
    house.write("keys.d/modules.toml", policy);
    let mut house = house;
    house.start();
    house.wait_until("every worker of the token is ready", House::is_ready);
    let certificate = house.x509("modules", "module");
    for uri in [
        "pkcs11:object=object",
        "pkcs11:object=modules",
        &format!("pkcs11:token={label};model=some%20model;object=obj%65ct?pin-value=1234"),
        &format!("pkcs11:token={label};object=object;type=cert"),
    ] {
        house.write("a.ko", CONTENTS);
        let said = shell(&house, &format!("chancery-sign-file sha256 '{uri}' modules.pem a.ko"));
        // A name that says something else than the URI that the daemon shows is not taken for it.
        if uri == "pkcs11:object=modules" {
            assert!(said.failed(1).stderr.contains("no key that you may use fits"));
            continue;
        }
        said.succeeded();
        openssl_verify(&fs::read(house.path("a.ko")).unwrap(), &certificate).succeeded();
    }
    let said =
        shell(&house, "chancery-sign-file sha256 'pkcs11:token=another;object=object' modules.pem a.ko")
            .failed(1);
    assert!(said.stderr.contains("no key that you may use fits"), "{}", said.stderr);
}

#[test]
fn an_interrupted_stand_in_leaves_the_module_as_it_was() {
    let settings = "workers = 1\ntimeout = \"60s\"";
    let house = House::builder().key("k", Algorithm::P256).token_setting(settings).start();
    house.x509("k", "module");
    house.write("a.ko", CONTENTS);
    let worker = house.workers()[0];
    kill(worker, Signal::SIGSTOP).unwrap();
    let mut command = Command::new(house.path("bin/chancery-sign-file"));
    house.point(&mut command);
    command.current_dir(house.path(".")).args(["-p", "sha256", "k", "k.pem", "a.ko"]);
    let mut child = command.spawn().unwrap();
    house.wait_until("the signature is waited for", |house| {
        let token = &house.status_json()["tokens"][0];
        token["queued"].as_u64().unwrap() + token["in_flight"].as_u64().unwrap() == 1
    });
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    kill(worker, Signal::SIGCONT).unwrap();
    assert!(fs::read(house.path("a.ko")).unwrap() == CONTENTS);
    assert_eq!(leftovers(&house), Vec::<String>::new());
}

/// What an unfinished signature could have left in the house's folder.
fn leftovers(house: &House) -> Vec<String> {
    let names = fs::read_dir(house.path("."))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names
        .filter(|name| name.starts_with(".chancery-") || name.contains('~') || name.contains(".p7s"))
        .collect()
}

#[test]
fn a_user_without_a_grant_gets_a_clear_error_and_an_untouched_module() {
    if !is_root() {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.x509("k", "module");
    let module = house.write("a.ko", CONTENTS);
    std::os::unix::fs::chown(&module, Some(65_534), Some(65_534)).unwrap();
    let before = fs::metadata(&module).unwrap();
    for line in ["chancery-sign-file sha256 k k.pem a.ko", "chancery sign module --key k a.ko"] {
        let said = house.shell_as(65_534, 65_534, &[], line);
        assert!(matches!(said.code, Some(1 | 3)), "{line}: {said:?}");
        assert!(
            said.stderr.contains("error: key `k` does not exist, or you may not use it\n"),
            "{line}: {}",
            said.stderr
        );
        assert!(
            said.stderr.contains("ask the operator for an [[allow]] rule for user `nobody`"),
            "{line}: {}",
            said.stderr
        );
    }
    let after = fs::metadata(&module).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    assert!(fs::read(&module).unwrap() == CONTENTS);
    assert_eq!(leftovers(&house), Vec::<String>::new());
}
