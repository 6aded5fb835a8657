//! The daemon is restarted, stopped, killed and stuck while agents sign; nothing is lost.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chancery_protocol::agent::{Agent, Request, Sign};
use chancery_protocol::client::Client;
use chancery_protocol::hello::{AGENT_MAGIC, FromClient, HELLO_VERSION, Hello, VERSION};
use chancery_protocol::{Algorithm, ByteBuf, MAX_BATCH, Message as _, Scheme};
use chancery_tests::requests::{self, BytesMut};
use chancery_tests::run;
use chancery_tests::tools::{Gpg, have};
use serde_json::Value;

use crate::station::{SERVICE, Station, of_kind};

// systemd/chancery.catalog
const DRAINED: &str = "1babb290471d464d810123327534afa3";
const SIGNED: &str = "7baadb31b806441abfc5521d07a050bd";
// systemd's own: "Stopping ...".
const UNIT_STOPPING: &str = "de5b426a63be47a7b6ac3eaac82e2f6f";

#[test]
fn restarts_lose_none_of_the_signatures_that_twenty_agents_wait_for() {
    const AGENTS: usize = 20;
    const FILES: usize = 100;
    const RESTARTS: usize = 8;
    if !have(&["gpg"]) {
        return;
    }
    let Some(station) = Station::with_keys(&[("k", Algorithm::Rsa4096)]) else { return };
    // A stop answers all that was accepted. So that there is work left for the next daemon, little is accepted at once.
    let config = station.read("/etc/chancery/chanceryd.toml");
    station.configure(&format!("limits.in-flight-per-connection = 4\n{config}"));
    let gpg = Gpg::trusting(&station.certificate("k"));
    let names = |agent: usize| (0..FILES).map(move |file| format!("{agent}/{file}"));
    (0..AGENTS).flat_map(names).for_each(|name| drop(station.file(&name, &format!("this is {name}\n"))));

    let running = AtomicUsize::new(AGENTS);
    let restarts = thread::scope(|scope| {
        let agents: Vec<_> = (0..AGENTS)
            .map(|agent| {
                let (station, running) = (&station, &running);
                scope.spawn(move || {
                    let mut command = station.agent();
                    let output = run(command
                        .args(["sign", "openpgp", "--quiet", "--clear", "--key", "k"])
                        .args(names(agent)));
                    running.fetch_sub(1, Ordering::Relaxed);
                    output
                })
            })
            .collect();
        let mut restarts = 0;
        while restarts < RESTARTS && running.load(Ordering::Relaxed) == AGENTS {
            let before = signatures(&station);
            station.wait_until("this daemon has signed", |station| {
                running.load(Ordering::Relaxed) < AGENTS || signatures(station) > before
            });
            station.root(&["systemctl", "restart", SERVICE]);
            // Counted are those in the middle of everybody's work.
            restarts += usize::from(running.load(Ordering::Relaxed) == AGENTS);
        }
        for agent in agents {
            agent.join().expect("an agent").succeeded();
        }
        restarts
    });

    eprintln!("{restarts} restarts while all of {AGENTS} agents signed");
    assert!(restarts >= 3, "only {restarts} restarts while all agents signed: give them more files");
    let messages: Vec<_> =
        (0..AGENTS).flat_map(names).map(|name| station.path(&format!("{name}.asc"))).collect();
    gpg.verify_messages(&messages.iter().map(AsRef::as_ref).collect::<Vec<_>>()).succeeded();
    assert_whole(&station.verify_trail());
    assert_eq!(station.show("NRestarts"), "0", "no daemon failed");
}

