//! Keys made over the operator's socket, their certificates, and daemons that are restarted under agents at work.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use chancery_protocol::Algorithm;
use chancery_tests::tools::{Gpg, Package, Rpm, build_package, have};
use chancery_tests::{House, capped, run};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

/// What pkcs11-tool says of each private key in the house's token.
#[track_caller]
fn private_keys(house: &House) -> Vec<String> {
    let mut command = capped(60, "pkcs11-tool");
    // The PIN reaches it by its environment; it is a test's own.
    let pin = fs::read_to_string(house.token.pin_file()).unwrap();
    command.envs(house.token.environment().iter().map(|(name, value)| (name, value))).env("PIN", pin);
    command.arg("--module").arg(house.token.module()).args(["--token-label", house.token.label()]);
    let listed =
        run(command.args(["--login", "--pin", "env:PIN", "--list-objects", "--type", "privkey"])).succeeded();
    listed.stdout.split("Private Key Object").skip(1).map(str::to_owned).collect()
}

#[test]
fn a_key_of_every_algorithm_is_made_in_the_token_and_signs_and_cannot_leave_it() {
    if !have(&["gpg", "pkcs11-tool"]) {
        return;
    }
    let house = House::builder().start();
    house.write("data", "some data\n");
    let who = format!("user:{}", nix::unistd::geteuid());
    for &algorithm in Algorithm::ALL {
        let name = &format!("new-{algorithm}");
        let made = house.chancery(&[
            "key",
            "generate",
            name,
            "--algorithm",
            algorithm.as_str(),
            "--allow",
            &who,
            "--description",
            "A \"new\" key",
            "--json",
        ]);
        let made: Value = serde_json::from_str(&made.succeeded().stdout).unwrap();
        assert_eq!(
            (made["name"].as_str(), made["algorithm"].as_str()),
            (Some(&name[..]), Some(algorithm.as_str()))
        );
        let gpg = Gpg::trusting(&house.certificate(name));
        house.chancery(&["sign", "openpgp", "--key", name, "-o", "data.asc", "data"]).succeeded();
        gpg.verify(&[&house.path("data.asc"), &house.path("data")]).succeeded();
    }
    let keys = private_keys(&house);
    assert_eq!(keys.len(), Algorithm::ALL.len(), "{keys:?}");
    for &algorithm in Algorithm::ALL {
        let label = format!("new-{algorithm}");
        let value = |key: &str, name: &str| {
            let found = key.lines().find_map(|line| line.trim().strip_prefix(name));
            found.unwrap_or_default().split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>()
        };
        let key = keys
            .iter()
            .find(|key| value(key, "label:") == [&label[..]])
            .unwrap_or_else(|| panic!("{label}: {keys:?}"));
        assert_eq!(
            value(key, "Access:"),
            ["sensitive", "always sensitive", "never extractable", "local"],
            "{key}"
        );
        assert_eq!(value(key, "Usage:"), ["sign"], "{key}");
    }
    let mut check = house.command();
    let said = run(check.arg("check")).succeeded().stdout;
    for algorithm in Algorithm::ALL {
        let line = format!(
            "key new-{algorithm}: pkcs11:token=chancery;object=new-{algorithm};type=private in token main\n"
        );
        assert!(said.contains(&line), "{said}");
    }
    assert!(said.contains(&format!("  allow[0]: {who} may sign every format with every scheme\n")), "{said}");
    let made = house.audit_trail().iter().filter(|record| record["event"] == "key-generated").count();
    assert_eq!(made, Algorithm::ALL.len());
}

