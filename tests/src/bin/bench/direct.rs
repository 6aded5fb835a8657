//! The direct program: it calls the module itself, for as long as it is told.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use chancery_protocol::Algorithm;
use chancery_tests::House;

use crate::token::Signer;
use crate::{RECORD, Run, tenths};

/// What it does beside each signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// Append and sync a record.
    Sync,
}

/// A direct program, which signs for a slice of time whenever it is told. It has a copy of the token, because SoftHSM
/// rewrites the token's file at login, and programs that log in at once disturb each other.
pub struct Direct {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The copy of the token.
    _folder: tempfile::TempDir,
}

impl Direct {
    pub fn start(house: &House, algorithm: Algorithm, number: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = house.token.copy(&folder.path().join("token")).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("direct").arg(token.module()).arg(token.label()).arg(token.pin_file());
        command.arg(algorithm.as_str()).arg(house.path(&format!("audit/direct-{number}")));
        command.envs(token.environment().iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, orders, answers, _folder: folder }
    }

    pub fn begin(&mut self, seconds: f64, threads: usize, beside: Beside) {
        writeln!(self.orders, "{seconds} {threads} {}", beside == Beside::Sync).unwrap();
    }

    pub fn end(&mut self) -> Run {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let (rate, p50) = line.trim().split_once(' ').expect("a direct program failed");
        Run { rate: rate.parse().unwrap(), p50: p50.parse().unwrap() }
    }

    pub fn run(&mut self, seconds: f64, threads: usize, beside: Beside) -> Run {
        self.begin(seconds, threads, beside);
        self.end()
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program: one session per thread, and a loop for each line of standard input that orders it.
pub fn program(module: &Path, label: &str, pin: &Path, key: &str, file: &Path) {
    let mut signers: [Signer; 2] = Signer::open(module, label, pin, key);
    let syncer = syncer(file);
    for line in io::stdin().lines() {
        let line = line.unwrap();
        let [seconds, threads, beside] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (seconds, threads): (f64, usize) = (seconds.parse().unwrap(), threads.parse().unwrap());
        let begin = Instant::now();
        let times: Vec<u32> = if beside == "true" {
            signatures(&mut signers[0], seconds, Some(&syncer))
        } else {
            std::thread::scope(|scope| {
                let workers: Vec<_> = signers[..threads]
                    .iter_mut()
                    .map(|signer| scope.spawn(move || signatures(signer, seconds, None)))
                    .collect();
                workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
            })
        };
        let run = Run::of(times, begin.elapsed());
        println!("{} {}", run.rate, run.p50);
    }
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

/// Signs for so long; what each signature took.
fn signatures(
    signer: &mut Signer,
    seconds: f64,
    syncer: Option<&(mpsc::Sender<()>, mpsc::Receiver<()>)>,
) -> Vec<u32> {
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        if let Some((ask, _)) = syncer {
            ask.send(()).unwrap();
        }
        signer.sign();
        if let Some((_, ready)) = syncer {
            ready.recv().unwrap();
        }
        times.push(tenths(start.elapsed()));
    }
    times
}
