//! What an operator sees and does: the journal, the status line, a reload, a mistake in a file.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use chancery_protocol::Algorithm;
use chancery_tests::run;

use crate::station::{ROOT_MAY, SERVICE, Station};

// systemd/chancery.catalog
const STARTED: &str = "da7aa8292f194f359bff033460d06006";
const DRAINED: &str = "1babb290471d464d810123327534afa3";
const POLICY_RELOADED: &str = "8b6794c7a9e44422a770c265dbe4c2da";
const POLICY_REFUSED: &str = "ed4354c488fa493b823b0e7dd7ceb7db";
const SIGNED: &str = "7baadb31b806441abfc5521d07a050bd";
const REFUSED: &str = "ef65416f64fd4f13a500f7d3d62f6197";
const WORKER_DIED: &str = "50f87613970047ba96277f87e7256b9b";
const TOKEN_UNAVAILABLE: &str = "25e11a0a64a94e01a6e53306506043d2";
const TOKEN_BACK: &str = "6d1ebbd375414cae8e41d0f900f2f111";
const WRONG_PIN: &str = "e55cacdb9acb448c9e6a96df7d98a3fb";
const KEY_GENERATED: &str = "174ce9ef4f644f598655e25610060a47";
const CERTIFICATE_STORED: &str = "c19682ff5bc840a8ad7179ed42007a6a";
const PROTOCOL_BROKEN: &str = "23e0eb545cc7446fbf7653d69eb8042c";

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
    for (field, value) in
        [("CHANCERY_KEY", "k"), ("CHANCERY_UID", builder), ("CHANCERY_REASON", "not-permitted")]
    {
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

/// Each kind of event is made to happen once. Only AUDIT_FAILED is missing: it needs a full disk.
#[test]
fn the_catalog_s_explanations_lack_none_of_their_fields() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let sign = ["sign", "openpgp", "--key", "k"];
    let status = |code: i64| {
        move |station: &Station| {
            station.container.exec(&["chancery", "status"]).is_ok_and(|output| output.code == code)
        }
    };

    station.inside("root", &sign).succeeded();
    station.inside("builder", &sign).failed(3);
    station.inside("root", &["key", "generate", "made", "--algorithm", "p256"]).succeeded();
    station.certificate("k");
    let stranger =
        UnixStream::connect(station.container.sockets().join("chanceryd.sock")).expect("a connection");
    (&stranger).write_all(&[0xff; 64]).expect("a broken frame");
    assert_eq!((&stranger).read(&mut [0; 1]).unwrap_or(0), 0, "cut off");
    for worker in station.workers() {
        station.root(&["sh", "-c", &format!("kill -KILL {worker}")]);
    }
    station.wait_until("it was told", |station| !station.journal(WORKER_DIED).is_empty());
    station.inside("root", &sign).succeeded();
    station.policy("k", "[[alow]]\n");
    station.root(&["systemctl", "reload", SERVICE]);
    station.wait_until("the policy is refused", |station| !station.journal(POLICY_REFUSED).is_empty());
    station.policy("k", ROOT_MAY);
    station.root(&["systemctl", "stop", SERVICE]);
    station.root(&["mv", "/var/lib/chancery/token", "/var/lib/chancery/away"]);
    station.root(&["systemctl", "start", SERVICE]);
    station.wait_until("the token is away", |station| !station.journal(TOKEN_UNAVAILABLE).is_empty());
    station.root(&["mv", "/var/lib/chancery/away", "/var/lib/chancery/token"]);
    station.wait_until("the token is back", status(0));
    station.root(&["sh", "-c", "echo wrong >/etc/chancery/pin"]);
    station.root(&["systemctl", "restart", SERVICE]);
    station.wait_until("the PIN is wrong", |station| !station.journal(WRONG_PIN).is_empty());
    station.wait_until("status says so", status(4));

    for id in [
        STARTED,
        DRAINED,
        POLICY_RELOADED,
        POLICY_REFUSED,
        SIGNED,
        REFUSED,
        WORKER_DIED,
        TOKEN_UNAVAILABLE,
        TOKEN_BACK,
        WRONG_PIN,
        KEY_GENERATED,
        CERTIFICATE_STORED,
        PROTOCOL_BROKEN,
    ] {
        let text = station.root(&["journalctl", "--catalog", "--no-pager", &format!("MESSAGE_ID={id}")]);
        assert!(text.contains("Subject: "), "{id}: nothing is explained: {text}");
        // A field that the message lacks shows as its name.
        assert!(!text.contains("CHANCERY_"), "{text}");
    }
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
