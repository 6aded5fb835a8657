//! Other users, with real uids: what they are told, what they may do, and what is written down about them.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use chancery_protocol::Algorithm;
use chancery_tests::tools::{have, is_root};
use chancery_tests::{House, Output};
use serde_json::Value;

/// Users and groups that no file of this machine needs to name.
const ALICE: u32 = 3001;
const BOB: u32 = 3002;
const FARM: u32 = 4001;
const OTHERS: u32 = 4999;

fn can_be_others() -> bool {
    is_root() && have(&["setpriv"])
}

fn rule(who: &str) -> String {
    format!("[[allow]]\nwho = [\"{who}\"]\n")
}

/// Every refusal on record, once there are so many: nobody waits for their way to the disk.
#[track_caller]
fn refusals(house: &House, count: usize) -> Vec<Value> {
    let refused = |house: &House| {
        house.audit_trail().into_iter().filter(|record| record["event"] == "refused").collect::<Vec<_>>()
    };
    house.wait_until("the refusals are on record", |house| refused(house).len() >= count);
    let refused = refused(house);
    assert_eq!(refused.len(), count, "{refused:?}");
    refused
}

fn sign_as(house: &House, uid: u32, gid: u32, groups: &[u32], key: &str) -> Output {
    house.chancery_as(uid, gid, groups, &["sign", "openpgp", "--key", key, "--wait", "1", "-o", "-", "data"])
}

#[test]
fn a_forbidden_key_and_an_unknown_one_answer_alike_and_are_told_apart_on_record() {
    if !can_be_others() {
        return;
    }
    // The names are of one length, and one is the other's neighbour in every list.
    let house = House::builder()
        .key("release-a", Algorithm::Ed25519)
        .policy("release-a", &rule(&format!("user:{ALICE}")))
        .start();
    house.chancery(&["key", "show", "release-a"]).failed(3);
    house.write("data", "some data\n");
    let package = house.write("a.rpm", "not looked at");
    let commands: [&[&str]; 7] = [
        &["key", "show", "KEY"],
        &["key", "show", "KEY", "--pem"],
        &["key", "cert", "KEY", "--openpgp"],
        &["key", "cert", "KEY", "--x509"],
        &["sign", "openpgp", "--key", "KEY", "data"],
        &["sign", "rpm", "--key", "KEY", package.to_str().unwrap()],
        &["verify", "rpm", "--key", "KEY", package.to_str().unwrap()],
    ];
    for command in commands {
        for json in [&[][..], &["--json"]] {
            let [forbidden, unknown] = ["release-a", "release-b"].map(|key| {
                let args: Vec<_> =
                    command.iter().chain(json).map(|&arg| if arg == "KEY" { key } else { arg }).collect();
                let said = house.chancery_as(BOB, OTHERS, &[], &args).failed(3);
                (said.stdout.replace(key, "KEY"), said.stderr.replace(key, "KEY"))
            });
            assert_eq!(forbidden, unknown, "{command:?}");
            assert!((forbidden.0 + &forbidden.1).contains("key `KEY` does not exist, or you may not use it"));
        }
    }
    // The operator sees the difference.
    let refused = refusals(&house, 1 + 4 * commands.len());
    let details = |key: &str| {
        let refused = refused.iter().filter(|record| record["key"] == key);
        refused.map(|record| record["detail"].as_str().unwrap().replace(key, "KEY")).collect::<BTreeSet<_>>()
    };
    let (forbidden, unknown) = (details("release-a"), details("release-b"));
    assert!(!forbidden.is_empty() && !unknown.is_empty());
    assert!(forbidden.is_disjoint(&unknown), "{forbidden:?} {unknown:?}");
    for detail in unknown {
        assert!(house.log().contains(&format!(
            "refused key `release-b` to uid {BOB}: {}",
            detail.replace("KEY", "release-b")
        )));
    }
}

#[test]
fn rules_name_users_and_groups_primary_and_supplementary_and_lists_show_only_what_they_permit() {
    if !can_be_others() {
        return;
    }
    let house = House::builder()
        .key("by-group", Algorithm::Ed25519)
        .key("by-name", Algorithm::Ed25519)
        .key("by-user", Algorithm::Ed25519)
        .key("nobodys", Algorithm::Ed25519)
        .policy("by-group", &rule(&format!("group:{FARM}")))
        .policy("by-name", &rule("user:nobody"))
        .policy("by-user", &rule(&format!("user:{ALICE}")))
        .policy("nobodys", "")
        .start();
    house.write("data", "some data\n");
    let every: [&str; 4] = ["by-group", "by-name", "by-user", "nobodys"];
    for (uid, gid, groups, permitted) in [
        (ALICE, OTHERS, &[][..], &["by-user"][..]),
        (ALICE, FARM, &[], &["by-group", "by-user"]),
        (BOB, FARM, &[], &["by-group"]),
        (BOB, OTHERS, &[4002, FARM, 4003], &["by-group"]),
        (BOB, OTHERS, &[4002, 4003], &[]),
        (65534, OTHERS, &[], &["by-name"]),
        // A group's number is no user's, and root is nobody special.
        (FARM, ALICE, &[], &[]),
        (0, 0, &[], &[]),
    ] {
        let said = house.chancery_as(uid, gid, groups, &["keys"]).succeeded();
        let listed: Vec<_> =
            said.stdout.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(listed, permitted, "uid {uid}, gid {gid}, groups {groups:?}");
        for key in every {
            let code = if permitted.contains(&key) { 0 } else { 3 };
            assert_eq!(
                sign_as(&house, uid, gid, groups, key).code,
                Some(code),
                "uid {uid}, gid {gid}, groups {groups:?}: {key}"
            );
        }
    }
}

