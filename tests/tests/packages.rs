//! Packages signed by `chancery sign rpm` with a key in a token, judged by rpm and compared with rpmsign's.

use std::fs::{self, File, Metadata, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use chancery_protocol::Algorithm;
use chancery_tests::tools::{Gpg, Package, Rpm, build_package, build_packages, have, sample_packages};
use chancery_tests::{House, Output};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;

/// Where a package's signature header begins: after the lead.
const LEAD: usize = 96;

fn sign(house: &House, more: &[&str], packages: &[PathBuf]) -> Output {
    let packages: Vec<_> = packages.iter().map(|path| path.to_str().unwrap()).collect();
    house.chancery(&[&["sign", "rpm", "--key", "k"], more, &packages].concat())
}

fn copy(package: &Path, suffix: &str) -> PathBuf {
    let copy = package.with_extension(suffix);
    fs::write(&copy, fs::read(package).unwrap()).unwrap();
    copy
}

/// What `stat` knows of a file that shows whether anybody touched it.
fn stat(path: &Path) -> (u64, u64, i64, i64, i64, i64) {
    let m = fs::metadata(path).unwrap();
    (m.ino(), m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
}

#[test]
fn rpm_accepts_packages_of_every_kind_and_finds_every_flipped_bit() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut originals = build_packages(folder.path());
    originals.extend(sample_packages(folder.path()));
    for algorithm in [Algorithm::Rsa4096, Algorithm::Ed25519] {
        let house = House::builder().key("k", algorithm).start();
        let rpm = Rpm::trusting(&house.certificate("k"));
        for more in [&[][..], &["--v3"], &["--in-place"]] {
            let packages: Vec<_> = originals.iter().map(|original| copy(original, "signed")).collect();
            let said = sign(&house, more, &packages).succeeded().stdout;
            assert!(said.ends_with(&format!("signed {0} of {0}\n", packages.len())), "{said}");
            for package in &packages {
                rpm.accepts(package);
                let good = fs::read(package).unwrap();
                let header = signature_header(&good);
                let signature = header.tags.iter().find(|tag| matches!(tag.number, 267 | 268)).unwrap();
                // In the signature's last bytes, the main header's entries, and the payload.
                for at in
                    [header.store + signature.offset + signature.count - 1, header.end + 40, good.len() - 1]
                {
                    let mut flipped = good.clone();
                    flipped[at] ^= 1;
                    let path = package.with_extension("flipped");
                    fs::write(&path, flipped).unwrap();
                    let said = rpm.check(&path);
                    assert_ne!(said.code, Some(0), "{}: byte {at}: {}", package.display(), said.text());
                }
            }
        }
    }
}

#[test]
fn a_hundred_packages_are_in_flight_together_on_one_connection() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    // Longer than the worker is held here.
    let settings = "workers = 1\ntimeout = \"60s\"";
    let house = House::builder().key("k", Algorithm::Rsa2048).token_setting(settings).start();
    let rpm = Rpm::trusting(&house.certificate("k"));
    let folder = tempfile::tempdir().unwrap();
    let original = build_package(folder.path(), "hello", Package::Noarch, 4096);
    let packages: Vec<_> = (0..100).map(|n| copy(&original, &format!("{n}.rpm"))).collect();

    let worker = house.workers()[0];
    kill(worker, Signal::SIGSTOP).unwrap();
    let mut agent = house.agent();
    agent.args(["sign", "rpm", "--key", "k"]).args(&packages).stdin(Stdio::null());
    let agent = agent.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // As many as the agent has open at a time (agent-cli, files.rs) wait for the token, and nobody else is connected.
    house.wait_until("64 requests wait", |house| {
        let status = house.status_json();
        let token = &status["tokens"][0];
        let waiting = token["queued"].as_u64().unwrap() + token["in_flight"].as_u64().unwrap();
        assert!(status["connections"].as_u64().unwrap() <= 2, "the agent's and this one's: {status}");
        waiting == 64
    });
    kill(worker, Signal::SIGCONT).unwrap();
    let ended = agent.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.ends_with("signed 100 of 100\n"), "{said}");
    assert_eq!(rpm.good_among(&packages).len(), 100);

    let trail = house.audit_trail();
    let artifact = |record: &&Value| record["event"] == "intent" && record["format"] == "rpm";
    let mut pids: Vec<_> =
        trail.iter().filter(artifact).map(|record| record["caller"]["pid"].to_string()).collect();
    assert_eq!(pids.len(), 100);
    pids.dedup();
    assert_eq!(pids.len(), 1, "one process asked for all");
}

