//! A lone client finds the daemon's threads on one processor; workers, also new ones, are wherever they may be.

use chancery_protocol::agent::Agent;
use chancery_protocol::client::Client;
use chancery_protocol::{Algorithm, Scheme};
use chancery_tests::House;
use chancery_tests::requests::sign;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::task::JoinSet;

/// Where the threads of a process may run, as the kernel lists it; one entry if all may at the same places.
fn places(process: Pid) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("threads");
    let mut places: Vec<_> = threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .filter_map(|status| {
            Some(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().to_owned())
        })
        .collect();
    places.sort();
    places.dedup();
    places
}

/// One request at a time, until `is_so`.
async fn one_by_one(client: &Client<Agent>, is_so: impl Fn() -> bool) {
    for number in 0..10_000 {
        client.sign(sign("k", Scheme::EcdsaSha256, number)).await.expect("a signature");
        if is_so() {
            return;
        }
    }
    panic!("ten thousand requests came one by one, and it is not so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_keeps_together_for_a_lone_client_only() {
    let house = House::builder().key("k", Algorithm::P256).start();
    let everywhere = places(house.pid());
    if everywhere.iter().all(|place| place.parse::<u32>().is_ok()) {
        return; // There is one processor only.
    }
    let client = house.client().await;
    let on_one = || matches!(&places(house.pid())[..], [place] if place.parse::<u32>().is_ok());
    one_by_one(&client, on_one).await;

    let before = house.workers();
    for &worker in &before {
        kill(worker, Signal::SIGKILL).expect("a worker to kill");
    }
    one_by_one(&client, || house.workers().iter().any(|worker| !before.contains(worker))).await;
    for worker in house.workers() {
        assert_eq!(places(worker), everywhere, "worker {worker}");
    }

    let mut crowd = JoinSet::new();
    for number in 0..64 {
        let client = client.clone();
        crowd.spawn(async move { client.sign(sign("k", Scheme::EcdsaSha256, number)).await });
    }
    for answer in crowd.join_all().await {
        answer.expect("a signature");
    }
    assert_eq!(places(house.pid()), everywhere);
}
