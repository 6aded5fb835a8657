//! Workers that crash or hang, and a daemon that restarts, while requests are under way: none is lost.

use chancery_protocol::{Algorithm, Scheme};
use chancery_tests::House;
use chancery_tests::requests::{digest, openssl_accepts, sign};
use nix::sys::signal::{Signal, kill};
use tokio::task::JoinSet;

const REQUESTS: u32 = 1000;

/// Sends requests over one connection, does something when half are answered, and checks that all are.
async fn all_are_answered(house: &House, key: &str, scheme: Scheme, meanwhile: impl Fn(u32)) {
    let client = house.client().await;
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let (client, request) = (client.clone(), sign(key, scheme, number));
        requests.spawn(async move { (number, client.sign(request).await) });
    }
    let (mut answered, mut some) = (0, Vec::new());
    while let Some(answer) = requests.join_next().await {
        let (number, signatures) = answer.expect("a task");
        let signatures = signatures.unwrap_or_else(|error| panic!("request {number} was lost: {error}"));
        answered += 1;
        meanwhile(answered);
        if answered % 100 == 0 {
            some.push((number, signatures[0].clone()));
        }
    }
    assert_eq!(answered, REQUESTS);
    let spki = client.describe(&key.parse().unwrap()).await.unwrap().public_key;
    for (number, signature) in some {
        assert!(openssl_accepts(&house.path(""), &spki, &digest(number), &signature), "request {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_worker_amid_a_thousand_requests_loses_none() {
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let before = house.workers();
    all_are_answered(&house, "k", Scheme::RsaPkcs1Sha256, |answered| {
        if answered == REQUESTS / 2 {
            kill(before[0], Signal::SIGKILL).expect("a worker to kill");
        }
    })
    .await;
    assert!(house.log().contains("a token worker is lost"), "a worker was killed");
    house.wait_until("another worker has come", |house| {
        house.status().contains("workers 2 of 2") || before.len() == 1
    });
    house.chancery(&["audit", "verify", "audit"]).succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_every_worker_amid_a_thousand_requests_loses_none() {
    let house = House::builder().key("k", Algorithm::Rsa2048).token_setting("sessions = 2").start();
    all_are_answered(&house, "k", Scheme::RsaPkcs1Sha256, |answered| {
        if answered % 300 == 100 {
            for worker in house.workers() {
                // One that died of the last blow may not be replaced yet.
                let _ = kill(worker, Signal::SIGKILL);
            }
        }
    })
    .await;
    let status = house.operator().await.status().await.unwrap();
    assert!(status.tokens[0].restarts >= 3, "{status:?}");
    assert_eq!(status.signatures, u64::from(REQUESTS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_is_killed_at_its_deadline_and_its_requests_go_on() {
    let house = House::builder().key("k", Algorithm::P256).token_setting("timeout = \"1s\"").start();
    let hung = house.workers();
    for &worker in &hung {
        kill(worker, Signal::SIGSTOP).expect("a worker to stop");
    }
    all_are_answered(&house, "k", Scheme::EcdsaSha256, |_| {}).await;
    assert!(house.log().contains("no answer within 1 s; the worker was killed"), "{}", house.log());
    assert!(house.workers().iter().all(|worker| !hung.contains(worker)), "the hung workers are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_drains_answers_what_it_accepted_and_its_successor_the_rest() {
    let mut house = House::builder().key("k", Algorithm::Rsa2048).start();
    let client = house.client().await;
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let (client, request) = (client.clone(), sign("k", Scheme::RsaPkcs1Sha256, number));
        requests.spawn(async move { client.sign(request).await });
    }
    for _ in 0..2 {
        for _ in 0..REQUESTS / 4 {
            requests.join_next().await.expect("a request").expect("a task").expect("an answer");
        }
        house = tokio::task::spawn_blocking(move || {
            house.stop();
            house.start();
            house
        })
        .await
        .expect("a restart");
    }
    while let Some(answer) = requests.join_next().await {
        answer.expect("a task").expect("an answer");
    }
    house.chancery(&["audit", "verify", "audit"]).succeeded();
    let open: Vec<_> =
        house.audit_trail().into_iter().filter(|record| record["event"] == "started").collect();
    assert_eq!(open.len(), 3, "one trail over three lives of the daemon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_is_killed_leaves_a_trail_that_tells_what_may_have_been_signed() {
    let mut house = House::builder().key("k", Algorithm::Rsa2048).start();
    let client = house.client().await;
    let mut requests = JoinSet::new();
    for number in 0..REQUESTS {
        let (client, request) = (client.clone(), sign("k", Scheme::RsaPkcs1Sha256, number));
        requests.spawn(async move { client.sign(request).await });
    }
    for _ in 0..100 {
        requests.join_next().await.expect("a request").expect("a task").expect("an answer");
    }
    house.crash();
    house.start();
    while let Some(answer) = requests.join_next().await {
        answer.expect("a task").expect("an answer after the crash");
    }
    let said = house.chancery(&["audit", "verify", "audit"]).succeeded();
    assert!(said.text().contains("may have been signed"), "{}", said.text());
}