#[test]
fn a_new_key_is_nobody_s_but_for_its_certificates_until_a_rule_says_so() {
    let house = House::builder().start();
    house.write("data", "some data\n");
    let said = house.chancery(&["key", "generate", "new", "--algorithm", "p256"]).succeeded();
    assert!(
        said.stderr.contains("hint: nobody may sign with it yet: add an [[allow]] rule to keys.d/new.toml"),
        "{}",
        said.stderr
    );
    house.certificate("new");
    let said = house.chancery(&["sign", "openpgp", "--key", "new", "data"]).failed(3).stderr;
    assert!(said.starts_with("error: key `new` does not serve format openpgp for you\n"), "{said}");

    let file = house.path("keys.d/new.toml");
    let rule = format!("[[allow]]\nwho = [\"user:{}\"]\nformats = [\"openpgp\"]\n", nix::unistd::geteuid());
    fs::write(&file, fs::read_to_string(&file).unwrap() + &rule).unwrap();
    house.chancery(&["reload"]).succeeded();
    house.chancery(&["sign", "openpgp", "--key", "new", "data"]).succeeded();
}

#[test]
fn a_name_that_is_taken_in_the_policy_or_in_the_token_is_refused_and_nothing_changes() {
    let house = House::builder().key("k", Algorithm::P256).start();
    let file = house.path("keys.d/k.toml");
    let policy = fs::read(&file).unwrap();
    let before = house.chancery(&["key", "show", "k", "--pem"]).succeeded().stdout;
    let generate = || house.chancery(&["key", "generate", "k", "--algorithm", "p256"]).failed(1).stderr;
    let said = generate();
    assert!(said.starts_with("error: key `k` exists already\nhint: choose another name"), "{said}");

    // A file that is not in force yet is no less in the way.
    fs::remove_file(&file).unwrap();
    house.chancery(&["reload"]).succeeded();
    fs::write(&file, "not a policy").unwrap();
    assert!(generate().starts_with("error: key `k` exists already\n"));
    assert_eq!(fs::read(&file).unwrap(), b"not a policy");

    // The object is there, without a policy.
    fs::remove_file(&file).unwrap();
    let said = house.chancery(&["key", "generate", "k", "--algorithm", "p256"]);
    assert_ne!(said.code, Some(0), "{}", said.text());
    assert!(
        said.stderr.starts_with("error: the token has an object labelled `k` already\nhint: "),
        "{}",
        said.stderr
    );
    assert!(!file.exists());

    fs::write(&file, policy).unwrap();
    house.chancery(&["reload"]).succeeded();
    assert_eq!(house.chancery(&["key", "show", "k", "--pem"]).succeeded().stdout, before);
}

#[test]
fn a_certificate_is_made_once_and_its_fingerprint_outlives_the_daemon() {
    if !have(&["gpg"]) {
        return;
    }
    let mut house = House::builder().start();
    let who = format!("user:{}", nix::unistd::geteuid());
    house.chancery(&["key", "generate", "new", "--algorithm", "ed25519", "--allow", &who]).succeeded();
    // Known before there is a certificate: it is the key's and its creation time's.
    let show = |house: &House| -> Value {
        serde_json::from_str(&house.chancery(&["key", "show", "new", "--json"]).succeeded().stdout).unwrap()
    };
    let fingerprint = show(&house)["openpgp_fingerprint"].as_str().unwrap().to_owned();
    let none = house.chancery(&["key", "cert", "new", "--openpgp"]);
    assert_ne!(none.code, Some(0));
    assert!(none.stdout.is_empty() && none.stderr.contains("\nhint: "), "{}", none.stderr);

    let certificate = house.certificate("new");
    let bytes = fs::read(&certificate).unwrap();
    let gpg = Gpg::trusting(&certificate);
    let listed = run(gpg.command().args(["--with-colons", "--list-keys"])).succeeded().stdout;
    assert!(listed.contains(&format!("fpr:::::::::{fingerprint}:")), "{listed}");
    assert!(listed.contains("new <new@example.org>"), "{listed}");

    for _ in 0..2 {
        assert!(fs::read(house.certificate("new")).unwrap() == bytes);
        let said = house.chancery(&[
            "openpgp",
            "make-cert",
            "new",
            "--user-id",
            "new <new@example.org>",
            "--json",
            "-o",
            "again",
        ]);
        let said: Value = serde_json::from_str(&said.succeeded().stdout).unwrap();
        assert_eq!(
            (said["result"].as_str(), said["fingerprint"].as_str()),
            (Some("already-made"), Some(&fingerprint[..]))
        );
        let cert = house.chancery(&["key", "cert", "new", "--openpgp"]).succeeded().stdout;
        assert!(cert.as_bytes() == bytes);
        let shown = show(&house);
        assert_eq!(shown["openpgp_fingerprint"], fingerprint);
        assert_eq!(shown["openpgp_user_ids"], serde_json::json!(["new <new@example.org>"]));
        assert_eq!(shown["certificates"], serde_json::json!(["openpgp"]));
        assert!(shown["uri"].is_null(), "the operator keeps it private unless the policy says otherwise");
        house.stop();
        house.start();
    }
    let said = house
        .chancery(&["openpgp", "make-cert", "new", "--user-id", "another name", "-o", "other.asc"])
        .failed(1)
        .stderr;
    assert!(
        said.starts_with("error: key `new` has a certificate already, for new <new@example.org>\nhint: "),
        "{said}"
    );
    assert!(!house.path("other.asc").exists());
    let kept = house.audit_trail().iter().filter(|record| record["event"] == "certificate-stored").count();
    assert_eq!(kept, 1);
}

