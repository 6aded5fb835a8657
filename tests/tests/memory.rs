//! How much memory an agent takes for a package of 2 GiB, as `time -v` measures it.

use std::time::Instant;

use chancery_protocol::Algorithm;
use chancery_tests::House;
use chancery_tests::tools::{Gpg, Rpm, build_large_package, have};

/// Largest resident set, in KiB, whatever the size of the artifact.
const MOST: u64 = 32 * 1024;
const GIB: u64 = 1 << 30;

/// Runs the agent under `time -v`; its largest resident set in KiB.
#[track_caller]
fn resident(house: &House, arguments: &str) -> u64 {
    let begin = Instant::now();
    house.shell(&format!("/usr/bin/time -v -o time chancery {arguments}")).succeeded();
    let report = std::fs::read_to_string(house.path("time")).unwrap();
    let line =
        report.lines().find_map(|line| line.trim().strip_prefix("Maximum resident set size (kbytes): "));
    let kib = line.unwrap_or_else(|| panic!("{report}")).parse().unwrap();
    eprintln!("{kib} KiB in {:.1} s: {arguments}", begin.elapsed().as_secs_f64());
    kib
}

#[test]
fn an_agent_stays_below_32_mib_with_a_package_of_2_gib() {
    if !have(&["rpm", "rpmbuild", "gpg", "bash", "time"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa4096).start();
    let certificate = house.certificate("k");
    let package = house.path("big.rpm");
    std::fs::rename(build_large_package(&house.path("build"), 2 * GIB), &package).unwrap();
    assert!(package.metadata().unwrap().len() > 2 * GIB);

    // First the header is signed, and everything copied. Then all is read for a signature over it, and only the
    // signature header written.
    for arguments in [
        "sign rpm --key k big.rpm",
        "sign rpm --key k --v3 --in-place big.rpm",
        "sign openpgp --key k --detach big.rpm",
    ] {
        let kib = resident(&house, arguments);
        assert!((1024..MOST).contains(&kib), "{kib} KiB: chancery {arguments}");
    }
    Rpm::trusting(&certificate).accepts(&package);
    Gpg::trusting(&certificate).verify(&[&house.path("big.rpm.asc"), &package]).succeeded();
}
