//! rpmsign with `chancery-gpg` where gpg was: judged by rpm, compared with what rpmsign asks for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chancery_protocol::Algorithm;
use chancery_tests::tools::{Gpg, Package, Rpm, build_package, build_packages, have, sample_packages};
use chancery_tests::{House, Output, Page, run};

/// rpmsign in the house's folder, with more before the packages.
#[track_caller]
fn rpmsign(house: &House, more: &str, packages: &[PathBuf]) -> Output {
    let packages: Vec<_> = packages.iter().map(|path| format!("'{}'", path.display())).collect();
    // rpm sets GPG_TTY for gpg's sake, and warns where there is no terminal.
    house.shell(&format!("GPG_TTY=none rpmsign {more} {}", packages.join(" ")))
}

/// The options that a user's macro file would hold: which gpg, and which key.
fn macros(program: &Path, key: &str) -> String {
    format!("--define '__gpg {}' --define '_gpg_name {key}'", program.display())
}

fn name(package: &Path) -> &str {
    package.file_name().unwrap().to_str().unwrap()
}

/// Files in the package's folder.
fn beside(package: &Path) -> usize {
    fs::read_dir(package.parent().unwrap()).unwrap().count()
}

#[test]
fn rpmsign_calls_chancery_gpg_as_it_calls_gpg_and_rpm_accepts_the_packages() {
    if !have(&["rpm", "rpmbuild", "rpmsign"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut originals = build_packages(folder.path());
    originals.extend(sample_packages(folder.path()));
    for algorithm in [Algorithm::Rsa2048, Algorithm::Ed25519] {
        let house = House::builder().key("k", algorithm).start();
        let rpm = Rpm::trusting(&house.certificate("k"));
        let recorder = house.recorder("chancery-gpg", "chancery-gpg");
        let packages: Vec<_> = originals.iter().map(|original| copy(original, "rpm.1.rpm")).collect();
        let files = beside(&packages[0]);
        for action in ["--addsign", "--resign"] {
            let more = format!("{action} {}", macros(&recorder.program, "k"));
            let said = rpmsign(&house, &more, &packages).succeeded();
            // A signature by the same key, with the same hash, is not replaced.
            let resigned =
                said.stderr.lines().all(|line| line.ends_with("contains identical signature, skipping"));
            assert!(said.stderr.is_empty() == (action == "--addsign") && resigned, "{}", said.stderr);
            for package in &packages {
                rpm.accepts(package);
            }
        }
        assert_eq!(beside(&packages[0]), files, "rpmsign has read the signatures and removed them");
        for (call, package) in recorder.lines().iter().zip(packages.iter().cycle()) {
            let expected = format!(
                "--no-verbose --no-armor --no-secmem-warning -u k -sbo {}.sig -- -",
                package.display()
            );
            assert_eq!(*call, expected);
        }
        assert_eq!(recorder.calls().len(), 2 * packages.len());

        rpmsign(&house, "--delsign", &packages).succeeded();
        for package in &packages {
            let said = rpm.check(package).stdout;
            assert!(!said.contains("Signature, key ID"), "{said}");
        }
    }
}

fn copy(original: &Path, extension: &str) -> PathBuf {
    let copy = original.with_extension(extension);
    fs::copy(original, &copy).unwrap();
    copy
}

#[test]
fn a_header_and_payload_signature_and_another_hash_are_made_as_asked() {
    if !have(&["rpm", "rpmbuild", "rpmsign"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let rpm = Rpm::trusting(&house.certificate("k"));
    let recorder = house.recorder("chancery-gpg", "chancery-gpg");
    let package = build_package(&house.path("build"), "hello", Package::Binary, 4096);
    let more = format!("--addsign --rpmv3 --digest-algo=sha512 {}", macros(&recorder.program, "k"));
    rpmsign(&house, &more, std::slice::from_ref(&package)).succeeded();
    rpm.accepts(&package);
    let said = rpm.check(&package).stdout;
    assert!(said.contains("Header V4 RSA/SHA512 Signature"), "{said}");
    // Header and payload: a line of its own.
    assert!(said.contains("    V4 RSA/SHA512 Signature"), "{said}");
    let calls = recorder.lines();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls.iter().all(|call| call.contains(" --digest-algo=sha512 ")), "{calls:?}");
    // Both are of this package, and say so in the trail by the digest of its header.
    let header =
        run(std::process::Command::new("rpm").args(["-qp", "--qf", "%{SHA256HEADER}"]).arg(&package));
    let trail = house.audit_trail();
    let intents: Vec<_> =
        trail.iter().filter(|record| record["event"] == "intent" && record["format"] == "rpm").collect();
    assert_eq!(intents.len(), 2);
    for intent in intents {
        assert_eq!(intent["artifact"], name(&package), "{intent}");
        assert_eq!(intent["artifact_digest"], header.stdout, "{intent}");
    }
}

#[test]
fn the_fifo_of_rpm_4_15_and_older_is_read_to_its_end() {
    if !have(&["rpm", "rpmbuild", "rpmsign", "mkfifo"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let rpm = Rpm::trusting(&house.certificate("k"));
    let recorder = house.recorder("chancery-gpg", "chancery-gpg");
    let package = build_package(&house.path("build"), "hello", Package::Noarch, 4096);
    // What rpm 4.14 does: the bytes go into a named fifo in a folder of its own, whose path is the last argument.
    let fifo = house.path("fifo");
    let old = house.write(
        "old-rpm",
        format!(
            "#!/bin/sh\nset -e\nmkfifo '{0}'\nexec 3<&0\ncat <&3 >'{0}' &\nfor last; do :; done\ntest \"$last\" = -\n\
             exec '{1}' --no-verbose --no-armor --no-secmem-warning -u k -sbo \"$SIGNATURE\" -- '{0}'\n",
            fifo.display(),
            recorder.program.display()
        ),
    );
    run(std::process::Command::new("chmod").arg("+x").arg(&old)).succeeded();
    let signature = format!("{}.sig", package.display());
    let line =
        format!("SIGNATURE='{signature}' rpmsign --addsign {} '{}'", macros(&old, "k"), package.display());
    house.shell(&line).succeeded();
    rpm.accepts(&package);
    let calls = recorder.lines();
    assert!(calls[0].ends_with(&format!("-sbo {signature} -- {}", fifo.display())), "{calls:?}");
    let trail = house.audit_trail();
    let intent = trail.iter().rfind(|record| record["event"] == "intent").unwrap();
    assert_eq!((&intent["format"], &intent["artifact"]), (&"rpm".into(), &name(&package).into()));
}

#[test]
fn rpm_6_finds_its_signing_program_in_the_macro_file() {
    if !have(&["rpm", "rpmbuild", "rpmsign"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let rpm = Rpm::trusting(&house.certificate("k"));
    let recorder = house.recorder("chancery-gpg", "chancery-gpg");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent-cli/macros/macros.chancery");
    let load = format!(
        "--load '{}' --define '__chancery_gpg {}'",
        own.canonicalize().unwrap().display(),
        recorder.program.display()
    );
    // By itself the file changes nothing.
    let before = house.shell("rpm --eval '%{__gpg} %{__gpg_sign_cmd}'").succeeded().stdout;
    let after =
        house.shell(&format!("rpm {load} --eval '%{{__gpg}} %{{__gpg_sign_cmd}}'")).succeeded().stdout;
    assert_eq!(before, after);

    // rpm 6 expands %__NAME_sign_cmd with `-` and the signature's file. Its rpmsign is not here; the one that is runs
    // the same command line, with `env` as the program because it takes the second word for the program's name.
    let command = "__gpg_sign_cmd /usr/bin/env env %{__chancery_sign_cmd - %{__signature_filename}}";
    let package = build_package(&house.path("build"), "hello", Package::Noarch, 4096);
    let name = "--define '_gpg_name k <k@example.org>'";
    for (key, probe) in [("--define '_openpgp_sign_id k'", "k"), ("", "k <k@example.org>")] {
        let more = format!("--addsign {load} {name} {key} --define '{command}'");
        rpmsign(&house, &more, std::slice::from_ref(&package)).succeeded();
        rpm.accepts(&package);
        let expected = format!("--batch --no-armor -u {probe} -sbo {}.sig -- -", package.display());
        assert_eq!(recorder.lines().last(), Some(&expected));
    }
    // Since 4.20 rpm first asks the program whether it is GnuPG.
    let said = house.shell("chancery-gpg --version").succeeded().stdout;
    assert!(said.starts_with("gpg (GnuPG) 2.2.40 ") && said.contains("This is not GnuPG"), "{said}");
}

#[test]
fn the_lines_of_the_page_switch_a_user_to_chancery_gpg() {
    if !have(&["rpm", "rpmbuild", "rpmsign"]) {
        return;
    }
    let house = House::builder().key("release", Algorithm::Rsa2048).start();
    house.certificate("release");
    let page = Page::of("rpmsign");
    let package = build_package(&house.path("build"), "hello", Package::Noarch, 4096);
    fs::copy(&package, house.path("hello.rpm")).unwrap();
    let line = page.under("After")[0].replace("/usr/bin", house.path("bin").to_str().unwrap());
    house.write(".rpmmacros", format!("%_gpg_name release@example.org\n{line}"));
    let commands =
        format!("export HOME=$PWD GPG_TTY=none; set -e\n{}{}", page.block("Before"), page.block("Checking"));
    let said = house.shell(&commands).succeeded().stdout;
    assert!(said.contains("Header V4 RSA/SHA256 Signature, key ID ") && !said.contains("BAD"), "{said}");
}

#[test]
fn without_a_grant_rpmsign_fails_with_our_reason_and_leaves_the_package() {
    if !have(&["rpm", "rpmbuild", "rpmsign"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).policy("k", "").start();
    let package = build_package(&house.path("build"), "hello", Package::Noarch, 4096);
    let before =
        (fs::read(&package).unwrap(), fs::metadata(&package).unwrap().mtime_nsec(), beside(&package));
    let program = house.path("bin/chancery-gpg");
    let said =
        rpmsign(&house, &format!("--addsign {}", macros(&program, "k")), std::slice::from_ref(&package));
    assert_ne!(said.code, Some(0));
    let lines: Vec<_> = said.stderr.lines().collect();
    assert_eq!(lines[0], "chancery-gpg: error: there is no key `k`, or you may not use it");
    assert!(
        lines[1].starts_with("chancery-gpg: hint: `chancery keys` lists yours; otherwise ask"),
        "{}",
        lines[1]
    );
    assert_eq!(lines[2], "error: gpg exec failed (2)");
    let after = (fs::read(&package).unwrap(), fs::metadata(&package).unwrap().mtime_nsec(), beside(&package));
    assert!(before == after);
}

#[test]
fn a_package_signed_through_chancery_gpg_differs_from_one_by_gpg_in_the_signature_only() {
    if !have(&["rpm", "rpmbuild", "rpmsign", "gpg", "gpgconf"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.certificate("k");
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("rsa2048");
    let original = build_package(&house.path("build"), "hello", Package::Binary, 4096);
    let [ours, theirs] = ["ours.rpm", "theirs.rpm"].map(|extension| copy(&original, extension));
    let program = house.path("bin/chancery-gpg");
    rpmsign(&house, &format!("--addsign {}", macros(&program, "k")), std::slice::from_ref(&ours)).succeeded();
    gpg.rpmsign(&fingerprint, &theirs);
    let [ours, theirs] = [ours, theirs].map(|path| fs::read(path).unwrap());
    assert_eq!(ours.len(), theirs.len());
    let differing = ours.iter().zip(&theirs).filter(|(one, other)| one != other).count();
    // The fingerprint, the time, the key id, two bytes of the digest and 256 of the signature; gpg also writes the
    // signer's user id, which moves what follows it within the signature header.
    let header_end = 96 + 16 + 16 * 16 + 4096;
    let last = ours.iter().zip(&theirs).rposition(|(one, other)| one != other).unwrap();
    assert!(differing > 256 && last < header_end, "{differing} bytes differ, the last at {last}");
}
