//! Where modules are signed today: a module built against Debian's kernel headers, `make modules_install`, and DKMS.

use std::fs;
use std::path::Path;

use chancery_protocol::Algorithm;
use chancery_tests::kernel::{build_module, headers, make, modinfo, module_source, openssl_verify};
use chancery_tests::tools::{have, is_root};
use chancery_tests::{House, Output, capped, run};

/// Runs make where `chancery-sign-file` talks to the house's daemon.
fn in_house(house: &House, command: &std::process::Command) -> Output {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).collect();
    let quoted: Vec<_> = words.iter().map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    house.shell(&format!("unset MAKEFLAGS MAKELEVEL; {}", quoted.join(" ")))
}

fn installed(root: &Path, suffix: &str) -> std::path::PathBuf {
    let found =
        run(capped(30, "find").arg(root).args(["-name", &format!("*.ko{suffix}")])).succeeded().stdout;
    found.lines().next().unwrap_or_else(|| panic!("no module under {}", root.display())).into()
}

#[test]
fn a_real_module_is_signed_and_modinfo_and_openssl_say_so() {
    let Some(headers) = headers() else { return };
    if !have(&["make", "gcc", "modinfo", "openssl"]) {
        return;
    }
    let house = House::builder().key("modules", Algorithm::Rsa4096).start();
    let certificate = house.x509("modules", "module");
    let module = build_module(&headers, &house.path("src"), "hello");
    let unsigned = fs::read(&module).unwrap();
    let line = format!("chancery-sign-file sha512 modules modules.pem {0} && modinfo {0}", module.display());
    let said = house.shell(&line).succeeded().stdout;
    for field in [
        "sig_id:         PKCS#7",
        "signer:         modules of a test",
        "sig_hashalgo:   sha512",
        "version:        1.0",
    ] {
        assert!(said.contains(field), "{field}: {said}");
    }
    let signed = fs::read(&module).unwrap();
    assert!(signed.starts_with(&unsigned));
    openssl_verify(&signed, &certificate).succeeded();
    let serial =
        run(capped(30, "openssl").args(["x509", "-noout", "-serial", "-in"]).arg(&certificate)).stdout;
    let shown: String =
        said.lines().find(|line| line.starts_with("sig_key:")).unwrap()[16..].replace(':', "");
    assert_eq!(serial.trim(), format!("serial={shown}"));
}

#[test]
fn modules_install_signs_with_one_line_before_it_compresses() {
    let Some(headers) = headers() else { return };
    if !have(&["make", "gcc", "modinfo", "xz", "zstd"]) {
        return;
    }
    let house = House::builder().key("modules", Algorithm::Rsa2048).start();
    let certificate = house.x509("modules", "module");
    let source = house.path("src/hello");
    build_module(&headers, &house.path("src"), "hello");
    let path = certificate.display();
    // By name, and by the certificate in the place of the key's file, which is all that a configuration can hold.
    let by_name = format!("cmd_sign=chancery-sign-file $(CONFIG_MODULE_SIG_HASH) modules {path} $@");
    let by_file = format!("cmd_sign=chancery-sign-file $(CONFIG_MODULE_SIG_HASH) \"$(sig-key)\" {path} $@");
    let cases = [
        ("CONFIG_MODULE_COMPRESS_NONE=y", "", &by_name),
        ("CONFIG_MODULE_COMPRESS_XZ=y", ".xz", &by_name),
        ("CONFIG_MODULE_COMPRESS_ZSTD=y", ".zst", &by_file),
    ];
    for (compression, suffix, sign) in cases {
        let root = house.path(&format!("root{suffix}"));
        let mut install = make(&headers, &source);
        install.arg("modules_install").arg(format!("INSTALL_MOD_PATH={}", root.display())).arg(compression);
        install.arg(format!("CONFIG_MODULE_SIG_KEY={path}")).arg(sign);
        in_house(&house, &install).succeeded();
        let module = installed(&root, suffix);
        let said = modinfo(&module).succeeded().stdout;
        assert!(said.contains("signer:         modules of a test\n"), "{compression}: {said}");
        assert!(said.contains("sig_hashalgo:   sha256\n"), "the kernel's CONFIG_MODULE_SIG_HASH: {said}");
        house.chancery(&["verify", "module", "--key", "modules", module.to_str().unwrap()]).succeeded();
    }
}

