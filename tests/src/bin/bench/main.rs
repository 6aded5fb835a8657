//! How fast: the daemon against a direct PKCS#11 program, on the same token, in the same run. Prints one table.
//!
//! `make bench` builds and runs it. Both sides take turns in short slices, so that a machine whose speed drifts weighs on
//! both alike; the table shows medians and spreads over the rounds. docs/PERFORMANCE.md tells how to read it.

mod direct;
mod relay;
mod token;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use chancery_protocol::agent::{Agent, Context, Sign};
use chancery_protocol::client::Client;
use chancery_protocol::{Algorithm, ByteBuf, Format, KeyName, Scheme};
use chancery_tests::House;
use chancery_tests::requests::openssl_accepts;

use crate::direct::{Beside, Direct};
use crate::relay::Relay;

/// Rounds, unless `BENCH_ROUNDS` says otherwise.
const ROUNDS: usize = 5;
/// Length of each measurement of a round, unless `BENCH_SECONDS` says otherwise.
const SECONDS: f64 = 2.0;
/// Both sides take turns so many times in a round.
const SLICES: u8 = 10;
/// Bytes of a record of the audit trail, about.
const RECORD: usize = 700;
/// Clients of the throughput measurement, each with one request at a time.
const CLIENTS: usize = 50;

const KEYS: [Algorithm; 4] = [Algorithm::Rsa2048, Algorithm::Rsa4096, Algorithm::P256, Algorithm::Ed25519];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["direct", module, label, pin, key, file] => {
            direct::program(Path::new(module), label, Path::new(pin), key, Path::new(file));
        }
        ["relay", file] => relay::program(Path::new(file)),
        ["worker", module, label, pin, key] => relay::worker(Path::new(module), label, Path::new(pin), key),
        [] => compare(),
        _ => panic!("usage: bench"),
    }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What one slice found.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Signatures per second.
    rate: f64,
    /// Median time of one, in microseconds.
    p50: f64,
}

impl Run {
    fn of(mut times: Vec<u32>, elapsed: Duration) -> Self {
        assert!(!times.is_empty(), "nothing was signed");
        times.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
        let rate = times.len() as f64 / elapsed.as_secs_f64();
        Self { rate, p50: f64::from(times[times.len() / 2]) / 10.0 }
    }
}

/// Tenths of microseconds.
fn tenths(time: Duration) -> u32 {
    u32::try_from(time.as_nanos() / 100).unwrap_or(u32::MAX)
}

fn scheme(algorithm: Algorithm) -> Scheme {
    match algorithm {
        Algorithm::Ed25519 => Scheme::Ed25519Sha512,
        Algorithm::P256 => Scheme::EcdsaSha256,
        _ => Scheme::RsaPkcs1Sha256,
    }
}

/// Compares both sides for every key, round by round.
fn compare() {
    let (rounds, seconds) = (setting("BENCH_ROUNDS", ROUNDS), setting("BENCH_SECONDS", SECONDS));
    let wanted: String = setting("BENCH_KEYS", String::new());
    let mut builder = House::builder();
    for algorithm in KEYS {
        builder = builder.key(algorithm.as_str(), algorithm);
    }
    let house = builder.start();
    println!(
        "{rounds} rounds of {seconds} s, {} processors, module {}; median (min-max)",
        std::thread::available_parallelism().map_or(1, usize::from),
        house.token.module().display()
    );
    println!(
        "| key | C_Sign us | fdatasync us | both at once us | through a bare relay us | \
         through the daemon us | more than the longer us | direct /s | daemon, {CLIENTS} clients /s | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for algorithm in KEYS {
        if !wanted.is_empty() && !wanted.split(',').any(|name| name == algorithm.as_str()) {
            continue;
        }
        let mut sides = runtime.block_on(Sides::ready(&house, algorithm));
        let mut columns: [Vec<f64>; 9] = Default::default();
        for _ in 0..rounds {
            let figures = runtime.block_on(sides.round(seconds / f64::from(SLICES)));
            for (column, value) in columns.iter_mut().zip(figures) {
                column.push(value);
            }
        }
        let figures = columns.map(spread);
        let digits = [0, 0, 0, 0, 0, 0, 0, 0, 3];
        let cells: Vec<_> =
            figures.into_iter().zip(digits).map(|(figure, digits)| text(figure, digits)).collect();
        println!("| {} | {} |", algorithm, cells.join(" | "));
    }
    println!("{}", memory(&house));
}

/// Both sides of the comparison for one key, ready to be timed in turns.
struct Sides {
    algorithm: Algorithm,
    /// Direct programs, each on a copy of the token.
    direct: [Direct; 2],
    relay: Relay,
    /// Connections to the daemon.
    clients: Vec<Client<Agent>>,
    /// A file beside the audit trail, to append to and sync.
    file: File,
}

