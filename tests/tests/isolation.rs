//! What the daemon keeps apart: the module's code, the PIN, and everybody else's eyes.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;

use chancery_protocol::Algorithm;
use chancery_tests::House;
use chancery_tests::tools::is_root;
use nix::unistd::Pid;

fn maps(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap()
}

/// Whether a process holds `needle` anywhere in the memory that it may write.
fn memory_holds(pid: Pid, needle: &[u8]) -> bool {
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    maps(pid)
        .lines()
        .filter(|line| line.split_whitespace().nth(1).is_some_and(|mode| mode.starts_with("rw")))
        .any(|line| {
            let (from, to) = line.split_whitespace().next().unwrap().split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            let mut bytes = Vec::new();
            if memory.seek(SeekFrom::Start(from)).is_err() {
                return false;
            }
            // Some regions cannot be read ([vvar]); they hold no heap.
            let _ = (&mut memory).take(to - from).read_to_end(&mut bytes);
            bytes.windows(needle.len()).any(|window| window == needle)
        })
}

#[test]
fn the_module_is_mapped_by_workers_and_never_by_the_daemon() {
    let house = House::builder().key("k", Algorithm::P256).start();
    house.write("data", "data\n");
    house.chancery(&["sign", "openpgp", "--key", "k", "data"]).succeeded();
    let module = house.token.module().file_name().unwrap().to_str().unwrap();
    assert!(!maps(house.pid()).contains(module));
    let workers = house.workers();
    assert!(!workers.is_empty());
    for worker in workers {
        assert!(maps(worker).contains(module), "worker {worker}");
    }
}

#[test]
fn the_pin_is_in_no_argument_environment_log_or_trail_and_never_in_the_daemon_s_memory() {
    if !is_root() {
        return;
    }
    let house = House::builder().key("k", Algorithm::P256).start();
    house.write("data", "data\n");
    house.chancery(&["sign", "openpgp", "--key", "k", "data"]).succeeded();
    let pin = fs::read(house.token.pin_file()).unwrap();
    let pin = pin.trim_ascii_end();
    assert!(pin.len() >= 8, "a PIN that cannot be met by chance");
    let holds = |bytes: &[u8]| bytes.windows(pin.len()).any(|window| window == pin);
    for pid in [&[house.pid()][..], &house.workers()].concat() {
        for file in ["cmdline", "environ", "status"] {
            assert!(!holds(&fs::read(format!("/proc/{pid}/{file}")).unwrap()), "/proc/{pid}/{file}");
        }
    }
    assert!(!holds(house.log().as_bytes()));
    for entry in fs::read_dir(house.path("audit")).unwrap() {
        assert!(!holds(&fs::read(entry.unwrap().path()).unwrap()));
    }
    assert!(!memory_holds(house.pid(), pin), "the daemon's memory");
    // The search finds what is there: the label of the token is in the daemon's configuration.
    assert!(memory_holds(house.pid(), house.token.label().as_bytes()));
}

#[test]
fn neither_daemon_nor_worker_leaves_a_core_or_lets_a_debugger_in() {
    let house = House::builder().key("k", Algorithm::P256).start();
    for pid in [&[house.pid()][..], &house.workers()].concat() {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
        // The kernel gives what belongs to a process that may not be dumped to root.
        let owner =
            Command::new("stat").args(["-c", "%U"]).arg(format!("/proc/{pid}/environ")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&owner.stdout).trim(), "root");
    }
}

#[test]
fn workers_end_with_their_daemon() {
    let mut house = House::builder().key("k", Algorithm::P256).start();
    let workers = house.workers();
    assert!(!workers.is_empty());
    house.crash();
    house.wait_until("the workers are gone", |_| {
        workers.iter().all(|worker| {
            let state = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
            state.is_empty() || state.contains(") Z ")
        })
    });
}
