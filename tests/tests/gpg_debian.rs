//! debsign, dpkg-buildpackage, debsigs, reprepro and apt-ftparchive with `chancery-gpg` where gpg was. The commands are
//! those of the pages in docs/integrations; dscverify, debsig-verify and apt-get judge.

use std::fs;
use std::path::{Path, PathBuf};

use chancery_protocol::Algorithm;
use chancery_tests::tools::{Gpg, have};
use chancery_tests::{House, Output, Page, capped, run};

/// A house with one key, in whose folder `$HOME` is.
fn house(key: &str) -> House {
    let house = House::builder().key(key, Algorithm::Rsa2048).start();
    house.certificate(key);
    house
}

/// A line of shell in the house's folder, with nothing of the user's settings.
#[track_caller]
fn shell(house: &House, line: &str) -> Output {
    let home = house.path("home");
    fs::create_dir_all(&home).unwrap();
    house.shell(&format!(
        "export HOME='{}' LC_ALL=C DEBEMAIL=release@example.org; unset GNUPGHOME GPG_TTY; set -e; {line}",
        home.display()
    ))
}

/// A line in which `$PATH` begins with a recorder's folder.
fn recorded(program: &Path, line: &str) -> String {
    format!("export PATH='{}':$PATH; {line}", program.parent().unwrap().display())
}

/// The least source package that dpkg-buildpackage builds.
fn source(house: &House) -> PathBuf {
    let tree = house.path("hello-1.0");
    fs::create_dir_all(tree.join("debian/source")).unwrap();
    for (name, text) in [
        ("source/format", "3.0 (native)\n"),
        (
            "control",
            "Source: hello\nSection: misc\nPriority: optional\nMaintainer: release <release@example.org>\n\
             Standards-Version: 4.6.2\n\nPackage: hello\nArchitecture: all\nDescription: a package\n A package.\n",
        ),
        (
            "changelog",
            "hello (1.0) unstable; urgency=low\n\n  * First.\n\n -- release <release@example.org>  Mon, 23 Nov 2026 12:00:00 +0000\n",
        ),
        ("rules", "#!/usr/bin/make -f\nclean build binary:\n"),
    ] {
        fs::write(tree.join("debian").join(name), text).unwrap();
    }
    run(capped(10, "chmod").arg("+x").arg(tree.join("debian/rules"))).succeeded();
    tree
}

const CHANGES: &str = "hello_1.0_source.changes";
const BUILD: &[&str] = &["dpkg-buildpackage", "dscverify", "debsign", "gpg"];

#[test]
fn debsign_signs_a_source_package_that_dscverify_accepts() {
    if !have(BUILD) {
        return;
    }
    let house = house("release");
    source(&house);
    shell(&house, "cd hello-1.0; dpkg-buildpackage --build=source --no-sign --no-check-builddeps")
        .succeeded();
    let page = Page::of("debsign");
    let recorder = house.recorder("chancery-gpg", "chancery-gpg");
    let debsign = page.under("After")[0].clone();
    let said = shell(&house, &recorded(&recorder.program, &debsign)).succeeded().stdout;
    assert!(said.contains("Successfully signed dsc, buildinfo, changes files"), "{said}");

    let said = shell(&house, &page.block("Checking")).succeeded().text();
    assert!(
        said.contains("validating hello_1.0.dsc") && said.contains("All files validated successfully"),
        "{said}"
    );
    let calls = recorder.calls();
    assert_eq!(calls.len(), 6, "{calls:?}");
    for (probe, call) in calls.chunks_exact(2).map(|pair| (&pair[0], &pair[1])) {
        assert_eq!(probe, &["--version"]);
        let form = "--local-user release --clearsign --list-options no-show-policy-urls --armor --textmode --output ";
        assert!(call.join(" ").starts_with(form) && call.len() == 10, "{call:?}");
    }
    // The artifacts have their names in the trail.
    let trail = house.audit_trail();
    let intents = trail.iter().filter(|record| record["event"] == "intent" && record["format"] == "openpgp");
    let names: Vec<_> = intents.map(|intent| intent["artifact"].as_str().unwrap()).collect();
    assert_eq!(names, ["hello_1.0.dsc", "hello_1.0_source.buildinfo", CHANGES]);

    // By the file of settings, and by the maintainer's user id; signed files are signed again.
    fs::write(house.path("home/.devscripts"), page.under("After")[1].as_bytes()).unwrap();
    let again = format!("debsign --re-sign {CHANGES}");
    shell(&house, &recorded(&recorder.program, &again)).succeeded();
    let call = recorder.lines().pop().unwrap();
    assert!(call.starts_with("--local-user release <release@example.org> --clearsign "), "{call}");
    shell(
        &house,
        &page
            .block("Checking")
            .replace("-o release.gpg", "-o again.gpg")
            .replace("./release.gpg", "./again.gpg"),
    )
    .succeeded();

    let text = fs::read_to_string(house.path("hello_1.0.dsc")).unwrap();
    house.write("hello_1.0.dsc", text.replace("hello_1.0.tar", "hallo_1.0.tar"));
    assert_ne!(shell(&house, &page.block("Checking")).code, Some(0));
}

