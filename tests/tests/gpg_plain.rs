//! `chancery-gpg` on plain command lines, and side by side with the real gpg: files, descriptors, status lines, exit codes.

use std::fs;
use std::process::Command;

use chancery_protocol::Algorithm;
use chancery_tests::tools::{Gpg, have};
use chancery_tests::{House, Page, run};
use nix::sys::signal::{Signal, kill};

#[test]
fn createrepo_metadata_and_checksum_files_are_signed_as_their_page_says() {
    if !have(&["createrepo_c", "gpg", "gpgconf", "gpgv"]) {
        return;
    }
    let house = House::builder().key("repo", Algorithm::Rsa2048).start();
    let gpg = Gpg::trusting(&house.certificate("repo"));
    let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let page = Page::of("createrepo");
    let home =
        format!("export GNUPGHOME='{}'; set -e; cp '{}'/*.rpm .", gpg.home().display(), samples.display());
    let import = page.block("Checking");
    house.shell(&format!("{home}\n{}\n{import}", page.block("After"))).succeeded();
    let [sums, check] = &page.under("Checksum files")[..] else { panic!("two blocks") };
    house.shell(&format!("{home}\n{sums}\n{check}")).succeeded();
    let keyring = gpg.keyring();
    house.shell(&format!("gpgv --keyring '{}' SHA256SUMS.gpg SHA256SUMS", keyring.display())).succeeded();
    // Again over what is there, and changed.
    house.shell(&format!("{home}\n{}", page.block("After"))).succeeded();
    house.shell(&format!("{home}\necho more >>SHA256SUMS\n{check}")).failed(1);
}