#[test]
fn modules_install_fails_where_a_key_is_refused() {
    let Some(headers) = headers() else { return };
    if !have(&["make", "gcc"]) {
        return;
    }
    let house = House::builder().key("modules", Algorithm::Rsa2048).start();
    let certificate = house.x509("modules", "module");
    build_module(&headers, &house.path("src"), "hello");
    let mut install = make(&headers, &house.path("src/hello"));
    install.arg("modules_install").arg(format!("INSTALL_MOD_PATH={}", house.path("root").display()));
    install.arg(format!("cmd_sign=chancery-sign-file sha256 none {} $@", certificate.display()));
    let said = in_house(&house, &install).failed(2);
    assert!(
        said.stderr.contains("error: key `none` does not exist, or you may not use it"),
        "{}",
        said.stderr
    );
}

#[test]
fn dkms_signs_with_three_lines_in_its_configuration() {
    let Some(headers) = headers() else { return };
    if !have(&["dkms", "make", "gcc", "modinfo", "unshare"]) || !is_root() {
        return;
    }
    let house = House::builder().key("modules", Algorithm::Rsa2048).start();
    let certificate = house.x509("modules", "module");
    let source = module_source(&house.path("src"), "hello-1.0");
    fs::rename(source.join("hello-1.0.c"), source.join("hello.c")).unwrap();
    fs::write(source.join("Makefile"), "obj-m := hello.o\n").unwrap();
    let conf = "PACKAGE_NAME=hello\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME[0]=hello\n\
                DEST_MODULE_LOCATION[0]=/updates/dkms\nAUTOINSTALL=yes\n";
    fs::write(source.join("dkms.conf"), conf).unwrap();
    fs::create_dir_all(house.path("etc")).unwrap();
    let framework = format!(
        "sign_file=\"{}\"\nmok_signing_key=\"pkcs11:object=modules\"\nmok_certificate=\"{}\"\n",
        house.path("bin/chancery-sign-file").display(),
        certificate.display()
    );
    house.write("etc/framework.conf", &framework);
    // dkms reads /etc/dkms and nothing else: a mount that this test alone sees puts the folder there.
    let version = headers.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let trees = "--sourcetree \"$PWD/src\" --dkmstree \"$PWD/tree\" --installtree \"$PWD/installed\"";
    let line = format!(
        "mkdir -p tree installed/{version} && unshare --mount sh -ec '
         mount --bind \"$PWD/etc\" /etc/dkms
         dkms add hello/1.0 {trees}
         dkms build hello/1.0 -k {version} {trees}
         dkms install hello/1.0 -k {version} --no-depmod {trees}'"
    );
    let said = house.shell(&line).succeeded().stdout;
    assert!(said.contains("Signing module "), "{said}");
    let module = installed(&house.path("tree"), "");
    openssl_verify(&fs::read(&module).unwrap(), &certificate).succeeded();
    let module = installed(&house.path("installed"), "");
    let said = modinfo(&module).succeeded().stdout;
    assert!(said.contains("signer:         modules of a test\n"), "{said}");
    house.chancery(&["verify", "module", "--key", "modules", module.to_str().unwrap()]).succeeded();
    let trail = house.audit_trail();
    assert!(trail.iter().any(|record| record["format"] == "module" && record["artifact"] == "hello.ko"));
    // DKMS goes on where signing fails, and says so in its output alone.
    house.write("etc/framework.conf", framework.replace("object=modules", "object=none"));
    let line = format!(
        "unshare --mount sh -ec '
         mount --bind \"$PWD/etc\" /etc/dkms
         dkms build --force hello/1.0 -k {version} {trees}'"
    );
    let said = house.shell(&line).succeeded();
    assert!(
        said.stderr.contains("error: no key that you may use fits `pkcs11:object=none`"),
        "{}",
        said.stderr
    );
    let said = modinfo(&installed(&house.path("tree"), "")).succeeded().stdout;
    assert!(!said.contains("signer:"), "{said}");
}
