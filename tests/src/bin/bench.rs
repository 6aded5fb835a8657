//! How fast: the daemon against a direct PKCS#11 program, on the same token, in the same run. Prints one table.
//!
//! `make bench` builds and runs it. Rounds alternate between the two sides, so that a machine whose speed drifts
//! weighs on both; the table shows medians and spreads over the rounds. docs/PERFORMANCE.md tells how to read it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use chancery_protocol::agent::{Agent, Context, Sign};
use chancery_protocol::client::Client;
use chancery_protocol::{Algorithm, ByteBuf, Format, KeyName, Scheme};
use chancery_tests::House;
use chancery_tests::requests::openssl_accepts;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

/// Rounds, unless `BENCH_ROUNDS` says otherwise.
const ROUNDS: usize = 5;
/// Length of one measurement, unless `BENCH_SECONDS` says otherwise.
const SECONDS: f64 = 2.0;
/// Bytes of a record of the audit trail, about.
const RECORD: usize = 700;
/// Clients of the throughput measurement, each with one request at a time.
const CLIENTS: usize = 50;

const KEYS: [Algorithm; 4] = [Algorithm::Rsa2048, Algorithm::Rsa4096, Algorithm::P256, Algorithm::Ed25519];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["direct", module, label, pin, key, threads, seconds, beside] => {
            let beside = (!beside.is_empty()).then(|| Path::new(beside));
            let (threads, seconds) = (threads.parse().unwrap(), seconds.parse().unwrap());
            direct(Path::new(module), label, Path::new(pin), key, threads, seconds, beside);
        }
        [] => compare(),
        _ => panic!("usage: bench"),
    }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What one measurement found.
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
        "| key | C_Sign us | fdatasync us | both at once us | through the daemon us | more than the longer us | \
         direct /s | daemon, {CLIENTS} clients /s | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for algorithm in KEYS {
        let scheme = scheme(algorithm);
        runtime.block_on(verify(&house, algorithm, scheme));
        let mut columns: [Vec<f64>; 8] = Default::default();
        for _ in 0..rounds {
            let one = direct_run(&house, algorithm, 1, 1, seconds, "");
            let file = house.path("audit/bench");
            let sync = fdatasync(&file, seconds / 4.0);
            let both = direct_run(&house, algorithm, 1, 1, seconds, file.to_str().unwrap());
            let through = runtime.block_on(daemon_run(&house, algorithm, scheme, 1, seconds));
            let overhead = through.p50 - one.p50.max(sync);
            // The best that a direct program gets here: two threads, or two processes of one.
            let threads = direct_run(&house, algorithm, 1, 2, seconds, "");
            let many = runtime.block_on(daemon_run(&house, algorithm, scheme, CLIENTS, seconds));
            let processes = direct_run(&house, algorithm, 2, 1, seconds, "");
            let best = threads.rate.max(processes.rate);
            let figures = [one.p50, sync, both.p50, through.p50, overhead, best, many.rate, many.rate / best];
            for (column, value) in columns.iter_mut().zip(figures) {
                column.push(value);
            }
        }
        let figures = columns.map(spread);
        let digits = [0, 0, 0, 0, 0, 0, 0, 3];
        let cells: Vec<_> =
            figures.into_iter().zip(digits).map(|(figure, digits)| text(figure, digits)).collect();
        println!("| {} | {} |", algorithm, cells.join(" | "));
    }
    println!("{}", memory(&house));
}

fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[values.len() / 2], values[0], values[values.len() - 1]]
}

fn text([median, min, max]: [f64; 3], digits: usize) -> String {
    format!("{median:.digits$} ({min:.digits$}-{max:.digits$})")
}

/// Append and sync of a record's size, one after another: the floor below every answer; median in microseconds.
fn fdatasync(path: &Path, seconds: f64) -> f64 {
    let mut file = File::create(path).unwrap();
    let record = [b'x'; RECORD];
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        file.write_all(&record).unwrap();
        file.sync_data().unwrap();
        times.push(tenths(start.elapsed()));
    }
    std::fs::remove_file(path).unwrap();
    Run::of(times, begin.elapsed()).p50
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

