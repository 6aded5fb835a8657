//! A token or an audit trail in trouble: what is said, what is left alone, and how it heals.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use chancery_protocol::Algorithm;
use chancery_tests::tools::{SmallDisk, have, is_root};
use chancery_tests::{Builder, House, Output};

fn builder() -> Builder {
    House::builder().key("k", Algorithm::Rsa2048)
}

/// Asks for a signature that cannot be made now: exit code 4 and an error with the next step, and nothing is written.
fn cannot_sign(house: &House, error: &str, hint: &str) -> Output {
    house.write("data", "some data\n");
    let said = house.chancery(&["sign", "openpgp", "--key", "k", "--wait", "1", "data"]).failed(4);
    let (first, second) = said.stderr.split_once('\n').unwrap_or_default();
    assert!(first.starts_with("error: ") && first.contains(error), "{}", said.stderr);
    assert!(second.starts_with("hint: ") && second.contains(hint), "{}", said.stderr);
    assert_eq!(said.stdout, "");
    assert!(!house.path("data.asc").exists());
    said
}

fn signs(house: &House) {
    house.write("data", "some data\n");
    house.chancery(&["sign", "openpgp", "--key", "k", "data"]).succeeded();
    fs::remove_file(house.path("data.asc")).unwrap();
}

/// Waits until the token is as `state` says, and what is said of it then, with exit code 4.
fn token_is(house: &House, state: &str) -> String {
    house.wait_until(state, |house| house.status().contains(&format!("token main: {state} ")));
    house.chancery(&["status"]).failed(4).stdout
}

fn heals(house: &House) {
    house.wait_until("the token is ready", |house| house.status().contains("token main: ready "));
    signs(house);
}

/// OpenSC's wrapper around a module, which writes every call of it down.
const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";

#[test]
fn a_wrong_pin_is_tried_once_and_again_only_after_a_reload() {
    if !Path::new(SPY).exists() {
        have(&["pkcs11-spy.so (package opensc)"]);
        return;
    }
    let mut house = builder().prepare();
    let calls = house.path("calls");
    let module = house.token.module().display().to_string();
    house.edit_config(|config| {
        let spied = format!(
            "environment = {{ PKCS11SPY = \"{module}\", PKCS11SPY_OUTPUT = \"{}\", ",
            calls.display()
        );
        config
            .replace(&format!("module = \"{module}\""), &format!("module = \"{SPY}\""))
            .replace("environment = {", &spied)
    });
    let logins = || fs::read_to_string(&calls).unwrap().matches(": C_Login\n").count();
    let pin = fs::read(house.token.pin_file()).unwrap();
    fs::write(house.token.pin_file(), "not-the-pin").unwrap();
    house.start();

    let status = token_is(&house, "locked-out");
    assert!(status.contains("CKR_PIN_INCORRECT from C_Login: the PIN is wrong"), "{status}");
    assert!(status.contains("until the daemon is reloaded"), "{status}");
    for _ in 0..5 {
        cannot_sign(&house, "the token needs its operator", "the operator has to act: `chancery status`");
    }
    assert_eq!(logins(), 1);
    assert!(house.runs());

    // Reloaded too early: one more try, and no second one.
    house.chancery(&["reload"]).succeeded();
    house.wait_until("the second try", |_| logins() == 2);
    token_is(&house, "locked-out");
    cannot_sign(&house, "the token needs its operator", "the operator has to act");
    assert_eq!(logins(), 2);

    fs::write(house.token.pin_file(), &pin).unwrap();
    assert_eq!(logins(), 2);
    house.chancery(&["reload"]).succeeded();
    heals(&house);
    for secret in ["not-the-pin", std::str::from_utf8(&pin).unwrap()] {
        assert!(!house.log().contains(secret), "the log has a PIN");
    }
}

#[test]
fn a_module_that_is_missing_is_named_and_is_loaded_after_a_reload() {
    let mut house = builder().prepare();
    let (real, ours) = (house.token.module().to_owned(), house.path("module.so"));
    house.edit_config(|config| config.replace(real.to_str().unwrap(), ours.to_str().unwrap()));
    let mut check = house.command();
    let said = chancery_tests::run(check.arg("check")).failed(1);
    let missing = format!("error: token main: the module {}: No such file or directory", ours.display());
    assert!(said.stderr.starts_with(&missing), "{}", said.stderr);

    house.start();
    let status = token_is(&house, "locked-out");
    let expected = format!("module {}: the module cannot be loaded: ", ours.display());
    assert!(status.contains(&expected) && status.contains("No such file or directory"), "{status}");
    cannot_sign(&house, "the token needs its operator", "the operator has to act: `chancery status`");

    // Something is there, but no module.
    fs::write(&ours, "not a shared object").unwrap();
    house.chancery(&["reload"]).succeeded();
    house.wait_until("another reason", |house| {
        house.status().contains("invalid ELF header") || house.status().contains("file too short")
    });

    fs::remove_file(&ours).unwrap();
    symlink(&real, &ours).unwrap();
    house.chancery(&["reload"]).succeeded();
    heals(&house);
}

