//! Configuration and policy that are not good: file, line, what was meant, and what stays in force.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use chancery_protocol::Algorithm;
use chancery_tests::tools::{have, is_root};
use chancery_tests::{House, run};
use nix::sys::signal::Signal;

fn builder() -> chancery_tests::Builder {
    House::builder().key("k", Algorithm::Ed25519)
}

/// A rule that names this user.
fn rule() -> String {
    format!("[[allow]]\nwho = [\"user:{}\"]\n", nix::unistd::geteuid())
}

/// Lines behind the two that every policy file begins with here, and what is said of them.
fn bad_policies() -> Vec<(String, &'static str)> {
    let rule = rule();
    vec![
        (format!("{rule}formts = [\"rpm\"]\n"), "k.toml:5: unknown field `formts`, expected one of "),
        (format!("{rule}formats = [\"rmp\"]\n"), "k.toml:5: format `rmp` is not known"),
        ("[[alow]]\nwho = []\n".to_owned(), "; did you mean `allow`?"),
        (
            "[[allow]]\nwho = [\"user:no-such-user\"]\n".to_owned(),
            "k.toml:4: there is no user `no-such-user` on this machine",
        ),
        (
            "[[allow]]\nwho = [\"everybody\"]\n".to_owned(),
            "k.toml:4: `everybody` is not `user:NAME`, `group:NAME` or `unit:GLOB`",
        ),
        (format!("{rule}rate = \"fast\"\n"), "k.toml:5: `fast` is not an allowance such as `100/s`"),
        ("not-after = tomorrow\n".to_owned(), "k.toml:3: "),
        ("[[allow]\n".to_owned(), "k.toml:3: "),
        ("uri = \"pkcs11:token=other;object=k\"\n".to_owned(), "k.toml:3: "),
    ]
}

#[test]
fn a_bad_policy_file_keeps_the_daemon_from_starting_and_is_told_with_its_line() {
    let house = builder().prepare();
    for (text, expected) in bad_policies() {
        house.write_policy("k", &text);
        let said = house.fails_to_start().stderr;
        assert!(said.contains("error: the policy: ") && said.contains(expected), "{text}\n{said}");
        let mut check = house.command();
        let said = run(check.arg("check")).failed(1).stderr;
        assert!(said.starts_with("error: ") && said.contains(expected), "{text}\n{said}");
    }
    assert!(!house.socket().exists());
}

#[test]
fn a_policy_file_that_cannot_be_read_keeps_the_daemon_from_starting() {
    let house = builder().prepare();
    let unreadable = house.path("keys.d/unreadable.toml");
    fs::create_dir(&unreadable).unwrap();
    let said = house.fails_to_start().stderr;
    let expected = format!("{}: cannot be read: ", unreadable.display());
    assert!(said.contains(&expected) && said.contains("directory"), "{said}");
    fs::remove_dir(&unreadable).unwrap();

    fs::write(&unreadable, b"description = \"\xff\"\n").unwrap();
    let said = house.fails_to_start().stderr;
    assert!(said.contains(&expected) && said.contains("UTF-8"), "{said}");
    fs::remove_file(&unreadable).unwrap();

    let misnamed = house.write("keys.d/Two Words.toml", "");
    let said = house.fails_to_start().stderr;
    assert!(said.contains(&misnamed.display().to_string()), "{said}");
    fs::remove_file(&misnamed).unwrap();

    fs::rename(house.path("keys.d"), house.path("away")).unwrap();
    let said = house.fails_to_start().stderr;
    assert!(
        said.contains(&format!(
            "{}: cannot be read: No such file or directory",
            house.path("keys.d").display()
        )),
        "{said}"
    );
}