#[test]
fn a_package_that_the_key_has_signed_is_left_alone() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.certificate("k");
    let folder = tempfile::tempdir().unwrap();
    let packages =
        [4096, 0].map(|room| build_package(folder.path(), &format!("room{room}"), Package::Noarch, room));
    sign(&house, &[], &packages).succeeded();
    let signatures = house.status_json()["signatures"].clone();
    for more in [&[][..], &["--in-place"]] {
        let before = packages.each_ref().map(|path| (stat(path), fs::read(path).unwrap()));
        let said = sign(&house, more, &packages).succeeded().stdout;
        assert_eq!(said.matches(": already signed by this key, left alone\n").count(), 2, "{said}");
        assert!(said.ends_with("already signed 2 of 2\n"), "{said}");
        let after = packages.each_ref().map(|path| (stat(path), fs::read(path).unwrap()));
        assert!(before == after);
    }
    assert_eq!(house.status_json()["signatures"], signatures, "no signature was made that nobody needs");
}

#[test]
fn a_package_is_replaced_in_one_step_by_a_copy_with_its_attributes() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let rpm = Rpm::trusting(&house.certificate("k"));
    let folder = tempfile::tempdir().unwrap();
    let package = build_package(folder.path(), "hello", Package::Noarch, 4096);
    let home = package.parent().unwrap();
    let unsigned = fs::read(&package).unwrap();
    fs::set_permissions(&package, Permissions::from_mode(0o640)).unwrap();
    // Only root can give files away.
    let _ = chown(&package, Some(12), Some(34));
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    File::options().write(true).open(&package).unwrap().set_modified(long_ago).unwrap();
    fs::hard_link(&package, home.join("link")).unwrap();
    // Whoever has the package open goes on reading the unsigned one.
    let reader = File::open(&package).unwrap();
    let before = fs::metadata(&package).unwrap();

    sign(&house, &[], std::slice::from_ref(&package)).succeeded();

    rpm.accepts(&package);
    let after = fs::metadata(&package).unwrap();
    let kept = |m: &Metadata| (m.mode(), m.uid(), m.gid(), m.modified().unwrap());
    assert_eq!(kept(&after), kept(&before));
    assert_ne!(after.ino(), before.ino());
    assert_eq!(reader.metadata().unwrap().ino(), before.ino());
    assert!(fs::read(home.join("link")).unwrap() == unsigned);
    let names: Vec<_> = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn in_place_a_package_keeps_its_inode_while_it_has_room() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let rpm = Rpm::trusting(&house.certificate("k"));
    let folder = tempfile::tempdir().unwrap();
    for (name, room, stays) in [("roomy", 4096, true), ("tight", 0, false)] {
        let package = build_package(folder.path(), name, Package::Noarch, room);
        let link = package.with_extension("link");
        fs::hard_link(&package, &link).unwrap();
        let before = fs::metadata(&package).unwrap();
        sign(&house, &["--in-place"], std::slice::from_ref(&package)).succeeded();
        rpm.accepts(&package);
        let after = fs::metadata(&package).unwrap();
        assert_eq!(after.ino() == before.ino(), stays, "{name}");
        assert_eq!(after.len() == before.len(), stays, "{name}");
        // Without room a new file takes the place, as without --in-place.
        assert_eq!(fs::read(&link).unwrap() == fs::read(&package).unwrap(), stays, "{name}");
    }
}