impl Sides {
    async fn ready(house: &House, algorithm: Algorithm) -> Self {
        verify(house, algorithm, scheme(algorithm)).await;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(house.client().await);
        }
        let direct = [0, 1].map(|number| Direct::start(house, algorithm, number));
        let mut relay = Relay::start(house, algorithm);
        // The worker is ready with its first answer.
        relay.run(0.001);
        Self { algorithm, direct, relay, clients, file: File::create(house.path("audit/bench")).unwrap() }
    }

    /// One round: the columns of the table.
    async fn round(&mut self, slice: f64) -> [f64; 9] {
        let mut figures: [Vec<f64>; 9] = Default::default();
        let mut ratios: [Vec<f64>; 2] = Default::default();
        for _ in 0..SLICES {
            let [first, second] = &mut self.direct;
            let one = first.run(slice, 1, Beside::Nothing);
            let through = daemon_run(&self.clients[..1], self.algorithm, slice).await;
            let sync = fdatasync(&mut self.file, slice / 4.0);
            let both = first.run(slice, 1, Beside::Sync);
            let relayed = self.relay.run(slice);
            // What a direct program gets here: with two threads, or as two processes.
            let threads = first.run(slice, 2, Beside::Nothing);
            let many = daemon_run(&self.clients, self.algorithm, slice).await;
            first.begin(slice, 1, Beside::Nothing);
            second.begin(slice, 1, Beside::Nothing);
            let processes = first.end().rate + second.end().rate;
            let overhead = through.p50 - one.p50.max(sync.p50);
            let [one, sync, both, relayed, through] = [one, sync, both, relayed, through].map(|run| run.p50);
            let found = [one, sync, both, relayed, through, overhead, threads.rate, processes, many.rate];
            for (ratios, direct) in ratios.iter_mut().zip([threads.rate, processes]) {
                ratios.push(many.rate / direct);
            }
            for (figure, value) in figures.iter_mut().zip(found) {
                figure.push(value);
            }
        }
        let median = |values| spread(values)[0];
        let [one, sync, both, relayed, through, overhead, threads, processes, many] = figures.map(median);
        let [to_threads, to_processes] = ratios.map(median);
        // The better of the two ways over the whole round: the better of each slice would be the luckier one.
        let (direct, ratio) = (threads.max(processes), to_threads.min(to_processes));
        [one, sync, both, relayed, through, overhead, direct, many, ratio]
    }
}

fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[values.len() / 2], values[0], values[values.len() - 1]]
}

fn text([median, min, max]: [f64; 3], digits: usize) -> String {
    format!("{median:.digits$} ({min:.digits$}-{max:.digits$})")
}

/// Append and sync of a record's size, one after another: the floor below every answer.
fn fdatasync(file: &mut File, seconds: f64) -> Run {
    let record = [b'x'; RECORD];
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        file.write_all(&record).unwrap();
        file.sync_data().unwrap();
        times.push(tenths(start.elapsed()));
    }
    Run::of(times, begin.elapsed())
}

fn request(algorithm: Algorithm, scheme: Scheme, number: u32) -> Sign {
    let mut digest = vec![0x5a; scheme.hash().unwrap().digest_len()];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    Sign {
        key: algorithm.as_str().parse::<KeyName>().unwrap(),
        scheme: scheme.code(),
        digests: vec![ByteBuf::from(digest)],
        context: Context { format: Format::Raw.code(), artifact: "bench".to_owned(), ..Context::default() },
        extensions: Vec::new(),
    }
}

/// Each client with one request at a time.
async fn daemon_run(clients: &[Client<Agent>], algorithm: Algorithm, seconds: f64) -> Run {
    let begin = Instant::now();
    let tasks: Vec<_> = clients
        .iter()
        .cloned()
        .map(|client| {
            tokio::spawn(async move {
                let mut times = Vec::new();
                for number in 0.. {
                    if begin.elapsed().as_secs_f64() >= seconds {
                        break;
                    }
                    let start = Instant::now();
                    client.sign(request(algorithm, scheme(algorithm), number)).await.unwrap();
                    times.push(tenths(start.elapsed()));
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    Run::of(times, begin.elapsed())
}

/// A signature of each key is checked by openssl, so that what is timed is signing.
async fn verify(house: &House, algorithm: Algorithm, scheme: Scheme) {
    if algorithm == Algorithm::Ed25519 {
        // openssl 3.0 checks Ed25519 over files only; the tests do.
        return;
    }
    let client = house.client().await;
    let request = request(algorithm, scheme, 1);
    let (name, digest) = (request.key.clone(), request.digests[0].clone());
    let signature = client.sign(request).await.unwrap().remove(0);
    let spki = client.describe(&name).await.unwrap().public_key;
    assert!(openssl_accepts(&house.path(""), &spki, &digest, &signature), "{algorithm}: a bad signature");
}

/// Resident memory of the daemon and its workers, from their own pages and their share of common ones.
fn memory(house: &House) -> String {
    let kib = |pid: nix::unistd::Pid| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
    };
    let workers: u64 = house.workers().into_iter().map(kib).sum();
    format!("memory after the run (PSS): daemon {} KiB, workers {workers} KiB", kib(house.pid()))
}