#[test]
fn a_stop_answers_what_was_accepted() {
    const REQUESTS: u32 = 60;
    let Some(station) = Station::with_keys(&[("k", Algorithm::Rsa2048)]) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let socket = station.container.sockets().join("chanceryd.sock");
    let client =
        runtime.block_on(Client::<Agent>::connect(&socket, Duration::from_secs(60))).expect("a connection");
    let digests = || (0..MAX_BATCH).map(|_| ByteBuf::from([7; 32])).collect();
    let request = |number| Sign { digests: digests(), ..requests::sign("k", Scheme::RsaPkcs1Sha256, number) };
    let mut answers: Vec<_> = (0..REQUESTS)
        .map(|number| {
            let (client, request) = (client.clone(), request(number));
            runtime.spawn(async move { client.sign(request).await.map(|signatures| signatures.len()) })
        })
        .collect();
    // The first answer: the rest is in the daemon's hands, and most of its work is still to do.
    let first = runtime.block_on(answers.remove(0)).expect("a task");
    assert_eq!(first.expect("signatures"), MAX_BATCH);

    station.root(&["systemctl", "stop", SERVICE]);

    for answer in answers {
        assert_eq!(runtime.block_on(answer).expect("a task").expect("signatures"), MAX_BATCH);
    }
    // Each request reached the daemon once and was answered there: none was left over for a next one.
    let trail = station.trail();
    assert_eq!(of_kind(&trail, "intent").len(), REQUESTS as usize);
    assert_eq!(of_kind(&trail, "started").len(), 1);
    assert_eq!(trail.last().map(|record| &record["event"]), Some(&Value::from("stopped")));
    assert_whole(&station.verify_trail());
    // And the order came in the middle.
    let entries = station.container.journal(&[]).expect("the journal");
    let at = |id: &str| {
        entries
            .iter()
            .position(|entry| entry.get("MESSAGE_ID").is_some_and(|found| found == id) && of_daemon(entry))
    };
    let stopping = at(UNIT_STOPPING).expect("systemd says that it stops the unit");
    let after = entries[stopping..]
        .iter()
        .filter(|entry| entry.get("MESSAGE_ID").is_some_and(|id| id == SIGNED))
        .count();
    eprintln!("{after} of {REQUESTS} requests were answered after the order to stop");
    assert!(after > 0, "the stop came too late to show anything");
    assert_eq!(station.journal(DRAINED).len(), 1);
    assert_eq!(station.show("Result"), "success");
}

#[test]
fn a_daemon_that_is_killed_is_started_again_and_those_who_waited_are_served() {
    const FILES: usize = 400;
    let Some(station) = Station::with_keys(&[("k", Algorithm::Rsa2048)]) else { return };
    station.certificate("k");
    let names: Vec<_> = (0..FILES).map(|file| format!("files/{file}")).collect();
    for name in &names {
        station.file(name, name);
    }
    let before = signatures(&station);
    thread::scope(|scope| {
        let agent = scope.spawn(|| run(station.agent().args(["sign", "openpgp", "--key", "k"]).args(&names)));
        station.wait_until("the agent signs", |station| signatures(station) > before);
        station.kill("KILL");
        assert!(!agent.is_finished(), "the agent was too fast to show anything");
        agent.join().expect("the agent").succeeded();
    });
    assert_eq!(station.show("NRestarts"), "1");
    assert!(names.iter().all(|name| station.path(&format!("{name}.asc")).is_file()));
    station
        .chancery(
            &[
                &["verify", "openpgp", "--quiet", "--key", "k"],
                &names.iter().map(String::as_str).collect::<Vec<_>>()[..],
            ]
            .concat(),
        )
        .succeeded();
    // What was in the token's hands may have no outcome; the trail says so, and is whole.
    assert_eq!(station.verify_trail()["result"], "whole");
}

#[test]
fn a_daemon_that_hangs_is_ended_by_the_watchdog_and_those_who_waited_are_served() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    station.drop_in("[Service]\nWatchdogSec=3\n");
    let sign = ["sign", "openpgp", "--key", "k"];
    station.inside("root", &sign).succeeded();

    station.kill("STOP");
    station.inside("root", &sign).succeeded();

    assert_eq!(station.show("NRestarts"), "1");
    let log = station.root(&["journalctl", "--no-pager", "--unit", SERVICE]);
    assert!(log.contains("Failed with result 'watchdog'"), "{log}");
    station.verify_trail();
}

