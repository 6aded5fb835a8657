//! The audit trail: written before a signature leaves, whole over restarts and files, and telling on whoever changes it.

use std::fs;
use std::process::Command;

use chancery_protocol::agent::DescribeKey;
use chancery_protocol::{Algorithm, PublicKey, Scheme};
use chancery_tests::requests::{ecdsa_sig_value, sign};
use chancery_tests::{House, run};
use sha2::{Digest, Sha256};

/// A house in which some packages and requests were signed, some refused, and which has stopped.
async fn eventful() -> House {
    let mut house = House::builder()
        .key("k", Algorithm::P256)
        .key("audit", Algorithm::P256)
        .config("[audit]\ndirectory = \"audit\"\ncheckpoint-key = \"audit\"\ncheckpoint-every = \"100ms\"\n")
        .start();
    let client = house.client().await;
    for number in 0..10 {
        client.sign(sign("k", Scheme::EcdsaSha256, number)).await.unwrap();
    }
    client.sign(sign("no-such-key", Scheme::EcdsaSha256, 1)).await.unwrap_err();
    let key = client.describe(&DescribeKey { key: "audit".parse().unwrap() }.key).await.unwrap();
    house.write("audit.der", &key.public_key);
    let openssl =
        |args: &[&str]| run(Command::new("openssl").args(args).current_dir(house.path(""))).succeeded();
    openssl(&["pkey", "-pubin", "-inform", "DER", "-in", "audit.der", "-out", "audit.pem"]);
    tokio::task::spawn_blocking(move || {
        house.wait_until("a checkpoint", |house| {
            house.audit_trail().iter().any(|record| record["event"] == "checkpoint")
        });
        house.stop();
        house
    })
    .await
    .unwrap()
}

fn trail(house: &House) -> std::path::PathBuf {
    house.path("audit/audit-00000000000000000001.jsonl")
}

#[tokio::test]
async fn every_signature_has_an_intent_and_an_outcome_with_all_that_the_kernel_knows() {
    let house = eventful().await;
    let records = house.audit_trail();
    let intents: Vec<_> = records.iter().filter(|record| record["event"] == "intent").collect();
    assert_eq!(intents.len(), 10);
    for intent in &intents {
        assert_eq!(intent["key"], "k");
        assert_eq!(intent["scheme"], "ecdsa-sha256");
        assert_eq!(intent["caller"]["uid"], nix::unistd::geteuid().as_raw());
        assert_eq!(intent["caller"]["pid"], std::process::id());
        assert_eq!(intent["rule"], "k.toml:allow[0]");
        assert_eq!(intent["build"], "build-1");
        assert!(intent["artifact"].as_str().unwrap().starts_with("artifact-"));
        let outcome =
            records.iter().find(|record| record["event"] == "outcome" && record["intent"] == intent["seq"]);
        assert_eq!(outcome.unwrap()["result"], "signed");
    }
    let refused = records.iter().find(|record| record["event"] == "refused").unwrap();
    assert_eq!(refused["reason"], "not-permitted");
    assert_eq!(refused["key"], "no-such-key");
}

#[tokio::test]
async fn the_chain_can_be_checked_by_hand_and_a_checkpoint_by_openssl() {
    let house = eventful().await;
    let text = fs::read_to_string(trail(&house)).unwrap();
    let mut before = "0".repeat(64);
    let mut hashes = vec![before.clone()];
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["prev"].as_str().unwrap(), before);
        before = hex::encode(Sha256::digest(line));
        hashes.push(before.clone());
    }
    let records = house.audit_trail();
    let checkpoint = records.iter().find(|record| record["event"] == "checkpoint").unwrap();
    let covers = checkpoint["covers"].as_u64().unwrap();
    assert_eq!(checkpoint["hash"].as_str().unwrap(), hashes[usize::try_from(covers).unwrap()]);
    let signature = ecdsa_sig_value(&hex::decode(checkpoint["signature"].as_str().unwrap()).unwrap());
    house.write(
        "text",
        format!("chancery audit checkpoint\nseq {covers}\nsha256 {}\n", checkpoint["hash"].as_str().unwrap()),
    );
    house.write("sig", signature);
    let mut openssl = Command::new("openssl");
    openssl
        .args(["dgst", "-sha256", "-verify", "audit.pem", "-signature", "sig", "text"])
        .current_dir(house.path(""));
    assert!(run(&mut openssl).succeeded().stdout.contains("Verified OK"));
    let said = house.chancery(&["audit", "verify", "--public-key", "audit.pem", "audit"]).succeeded();
    assert!(said.stdout.contains("the trail is whole"), "{}", said.stdout);
}