/// An agent that has half its packages signed or on their way, and is held by a worker that does not move.
struct AtWork {
    house: House,
    rpm: Rpm,
    _folder: tempfile::TempDir,
    packages: Vec<PathBuf>,
    agent: Child,
}

impl AtWork {
    fn begin() -> Self {
        let house = House::builder()
            .key("k", Algorithm::Rsa2048)
            .token_setting("workers = 1\ntimeout = \"60s\"")
            .start();
        let rpm = Rpm::trusting(&house.certificate("k"));
        let folder = tempfile::tempdir().unwrap();
        let original = build_package(folder.path(), "hello", Package::Noarch, 4096);
        let bytes = fs::read(&original).unwrap();
        let packages: Vec<_> = (0..200).map(|n| folder.path().join(format!("{n}.rpm"))).collect();
        for package in &packages {
            fs::write(package, &bytes).unwrap();
        }
        kill(house.workers()[0], Signal::SIGSTOP).unwrap();
        let mut agent = house.agent();
        agent.args(["sign", "rpm", "--key", "k"]).args(&packages).stdin(Stdio::null());
        let agent = agent.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        house.wait_until("requests are on their way", |house| {
            let token = &house.status_json()["tokens"][0];
            token["queued"].as_u64().unwrap() + token["in_flight"].as_u64().unwrap() == 64
        });
        Self { house, rpm, _folder: folder, packages, agent }
    }

    fn ends_well(self) {
        let ended = self.agent.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
        assert!(said.ends_with("\nsigned 200 of 200\n"), "{said}");
        assert_eq!(self.rpm.good_among(&self.packages).len(), 200);
        let said = self.house.chancery(&["audit", "verify", "audit"]).succeeded().stdout;
        assert!(said.starts_with("the trail is whole: "), "{said}");
    }
}

#[test]
fn a_daemon_that_is_stopped_and_started_under_an_agent_loses_none_of_its_requests() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let mut at_work = AtWork::begin();
    let house = &mut at_work.house;
    let worker = house.workers()[0];
    house.signal(Signal::SIGTERM);
    house.wait_until("it takes no more connections", |house| UnixStream::connect(house.socket()).is_err());
    assert!(house.runs(), "it waits for what it has accepted");
    kill(worker, Signal::SIGCONT).unwrap();
    house.stop();
    let trail = house.audit_trail();
    let count = |event: &str| trail.iter().filter(|record| record["event"] == event).count();
    assert_eq!(count("stopped"), 1);
    assert_eq!(count("intent"), count("outcome"), "what was accepted was answered");
    assert!(count("outcome") < 150, "the daemon ended before the agent's work");
    house.start();
    at_work.ends_well();
}

#[test]
fn a_daemon_that_is_killed_under_an_agent_loses_none_of_its_requests() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let mut at_work = AtWork::begin();
    at_work.house.crash();
    at_work.house.start();
    at_work.ends_well();
}
