//! Who asks: agents on the host and inside, users, groups and units, all as the kernel says.

use chancery_protocol::Algorithm;
use chancery_tests::run;
use chancery_tests::tools::{Gpg, Package, Rpm, build_package, have, is_root};
use serde_json::json;

use crate::station::{ROOT_MAY, Station, of_kind};

#[test]
fn an_agent_on_the_host_wakes_the_daemon_and_signs_a_package_that_rpm_accepts() {
    if !have(&["rpm", "rpmbuild"]) || !is_root() {
        return;
    }
    let Some(station) = Station::with_keys(&[("release", Algorithm::Rsa2048)]) else { return };
    assert_eq!(station.show("ActiveState"), "inactive", "only its sockets listen");

    let certificate = station.certificate("release");

    assert_eq!(station.show("ActiveState"), "active");
    let rpm = Rpm::trusting(&certificate);
    for (name, kind) in
        [("binary", Package::Binary), ("noarch", Package::Noarch), ("source", Package::Source)]
    {
        let package = build_package(&station.path(""), name, kind, 4096);
        station.chancery(&["sign", "rpm", "--key", "release", &package.display().to_string()]).succeeded();
        let said = rpm.check(&package).succeeded();
        assert!(
            said.stdout.contains("Header V4 RSA/SHA") && said.stdout.contains("Signature, key ID"),
            "{said:?}"
        );
        assert!(said.stdout.lines().skip(1).all(|line| line.ends_with(": OK")), "{said:?}");
    }
}

#[test]
fn the_audit_trail_names_peers_as_the_kernel_does() {
    if !have(&["gpg"]) || !is_root() {
        return;
    }
    let Some(station) = Station::with_keys(&[("k", Algorithm::Ed25519)]) else { return };
    let builder: u32 = station.root(&["id", "-u", "builder"]).trim().parse().expect("a uid");
    let stranger = 47_111;
    station.policy(
        "k",
        &format!("{ROOT_MAY}[[allow]]\nwho = [\"user:{builder}\", \"user:{stranger}\", \"group:4242\"]\n"),
    );
    let gpg = Gpg::trusting(&station.certificate("k"));
    station.root(&["cp", "/etc/hostname", "/home/builder/file"]);

    // An agent inside, as a user of the container.
    station
        .inside("builder", &["sign", "openpgp", "-k", "k", "/home/builder/file", "-o", "/home/builder/asc"])
        .succeeded();
    let [file, signature] = ["file", "asc"]
        .map(|name| station.file(&format!("inside.{name}"), &station.read(&format!("/home/builder/{name}"))));
    gpg.verify(&[&signature, &file]).succeeded();
    // Agents on the host, as users that exist nowhere.
    let sign = ["sign", "openpgp", "--key", "k"];
    run(station.agent_as(stranger, "").args(sign)).succeeded();
    run(station.agent_as(48_222, "4242,4243").args(sign)).succeeded();
    run(station.agent_as(48_222, "").args(sign)).failed(3);

    // Nobody waits for the record of a refusal, so it comes with a later group.
    station
        .wait_until("the refusal is on record", |station| !of_kind(&station.trail(), "refused").is_empty());
    let trail = station.trail();
    let callers: Vec<_> =
        of_kind(&trail, "intent").iter().skip_while(|intent| intent["caller"]["uid"] == 0).copied().collect();
    let [inside, by_user, by_group] = callers[..] else { panic!("{trail:#?}") };
    assert_eq!(inside["caller"]["uid"], json!(builder));
    assert!(inside["caller"]["pid"].as_i64().is_some_and(|pid| pid > 1), "{inside}");
    // The kernel gives no number for a process in another PID namespace, and there is no unit without one.
    assert_eq!(by_user["caller"], json!({ "uid": stranger, "gid": stranger, "groups": [], "pid": 0 }));
    assert_eq!(by_group["caller"], json!({ "uid": 48_222, "gid": 48_222, "groups": [4242, 4243], "pid": 0 }));
    let refused = of_kind(&trail, "refused");
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert_eq!(refused[0]["caller"], json!({ "uid": 48_222, "gid": 48_222, "groups": [], "pid": 0 }));
    station.verify_trail();
}

