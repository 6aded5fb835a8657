//! The sockets under clients that do not keep to the protocol, and under many that do.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use chancery_protocol::agent::{Agent, SignMessage};
use chancery_protocol::client::{Client, ClientError};
use chancery_protocol::hello::{ADMIN_MAGIC, AGENT_MAGIC, FromClient, HELLO_VERSION, Hello};
use chancery_protocol::{Algorithm, ByteBuf, Message, Reason, Scheme};
use chancery_tests::House;
use chancery_tests::requests::{digest, openssl_accepts, sign};
use tokio::task::JoinSet;

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn hello(magic: [u8; 8]) -> Vec<u8> {
    let hello = Hello { magic, min_version: 1, max_version: 1, software: "test".into(), extensions: vec![] };
    let mut out = bytes();
    FromClient::Hello(hello).put(HELLO_VERSION, 0, &mut out).unwrap();
    out.to_vec()
}

fn bytes() -> chancery_tests::requests::BytesMut {
    chancery_tests::requests::BytesMut::new()
}

/// Everything that the daemon says until it closes the connection.
fn until_closed(stream: &mut UnixStream) -> Vec<u8> {
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("the daemon closes the connection");
    said
}

#[test]
fn whoever_breaks_the_protocol_is_cut_off_and_others_are_served() {
    let house = House::builder().key("k", Algorithm::P256).start();
    let framed = |version: u8, kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 8).unwrap();
        [&length.to_be_bytes()[..], &[version, kind, 0, 0, 0, 0, 0, 1], body].concat()
    };
    let greeted = |frame: &[u8]| [&hello(AGENT_MAGIC)[..], frame].concat();
    for (what, sent) in [
        ("text instead of a frame", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a frame of no length", 0_u32.to_be_bytes().to_vec()),
        ("a frame of four gigabytes", u32::MAX.to_be_bytes().to_vec()),
        ("a hello for the operator's socket", hello(ADMIN_MAGIC)),
        ("a request before the hello", framed(1, 0x12, &[0])),
        ("an unknown message type", greeted(&framed(1, 0x77, &[]))),
        ("an operator's request", greeted(&framed(1, 0x40, &[0]))),
        ("another version than agreed", greeted(&framed(2, 0x12, &[0]))),
        ("a body that is cut short", greeted(&framed(1, 0x12, &[]))),
        ("a body with a byte too many", greeted(&framed(1, 0x12, &[0, 0]))),
        (
            "a length that claims the world",
            greeted(&framed(1, 0x13, &[253, 255, 255, 255, 255, 255, 255, 255, 127])),
        ),
        ("a reserved field that is not zero", greeted(&[0, 0, 0, 8, 1, 0x12, 0, 9, 0, 0, 0, 1])),
    ] {
        let mut stream = connect(&house.socket());
        stream.write_all(&sent).unwrap();
        until_closed(&mut stream);
        house.wait_until(what, |house| house.log().contains("broke the protocol"));
    }
    assert_eq!(house.chancery(&["keys"]).succeeded().stdout, "k  p256\n");
}

