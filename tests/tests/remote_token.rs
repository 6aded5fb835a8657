//! The token goes away and comes back, as a network HSM does: SoftHSM behind `p11-kit server`.

use chancery_protocol::{Algorithm, Scheme};
use chancery_softhsm::{Remote, Token};
use chancery_tests::House;
use chancery_tests::requests::{digest, openssl_accepts, sign};
use chancery_tests::tools::have;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_resumes_by_itself_when_the_token_returns_and_no_request_is_lost() {
    if !have(&["p11-kit"]) {
        return;
    }
    let far = Token::with_keys(&[("k", Algorithm::Rsa2048)]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut remote = Remote::serve(&far, &place.path().join("p11")).unwrap();
    let house = House::builder().key("k", Algorithm::Rsa2048).token_table(remote.config_toml("main")).start();
    let client = house.client().await;

    let mut requests = JoinSet::new();
    for number in 0..400 {
        let (client, request) = (client.clone(), sign("k", Scheme::RsaPkcs1Sha256, number));
        requests.spawn(async move { (number, client.sign(request).await) });
    }
    let mut answers = Vec::new();
    for _ in 0..50 {
        answers.push(requests.join_next().await.unwrap().unwrap());
    }
    for round in 0..2 {
        let workers = house.workers();
        remote.stop().unwrap();
        house.wait_until("status says that the token is away", |house| {
            house.status().contains(": unavailable")
        });
        let status = house.chancery(&["status"]).failed(4);
        assert!(status.text().contains("CKR_") || status.text().contains("token"), "{}", status.text());
        remote.start().unwrap();
        for _ in 0..50 {
            answers.push(requests.join_next().await.unwrap().unwrap());
        }
        house.wait_until("status says that the token is back", |house| house.status().contains(": ready"));
        assert!(
            house.workers().iter().all(|worker| !workers.contains(worker)),
            "round {round}: the module was initialised anew, by new workers"
        );
    }
    answers.extend(requests.join_all().await);
    assert_eq!(answers.len(), 400);
    let spki = client.describe(&"k".parse().unwrap()).await.unwrap().public_key;
    for (number, signatures) in answers {
        let signatures = signatures.unwrap_or_else(|error| panic!("request {number} was lost: {error}"));
        if number % 40 == 0 {
            assert!(
                openssl_accepts(&house.path(""), &spki, &digest(number), &signatures[0]),
                "request {number}"
            );
        }
    }
}

#[test]
fn an_agent_that_has_no_patience_is_told_that_the_token_is_away() {
    if !have(&["p11-kit"]) {
        return;
    }
    let far = Token::with_keys(&[("k", Algorithm::Rsa2048)]).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut remote = Remote::serve(&far, &place.path().join("p11")).unwrap();
    let house = House::builder().key("k", Algorithm::Rsa2048).token_table(remote.config_toml("main")).start();
    house.write("data", "data\n");
    house.chancery(&["sign", "openpgp", "--key", "k", "data"]).succeeded();
    std::fs::remove_file(house.path("data.asc")).unwrap();
    remote.stop().unwrap();
    let said = house.chancery(&["--wait", "1", "sign", "openpgp", "--key", "k", "data"]).failed(4);
    assert!(said.stderr.contains("the token"), "{}", said.stderr);
    assert!(said.stderr.contains("hint:"), "{}", said.stderr);
    assert!(!house.path("data.asc").exists());
}
