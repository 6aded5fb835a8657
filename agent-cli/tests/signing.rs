//! The binary with a stand-in for the daemon: what it makes of good and bad answers and files. The judges are gpg and
//! rpm.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::Ordering;

use chancery_protocol::{Algorithm, Format, Reason};
use support::{Behaviour, Bench, Fake, tool};

const SPEC: &str = "Name: hello\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n%description\nx\n%files\n";

/// An unsigned package, `hello.rpm`.
fn package(bench: &Bench) {
    bench.write("hello.spec", SPEC);
    let dir = bench.dir.path();
    let top = format!("_topdir {}/rpmbuild", dir.display());
    tool("rpmbuild", &["-bb", "--quiet", "--define", &top, "hello.spec"], dir);
    fs::copy(bench.path("rpmbuild/RPMS/noarch/hello-1-1.noarch.rpm"), bench.path("hello.rpm")).unwrap();
}

/// The certificate of `release` in `release.asc`, imported into a private gpg and rpm.
fn certificate(bench: &Bench) {
    bench.run_with_user_id();
    let dir = bench.dir.path();
    fs::create_dir(bench.path("gnupg")).unwrap();
    tool("chmod", &["700", "gnupg"], dir);
    gpg(bench, &["--import", "release.asc"]);
    tool("rpm", &["--dbpath", &db(bench), "--import", "release.asc"], dir);
}

fn db(bench: &Bench) -> String {
    bench.path("rpmdb").display().to_string()
}

fn gpg(bench: &Bench, args: &[&str]) -> Vec<u8> {
    let home = bench.path("gnupg").display().to_string();
    tool(
        "gpg",
        &[&["--homedir", &home, "--batch", "--quiet", "--no-autostart"], args].concat(),
        bench.dir.path(),
    )
}

fn rpm_says(bench: &Bench, file: &str) -> String {
    let output = tool("rpm", &["--dbpath", &db(bench), "-Kv", file], bench.dir.path());
    String::from_utf8(output).unwrap()
}

trait MakeCert {
    fn run_with_user_id(&self) -> support::Run;
}

impl MakeCert for Bench {
    fn run_with_user_id(&self) -> support::Run {
        self.run("openpgp make-cert release --user-id Example --expires 2y -o release.asc").expect(0)
    }
}

fn started(behaviour: Behaviour) -> (Bench, Fake) {
    let bench = Bench::new();
    let fake = Fake::start(&bench, behaviour);
    (bench, fake)
}