#[test]
fn a_unit_may_sign_where_its_rule_says_so_and_no_other_may() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let outermost = station.read("/proc/1/cgroup");
    let outermost = outermost.lines().find_map(|line| line.split('/').find(|part| part.contains(".scope")));
    assert_eq!(
        outermost,
        Some("init.scope"),
        "this engine keeps containers in units of the host, and those count: \
        start one with --exec-opt native.cgroupdriver=cgroupfs"
    );
    station.policy("k", "[[allow]]\nwho = [\"unit:build@*.service\"]\n");
    let in_unit = |unit: &str| {
        let unit = format!("--unit={unit}");
        let run = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--uid=builder", &unit, "--"];
        let agent = ["timeout", "60", "chancery", "sign", "openpgp", "--key", "k"];
        station.container.exec(&[&run[..], &agent].concat()).expect("a unit")
    };

    let signed = in_unit("build@el9.service");
    assert_eq!(signed.code, 0, "{signed:?}");
    assert!(signed.stdout.starts_with("-----BEGIN PGP SIGNATURE-----"), "{signed:?}");
    for other in ["rebuild@el9.service", "build.service"] {
        let refused = in_unit(other);
        assert_eq!(refused.code, 3, "{other}: {refused:?}");
    }
    // No unit at all, as the user whose unit may, and as root.
    station.inside("builder", &["sign", "openpgp", "--key", "k"]).failed(3);
    station.inside("root", &["sign", "openpgp", "--key", "k"]).failed(3);

    let trail = station.trail();
    let [intent] = of_kind(&trail, "intent")[..] else { panic!("{trail:#?}") };
    assert_eq!(intent["caller"]["unit"], "build@el9.service");
    let units: Vec<_> =
        of_kind(&trail, "refused").iter().map(|refused| refused["caller"]["unit"].clone()).collect();
    assert_eq!(units[..2], ["rebuild@el9.service", "build.service"]);
}

#[test]
fn operators_make_keys_over_their_socket_and_others_cannot_open_it() {
    if !is_root() {
        return;
    }
    let Some(station) = Station::with_keys(&[]) else { return };
    let generate = ["key", "generate", "made", "--algorithm", "p256", "--allow", "user:builder"];

    let refused = station.inside("builder", &generate).failed(3);
    assert!(refused.stderr.contains("may not open the socket /run/chancery/admin.sock"), "{refused:?}");
    run(station.agent_as(47_111, "").args(generate)).failed(3);
    station.inside("oper", &generate).succeeded();

    let policy = ["stat", "--format=%a %U:%G", "/etc/chancery/keys.d/made.toml"];
    assert_eq!(station.root(&policy), "600 chancery:chancery\n");
    assert_eq!(station.inside("builder", &["keys"]).succeeded().stdout, "made  p256\n");
    station.inside("builder", &["sign", "openpgp", "--key", "made"]).succeeded();
    // The group counts by its number, on the host too.
    let group = station.root(&["stat", "--format=%g", "/run/chancery/admin.sock"]);
    run(station.agent_as(47_111, group.trim()).arg("status")).succeeded();
    let trail = station.trail();
    let [made] = of_kind(&trail, "key-generated")[..] else { panic!("{trail:#?}") };
    assert_eq!(made["key"], "made");
    let oper: u32 = station.root(&["id", "-u", "oper"]).trim().parse().expect("a uid");
    assert_eq!(made["caller"]["uid"], oper);
}

/// The socket's group is the first door; `admins` is the second.
#[test]
fn who_may_open_the_operators_socket_is_still_asked_whether_he_is_one() {
    let Some(station) = Station::with_keys(&[]) else { return };
    station.configure(
        &station.read("/etc/chancery/chanceryd.toml").replace("group:chancery-admin", "user:builder"),
    );
    let refused = station.inside("oper", &["status"]).failed(3);
    assert!(refused.stderr.contains("you are not an operator of this daemon"), "{refused:?}");
    station.inside("root", &["status"]).succeeded();
}