/// So many clients, each with a connection of its own and one request at a time.
async fn daemon_run(
    house: &House,
    algorithm: Algorithm,
    scheme: Scheme,
    clients: usize,
    seconds: f64,
) -> Run {
    let mut connections: Vec<Client<Agent>> = Vec::new();
    for _ in 0..clients {
        connections.push(house.client().await);
    }
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for client in connections {
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            for number in 0.. {
                if begin.elapsed().as_secs_f64() >= seconds {
                    break;
                }
                let start = Instant::now();
                client.sign(request(algorithm, scheme, number)).await.unwrap();
                times.push(tenths(start.elapsed()));
            }
            times
        }));
    }
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

/// Runs so many direct programs at once, each with so many threads; rates add up. Each has a copy of the token, because
/// SoftHSM rewrites the token's file at login, and programs that log in at once disturb each other.
fn direct_run(
    house: &House,
    algorithm: Algorithm,
    processes: usize,
    threads: usize,
    seconds: f64,
    beside: &str,
) -> Run {
    let copies = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..processes)
        .map(|number| {
            let token = house.token.copy(&copies.path().join(number.to_string())).unwrap();
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.arg("direct").arg(token.module()).arg(token.label()).arg(token.pin_file());
            command.args([algorithm.as_str(), &threads.to_string(), &seconds.to_string(), beside]);
            command.envs(token.environment().iter().map(|(name, value)| (name, value)));
            command.stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut total = Run { rate: 0.0, p50: 0.0 };
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "a direct program failed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (rate, p50) = text.trim().split_once(' ').unwrap();
        total.rate += rate.parse::<f64>().unwrap();
        total.p50 = p50.parse().unwrap();
    }
    total
}

/// A thread that appends and syncs a record whenever it is asked, and says when it is done.
fn syncer(path: &Path) -> (mpsc::Sender<()>, mpsc::Receiver<()>) {
    let mut file = File::create(path).unwrap();
    let (ask, asked) = mpsc::channel();
    let (done, ready) = mpsc::channel();
    std::thread::spawn(move || {
        for () in asked {
            file.write_all(&[b'x'; RECORD]).unwrap();
            file.sync_data().unwrap();
            done.send(()).unwrap();
        }
    });
    (ask, ready)
}

/// The direct program: one session per thread, the handle looked up once, C_SignInit and C_Sign in a loop.
fn direct(
    module: &Path,
    label: &str,
    pin: &Path,
    key: &str,
    threads: usize,
    seconds: f64,
    beside: Option<&Path>,
) {
    let algorithm: Algorithm = key.parse().unwrap();
    let module = Pkcs11::new(PathBuf::from(module)).unwrap();
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slots = module.get_slots_with_token().unwrap();
    let slot =
        slots.into_iter().find(|&slot| module.get_token_info(slot).is_ok_and(|info| info.label() == label));
    let slot = slot.unwrap();
    let login = module.open_rw_session(slot).unwrap();
    let pin = std::fs::read_to_string(pin).unwrap();
    login.login(UserType::User, Some(&AuthPin::new(pin.trim_end().into()))).unwrap();
    let begin = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (module, key) = (module.clone(), key.to_owned());
            let syncer = beside.map(syncer);
            std::thread::spawn(move || {
                let session = module.open_rw_session(slot).unwrap();
                let template =
                    [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(key.into_bytes())];
                let handle = session.find_objects(&template).unwrap()[0];
                let mechanism = match algorithm {
                    Algorithm::Ed25519 => Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
                    Algorithm::P256 => Mechanism::Ecdsa,
                    _ => Mechanism::RsaPkcs,
                };
                // What the daemon hands to the token: a DigestInfo for RSA, else the digest.
                let mut input = vec![
                    0x5a;
                    match algorithm {
                        Algorithm::Ed25519 => 64,
                        Algorithm::P256 => 32,
                        _ => 51,
                    }
                ];
                let mut times = Vec::new();
                for number in 0_u32.. {
                    if begin.elapsed().as_secs_f64() >= seconds {
                        break;
                    }
                    input[..4].copy_from_slice(&number.to_be_bytes());
                    let start = Instant::now();
                    if let Some((ask, _)) = &syncer {
                        ask.send(()).unwrap();
                    }
                    session.sign(&mechanism, handle, &input).unwrap();
                    if let Some((_, ready)) = &syncer {
                        ready.recv().unwrap();
                    }
                    times.push(tenths(start.elapsed()));
                }
                times
            })
        })
        .collect();
    let times: Vec<u32> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    let run = Run::of(times, begin.elapsed());
    println!("{} {}", run.rate, run.p50);
}