#[test]
fn the_audit_trail_names_the_real_user_groups_and_process() {
    if !can_be_others() {
        return;
    }
    let house =
        House::builder().key("k", Algorithm::Ed25519).policy("k", &rule(&format!("user:{ALICE}"))).start();
    house.write("data", "some data\n");
    let line = "echo $$ >&2; exec chancery sign openpgp --key k --build-id 'uid 0' -o - data";
    let allowed = house.shell_as(ALICE, OTHERS, &[FARM, 4002], line).succeeded().stderr;
    let denied = house.shell_as(BOB, FARM, &[], line).failed(3).stderr;
    refusals(&house, 1);
    let trail = house.audit_trail();
    let caller = |event: &str, key: &str| {
        let mut found = trail.iter().filter(|record| record["event"] == event && record["key"] == key);
        let record = found.next().unwrap_or_else(|| panic!("no {event} in {trail:?}"));
        assert!(found.next().is_none());
        record["caller"].clone()
    };
    let pid = |said: &str| said.lines().next().unwrap().parse::<u64>().unwrap();
    let numbers = |caller: &Value| {
        let mut groups: Vec<_> =
            caller["groups"].as_array().unwrap().iter().map(|gid| gid.as_u64().unwrap()).collect();
        groups.sort_unstable();
        (
            caller["uid"].as_u64().unwrap(),
            caller["gid"].as_u64().unwrap(),
            groups,
            caller["pid"].as_u64().unwrap(),
        )
    };
    let signer = caller("intent", "k");
    let expected = (ALICE.into(), OTHERS.into(), vec![FARM.into(), 4002], pid(&allowed));
    assert_eq!(numbers(&signer), expected);
    assert!(signer["exe"].as_str().unwrap().ends_with("/chancery"), "{signer}");
    assert_eq!(numbers(&caller("refused", "k")), (BOB.into(), FARM.into(), vec![], pid(&denied)));
    assert!(house.log().contains(&format!("refused key `k` to uid {BOB}: ")));
}

#[test]
fn a_rate_is_each_user_s_own() {
    if !can_be_others() {
        return;
    }
    let rule = format!("[[allow]]\nwho = [\"user:{ALICE}\", \"user:{BOB}\"]\nrate = \"2/h\"\n");
    let house = House::builder().key("k", Algorithm::Ed25519).policy("k", &rule).start();
    house.write("data", "some data\n");
    let sign = |uid: u32| sign_as(&house, uid, OTHERS, &[], "k");
    let used_up = |uid: u32| {
        let said = sign(uid).failed(3);
        assert!(
            said.stderr
                .starts_with("error: you have used up your allowance of key `k`; there is room again in "),
            "{}",
            said.stderr
        );
        assert!(said.stderr.contains("\nhint: `--wait SECONDS` waits longer"), "{}", said.stderr);
        assert_eq!(said.stdout, "");
    };
    for _ in 0..2 {
        sign(ALICE).succeeded();
    }
    used_up(ALICE);
    for _ in 0..2 {
        sign(BOB).succeeded();
    }
    used_up(BOB);
    used_up(ALICE);
}

/// What only operators may ask for.
const OPERATORS: [&[&str]; 3] =
    [&["status"], &["reload"], &["key", "generate", "new", "--algorithm", "p256"]];

#[test]
fn the_operator_s_socket_is_closed_to_others() {
    if !can_be_others() {
        return;
    }
    let house = House::builder().key("k", Algorithm::Ed25519).start();
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(house.admin_socket()), mode(house.socket())), (0o600, 0o666));
    for args in OPERATORS {
        let said = house.chancery_as(ALICE, OTHERS, &[], args).failed(3);
        let expected = format!(
            "error: the user with number {ALICE} may not open the socket {}\n",
            house.admin_socket().display()
        );
        assert!(said.stderr.starts_with(&expected), "{}", said.stderr);
        assert!(
            said.stderr.ends_with("hint: this is for operators: run it as root, or ask the operator\n"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn where_the_operator_s_socket_is_open_each_request_is_still_refused_to_those_who_are_none() {
    if !can_be_others() {
        return;
    }
    let house = House::builder()
        .key("k", Algorithm::Ed25519)
        .config(&format!("admins = [\"user:{BOB}\", \"group:{FARM}\"]"))
        .start();
    fs::set_permissions(house.admin_socket(), Permissions::from_mode(0o666)).unwrap();
    for args in OPERATORS {
        let said = house.chancery_as(ALICE, OTHERS, &[4002], args).failed(3).stderr;
        let expected = "error: you are not an operator of this daemon\nhint: this is for operators: run it as root, or ask the operator\n";
        assert_eq!(said, expected);
    }
    assert!(!house.path("keys.d/new.toml").exists());
    let refused = refusals(&house, OPERATORS.len());
    assert!(refused.iter().all(|record| record["caller"]["uid"] == ALICE), "{refused:?}");

    house.chancery_as(BOB, OTHERS, &[], &["status"]).succeeded();
    house.chancery_as(ALICE, FARM, &[], &["status"]).succeeded();
    house.chancery_as(ALICE, OTHERS, &[FARM], &["reload"]).succeeded();
    // Whom the configuration names may do all of it, and is named as the maker.
    house.chancery_as(BOB, OTHERS, &[], OPERATORS[2]).succeeded();
    let made = house.audit_trail().into_iter().find(|record| record["event"] == "key-generated").unwrap();
    assert_eq!((&made["key"], &made["caller"]["uid"]), (&"new".into(), &BOB.into()));
    assert!(
        fs::read_to_string(house.path("keys.d/new.toml"))
            .unwrap()
            .contains(&format!("who = [\"user:{BOB}\"]"))
    );
}