#[test]
fn a_frame_that_never_ends_holds_nobody_up() {
    let house = House::builder().key("k", Algorithm::P256).start();
    let mut slow = connect(&house.socket());
    slow.write_all(&hello(AGENT_MAGIC)[..10]).unwrap();
    assert_eq!(house.chancery(&["keys"]).succeeded().stdout, "k  p256\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_in_any_order_and_each_to_its_own_question() {
    let house = House::builder().key("slow", Algorithm::Rsa4096).key("fast", Algorithm::P256).start();
    let client = house.client().await;
    let mut requests = JoinSet::new();
    for number in 0..60 {
        let (key, scheme) =
            if number % 2 == 0 { ("slow", Scheme::RsaPkcs1Sha256) } else { ("fast", Scheme::EcdsaSha256) };
        let (client, request) = (client.clone(), sign(key, scheme, number));
        requests.spawn(async move { (number, key, client.sign(request).await.unwrap().remove(0)) });
    }
    let answers = requests.join_all().await;
    for (number, key, signature) in answers.iter().filter(|(number, ..)| number % 7 == 0) {
        let spki = client.describe(&key.parse().unwrap()).await.unwrap().public_key;
        assert!(openssl_accepts(&house.path(""), &spki, &digest(*number), signature), "{key} {number}");
    }
    let order: Vec<_> = answers.iter().map(|(number, ..)| *number).collect();
    assert!(!order.is_sorted(), "a fast key's answers do not wait for a slow key's: {order:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_answered_whole_and_in_its_order() {
    let house = House::builder().key("k", Algorithm::Rsa4096).start();
    let client = house.client().await;
    let mut request = sign("k", Scheme::RsaPkcs1Sha256, 0);
    request.digests = (0..64).map(|number| ByteBuf::from(digest(number))).collect();
    let signatures = client.sign(request.clone()).await.unwrap();
    let spki = client.describe(&"k".parse().unwrap()).await.unwrap().public_key;
    assert_eq!(signatures.len(), 64);
    for number in [0, 31, 63] {
        assert!(
            openssl_accepts(&house.path(""), &spki, &digest(number), &signatures[number as usize]),
            "{number}"
        );
    }
    request.digests.push(ByteBuf::from(digest(64)));
    match client.sign(request).await {
        Err(ClientError::Refused(refusal)) => assert_eq!(refusal.reason(), Reason::BadRequest),
        other => panic!("65 digests: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_hashed_by_the_daemon_and_signed_where_the_key_says_so() {
    let house = House::builder()
        .key("k", Algorithm::P256)
        .key("digests", Algorithm::P256)
        .policy("digests", &format!("[[allow]]\nwho = [\"user:{}\"]\n", nix::unistd::geteuid()))
        .start();
    let client = house.client().await;
    let plain = sign("k", Scheme::EcdsaSha256, 5);
    let request = SignMessage {
        key: plain.key.clone(),
        scheme: plain.scheme,
        message: ByteBuf::from(5_u32.to_be_bytes().to_vec()),
        context: plain.context,
        extensions: vec![],
    };
    let signature = client.sign_message(request.clone()).await.unwrap();
    let spki = client.describe(&request.key).await.unwrap().public_key;
    assert!(openssl_accepts(&house.path(""), &spki, &digest(5), &signature));
    match client.sign_message(SignMessage { key: "digests".parse().unwrap(), ..request }).await {
        Err(ClientError::Refused(refusal)) => assert_eq!(refusal.reason(), Reason::Unsupported),
        other => panic!("a message to a key for digests: {:?}", other.map(|_| ())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_too_many_connections_is_told_to_come_later() {
    let house =
        House::builder().key("k", Algorithm::P256).config("[limits]\nconnections-per-user = 8\n").start();
    let mut held: Vec<Client<Agent>> = Vec::new();
    for _ in 0..8 {
        held.push(house.client().await);
    }
    let said = house.chancery(&["--wait", "1", "keys"]);
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("8 connections of your user are open already"), "{}", said.stderr);
    held.pop();
    house.chancery(&["keys"]).succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_cost_little_memory() {
    let house = House::builder().key("k", Algorithm::P256).start();
    let mut clients = Vec::new();
    for _ in 0..1000 {
        clients.push(house.client().await);
    }
    let mut requests = JoinSet::new();
    for (number, client) in (0..).zip(clients.clone()) {
        requests.spawn(async move { client.sign(sign("k", Scheme::EcdsaSha256, number)).await.unwrap() });
    }
    assert_eq!(requests.join_all().await.len(), 1000);
    let kib: u64 = std::iter::once(house.pid())
        .chain(house.workers())
        .map(|pid| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        })
        .sum();
    assert!(kib < 40 * 1024, "daemon and workers hold {kib} KiB with 1,000 connections");
}
