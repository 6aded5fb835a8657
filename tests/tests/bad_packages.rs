//! What is no package, or not a whole one, is told with the next step and left as it was.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chancery_protocol::Algorithm;
use chancery_tests::House;
use chancery_tests::tools::{Package, build_package, have, is_root};

/// Everything in a folder: names and bytes, folders without any.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap_or_default())
    };
    entries.map(read).collect()
}

#[test]
fn every_bad_package_is_told_with_the_next_step_and_left_as_it_was() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Ed25519).start();
    let build = tempfile::tempdir().unwrap();
    let good = fs::read(build_package(build.path(), "hello", Package::Noarch, 4096)).unwrap();
    fs::create_dir(house.path("packages")).unwrap();
    fs::create_dir(house.path("packages/folder.rpm")).unwrap();
    for (name, bytes) in [
        ("empty.rpm", &[][..]),
        ("text.rpm", b"This is a text that somebody named like a package, and it is longer than a lead of 96 bytes is.\n"),
        ("lead.rpm", &good[..50]),
        ("signature.rpm", &good[..200]),
        ("header.rpm", &good[..4900]),
        ("zeros.rpm", &[0; 10_000]),
    ] {
        house.write(&format!("packages/{name}"), bytes);
    }
    let before = contents(&house.path("packages"));
    let cases = [
        ("empty.rpm", "not an RPM package: the file is empty", "`file packages/empty.rpm` tells what it is"),
        ("text.rpm", "not an RPM package: the file ", "`file packages/text.rpm` tells what it is"),
        ("zeros.rpm", "not an RPM package: the file ", "`file packages/zeros.rpm` tells what it is"),
        (
            "folder.rpm",
            "not an RPM package: the file is not a regular file",
            "`file packages/folder.rpm` tells what it is",
        ),
        ("lead.rpm", "the package ends inside the lead, at byte 50", "fetch or build the package again"),
        (
            "signature.rpm",
            "the package ends inside the signature header, at byte 200",
            "fetch or build the package again",
        ),
        (
            "header.rpm",
            "the package ends inside the main header, at byte 4900",
            "fetch or build the package again",
        ),
    ];
    for more in [&[][..], &["--in-place"], &["--v3"]] {
        for (name, error, hint) in cases {
            let file = format!("packages/{name}");
            let said = house.chancery(&[&["sign", "rpm", "--key", "k"], more, &[&file]].concat()).failed(5);
            let (first, second) = said.stderr.split_once('\n').unwrap();
            assert!(
                first.starts_with(&format!("error: {file}: ")) && first.contains(error),
                "{}",
                said.stderr
            );
            assert!(second.starts_with("hint: ") && second.contains(hint), "{}", said.stderr);
            assert_eq!(said.stdout, "");
        }
        // Together they end as each of them does.
        let files = cases.map(|(name, ..)| format!("packages/{name}"));
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        let said = house.chancery(&[&["sign", "rpm", "--key", "k"], more, &files].concat()).failed(5);
        assert_eq!(said.stdout, "failed 7 of 7\n");
    }
    assert!(contents(&house.path("packages")) == before);
    let asked = house.audit_trail().iter().any(|record| record["event"] == "intent");
    assert!(!asked, "no signature was made for what is no package");
}

#[test]
fn a_package_whose_payload_was_cut_is_signed_by_none_of_the_ways_that_read_it() {
    if !have(&["rpmbuild"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Ed25519).start();
    let build = tempfile::tempdir().unwrap();
    let good = fs::read(build_package(build.path(), "hello", Package::Noarch, 4096)).unwrap();
    house.write("cut.rpm", &good[..good.len() - 1]);
    let said = house.chancery(&["sign", "rpm", "--key", "k", "--v3", "cut.rpm"]).failed(5);
    assert!(said.stderr.starts_with("error: cut.rpm: the package "), "{}", said.stderr);
    assert!(said.stderr.contains("\nhint: fetch or build the package again"), "{}", said.stderr);
    assert!(fs::read(house.path("cut.rpm")).unwrap() == good[..good.len() - 1]);
}

#[test]
fn a_package_that_is_missing_or_may_not_be_read_or_replaced_is_told_so() {
    if !is_root() || !have(&["setpriv", "rpmbuild"]) {
        return;
    }
    let rule = "[[allow]]\nwho = [\"user:65534\"]\n";
    let house = House::builder().key("k", Algorithm::Ed25519).policy("k", rule).start();
    let build = tempfile::tempdir().unwrap();
    let good = fs::read(build_package(build.path(), "hello", Package::Noarch, 4096)).unwrap();
    fs::create_dir(house.path("packages")).unwrap();
    let secret = house.write("packages/secret.rpm", &good);
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    house.write("packages/readable.rpm", &good);
    let before = contents(&house.path("packages"));
    for (file, more, error, hint) in [
        (
            "missing.rpm",
            &[][..],
            "packages/missing.rpm: cannot read: no such file or directory",
            "check the spelling of the path",
        ),
        (
            "secret.rpm",
            &[],
            "packages/secret.rpm: cannot read: permission denied",
            "`ls -l packages/secret.rpm` shows who may",
        ),
        (
            "readable.rpm",
            &["--in-place"],
            "packages/readable.rpm: cannot write: permission denied",
            "`ls -l packages/readable.rpm` shows who may",
        ),
    ] {
        let file = format!("packages/{file}");
        let args = [&["sign", "rpm", "--key", "k"], more, &[&file]].concat();
        let said = house.chancery_as(65534, 65534, &[], &args).failed(1).stderr;
        assert!(said.starts_with(&format!("error: {error}")), "{said}");
        assert!(said.contains("\nhint: ") && said.contains(hint), "{said}");
    }
    // The copy is made in the package's folder, which is not this user's; it is the package that is not signed.
    let said = house
        .chancery_as(65534, 65534, &[], &["sign", "rpm", "--key", "k", "packages/readable.rpm"])
        .failed(1)
        .stderr;
    assert!(said.starts_with("error: ") && said.contains("permission denied\nhint: "), "{said}");
    assert!(said.contains("packages/readable.rpm"), "{said}");
    assert!(contents(&house.path("packages")) == before);
}