#[test]
fn dpkg_buildpackage_signs_with_the_program_that_it_is_given() {
    if !have(BUILD) || !have(&["gpg-agent"]) {
        return;
    }
    let house = house("release");
    source(&house);
    let page = Page::of("debsign");
    let recorder = house.recorder("chancery-gpg", "chancery-gpg");
    let build = page.under("After")[2].replace('\n', " --no-check-builddeps\n");
    let line = format!("mkdir -p -m 700 ~/.gnupg; cd hello-1.0; {build}");
    shell(&house, &recorded(&recorder.program, &line)).succeeded();
    let signed: Vec<_> = recorder.lines().into_iter().filter(|call| call.contains("--clearsign")).collect();
    assert_eq!(signed.len(), 3, "{:?}", recorder.lines());
    for call in &signed {
        let form = "--weak-digest SHA1 --weak-digest RIPEMD160 --utf8-strings --textmode --armor --openpgp \
             --personal-digest-preferences SHA512 SHA384 SHA256 SHA224 --local-user release --output ";
        assert!(call.starts_with(form), "{call}");
    }
    let said = shell(&house, &page.block("Checking")).succeeded().text();
    assert!(said.contains("All files validated successfully"), "{said}");
}

#[test]
fn without_a_grant_debsign_fails_with_our_reason_and_leaves_the_files() {
    if !have(BUILD) {
        return;
    }
    let house = House::builder().key("release", Algorithm::Rsa2048).policy("release", "").start();
    source(&house);
    shell(&house, "cd hello-1.0; dpkg-buildpackage --build=source --no-sign --no-check-builddeps")
        .succeeded();
    let files = ["hello_1.0.dsc", "hello_1.0_source.buildinfo", CHANGES].map(|name| house.path(name));
    let before = files.each_ref().map(|path| fs::read(path).unwrap());
    let said = shell(&house, &Page::of("debsign").under("After")[0]);
    assert_ne!(said.code, Some(0));
    assert!(
        said.stderr.contains("chancery-gpg: error: there is no key `release`, or you may not use it\n"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("chancery-gpg error occurred!  Aborting...."), "{}", said.stderr);
    assert!(before == files.each_ref().map(|path| fs::read(path).unwrap()));
}

/// Builds a .deb of the least kind.
fn deb(house: &House) -> PathBuf {
    let control = house.path("deb/DEBIAN/control");
    fs::create_dir_all(control.parent().unwrap()).unwrap();
    let text = "Package: hello\nVersion: 1.0\nArchitecture: all\nSection: misc\nPriority: optional\n\
         Maintainer: release <release@example.org>\nDescription: a package\n";
    fs::write(control, text).unwrap();
    // debsigs knows xz, and not the zstd of some other distributions.
    shell(house, "dpkg-deb --root-owner-group -Zxz --build deb hello_1.0_all.deb").succeeded();
    house.path("hello_1.0_all.deb")
}

#[test]
fn debsigs_signs_a_deb_that_debsig_verify_accepts() {
    if !have(&["debsigs", "debsig-verify", "dpkg-deb", "gpg"]) {
        return;
    }
    let house = house("release");
    let deb = deb(&house);
    let unsigned = fs::read(&deb).unwrap();
    let page = Page::of("debsigs");
    shell(&house, &page.block("Once, by whoever signs")).succeeded();
    shell(&house, &page.block("After")).succeeded();
    let said = shell(&house, &page.block("Checking")).succeeded().stdout;
    assert!(said.contains("Verified package from 'Example packages' (Example)"), "{said}");

    // The same through the recorder, whose name is gpg too.
    fs::write(&deb, unsigned).unwrap();
    let recorder = house.recorder("gpg", "chancery-gpg");
    shell(
        &house,
        &recorded(&recorder.program, "debsigs --sign=origin --default-key=release hello_1.0_all.deb"),
    )
    .succeeded();
    assert_eq!(recorder.lines(), ["--openpgp --detach-sign --default-key release"]);
    shell(
        &house,
        "debsig-verify --policies-dir $PWD/policies --keyrings-dir $PWD/keyrings hello_1.0_all.deb",
    )
    .succeeded();

    let mut changed = fs::read(&deb).unwrap();
    let at = changed.windows(11).position(|window| window == b"control.tar").unwrap() + 70;
    changed[at] ^= 1;
    fs::write(&deb, changed).unwrap();
    let verify = "debsig-verify --policies-dir $PWD/policies --keyrings-dir $PWD/keyrings hello_1.0_all.deb";
    assert_ne!(shell(&house, verify).code, Some(0));
}

#[test]
fn without_a_grant_debsigs_fails_with_our_reason_and_leaves_the_deb() {
    if !have(&["debsigs", "dpkg-deb"]) {
        return;
    }
    let house = House::builder().key("release", Algorithm::Rsa2048).policy("release", "").start();
    let deb = deb(&house);
    let before = fs::read(&deb).unwrap();
    let page = Page::of("debsigs");
    let said = shell(&house, &format!("{}{}", page.block("Once, by whoever signs"), page.block("After")));
    assert_ne!(said.code, Some(0));
    assert!(
        said.stderr.contains("chancery-gpg: error: there is no key `release`, or you may not use it\n"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("Program gpg"), "{}", said.stderr);
    assert!(fs::read(&deb).unwrap() == before);
}

/// Runs `apt-get update` on one repository under the house's folder.
#[track_caller]
fn apt_update(house: &House, source: &str) -> Output {
    let root = house.path("apt");
    for part in ["state/lists/partial", "cache/archives/partial", "etc"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    let keyring = house.path("repo.asc");
    fs::write(
        root.join("etc/sources.list"),
        format!("deb [signed-by={}] file:{source}\n", keyring.display()),
    )
    .unwrap();
    fs::write(root.join("status"), "").unwrap();
    let root = root.display();
    shell(
        house,
        &format!(
            "APT_CONFIG=/dev/null apt-get -o Dir::Etc={root}/etc -o Dir::Etc::sourceparts=/dev/null -o Dir::State={root}/state \
             -o Dir::State::status={root}/status -o Dir::Cache={root}/cache -o APT::Sandbox::User=$(id -un) \
             -o APT::Update::Error-Mode=any update"
        ),
    )
}

#[test]
fn reprepro_publishes_with_the_script_of_its_page_and_apt_accepts_it() {
    if !have(&["reprepro", "dpkg-deb", "apt-get", "gpg"]) {
        return;
    }
    let house = house("repo");
    deb(&house);
    let page = Page::of("reprepro");
    let repository = house.path("repository");
    fs::create_dir_all(repository.join("conf")).unwrap();
    let [line, script] = &page.under("After")[..] else { panic!("a line and a script") };
    let distributions = format!(
        "Origin: Example\nCodename: stable\nSuite: stable\nArchitectures: amd64\nComponents: main\nDescription: packages\n{line}"
    );
    fs::write(repository.join("conf/distributions"), distributions).unwrap();
    fs::write(repository.join("conf/sign-with-chancery"), script).unwrap();
    let recorder = house.recorder("chancery-gpg", "chancery-gpg");
    let include = "chmod +x repository/conf/sign-with-chancery; reprepro -b repository includedeb stable hello_1.0_all.deb";
    shell(&house, &recorded(&recorder.program, include)).succeeded();
    let calls = recorder.lines();
    assert_eq!(calls.len(), 2, "{calls:?}");
    for (call, form) in calls.iter().zip(["--clear-sign --output ", "--detach-sign --armor --output "]) {
        assert!(call.starts_with(&format!("--batch --yes --local-user repo {form}")), "{call}");
    }

    let gpg = Gpg::trusting(&house.path("repo.asc"));
    let check =
        format!("export GNUPGHOME='{}'; cd repository; {}", gpg.home().display(), page.block("Checking"));
    shell(&house, &check).succeeded();
    let source = format!("{} stable main", repository.display());
    let said = apt_update(&house, &source).succeeded().text();
    assert!(said.contains("stable InRelease"), "{said}");
    fs::remove_file(repository.join("dists/stable/InRelease")).unwrap();
    let said = apt_update(&house, &source).succeeded().text();
    assert!(said.contains("stable Release.gpg"), "{said}");

    // Without a grant nothing of what is published changes.
    let release = repository.join("dists/stable/Release");
    let before = fs::read(&release).unwrap();
    house.write_policy("repo", "");
    house.chancery(&["reload"]).succeeded();
    let said = shell(&house, "reprepro -b repository remove stable hello");
    assert_ne!(said.code, Some(0));
    assert!(
        said.stderr.contains("chancery-gpg: error: there is no key `repo`, or you may not use it"),
        "{}",
        said.stderr
    );
    assert!(fs::read(&release).unwrap() == before);
}

#[test]
fn apt_accepts_what_apt_ftparchive_writes_and_chancery_gpg_signs() {
    if !have(&["apt-ftparchive", "apt-get", "gpgv", "gpg"]) {
        return;
    }
    let house = house("repo");
    let flat = house.path("flat");
    fs::create_dir_all(&flat).unwrap();
    fs::copy(deb(&house), flat.join("hello_1.0_all.deb")).unwrap();
    let page = Page::of("apt");
    let script = &page.under("After")[1];
    let recorder = house.recorder("chancery-gpg", "chancery-gpg");
    let line = format!("cd flat; apt-ftparchive packages . > Packages; GPG=chancery-gpg; {script}");
    shell(&house, &recorded(&recorder.program, &line)).succeeded();
    assert_eq!(
        recorder.lines(),
        [
            "--batch --yes --local-user repo --clearsign -o InRelease Release",
            "--batch --yes --local-user repo -abs -o Release.gpg Release"
        ]
    );
    let gpg = Gpg::trusting(&house.path("repo.asc"));
    let check =
        format!("export GNUPGHOME='{}'; cd flat; {}", gpg.home().display(), page.under("Checking")[0]);
    shell(&house, &check).succeeded();
    let source = format!("{} ./", flat.display());
    let said = apt_update(&house, &source).succeeded().text();
    assert!(said.contains("./ InRelease"), "{said}");

    let changed = fs::read_to_string(flat.join("InRelease")).unwrap().replace("SHA256:", "SHA256: ");
    fs::write(flat.join("InRelease"), changed.replace("Date:", "date:")).unwrap();
    assert_ne!(apt_update(&house, &source).code, Some(0));
}