#[test]
fn the_status_lines_of_a_signature_are_those_of_gpg() {
    if !have(&["gpg", "gpgconf"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.certificate("k");
    let gpg = Gpg::new();
    let theirs = gpg.generate("rsa2048");
    let ours = fingerprint(&house, "k");
    house.write("f", "text\n");
    for options in [
        "-b",
        "-ba --digest-algo SHA384",
        "-bt",
        "-s",
        "-sa --digest-algo sha256",
        "--clearsign",
        "--clear-sign --detach-sign -a --textmode",
    ] {
        let lines = |program: &str, key: &str, out: &str| {
            let line = format!(
                "export GNUPGHOME='{}'; {program} --status-fd=3 --batch --no-tty -u {key} --digest-algo SHA512 {options} -o {out} f \
                 3>&1 >/dev/null",
                gpg.home().display()
            );
            house.shell(&line).succeeded().stdout.replace(key, "KEY")
        };
        let (ours, theirs) = (lines("chancery-gpg", &ours, "ours"), lines("gpg", &theirs, "theirs"));
        // gpg's flag 2, "all subkeys are expired or revoked", is said of a key that has no subkeys; its time is its own.
        let expected = theirs.replace("KEY_CONSIDERED KEY 2", "KEY_CONSIDERED KEY 0");
        let without_time = |lines: &str| -> Vec<String> {
            lines
                .lines()
                .map(|line| {
                    line.split(' ')
                        .filter(|word| word.len() != 10 || word.parse::<u64>().is_err())
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect()
        };
        assert_eq!(without_time(&ours), without_time(&expected), "{options}");
        assert!(ours.contains("[GNUPG:] SIG_CREATED "), "{ours}");
        for file in ["ours", "theirs"] {
            fs::remove_file(house.path(file)).unwrap();
        }
    }
}

fn fingerprint(house: &House, key: &str) -> String {
    let shown = house.chancery(&["key", "show", key, "--json"]).succeeded().stdout;
    let words = shown.split('"').find(|word| word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit()));
    words.unwrap_or_else(|| panic!("no fingerprint: {shown}")).to_owned()
}

#[test]
fn failures_end_and_read_as_those_of_gpg() {
    if !have(&["gpg", "gpgconf"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.certificate("k");
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("rsa2048");
    house.write("f", "text\n");
    house.write("old", "old\n");
    for options in [
        "-u nobody -b f",
        "-b -o old f",
        "--no -b -o old f",
        "-b -o - nothing",
        "--clearsign -o - nothing",
        "--bogus -b f",
        "-b --output",
        "--digest-algo bogus -b f",
        "-s f f",
        "-b -o nowhere/f.sig f",
        "--verify",
        "--lis",
    ] {
        let fails = |program: &str, key: &str| {
            // The key first, so that another one counts.
            let user = if options.contains("-u ") { String::new() } else { format!("-u {key}") };
            let line = format!(
                "export GNUPGHOME='{}'; {program} --batch --no-tty --status-fd 2 {user} {options} </dev/null",
                gpg.home().display()
            );
            house.shell(&line).failed(2)
        };
        let (ours, theirs) = (fails("chancery-gpg", "k"), fails("gpg", &fingerprint));
        assert_eq!(ours.stdout, "", "{options}");
        let status = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| {
                    line.starts_with("[GNUPG:] INV_SGNR") || line.starts_with("[GNUPG:] FAILURE sign")
                })
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(status(&ours.stderr), status(&theirs.stderr), "{options}");
        let handed_over = options.starts_with("--verify") || options.starts_with("--lis");
        let errors = ours.stderr.matches("chancery-gpg: error: ").count();
        assert_eq!(errors, usize::from(!handed_over), "{options}: {}", ours.stderr);
    }
    assert_eq!(fs::read_to_string(house.path("old")).unwrap(), "old\n");
}

#[test]
fn what_does_not_sign_is_the_real_gpgs_and_a_loop_is_noticed() {
    if !have(&["gpg", "gpgconf"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let gpg = Gpg::trusting(&house.certificate("k"));
    let home = format!("export GNUPGHOME='{}';", gpg.home().display());
    house.write("f", "text\n");
    house.shell("chancery-gpg -u k -b f").succeeded();
    for line in [
        "--list-keys --with-colons",
        "--export --armor k@example.org",
        "--status-fd=1 --verify f.sig f",
        "--with-colons -k k@example.org",
    ] {
        let ours = house.shell(&format!("{home} chancery-gpg {line}")).succeeded();
        let theirs = house.shell(&format!("{home} gpg {line}")).succeeded();
        assert_eq!((ours.stdout, ours.stderr), (theirs.stdout, theirs.stderr), "{line}");
    }
    // A bad signature is gpg's exit code 1.
    house.shell(&format!("{home} echo more >>f; chancery-gpg --verify f.sig f")).failed(1);

    // Links named gpg are passed by, and a script that calls us ends.
    house
        .shell("mkdir links; ln -s ../bin/chancery-gpg links/gpg; cp $(command -v chancery) links/gpg2")
        .succeeded();
    let said = house.shell(&format!("{home} PATH=$PWD/links:$PATH gpg --list-keys")).text();
    assert!(said.contains("k@example.org"), "{said}");
    let script =
        "mkdir script; printf '#!/bin/sh\\nexec chancery-gpg \"$@\"\\n' >script/gpg; chmod +x script/gpg";
    house.shell(script).succeeded();
    let said = house.shell(&format!("{home} PATH=$PWD/script:$PATH gpg --list-keys")).text();
    assert!(said.contains("k@example.org"), "{said}");
}

#[test]
fn a_key_is_found_by_every_name_that_it_has() {
    if !have(&["gpg", "gpgconf"]) {
        return;
    }
    let house = House::builder().key("alpha", Algorithm::Ed25519).key("beta", Algorithm::Ed25519).start();
    let gpg = Gpg::trusting(&house.certificate("alpha"));
    house.write("f", "text\n");
    let print = fingerprint(&house, "alpha");
    let signed = |name: &str| {
        house.shell(&format!("rm -f f.sig; chancery-gpg --batch -u '{name}' -b f")).succeeded();
        let said = run(gpg
            .command()
            .args(["--status-fd=1", "--verify"])
            .arg(house.path("f.sig"))
            .arg(house.path("f")));
        assert!(said.stdout.contains(&format!("VALIDSIG {print} ")), "{name}: {}", said.stdout);
    };
    let names = [
        "alpha",
        &print,
        &format!("{print}!"),
        &format!("0x{}", &print[24..]),
        &print[32..],
        &print[24..].to_lowercase(),
        "alpha@example.org",
        "<alpha@example.org>",
        "=alpha <alpha@example.org>",
        "ALPHA@",
    ];
    for name in names {
        signed(name);
    }

    // The only one with a certificate needs no name; of two, one has to be named.
    house.shell("chancery-gpg --batch --yes -b f").succeeded();
    house.certificate("beta");
    for line in ["-b f", "-u example.org -b f"] {
        let said = house.shell(&format!("chancery-gpg --batch --yes --status-fd 2 {line}")).failed(2).stderr;
        assert!(said.contains("2 keys: `alpha` (") && said.contains(", beta <beta@example.org>)"), "{said}");
        assert!(said.contains("[GNUPG:] INV_SGNR 2"), "{said}");
    }
    house.shell("CHANCERY_KEY=beta chancery-gpg --batch --yes -b f").succeeded();
    house.shell("CHANCERY_KEY=beta chancery-gpg --batch --yes --default-key alpha -b f").succeeded();
    let names: Vec<_> = house
        .audit_trail()
        .iter()
        .filter(|record| record["event"] == "intent" && record["format"] == "openpgp")
        .map(|record| record["key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names[names.len() - 3..], ["alpha", "beta", "alpha"]);
}

#[test]
fn data_and_signatures_go_through_every_kind_of_file() {
    if !have(&["gpg", "gpgconf", "mkfifo"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Ed25519).start();
    let gpg = Gpg::trusting(&house.certificate("k"));
    let verify = |line: &str| {
        let home = format!("export GNUPGHOME='{}'; set -e;", gpg.home().display());
        house.shell(&format!("{home} rm -f f.* out; {line}")).succeeded()
    };
    house.write("f", "one \ntwo\n- three");
    verify("chancery-gpg -u k -b f; gpg --verify f.sig f");
    verify("chancery-gpg -u k -ab - <f >f.asc; gpg --verify f.asc f");
    verify("chancery-gpg -u k -abo - <f >f.asc; gpg --verify f.asc f");
    verify("chancery-gpg -u k -bat f; sed 's/$/\\r/' f | head -c -1 | gpg --verify f.asc -");
    verify(
        "mkfifo out; chancery-gpg -u k --yes -bo out f & cat out >f.sig; wait; rm out; gpg --verify f.sig f",
    );
    verify("mkfifo out; cat f >out & chancery-gpg -u k -bo f.sig -- out; wait; rm out; gpg --verify f.sig f");
    verify("chancery-gpg -u k -s f; gpg -o out f.gpg; cmp f out");
    verify("chancery-gpg -u k --clearsign f; gpg --verify f.asc");
    verify(
        "head -c 3000000 /dev/urandom >large; chancery-gpg -u k -s -o f.gpg large; gpg -o out f.gpg; cmp large out",
    );
    let said = verify("chancery-gpg -u k -b -o /dev/null --status-file f.status f; cat f.status");
    assert!(said.stdout.contains("SIG_CREATED D 22 10 00 "), "{}", said.stdout);
    // Status lines go behind what a file holds already, and a descriptor that is none is noticed.
    let said = verify("echo first >f.status; chancery-gpg --status-fd 4 -u k -b f 4>>f.status");
    assert_eq!(said.stderr, "");
    house.shell("chancery-gpg -u k --status-fd 9 -b f").failed(2);

    // Nothing is overwritten unasked, here where nobody can be asked.
    verify("echo old >f.sig; ! chancery-gpg -u k -b f </dev/null; test \"$(cat f.sig)\" = old");
    let mut alone = Command::new("setsid");
    alone.arg("--wait").arg(house.path("bin/chancery-gpg")).args(["-u", "k", "-b"]).arg(house.path("f"));
    house.point(&mut alone);
    let said = run(&mut alone).failed(2).stderr;
    assert!(said.contains("f.sig: file exists\n") && said.contains("no terminal to ask on"), "{said}");
    verify("echo old >f.sig; chancery-gpg --yes -u k -b f; gpg --verify f.sig f");
}

#[test]
fn the_person_at_the_terminal_is_asked_before_a_file_is_overwritten() {
    if !have(&["script"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Ed25519).start();
    house.write("f", "text\n");
    for (answer, overwritten) in [("n", false), ("", false), ("y", true)] {
        house.write("f.sig", "old");
        let line = format!(
            "printf '{answer}\\n' | script --quiet --return --command 'chancery-gpg -u k -b f' /dev/null"
        );
        let said = house.shell(&line);
        assert_eq!(said.code, Some(if overwritten { 0 } else { 2 }), "{}", said.text());
        assert!(said.stdout.contains("File 'f.sig' exists. Overwrite? (y/N) "), "{}", said.stdout);
        assert_eq!(fs::read(house.path("f.sig")).unwrap() != b"old", overwritten, "{answer}");
    }
}

#[test]
fn a_signal_leaves_neither_a_signature_nor_a_temporary_file() {
    let settings = "workers = 1\ntimeout = \"60s\"";
    let house = House::builder().key("k", Algorithm::Ed25519).token_setting(settings).start();
    // Once the token has signed, the daemon knows the key and asks it for nothing but signatures.
    house.certificate("k");
    fs::create_dir(house.path("work")).unwrap();
    house.write("work/f", "text\n");
    let worker = house.workers()[0];
    kill(worker, Signal::SIGSTOP).unwrap();
    // It waits for the token once its temporary file is there.
    let line = "cd work; chancery-gpg -u k -b f & until ls -A | grep -q '^[.]chancery-'; do :; done; \
         kill -TERM $!; wait $!; echo $?; ls -A";
    let said = house.shell(line).succeeded();
    kill(worker, Signal::SIGCONT).unwrap();
    assert_eq!(said.stdout, "2\nf\n");
    assert_eq!(said.stderr, "chancery-gpg: error: stopped by a signal; nothing was written\n");
}
