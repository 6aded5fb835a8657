//! Real signatures, from a token through the daemon, judged by the tools that their consumers trust.

use chancery_protocol::Algorithm;
use chancery_tests::House;
use chancery_tests::tools::{Gpg, have};

#[test]
fn gpg_accepts_detached_signatures_of_every_algorithm() {
    if !have(&["gpg"]) {
        return;
    }
    for algorithm in [Algorithm::Rsa2048, Algorithm::Rsa4096, Algorithm::P256, Algorithm::P384, Algorithm::Ed25519] {
        let house = House::builder().key("k", algorithm).start();
        let gpg = Gpg::trusting(&house.certificate("k"));
        let file = house.write("data", "some data\n");
        house.chancery(&["sign", "openpgp", "--key", "k", "data"]).succeeded();
        gpg.verify(&[&house.path("data.asc"), &file]).succeeded();
        house.write("data", "other data\n");
        gpg.verify(&[&house.path("data.asc"), &file]).failed(1);
    }
}