#[tokio::test]
async fn whatever_is_changed_dropped_or_reordered_is_named() {
    let house = eventful().await;
    let good = fs::read_to_string(trail(&house)).unwrap();
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    let at = lines.iter().position(|line| line.contains("\"event\":\"intent\"")).unwrap();
    let number = at + 1;
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut changed);
        changed.concat()
    };
    for (what, bad, named) in [
        (
            "a changed key",
            with(&|lines| lines[at] = lines[at].replace("\"key\":\"k\"", "\"key\":\"j\"")),
            number + 1,
        ),
        ("a dropped record", with(&|lines| drop(lines.remove(at))), number),
        ("two records in another order", with(&|lines| lines.swap(at, at + 2)), number),
        ("a record put in", with(&|lines| lines.insert(at, lines[at].clone())), number + 1),
        ("a cut end", good[..good.len() - 5].to_owned(), lines.len()),
    ] {
        fs::write(trail(&house), bad).unwrap();
        let said = house.chancery(&["audit", "verify", "--public-key", "audit.pem", "audit"]).failed(1);
        assert!(said.text().contains(&format!(".jsonl:{named}")), "{what}: {}", said.text());
    }
    // A trail that is written anew from some line on is whole in itself; the checkpoint gives it away.
    let checkpoint = lines.iter().position(|line| line.contains("\"event\":\"checkpoint\"")).unwrap();
    let mut forged = Vec::new();
    let mut chain = chancery_audit::Chain::after(chancery_audit::Link::start());
    for line in &lines[..=checkpoint] {
        let entry =
            chancery_audit::entry(line.trim_end().replace("\"uid\":0", "\"uid\":1").as_bytes()).unwrap();
        let entry = match entry.record.event {
            chancery_audit::Event::Started { .. } => chancery_audit::Record {
                event: chancery_audit::Event::Started { software: "forged".into(), torn: String::new() },
                ..entry.record
            },
            _ => entry.record,
        };
        chain.put(&entry, &mut forged).unwrap();
    }
    fs::write(trail(&house), forged).unwrap();
    let said = house.chancery(&["audit", "verify", "--public-key", "audit.pem", "audit"]).failed(1);
    assert!(said.text().contains("checkpoint"), "{}", said.text());
}

#[tokio::test]
async fn a_trail_goes_on_over_files_and_restarts() {
    let mut house = House::builder()
        .key("k", Algorithm::P256)
        .config("[audit]\ndirectory = \"audit\"\nmax-file-mib = 1\n")
        .start();
    let client = house.client().await;
    let mut request = sign("k", Scheme::EcdsaSha256, 0);
    request.digests = vec![request.digests[0].clone(); 64];
    for _ in 0..300 {
        client.sign(request.clone()).await.unwrap();
    }
    let files = || fs::read_dir(house.path("audit")).unwrap().count();
    assert!(files() > 2, "a lock and several files");
    let house = tokio::task::spawn_blocking(move || {
        house.stop();
        house.start();
        house.stop();
        house
    })
    .await
    .unwrap();
    let said = house.chancery(&["audit", "verify", "audit"]).succeeded();
    assert!(said.stdout.contains("signed 19200"), "{}", said.stdout);
}

#[test]
fn a_public_key_is_told_in_full() {
    let house = House::builder().key("k", Algorithm::Ed25519).start();
    let pem = house.chancery(&["key", "show", "k", "--pem"]).succeeded().stdout;
    let path = house.write("k.pem", pem);
    let mut openssl = Command::new("openssl");
    openssl.args(["pkey", "-pubin", "-outform", "DER", "-in"]).arg(path).arg("-out").arg(house.path("k.der"));
    run(&mut openssl).succeeded();
    let key = PublicKey::from_spki(&fs::read(house.path("k.der")).unwrap()).unwrap();
    assert_eq!(key.algorithm(), Some(Algorithm::Ed25519));
}
