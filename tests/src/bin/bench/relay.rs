//! The bare relay: the least that a daemon with a worker process can be. Three processes and two sockets, blocking calls
//! and nothing else: the client writes as many bytes as a request has, the relay passes them to the worker, appends and
//! syncs a record while the worker signs, and passes the signature back. There is no policy, no chain, no journal, and
//! nobody else can be served. What it takes longer than C_Sign is this machine's price for the arrangement.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use chancery_protocol::Algorithm;
use chancery_tests::House;

use crate::token::Signer;
use crate::{RECORD, Run, tenths};

/// Bytes of a request, about.
const REQUEST: usize = 90;

/// The client of a relay.
pub struct Relay {
    stream: UnixStream,
    processes: [Child; 2],
    /// The worker's copy of the token.
    _folder: tempfile::TempDir,
}

impl Relay {
    pub fn start(house: &House, algorithm: Algorithm) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = house.token.copy(&folder.path().join("token")).unwrap();
        let program = || Command::new(std::env::current_exe().unwrap());
        let end = |stream: UnixStream| Stdio::from(OwnedFd::from(stream));
        let (to_worker, of_worker) = UnixStream::pair().unwrap();
        let mut worker = program();
        worker
            .arg("worker")
            .arg(token.module())
            .arg(token.label())
            .arg(token.pin_file())
            .arg(algorithm.as_str());
        worker.envs(token.environment().iter().map(|(name, value)| (name, value)));
        let worker = worker.stdin(end(of_worker)).spawn().unwrap();
        let (stream, of_relay) = UnixStream::pair().unwrap();
        let mut relay = program();
        relay.arg("relay").arg(house.path("audit/relay"));
        let relay = relay.stdin(end(of_relay)).stdout(end(to_worker)).spawn().unwrap();
        Self { stream, processes: [relay, worker], _folder: folder }
    }

    /// One request at a time.
    pub fn run(&mut self, seconds: f64) -> Run {
        let mut answer = [0; 1024];
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            self.stream.write_all(&[0x5a; REQUEST]).unwrap();
            let length = self.stream.read(&mut answer).unwrap();
            assert!(length >= 64, "a relay failed");
            times.push(tenths(start.elapsed()));
        }
        Run::of(times, begin.elapsed())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn socket(at: impl AsFd) -> UnixStream {
    at.as_fd().try_clone_to_owned().unwrap().into()
}

/// The relay: its client is its standard input, its worker its standard output.
pub fn program(file: &Path) {
    let (mut client, mut worker) = (socket(std::io::stdin()), socket(std::io::stdout()));
    let mut file = File::create(file).unwrap();
    let mut buffer = [0; 1024];
    loop {
        let length = client.read(&mut buffer).unwrap();
        if length == 0 {
            return;
        }
        worker.write_all(&buffer[..length]).unwrap();
        file.write_all(&[b'x'; RECORD]).unwrap();
        file.sync_data().unwrap();
        let length = worker.read(&mut buffer).unwrap();
        client.write_all(&buffer[..length]).unwrap();
    }
}

/// The worker: its standard input is the relay.
pub fn worker(module: &Path, label: &str, pin: &Path, key: &str) {
    let [mut signer] = Signer::open(module, label, pin, key);
    let mut relay = socket(std::io::stdin());
    let mut request = [0; 1024];
    while relay.read(&mut request).unwrap() > 0 {
        let signature = signer.sign();
        relay.write_all(&signature).unwrap();
    }
}