#[test]
fn keys_are_listed_shown_and_made() {
    let (bench, _fake) = started(Behaviour::default());
    assert_eq!(bench.run("keys").expect(0).out(), "release  rsa2048\n");
    assert_eq!(
        bench.run("keys --json").expect(0).out(),
        "{\"algorithm\":\"rsa2048\",\"name\":\"release\"}\n"
    );
    let run = bench.run("key show release").expect(0);
    assert!(
        run.out().contains("OpenPGP fingerprint  ") && run.out().contains("2026-09-21T"),
        "{}",
        run.out()
    );
    assert!(bench.run("key show release --pem").expect(0).out().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    let run = bench.run("key generate other --algorithm rsa2048").expect(0);
    assert_eq!(run.out(), "key `other` made: rsa2048\n");
    assert!(
        run.stderr.contains("hint: nobody may sign with it yet") && run.stderr.contains("make-cert other"),
        "{}",
        run.stderr
    );
    let run = bench.run("key generate release --algorithm rsa2048").expect(1);
    assert!(run.stderr.starts_with("error: key `release` exists already\nhint: "), "{}", run.stderr);
}

#[test]
fn an_unknown_key_is_told_with_the_rule_to_ask_for() {
    let (bench, _fake) = started(Behaviour::default());
    bench.write("a", "a");
    for line in ["key show nobody", "sign openpgp --key nobody a", "key cert nobody --openpgp"] {
        let run = bench.run(line).expect(3);
        assert!(
            run.stderr.contains("error: key `nobody` does not exist, or you may not use it"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("hint: `chancery keys` lists yours"), "{}", run.stderr);
    }
}

#[test]
fn a_certificate_is_made_once_and_the_stored_one_is_written_afterwards() {
    let (bench, fake) = started(Behaviour::default());
    let run = bench.run("key cert release --openpgp").expect(1);
    assert!(
        run.stderr.contains("hint: the operator makes it with `chancery openpgp make-cert release"),
        "{}",
        run.stderr
    );
    bench.run_with_user_id();
    let first = fs::read(bench.path("release.asc")).unwrap();
    let run = bench.run("openpgp make-cert release --user-id Example").expect(0);
    assert_eq!(run.stdout, first);
    assert!(run.stderr.contains("was made before; this is the stored one"), "{}", run.stderr);
    let run = bench.run("openpgp make-cert release --user-id Other").expect(1);
    assert!(
        run.stderr.contains("has a certificate already, for Example") && run.stdout.is_empty(),
        "{}",
        run.stderr
    );
    assert_eq!(bench.run("key cert release --openpgp").expect(0).stdout, first);
    let context = fake.signed.lock().unwrap()[0].clone();
    assert_eq!(Format::from_code(context.format), Some(Format::OpenpgpCertificate));
}

#[test]
fn a_key_without_a_creation_time_is_told_with_the_setting() {
    let (bench, _fake) = started(Behaviour { created: None, ..Behaviour::default() });
    let run = bench.run("openpgp make-cert release --user-id Example").expect(3);
    assert!(
        run.stderr.contains("has no creation time") && run.stderr.contains("keys.d/release.toml"),
        "{}",
        run.stderr
    );
}

#[test]
fn gpg_accepts_every_shape_of_openpgp_signature() {
    for algorithm in [Algorithm::Rsa2048, Algorithm::Ed25519] {
        let (bench, fake) = started(Behaviour { algorithm, ..Behaviour::default() });
        certificate(&bench);
        bench.write("a", "one\n- two \nthree");
        for (line, verify) in [
            ("--build-id build-7 a", ["--verify", "a.asc", "a"].as_slice()),
            ("--no-armor a", &["--verify", "a.sig", "a"]),
            ("--digest sha512 -o b a", &["--verify", "b", "a"]),
            ("--clear -o c a", &["--verify", "c"]),
            ("--inline -o d a", &["--verify", "d"]),
            ("--inline --no-armor a", &["--verify", "a.gpg"]),
        ] {
            bench.run(&format!("sign openpgp --key release {line}")).expect(0);
            gpg(&bench, verify);
        }
        let context = fake.signed.lock().unwrap()[1].clone();
        assert_eq!((context.artifact.as_str(), context.build.as_str()), ("a", "build-7"));
        for line in ["a", "-s a.sig a", "c", "d", "a.gpg"] {
            let run = bench.run(&format!("verify openpgp --cert release.asc {line}")).expect(0);
            assert!(
                run.out().contains(": good signature of ") && run.out().contains("(Example), made 20"),
                "{}",
                run.out()
            );
        }
        let run = bench.run("verify openpgp --key release -o - c").expect(0);
        assert_eq!(run.out().trim_end(), "one\n- two\nthree");
    }
}

#[test]
fn the_standard_input_is_signed_to_the_standard_output() {
    let (bench, _fake) = started(Behaviour::default());
    certificate(&bench);
    let run = bench.run_with("sign openpgp --key release --clear", b"text\n").expect(0);
    assert!(
        run.stdout.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----\n") && run.stderr.is_empty(),
        "{}",
        run.stderr
    );
    bench.write("message", run.stdout);
    gpg(&bench, &["--verify", "message"]);
    let run = bench.run_with("sign openpgp --key release --no-armor - --json", b"text\n").expect(0);
    bench.write("sig", run.stdout);
    bench.write("text", "text\n");
    gpg(&bench, &["--verify", "sig", "text"]);
}

#[test]
fn nothing_is_written_to_the_standard_output_unless_it_is_signed() {
    let (bench, _fake) = started(Behaviour { refuse: Some(Reason::NotNow), ..Behaviour::default() });
    let run = bench.run_with("sign openpgp --key release --clear", b"text\n").expect(3);
    assert!(run.stdout.is_empty());
    assert!(run.stderr.contains("key `release` may not be used now"), "{}", run.stderr);
}

#[test]
fn a_file_with_a_good_signature_by_the_same_key_is_left_alone() {
    let (bench, fake) = started(Behaviour::default());
    certificate(&bench);
    bench.write("a", "one");
    bench.run("sign openpgp --key release a").expect(0);
    let before = fake.signed.lock().unwrap().len();
    let run = bench.run("sign openpgp --key release a").expect(0);
    assert_eq!(run.out(), "a: already signed by this key, left alone\n");
    assert_eq!(fake.signed.lock().unwrap().len(), before);
    bench.write("a", "two");
    assert_eq!(bench.run("sign openpgp --key release a").expect(0).out(), "a: signed to a.asc\n");
    gpg(&bench, &["--verify", "a.asc", "a"]);
}

#[test]
fn rpm_accepts_a_signed_package() {
    for algorithm in [Algorithm::Rsa2048, Algorithm::Ed25519] {
        let (bench, fake) = started(Behaviour { algorithm, ..Behaviour::default() });
        certificate(&bench);
        package(&bench);
        for (file, option, signature) in [
            ("a.rpm", "", "Header V4"),
            ("b.rpm", "--in-place", "Header V4"),
            ("c.rpm", "--v3", "\n    V4"),
            ("d.rpm", "--digest sha512 --build-id b", "/SHA512"),
        ] {
            fs::copy(bench.path("hello.rpm"), bench.path(file)).unwrap();
            let run = bench.run(&format!("sign rpm --key release {option} {file}")).expect(0);
            assert_eq!(run.out(), format!("{file}: signed\n"));
            let says = rpm_says(&bench, file);
            assert!(says.contains(signature) && says.contains("Signature, key ID"), "{says}");
            let run = bench.run(&format!("sign rpm --key release {option} {file}")).expect(0);
            assert_eq!(run.out(), format!("{file}: already signed by this key, left alone\n"));
            bench.run(&format!("verify rpm --cert release.asc {file}")).expect(0);
        }
        let context = fake.signed.lock().unwrap().last().unwrap().clone();
        assert_eq!((context.artifact.as_str(), context.build.as_str()), ("d.rpm", "b"));
        let run = bench.run("verify rpm --cert release.asc hello.rpm").expect(1);
        assert!(run.stderr.contains("hello.rpm: is not signed"), "{}", run.stderr);
    }
}

#[test]
fn bad_files_among_many_are_told_and_the_others_signed_over_one_connection() {
    let (bench, fake) = started(Behaviour::default());
    package(&bench);
    certificate(&bench);
    let good = fs::read(bench.path("hello.rpm")).unwrap();
    for number in 0..30 {
        bench.write(&format!("{number}.rpm"), &good);
    }
    bench.write("text.rpm", "this is no package, whatever its name says; it is text\n".repeat(9));
    bench.write("empty.rpm", "");
    bench.write("short.rpm", &good[..good.len() / 4]);
    fs::create_dir(bench.path("folder.rpm")).unwrap();
    fake.connections.store(0, Ordering::SeqCst);

    let many: Vec<_> = (0..30).map(|number| format!("{number}.rpm")).collect();
    let run = bench.run(&format!(
        "sign rpm --key release text.rpm empty.rpm short.rpm folder.rpm missing.rpm {} 0.rpm",
        many.join(" ")
    ));
    let run = run.expect(1);
    assert!(run.out().ends_with("signed 30, failed 5 of 35\n"), "{}", run.out());
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
    for (file, why) in [
        ("text.rpm", "not an RPM package"),
        ("empty.rpm", "empty"),
        ("short.rpm", "ends inside"),
        ("folder.rpm", "not a regular file"),
        ("missing.rpm", "cannot read: no such file"),
    ] {
        let line = run.stderr.lines().find(|line| line.starts_with(&format!("error: {file}: ")));
        assert!(line.is_some_and(|line| line.contains(why)), "{file} {why}\n{}", run.stderr);
    }
    for file in &many {
        rpm_says(&bench, file);
    }
    assert_eq!(fs::read(bench.path("short.rpm")).unwrap(), good[..good.len() / 4]);
    for (file, code) in
        [("text.rpm", 5), ("empty.rpm", 5), ("short.rpm", 5), ("folder.rpm", 5), ("missing.rpm", 1)]
    {
        bench.run(&format!("sign rpm --key release {file}")).expect(code);
    }
    bench.run("sign rpm --key release text.rpm empty.rpm").expect(5);
}

#[test]
fn json_tells_each_file_and_the_sum() {
    let (bench, _fake) = started(Behaviour::default());
    package(&bench);
    bench.write("text.rpm", "x".repeat(200));
    let run = bench.run("sign rpm --key release hello.rpm text.rpm --json").expect(1);
    let lines: Vec<serde_json::Value> =
        run.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |file: &str| lines.iter().find(|line| line["file"] == file).unwrap();
    assert_eq!(of("hello.rpm")["result"], "signed");
    assert_eq!(of("hello.rpm")["package"], "hello-1-1.noarch");
    assert_eq!((&of("text.rpm")["result"], &of("text.rpm")["exit"]), (&"failed".into(), &5.into()));
    let summary = &lines.last().unwrap()["summary"];
    assert_eq!(
        (&summary["signed"], &summary["failed"], &summary["total"]),
        (&1.into(), &1.into(), &2.into())
    );
    assert!(run.stderr.is_empty(), "{}", run.stderr);
}

#[test]
fn a_refusal_or_a_wrong_signature_leaves_the_package_as_it_was() {
    let (bench, fake) = started(Behaviour::default());
    package(&bench);
    let before = fs::read(bench.path("hello.rpm")).unwrap();
    let names = || fs::read_dir(bench.dir.path()).unwrap().count();
    let count = names();
    for (refuse, wrong, code, says) in [
        (Some(Reason::NotPermitted), false, 3, "does not exist, or you may not use it"),
        (Some(Reason::TokenUnavailable), false, 4, "the token cannot sign now"),
        (Some(Reason::AuditUnavailable), false, 4, "the audit trail cannot be written"),
        (Some(Reason::RateLimited), false, 3, "your rate or quota of key `release` is used up"),
        (None, true, 1, "nothing was attached"),
    ] {
        fake.set(|behaviour| {
            behaviour.refuse = refuse;
            behaviour.wrong_signatures = wrong;
        });
        for option in ["", "--in-place"] {
            let run = bench.run(&format!("sign rpm --key release {option} hello.rpm")).expect(code);
            assert!(run.stderr.contains(says) && run.stderr.contains("\nhint: "), "{says}\n{}", run.stderr);
        }
        assert_eq!(fs::read(bench.path("hello.rpm")).unwrap(), before);
        assert_eq!(names(), count);
    }
}

#[test]
fn a_format_that_the_key_does_not_serve_is_refused_before_anything_is_read() {
    let (bench, _fake) = started(Behaviour { formats: vec![Format::Openpgp], ..Behaviour::default() });
    let run = bench.run("sign rpm --key release missing.rpm").expect(3);
    assert!(run.stderr.contains("key `release` does not serve format rpm for you"), "{}", run.stderr);
}

#[test]
fn a_signed_package_keeps_its_links_mode_and_times() {
    let (bench, _fake) = started(Behaviour::default());
    package(&bench);
    tool("chmod", &["640", "hello.rpm"], bench.dir.path());
    tool("touch", &["-d", "2001-09-09T01:46:40Z", "hello.rpm"], bench.dir.path());
    symlink("hello.rpm", bench.path("link.rpm")).unwrap();
    bench.run("sign rpm --key release link.rpm").expect(0);
    assert!(fs::symlink_metadata(bench.path("link.rpm")).unwrap().is_symlink());
    let stat = tool("stat", &["-c", "%a %Y", "hello.rpm"], bench.dir.path());
    assert_eq!(stat, b"640 1000000000\n");
    assert!(Path::new(&bench.path("hello.rpm")).exists());
}

#[test]
fn the_state_of_a_token_is_in_the_exit_code() {
    let (bench, fake) = started(Behaviour::default());
    assert!(bench.run("status").expect(0).out().contains("token soft: ready for 5 s"));
    fake.set(|behaviour| behaviour.token_state = "unavailable");
    assert!(bench.run("status").expect(4).out().contains("token soft: unavailable"));
    assert_eq!(bench.run("reload").expect(0).out(), "1 key in force\n");
}

#[test]
fn a_full_disk_is_told_and_leaves_the_package_as_it_was() {
    let (bench, _fake) = started(Behaviour::default());
    package(&bench);
    fs::create_dir(bench.path("disk")).unwrap();
    // A disk of its own, which holds the package once and not twice; rpm needs more than the 8 KiB that are left.
    let size = fs::metadata(bench.path("hello.rpm")).unwrap().len().next_multiple_of(4096) + 4096;
    let script = format!(
        "mount -t tmpfs -o size={size} disk disk && cp hello.rpm disk/ && cd disk || exit 99
         {} sign rpm --key release hello.rpm; code=$?
         cmp hello.rpm ../hello.rpm && test $(ls -A | wc -l) = 1 || exit 98
         exit $code",
        env!("CARGO_BIN_EXE_chancery")
    );
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(bench.dir.path())
        .env("CHANCERY_SOCKET", bench.path("agent.sock"))
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "a mount namespace is needed\n{stderr}");
    assert!(
        stderr.contains("hello.rpm: cannot write the signed copy of: no space left on device"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: make room and run the same command again"), "{stderr}");
}

#[test]
fn an_interrupted_run_leaves_every_file_as_it_was() {
    let (bench, fake) = started(Behaviour { silent: true, ..Behaviour::default() });
    package(&bench);
    let before = fs::read(bench.path("hello.rpm")).unwrap();
    let files = fs::read_dir(bench.dir.path()).unwrap().count();
    for signal in ["INT", "TERM"] {
        let asked = fake.asked.load(Ordering::SeqCst);
        let child = bench.spawn("sign rpm --key release hello.rpm");
        while fake.asked.load(Ordering::SeqCst) == asked {
            std::thread::yield_now();
        }
        tool("kill", &["-s", signal, &child.id().to_string()], bench.dir.path());
        let run = Bench::wait(child).expect(130);
        assert!(run.out().contains("unfinished 1 of 1"), "{}", run.out());
        assert_eq!(fs::read(bench.path("hello.rpm")).unwrap(), before);
        assert_eq!(fs::read_dir(bench.dir.path()).unwrap().count(), files);
    }
}

#[test]
fn a_person_at_a_terminal_sees_a_bar_and_the_sum() {
    let (bench, _fake) = started(Behaviour::default());
    package(&bench);
    fs::copy(bench.path("hello.rpm"), bench.path("b.rpm")).unwrap();
    let line = format!(
        "TERM=xterm CHANCERY_SOCKET={} {} sign rpm --key release hello.rpm b.rpm",
        bench.path("agent.sock").display(),
        env!("CARGO_BIN_EXE_chancery")
    );
    let seen = tool("script", &["--quiet", "--return", "--command", &line, "/dev/null"], bench.dir.path());
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.contains("0/2") && seen.contains("signed 2 of 2"), "{seen}");
    assert!(!seen.contains("hello.rpm: signed"), "{seen}");
}