#[test]
fn a_label_that_no_token_has_is_named_beside_those_that_are_there() {
    let mut house = builder().prepare();
    house.edit_config(|config| config.replace("pkcs11:token=chancery", "pkcs11:token=chancellery"));
    let key = house.path("keys.d/k.toml");
    fs::write(&key, fs::read_to_string(&key).unwrap().replace("token=chancery;", "token=chancellery;"))
        .unwrap();
    house.start();
    let status = token_is(&house, "unavailable");
    assert!(status.contains("no token pkcs11:token=chancellery in it; it has `chancery`"), "{status}");
    cannot_sign(&house, "the token cannot sign now", "`chancery status` tells how the token is");
}

#[test]
fn a_token_that_comes_late_is_found_without_a_reload_and_agents_wait_for_it() {
    let mut house = builder().prepare();
    let (tokens, away) = (house.token.folder().join("tokens"), house.token.folder().join("away"));
    fs::rename(&tokens, &away).unwrap();
    fs::create_dir(&tokens).unwrap();
    house.start();
    let status = token_is(&house, "unavailable");
    assert!(status.contains("it has no token at all"), "{status}");

    house.write("data", "some data\n");
    let mut agent = house.agent();
    agent.args(["sign", "openpgp", "--key", "k", "data"]).current_dir(house.path("")).stdin(Stdio::null());
    let mut agent = agent.spawn().unwrap();
    fs::remove_dir(&tokens).unwrap();
    fs::rename(&away, &tokens).unwrap();
    assert!(agent.wait().unwrap().success());
    assert!(house.path("data.asc").exists());
}

#[test]
fn a_pin_file_that_is_missing_or_that_others_may_read_is_not_used_and_heals_by_itself() {
    let mut house = builder().prepare();
    let pin = house.token.pin_file().to_owned();
    let text = fs::read(&pin).unwrap();
    fs::set_permissions(&pin, Permissions::from_mode(0o644)).unwrap();
    house.start();
    let status = token_is(&house, "unavailable");
    let expected =
        format!("the PIN file {0} may be read by others (mode 0644); run `chmod 600 {0}`", pin.display());
    assert!(status.contains(&expected), "{status}");
    cannot_sign(&house, "the token cannot sign now", "`chancery status` tells how the token is");

    fs::remove_file(&pin).unwrap();
    let expected = format!("the PIN file {}: No such file or directory", pin.display());
    house.wait_until("it is missing", |house| house.status().contains(&expected));
    cannot_sign(&house, "the token cannot sign now", "`chancery status` tells how the token is");

    house.write("pin", text);
    fs::set_permissions(house.path("pin"), Permissions::from_mode(0o600)).unwrap();
    fs::copy(house.path("pin"), pin.with_extension("new")).unwrap();
    fs::rename(pin.with_extension("new"), &pin).unwrap();
    heals(&house);
}

#[test]
fn an_empty_pin_file_is_told_and_no_login_is_tried_with_it() {
    let mut house = builder().prepare();
    fs::write(house.token.pin_file(), "").unwrap();
    house.start();
    let status = token_is(&house, "locked-out");
    assert!(status.contains("the PIN file is empty"), "{status}");
    cannot_sign(&house, "the token needs its operator", "the operator has to act");
}

#[test]
fn a_key_that_the_token_lacks_is_told_to_the_operator_and_harms_no_other() {
    let this_user = format!("[[allow]]\nwho = [\"user:{}\"]\n", nix::unistd::geteuid());
    let house = builder().policy("ghost", &this_user).start();
    let expected = "the token has no private key object pkcs11:token=chancery;object=ghost;type=private";
    house.wait_until("the log names it", |house| {
        house.log().contains(&format!("key `ghost` cannot be used: {expected}"))
    });
    house.write("data", "some data\n");
    let said = house.chancery(&["sign", "openpgp", "--key", "ghost", "data"]).failed(3);
    let refusal = "error: the token refused this request; the daemon's journal says why\n";
    assert!(said.stderr.starts_with(refusal) && said.stderr.contains("\nhint: "), "{}", said.stderr);
    assert!(!house.path("data.asc").exists());
    signs(&house);
}