#[test]
fn a_policy_file_of_another_owner_is_told_by_its_path_when_it_may_not_be_read() {
    if !is_root() || !have(&["setpriv"]) {
        return;
    }
    let house = builder().prepare();
    let file = house.path("keys.d/k.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let said = house.check_as(65534).failed(1).stderr;
    let expected = format!("error: {}: cannot be read: Permission denied", file.display());
    assert!(said.starts_with(&expected), "{said}");
}

#[test]
fn a_bad_policy_at_a_reload_leaves_the_old_one_in_force_and_status_says_so() {
    let house = builder().start();
    let good = fs::read_to_string(house.path("keys.d/k.toml")).unwrap();
    let sign = || house.chancery(&["sign", "openpgp", "--key", "k", "-o", "-", "data"]).succeeded();
    house.write("data", "some data\n");
    for (text, expected) in bad_policies() {
        house.write_policy("k", &text);
        let said = house.chancery(&["reload"]).failed(1).stderr;
        assert!(said.starts_with("error: the policy is not good, the one before stays in force: "), "{said}");
        assert!(
            said.contains(expected)
                && said.contains("\nhint: `chanceryd check` says whether a change is good"),
            "{said}"
        );
        let status = house.chancery(&["status"]).failed(1).stdout;
        assert!(
            status.contains("\npolicy: the last reload was refused, the one before is in force: "),
            "{status}"
        );
        assert!(status.contains(expected), "{status}");
        sign();
    }
    house.write("keys.d/k.toml", good);
    let said = house.chancery(&["reload"]).succeeded().stdout;
    assert_eq!(said, "the policy is in force: 1 keys\n");
    house.chancery(&["status"]).succeeded();
    sign();
}

#[test]
fn a_bad_policy_at_sighup_leaves_the_old_one_in_force_and_a_good_one_is_taken() {
    let house = builder().start();
    house.write_policy("k", "[[allow]]\nwho = []\n");
    house.signal(Signal::SIGHUP);
    house.wait_until("status tells of it", |house| house.status().contains("k.toml:4: `who` is empty"));
    house.chancery(&["key", "show", "k"]).succeeded();

    // A good policy that takes the right away is in force as soon as status has forgotten the bad one.
    house.write_policy("k", "");
    house.signal(Signal::SIGHUP);
    house.wait_until("the new policy is in force", |house| house.status_json()["policy_fault"] == "");
    house.chancery(&["key", "show", "k"]).failed(3);
    // At the start, and the good one; that one's record is on its way.
    let loaded = |house: &House| house.audit_trail().iter().filter(|r| r["event"] == "policy-loaded").count();
    house.wait_until("the good policy is on record", |house| loaded(house) >= 2);
    assert_eq!(loaded(&house), 2);
}

#[test]
fn a_policy_whose_key_lies_in_no_token_is_refused() {
    let house = builder().start();
    let stray = "uri = \"pkcs11:token=other;object=k\"\n";
    house.write("keys.d/stray.toml", stray);
    let said = house.chancery(&["reload"]).failed(1).stderr;
    assert!(
        said.contains(
            "key `stray`: no [token.…] of the configuration fits its uri pkcs11:token=other;object=k"
        ),
        "{said}"
    );
    let mut check = house.command();
    let said = run(check.arg("check")).failed(1).stderr;
    assert!(
        said.contains("key stray: its uri pkcs11:token=other;object=k;type=private fits 0 tokens"),
        "{said}"
    );
}

#[test]
fn what_is_unknown_or_wrong_in_the_configuration_is_told_with_line_and_suggestion() {
    let house = builder().prepare();
    let good = fs::read_to_string(house.path("chanceryd.toml")).unwrap();
    let end = good.lines().count() + 1;
    for (text, expected) in [
        (
            format!("adminz = []\n{good}"),
            "chanceryd.toml:1: unknown field `adminz`, expected one of ".to_owned(),
        ),
        (format!("adminz = []\n{good}"), "; did you mean `admins`?\n".to_owned()),
        (format!("admins = [\"root\"]\n{good}"), "chanceryd.toml:1: `root` is not `user:NAME`".to_owned()),
        (format!("{good}pin-file = \"pin\"\n"), format!("chanceryd.toml:{end}: unknown field `pin-file`")),
        (format!("{good}worker = 2\n"), "; did you mean `workers`?\n".to_owned()),
        (format!("{good}timeout = 10\n"), format!("chanceryd.toml:{end}: invalid type: integer `10`")),
        (
            format!("{good}timeout = \"0s\"\n"),
            format!("chanceryd.toml:{end}: `0s` is not a duration such as `10s`"),
        ),
        (format!("{good}session-mode = \"rw\"\n"), "expected `read-write` or `read-only`".to_owned()),
        (good.replace("token=chancery", "pin-value=1234"), "`pin-value` is not used here\n".to_owned()),
        (
            good.replace("pkcs11:token=chancery", "pkcs11:object=k"),
            "token `main`: its uri names no token".to_owned(),
        ),
    ] {
        house.write("chanceryd.toml", &text);
        let mut check = house.command();
        for said in [house.fails_to_start(), run(check.arg("check")).failed(1)] {
            assert!(
                said.stderr.starts_with("error: ") && said.stderr.contains(&expected),
                "{expected}\n{}",
                said.stderr
            );
        }
        assert!(!house.socket().exists() && !house.path("audit").exists(), "nothing was begun");
    }
    fs::remove_file(house.path("chanceryd.toml")).unwrap();
    let said = house.fails_to_start().stderr;
    assert!(said.contains("chanceryd.toml: cannot be read: No such file or directory"), "{said}");
}

#[test]
fn a_second_daemon_on_the_same_socket_or_trail_is_refused_and_the_first_goes_on() {
    let house = builder().start();
    let said = house.fails_to_start().stderr;
    let expected = format!("error: {}: another daemon listens there\n", house.socket().display());
    assert_eq!(said, expected);
    let mut second = house.command();
    let said = run(second.arg("--socket").arg(house.path("second.sock"))).failed(1).stderr;
    assert!(said.contains("another chanceryd writes it"), "{said}");
    assert!(!house.path("second.sock").exists());
    house.chancery(&["key", "show", "k"]).succeeded();
}
