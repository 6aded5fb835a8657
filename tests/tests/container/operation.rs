//! What an operator sees and does: the journal, the status line, a reload, a mistake in a file.

use chancery_protocol::Algorithm;
use chancery_tests::run;

use crate::station::{ROOT_MAY, SERVICE, Station};

// systemd/chancery.catalog
const STARTED: &str = "da7aa8292f194f359bff033460d06006";
const SIGNED: &str = "7baadb31b806441abfc5521d07a050bd";
const REFUSED: &str = "ef65416f64fd4f13a500f7d3d62f6197";
const POLICY_REFUSED: &str = "ed4354c488fa493b823b0e7dd7ceb7db";

#[test]
fn the_journal_has_fields_to_search_for_and_explains_its_messages() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let builder = station.root(&["id", "-u", "builder"]);
    let builder = builder.trim();
    let sign = ["sign", "openpgp", "--key", "k", "/etc/debian_version", "-o", "-"];
    station.inside("root", &sign).succeeded();
    station.inside("builder", &sign).failed(3);

    let [started] = &station.journal(STARTED)[..] else { panic!("one start") };
    assert_eq!(started["_SYSTEMD_UNIT"], SERVICE);
    assert_eq!(started["SYSLOG_IDENTIFIER"], "chanceryd");
    let [signed] = &station.journal(SIGNED)[..] else { panic!("one signature") };
    for (field, value) in [
        ("CHANCERY_KEY", "k"),
        ("CHANCERY_UID", "0"),
        ("CHANCERY_ARTIFACT", "debian_version"),
        ("MESSAGE", "signed with key `k` for uid 0"),
        ("PRIORITY", "5"),
    ] {
        assert_eq!(signed[field], value, "{field}");
    }
    let sequence = signed["CHANCERY_SEQUENCE"].as_str().and_then(|text| text.parse::<u64>().ok());
    let trail = station.trail();
    let intent = trail.iter().find(|record| record["event"] == "intent").expect("an intent");
    assert_eq!(intent["seq"].as_u64(), sequence);
    let [refused] = &station.journal(REFUSED)[..] else { panic!("one refusal") };
    for (field, value) in [("CHANCERY_KEY", "k"), ("CHANCERY_UID", builder), ("CHANCERY_REASON", "not-permitted")] {
        assert_eq!(refused[field], value, "{field}");
    }

    for (id, subject) in [
        (STARTED, "Subject: chanceryd is ready".to_owned()),
        (SIGNED, "Subject: Key k signed for uid 0".to_owned()),
        (REFUSED, format!("Subject: A request for key k by uid {builder} was refused")),
    ] {
        let text = station.root(&["journalctl", "--catalog", "--no-pager", &format!("MESSAGE_ID={id}")]);
        assert!(text.contains(&subject), "{subject}: {text}");
    }
}

#[test]
fn a_bad_policy_is_reported_and_the_old_one_stays_in_force_until_a_good_one_comes() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let sign = ["sign", "openpgp", "--key", "k"];
    station.inside("root", &sign).succeeded();

    station.policy("k", "[[alow]]\nwho = [\"user:builder\"]\n");
    station.root(&["systemctl", "reload", SERVICE]);
    station.wait_for_status("serving with the old policy: the new one is not good");
    assert_eq!(station.show("ActiveState"), "active");
    station.inside("root", &sign).succeeded();
    station.inside("builder", &sign).failed(3);
    let [refused] = &station.journal(POLICY_REFUSED)[..] else { panic!("one refused policy") };
    let error = refused["CHANCERY_ERROR"].as_str().unwrap_or_default();
    assert!(error.contains("/etc/chancery/keys.d/k.toml:4: unknown field `alow`"), "{error}");
    assert_eq!(refused["PRIORITY"], "3");
    assert!(station.inside("root", &["status"]).failed(1).text().contains("unknown field `alow`"));
    assert_eq!(station.container.exec(&["chanceryd", "check"]).expect("a check").code, 1);

    station.policy("k", "[[allow]]\nwho = [\"user:builder\"]\n");
    station.root(&["systemctl", "reload", SERVICE]);
    station.wait_for_status("serving");
    station.inside("root", &sign).failed(3);
    station.inside("builder", &sign).succeeded();
    station.inside("root", &["status"]).succeeded();
    assert_eq!(station.journal(STARTED).len(), 1, "a reload is no restart");
}

/// The units say of a bad configuration: it is tried again each second, and mending the file is all that is needed.
#[test]
fn an_agent_that_waits_is_served_once_the_operator_has_mended_the_configuration() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let good = station.read("/etc/chancery/chanceryd.toml");
    station.configure(&format!("admin = []\n{good}"));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| run(station.agent().args(["sign", "openpgp", "--key", "k"])));
        station.wait_until("it was tried again", |station| {
            station.show("NRestarts").parse::<u32>().is_ok_and(|restarts| restarts >= 2)
        });
        let log = station.root(&["journalctl", "--no-pager", "--unit", SERVICE]);
        assert!(log.contains("/etc/chancery/chanceryd.toml:1: unknown field `admin`"), "{log}");
        assert!(!waiting.is_finished(), "the agent waits");
        station.configure(&good);
        waiting.join().expect("the agent").succeeded();
    });
    station.policy("k", ROOT_MAY);
}