#[test]
fn a_package_signed_by_us_and_by_rpmsign_differs_only_in_the_signature() {
    if !have(&["rpm", "rpmbuild", "rpmsign", "gpg", "gpgconf"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    house.certificate("k");
    let gpg = Gpg::new();
    let fingerprint = gpg.generate("rsa2048");
    let folder = tempfile::tempdir().unwrap();
    let mut originals = build_packages(folder.path());
    originals.extend(sample_packages(folder.path()));
    for original in &originals {
        let (ours, theirs) = (copy(original, "ours"), copy(original, "theirs"));
        sign(&house, &[], std::slice::from_ref(&ours)).succeeded();
        gpg.rpmsign(&fingerprint, &theirs);
        compare(&ours, &theirs, original);
    }
}

fn compare(ours: &Path, theirs: &Path, original: &Path) {
    let name = original.display();
    let [ours, theirs, original] = [ours, theirs, original].map(|path| fs::read(path).unwrap());
    let (our_header, their_header) = (signature_header(&ours), signature_header(&theirs));
    assert!(ours[our_header.end..] == theirs[their_header.end..], "{name}: header or payload");
    assert!(ours[..LEAD] == original[..LEAD], "{name}: the lead is the original's");
    // When the file has to grow or shrink, rpmsign 4.18 makes a new lead with the architecture of this machine. We keep
    // the lead, as rpmsign does from 6.0 on.
    if theirs.len() == original.len() {
        assert!(ours[..LEAD] == theirs[..LEAD], "{name}: lead");
    }
    let numbers = |header: &Header| header.tags.iter().map(|tag| tag.number).collect::<Vec<_>>();
    assert_eq!(numbers(&our_header), numbers(&their_header), "{name}: tags of the signature header");
    let signature = |header: &Header| *header.tags.iter().find(|tag| tag.number == 268).unwrap();
    let (our_signature, their_signature) = (signature(&our_header), signature(&their_header));
    // A number that begins with a zero byte (one in 256) is written shorter.
    assert!(
        our_signature.count.abs_diff(their_signature.count) <= 1,
        "{name}: {our_signature:?} {their_signature:?}"
    );
    if our_signature.count == their_signature.count {
        assert_eq!(our_header, their_header, "{name}: places in the signature header");
        let (mut ours, mut theirs) = (ours, theirs);
        let begin = our_header.store + our_signature.offset;
        for package in [&mut ours, &mut theirs] {
            package[begin..begin + our_signature.count].fill(0);
            package[..LEAD].fill(0);
        }
        assert!(ours == theirs, "{name}: outside the signature");
    }
}

/// Where everything is in a package's signature header.
#[derive(Debug, PartialEq)]
struct Header {
    tags: Vec<Tag>,
    /// Where the data of the tags begin in the file.
    store: usize,
    /// Where the header ends in the file, with its padding.
    end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Tag {
    number: u32,
    offset: usize,
    count: usize,
}

fn signature_header(package: &[u8]) -> Header {
    let word = |at: usize| u32::from_be_bytes(package[at..at + 4].try_into().unwrap());
    let length = |at: usize| usize::try_from(word(at)).unwrap();
    let count = length(LEAD + 8);
    let store = LEAD + 16 + 16 * count;
    let entries = (0..count).map(|n| LEAD + 16 + 16 * n);
    let tags =
        entries.map(|at| Tag { number: word(at), offset: length(at + 8), count: length(at + 12) }).collect();
    Header { tags, store, end: (store + length(LEAD + 12)).next_multiple_of(8) }
}

#[test]
fn one_bad_package_among_many_fails_alone() {
    if !have(&["rpm", "rpmbuild"]) {
        return;
    }
    let house = House::builder().key("k", Algorithm::Rsa2048).start();
    let rpm = Rpm::trusting(&house.certificate("k"));
    let folder = tempfile::tempdir().unwrap();
    let original = build_package(folder.path(), "hello", Package::Noarch, 4096);
    let mut packages: Vec<_> = (0..6).map(|n| copy(&original, &format!("{n}.rpm"))).collect();
    let bytes = fs::read(&original).unwrap();
    fs::write(&packages[2], &bytes[..2000]).unwrap();

    let said = sign(&house, &[], &packages).failed(1);
    assert!(said.stdout.ends_with("\nsigned 5, failed 1 of 6\n"), "{}", said.stdout);
    assert_eq!(said.stderr.matches("error: ").count(), 1, "{}", said.stderr);
    assert!(
        said.stderr.starts_with(&format!("error: {}: the package ends inside", packages[2].display())),
        "{}",
        said.stderr
    );

    // Again, for the lines that a program reads: a line for each file, and the sum.
    let said = sign(&house, &["--json"], &packages).failed(1);
    let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), said.stderr.as_str()), (7, ""));
    let by_result = |result: &str| lines.iter().filter(|line| line["result"] == result).collect::<Vec<_>>();
    assert_eq!(by_result("already-signed").len(), 5);
    let failed = by_result("failed");
    assert_eq!(
        (failed.len(), failed[0]["file"].as_str(), failed[0]["exit"].as_u64()),
        (1, packages[2].to_str(), Some(5))
    );
    let sum = serde_json::json!({ "already-signed": 5, "failed": 1, "unfinished": 0, "total": 6 });
    assert_eq!(lines[6]["summary"], sum);

    assert!(fs::read(&packages[2]).unwrap() == bytes[..2000]);
    packages.remove(2);
    assert_eq!(rpm.good_among(&packages).len(), 5);
}