/// Everyone may connect, so everyone could else delay every restart.
#[test]
fn a_client_that_says_nothing_does_not_hold_up_a_stop() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let silent =
        UnixStream::connect(station.container.sockets().join("chanceryd.sock")).expect("a connection");
    station.inside("root", &["sign", "openpgp", "--key", "k"]).succeeded();
    let begin = Instant::now();
    station.root(&["systemctl", "stop", SERVICE]);
    let took = begin.elapsed();
    drop(silent);
    assert!(took < Duration::from_secs(5), "the stop took {took:?}");
}

/// So could who asks for much and reads nothing.
#[test]
fn a_client_that_does_not_read_does_not_hold_up_a_stop() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    let mut deaf =
        UnixStream::connect(station.container.sockets().join("chanceryd.sock")).expect("a connection");
    let mut out = BytesMut::new();
    let hello = Hello {
        magic: AGENT_MAGIC,
        min_version: VERSION,
        max_version: VERSION,
        software: "deaf".to_owned(),
        extensions: Vec::new(),
    };
    FromClient::Hello(hello).put(HELLO_VERSION, 0, &mut out).expect("a frame");
    for number in 1..=200 {
        let digests = (0..MAX_BATCH).map(|_| ByteBuf::from([7; 32])).collect();
        let request = Sign { digests, ..requests::sign("k", Scheme::EcdsaSha256, number) };
        Request::Sign(request).put(VERSION, number, &mut out).expect("a frame");
    }
    thread::scope(|scope| {
        // It may not get rid of all of it, since the daemon stops to read.
        let writes = scope.spawn(|| (&deaf).write_all(&out));
        station.wait_until("its answers fill the socket", |station| signatures(station) >= 150);
        let begin = Instant::now();
        station.root(&["systemctl", "stop", SERVICE]);
        let took = begin.elapsed();
        deaf.shutdown(Shutdown::Both).ok();
        let _ = writes.join();
        assert!(took < Duration::from_secs(5), "the stop took {took:?}");
    });
    let _ = deaf.flush();
}

/// The daemon keeps the watchdog quiet while it has nothing to do and while it works.
#[test]
fn a_daemon_that_is_well_is_left_alone_by_the_watchdog() {
    let Some(station) = Station::with_keys(&[("k", Algorithm::P256)]) else { return };
    station.drop_in("[Service]\nWatchdogSec=2\n");
    station.inside("root", &["sign", "openpgp", "--key", "k"]).succeeded();
    let pings =
        |station: &Station| station.show("WatchdogTimestampMonotonic").parse::<u64>().expect("microseconds");
    let first = pings(&station);
    station
        .wait_until("twice the watchdog's period has passed", |station| pings(station) > first + 4_000_000);
    assert_eq!(station.show("NRestarts"), "0");
}

/// How many signatures the trail records.
fn signatures(station: &Station) -> usize {
    let counted =
        station.root(&["sh", "-c", "cat /var/log/chancery/*.jsonl | grep -c '\"outcome\"' || true"]);
    counted.trim().parse().expect("a number")
}

/// No intent stays without its outcome, and every outcome is a signature.
#[track_caller]
fn assert_whole(summary: &Value) {
    assert_eq!(summary["result"], "whole", "{summary}");
    assert_eq!(
        (&summary["open_intents"], &summary["not_signed"]),
        (&Value::Array(Vec::new()), &Value::from(0)),
        "{summary}"
    );
}

fn of_daemon(entry: &serde_json::Map<String, Value>) -> bool {
    ["UNIT", "_SYSTEMD_UNIT"].iter().any(|field| entry.get(*field).is_some_and(|unit| unit == SERVICE))
}