#[test]
fn a_full_disk_under_the_audit_trail_stops_signing_and_room_on_it_starts_it_again() {
    if !is_root() || !have(&["mount", "umount"]) {
        return;
    }
    let mut house = builder().prepare();
    let disk = SmallDisk::on(&house.path("audit"), 64);
    house.start();
    signs(&house);
    disk.fill();
    // The trail's last page may still have room for a few records.
    house.write("data", "some data\n");
    let last = house.write("data.asc", "what was there before\n");
    let refused = (0..20).find_map(|_| {
        let said =
            house.chancery(&["sign", "openpgp", "--key", "k", "--wait", "1", "-o", "data.asc", "data"]);
        let written = fs::read_to_string(&last).unwrap() != "what was there before\n";
        assert_eq!(said.code == Some(0), written, "{}", said.text());
        fs::write(&last, "what was there before\n").unwrap();
        (said.code != Some(0)).then_some(said)
    });
    let said = refused.expect("a refusal").failed(4);
    assert!(
        said.stderr.starts_with("error: the audit trail cannot be written, so nothing may be signed\n"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr.contains("\nhint: ask the operator (`chancery status`; is its disk full?)"),
        "{}",
        said.stderr
    );
    let said = house
        .chancery(&["sign", "openpgp", "--key", "k", "--wait", "1", "--json", "-o", "new", "data"])
        .failed(4);
    let line: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(line["refusal"], "audit-unavailable");
    assert!(!house.path("new").exists());
    let status = house.chancery(&["status"]).failed(4).stdout;
    assert!(
        status.contains("  cannot be written, so nothing is signed: ") && status.contains("No space left"),
        "{status}"
    );

    // Nothing of what did not fit is left behind the last record.
    house.chancery(&["audit", "verify", "audit"]).succeeded();

    // An agent that waits is served as soon as there is room.
    let complaints = |house: &House| house.log().matches("the audit trail cannot be written").count();
    let before = complaints(&house);
    let mut agent = house.agent();
    agent
        .args(["sign", "openpgp", "--key", "k", "-o", "new", "data"])
        .current_dir(house.path(""))
        .stdin(Stdio::null());
    let mut agent = agent.spawn().unwrap();
    house.wait_until("it was refused once", |house| complaints(house) > before);
    disk.clear();
    assert!(agent.wait().unwrap().success());
    signs(&house);
    house.chancery(&["status"]).succeeded();

    // What was refused left no half a record, and every signature that left is on record: with its outcome, or, where
    // that came when the disk was full already, with its intent alone.
    let signatures = house.status_json()["signatures"].as_u64().unwrap();
    house.stop();
    let said = house.chancery(&["audit", "verify", "--json", "audit"]).succeeded().stdout;
    let trail: serde_json::Value = serde_json::from_str(&said).unwrap();
    let open = u64::try_from(trail["open_intents"].as_array().unwrap().len()).unwrap();
    assert!(open <= 1, "{trail}");
    assert_eq!(
        (trail["signed"].as_u64(), trail["not_signed"].as_u64()),
        (Some(signatures - open), Some(0)),
        "{trail}"
    );
}

#[test]
fn a_daemon_does_not_start_without_room_for_its_audit_trail() {
    if !is_root() || !have(&["mount", "umount"]) {
        return;
    }
    let mut house = builder().prepare();
    let disk = SmallDisk::on(&house.path("audit"), 64);
    disk.fill();
    let said = house.fails_to_start();
    let expected = format!("error: the audit trail in {}: ", house.path("audit").display());
    assert!(
        said.stderr.contains(&expected) && said.stderr.contains("No space left on device"),
        "{}",
        said.stderr
    );
    assert!(!house.socket().exists());
    disk.clear();
    house.start();
    signs(&house);
}

#[test]
fn a_socket_that_is_not_there_is_told_with_the_next_step() {
    let mut house = builder().start();
    let package = house.write("a.rpm", "not looked at");
    let nowhere = house.path("nowhere.sock");
    let (nowhere_text, package_text) = (nowhere.to_str().unwrap(), package.to_str().unwrap());
    for (args, option, unit) in [
        (&["keys"][..], "--socket", "chanceryd.socket"),
        (&["sign", "rpm", "--key", "k", package_text], "--socket", "chanceryd.socket"),
        (&["status"], "--admin-socket", "chanceryd-admin.socket"),
    ] {
        let said = house.chancery(&[args, &[option, nowhere_text]].concat()).failed(4).stderr;
        let hint = format!(
            "hint: is chanceryd running? see `systemctl status {unit}`, or name another socket with {option}\n"
        );
        assert_eq!(said, format!("error: there is no socket at {nowhere_text}\n{hint}"));
    }
    house.crash();
    let said = house.chancery(&["keys", "--wait", "1"]).failed(4).stderr;
    let expected = format!(
        "error: nobody serves the socket {}\nhint: start it with `systemctl start",
        house.socket().display()
    );
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(fs::read_to_string(&package).unwrap(), "not looked at");
    // The next daemon takes the place of the one that crashed.
    house.start();
    heals(&house);
}
