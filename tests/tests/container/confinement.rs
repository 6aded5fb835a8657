//! What the service is kept from, and where the PIN is not.

use chancery_protocol::Algorithm;

use crate::station::{SERVICE, Station};

#[test]
fn the_service_runs_as_its_own_user_inside_its_sandbox() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    station.inside("root", &["sign", "openpgp", "--key", "k"]).succeeded();
    for (property, expected) in [
        ("ActiveState", "active"),
        ("Type", "notify"),
        ("User", "chancery"),
        ("NoNewPrivileges", "yes"),
        ("LimitCORE", "0"),
        ("StatusText", "serving"),
        ("NRestarts", "0"),
    ] {
        assert_eq!(station.show(property), expected, "{property}");
    }
    let uid = station.root(&["id", "-u", "chancery"]);
    let processes = [vec![station.daemon()], station.workers()].concat();
    assert!(processes.len() >= 2, "the daemon and a worker at least: {processes:?}");
    for process in processes {
        let status = station.read(&format!("/proc/{process}/status"));
        let uids = format!("Uid:{}", format!("\t{}", uid.trim()).repeat(4));
        for line in
            [&uids, "NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"]
        {
            assert!(status.lines().any(|found| found == line), "{line}: {status}");
        }
    }
    // In tenths; its exit code says whether the exposure is above.
    let said = station.root(&["systemd-analyze", "security", "--no-pager", "--threshold=15", SERVICE]);
    eprintln!("{}", said.lines().last().unwrap_or_default());
}

#[test]
fn the_pin_is_in_no_argument_environment_journal_trail_or_core() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let pin = station.read("/etc/chancery/pin");
    let pin = pin.trim();
    assert!(pin.len() >= 8, "a PIN that cannot stand somewhere by chance");
    station.inside("root", &["sign", "openpgp", "--key", "k"]).succeeded();
    station.inside("builder", &["sign", "openpgp", "--key", "k"]).failed(3);
    let daemon = station.daemon();
    let workers = station.workers();

    // Every process, not only ours: systemd and its helpers handle the PIN too.
    let everywhere = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'";
    let said = station.root(&["sh", "-c", everywhere]);
    assert!(
        said.contains("CREDENTIALS_DIRECTORY=") && said.contains("SOFTHSM2_CONF="),
        "seen too little: {said}"
    );
    assert!(!said.contains(pin), "{said}");
    for process in workers.iter().chain([&daemon]) {
        let limits = station.read(&format!("/proc/{process}/limits"));
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        assert!(
            core.is_some_and(|core| core.split_whitespace().filter(|word| *word == "0").count() == 2),
            "{limits}"
        );
    }

    // A crash leaves no core, and what the journal says of it no PIN.
    station.kill("ABRT");
    station.wait_until("the daemon was started again", |station| station.show("NRestarts") == "1");
    let ended =
        station.container.journal(&["MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15"]).expect("the journal");
    assert_eq!(ended.len(), 1, "{ended:#?}");
    assert_eq!(
        (&ended[0]["EXIT_CODE"], &ended[0]["EXIT_STATUS"]),
        (&"killed".into(), &"6".into()),
        "not `dumped`"
    );
    station.root(&["journalctl", "--sync"]);
    let journal = station.root(&["journalctl", "--no-pager", "--all", "--output=export"]);
    assert!(journal.contains("CHANCERY_KEY=k"), "seen too little: {journal}");
    assert!(!journal.contains(pin), "the PIN is in the journal");
    let trail = station.root(&["sh", "-c", "cat /var/log/chancery/*"]);
    assert!(trail.contains("\"intent\"") && !trail.contains(pin), "{trail}");
}

#[test]
fn workers_map_the_module_and_the_daemon_never_does() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let maps = |process: &str| station.read(&format!("/proc/{process}/maps"));
    station.inside("root", &["sign", "openpgp", "--key", "k"]).succeeded();
    let made = ["key", "generate", "made", "--algorithm", "ed25519", "--allow", "user:root"];
    station.inside("root", &made).succeeded();
    station.inside("root", &["sign", "openpgp", "--key", "made"]).succeeded();

    let daemon = maps(&station.daemon());
    assert!(daemon.contains("/usr/sbin/chanceryd"), "{daemon}");
    assert!(!daemon.contains("softhsm") && !daemon.contains("libcrypto"), "{daemon}");
    let workers = station.workers();
    assert!(!workers.is_empty());
    for worker in workers {
        assert!(maps(&worker).contains("libsofthsm2.so"), "{}", maps(&worker));
    }
}
