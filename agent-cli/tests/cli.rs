//! The binary without a daemon: how it fails, and what needs none.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod support;

use chancery_audit::{Caller, Chain, Checkpoint, Event, Intent, Link, Outcome, Record};
use sha2::{Digest, Sha256};
use support::{Bench, tool};

#[test]
fn a_missing_socket_is_told_with_its_path_and_the_next_step() {
    let bench = Bench::new();
    for (line, option) in [("keys", "--socket"), ("status", "--admin-socket"), ("reload", "--admin-socket")] {
        let run = bench.run(line).expect(4);
        assert!(run.stderr.starts_with("error: there is no socket at /"), "{}", run.stderr);
        assert!(run.stderr.contains("\nhint: is chanceryd running? see `systemctl status chanceryd"));
        assert!(run.stderr.contains(option), "{}", run.stderr);
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn a_socket_that_nobody_serves_is_waited_for_and_then_told() {
    let bench = Bench::new();
    drop(std::os::unix::net::UnixListener::bind(bench.path("agent.sock")).unwrap());
    let run = bench.run("keys --wait 1").expect(4);
    assert!(run.stderr.starts_with("error: nobody serves the socket /"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: start it with `systemctl start chanceryd.socket`"), "{}", run.stderr);
}

#[test]
fn with_json_an_error_is_one_object() {
    let run = Bench::new().run("keys --json").expect(4);
    let error: serde_json::Value = serde_json::from_str(run.out()).unwrap();
    assert_eq!(error["exit"], 4);
    assert!(error["error"].as_str().unwrap().starts_with("there is no socket"));
    assert!(error["hint"].is_string() && run.stderr.is_empty());
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let bench = Bench::new();
    for line in [
        "",
        "sgin",
        "sign rpm",
        "sign rpm --key ../x a.rpm",
        "keys --wait never",
        "sign openpgp --key k -o out a b",
    ] {
        let run = bench.run(line).expect(2);
        assert!(run.stdout.is_empty(), "{line}");
        assert!(!run.stderr.is_empty(), "{line}");
    }
}

#[test]
fn help_and_version_end_well() {
    let bench = Bench::new();
    assert!(bench.run("--version").expect(0).out().starts_with("chancery "));
    assert!(bench.run("sign rpm --help").expect(0).out().contains("--in-place"));
}

#[test]
fn completions_are_written_for_every_shell() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(bench.run(&format!("completions {shell}")).expect(0).out().contains("make-cert"), "{shell}");
    }
}

#[test]
fn man_pages_are_written_and_hold_the_exit_codes() {
    let bench = Bench::new();
    bench.run("man pages").expect(0);
    let page = std::fs::read_to_string(bench.path("pages/chancery-sign-rpm.1")).unwrap();
    for part in
        [".TH CHANCERY-SIGN-RPM 1", "EXIT STATUS", "\\-\\-in\\-place", "\\fB130\\fR", "CHANCERY_SOCKET"]
    {
        assert!(page.contains(part), "{part}");
    }
    let pages = std::fs::read_dir(bench.path("pages")).unwrap().count();
    assert!(pages >= 20, "{pages}");
    assert!(!bench.path("pages/chancery-help.1").exists());
}

#[test]
fn man_accepts_every_page() {
    let bench = Bench::new();
    bench.run("man pages").expect(0);
    for page in std::fs::read_dir(bench.path("pages")).unwrap() {
        let page = page.unwrap().path();
        let warnings = std::process::Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(&page)
            .output()
            .expect("groff, of the package groff-base, is missing")
            .stderr;
        assert!(warnings.is_empty(), "{}: {}", page.display(), String::from_utf8_lossy(&warnings));
    }
}

#[test]
fn the_man_pages_in_the_repository_are_those_of_this_build() {
    let bench = Bench::new();
    bench.run("man pages").expect(0);
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/man");
    tool("diff", &["-r", kept, "pages"], bench.dir.path());
}

fn record(event: Event) -> Record {
    Record { time: "2026-11-23T12:00:00Z".parse().unwrap(), event }
}

fn intent() -> Event {
    Event::Intent(Intent {
        caller: Caller { uid: 7, gid: 7, groups: vec![], pid: 8, exe: None, unit: None },
        key: "release".into(),
        scheme: "rsa-pkcs1-sha256".into(),
        input: "digest".into(),
        digests: vec!["00".repeat(32)],
        format: "rpm".into(),
        artifact: "bash.rpm".into(),
        artifact_digest: String::new(),
        build: String::new(),
        rule: "release.toml:1".into(),
    })
}

/// A trail of two files in the folder `trail`.
fn trail(bench: &Bench) {
    std::fs::create_dir(bench.path("trail")).unwrap();
    let mut chain = Chain::after(Link::start());
    let files = [
        vec![
            Event::Started { software: "chanceryd".into(), torn: String::new() },
            intent(),
            Event::Outcome(Outcome { intent: 2, result: "signed".into(), elapsed_us: 5 }),
        ],
        vec![intent(), Event::Stopped {}],
    ];
    for events in files {
        let name = format!("trail/audit-{:020}.jsonl", chain.head().seq + 1);
        let mut bytes = Vec::new();
        for event in events {
            chain.put(&record(event), &mut bytes).unwrap();
        }
        bench.write(&name, bytes);
    }
    bench.write("trail/notes.txt", "not part of it");
}

#[test]
fn a_whole_trail_is_summed_up() {
    let bench = Bench::new();
    trail(&bench);
    let run = bench.run("audit verify trail").expect(0);
    for line in [
        "the trail is whole: records 1 to 5 in 2 files",
        "signed 1, not signed 0, refused 0",
        "no checkpoint",
        "without an outcome, may have been signed: 1 (records 4)",
    ] {
        assert!(run.out().contains(line), "{line}\n{}", run.out());
    }
    let run = bench.run("audit verify trail --json").expect(0);
    let json: serde_json::Value = serde_json::from_str(run.out()).unwrap();
    assert_eq!((json["result"].as_str(), json["last"].as_u64()), (Some("whole"), Some(5)));
    assert_eq!(json["head"].as_str().unwrap().len(), 64);
}

#[test]
fn a_changed_trail_is_told_with_file_and_line() {
    let bench = Bench::new();
    trail(&bench);
    let first = bench.path("trail/audit-00000000000000000001.jsonl");
    let changed = std::fs::read_to_string(&first).unwrap().replace("bash.rpm", "evil.rpm");
    std::fs::write(&first, changed).unwrap();
    let run = bench.run("audit verify trail").expect(1);
    assert!(
        run.stderr.starts_with("error: trail/audit-00000000000000000001.jsonl:3: does not follow"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("hint: "));
}

#[test]
fn a_missing_file_of_a_trail_is_told() {
    let bench = Bench::new();
    trail(&bench);
    let run = bench
        .run("audit verify trail/audit-00000000000000000004.jsonl trail/audit-00000000000000000001.jsonl")
        .expect(1);
    assert!(run.stderr.contains("has number 1 where 6 was due"), "{}", run.stderr);
}

#[test]
fn what_is_no_trail_is_told() {
    let bench = Bench::new();
    bench.write("a.jsonl", "{}\n");
    assert!(bench.run("audit verify a.jsonl").expect(1).stderr.contains("a.jsonl:1: is not a record"));
    assert!(bench.run("audit verify missing.jsonl").expect(1).stderr.contains("missing.jsonl: cannot read"));
    std::fs::create_dir(bench.path("empty")).unwrap();
    assert!(bench.run("audit verify empty").expect(1).stderr.contains("empty: there is no audit trail here"));
    bench.write("key.pem", "no");
    assert!(
        bench
            .run("audit verify a.jsonl --public-key key.pem")
            .expect(5)
            .stderr
            .contains("key.pem: is not a public key")
    );
}

#[test]
fn a_checkpoint_is_checked_with_the_audit_key() {
    for (options, scheme, sign) in [
        (
            ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            "rsa-pkcs1-sha256",
            ["-pkeyopt", "rsa_padding_mode:pkcs1", "-pkeyopt", "digest:sha256"].as_slice(),
        ),
        (["-algorithm", "ED25519", "-outform", "PEM"], "ed25519-sha256", &["-rawin"]),
    ] {
        let bench = Bench::new();
        let dir = bench.dir.path();
        for key in ["audit", "other"] {
            let file = format!("{key}.key");
            tool("openssl", &[&["genpkey", "-quiet", "-out", &file], options.as_slice()].concat(), dir);
            tool("openssl", &["pkey", "-in", &file, "-pubout", "-out", &format!("{key}.pem")], dir);
        }
        let (mut chain, mut bytes) = (Chain::after(Link::start()), Vec::new());
        chain.put(&record(Event::Stopped {}), &mut bytes).unwrap();
        let Link { seq, hash } = chain.head().clone();
        bench.write("digest", Sha256::digest(Checkpoint::signed_text(seq, &hash)));
        let signing = [&["pkeyutl", "-sign", "-inkey", "audit.key", "-in", "digest"], sign].concat();
        let signature = hex::encode(tool("openssl", &signing, dir));
        let (key, scheme) = ("audit".to_owned(), scheme.to_owned());
        let checkpoint = Checkpoint { covers: seq, hash, key, scheme, signature };
        chain.put(&record(Event::Checkpoint(checkpoint)), &mut bytes).unwrap();
        bench.write("a.jsonl", bytes);

        let run = bench.run("audit verify a.jsonl --public-key audit.pem").expect(0);
        assert!(run.out().contains("checkpoints 1, all good; the last covers record 1"), "{}", run.out());
        let run = bench.run("audit verify a.jsonl --public-key other.pem").expect(1);
        assert!(
            run.stderr.contains("a.jsonl:2: is a checkpoint whose signature is not good"),
            "{}",
            run.stderr
        );
        let run = bench.run("audit verify a.jsonl").expect(0);
        assert!(run.out().contains("checkpoints 1, not checked"), "{}", run.out());
    }
}
