//! A worker process: one module, one login, some sessions. It is expected to die; the daemon starts another.
//!
//! Standard input is the socket to the daemon. Standard output is, at the start, the file that holds the PIN: an
//! inherited descriptor that needs no argument, no environment and no unsafe code to be taken over.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use chancery_protocol::{Algorithm, ByteBuf, PublicKey};
use cryptoki::types::AuthPin;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use zeroize::Zeroize;

use super::inbox::Inbox;
use super::module::{Token, TokenSession};
use super::wire::{self, Class, Fault, FromWorker, Start, ToWorker};

/// Longest PIN that is read, in bytes.
const MAX_PIN: u64 = 1024;

/// Serves the token that the daemon names, until the daemon closes the socket or the token is lost.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    harden()?;
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let pin = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // What a module prints must not end in the PIN's file, even though that is open for reading only.
    nix::unistd::dup2_stdout(File::options().write(true).open("/dev/null")?)?;

    let mut inbox = Inbox::of(socket.try_clone()?);
    let Some(ToWorker::Start(start)) = inbox.next()? else {
        return Err(io::Error::other("this is the daemon's own command; it cannot be used by hand"));
    };
    inbox.lingers = start.vigil;
    let opened = read_pin(pin).and_then(|pin| Token::open(&start, &pin));
    let sessions = opened.and_then(|token| {
        let sessions = (0..start.sessions.max(1)).map(|_| token.session()).collect::<Result<Vec<_>, _>>();
        sessions.map(|sessions| (token, sessions))
    });
    let (_token, sessions) = match sessions {
        Ok(open) => open,
        Err(fault) => return wire::write(&mut socket, &FromWorker::Failed(fault)),
    };
    wire::write(&mut socket, &FromWorker::Ready)?;
    serve(&start, socket, inbox, sessions)
}

/// No core dump, no debugger, no new privileges, no life without the daemon.
fn harden() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // Says "no core" twice; a unit's sandbox may forbid to change limits, after it has set them itself.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    Ok(())
}

/// Reads the PIN: the file's first line.
fn read_pin(file: File) -> Result<AuthPin, Fault> {
    let operator = |text: String| Fault { class: Class::Operator, text };
    let mut text = String::with_capacity(usize::try_from(MAX_PIN).unwrap_or(0));
    if let Err(error) = file.take(MAX_PIN).read_to_string(&mut text) {
        text.zeroize();
        return Err(operator(format!("the PIN file cannot be read: {error}")));
    }
    let line = text.lines().next().unwrap_or_default();
    let pin = AuthPin::new(line.into());
    let empty = line.is_empty();
    text.zeroize();
    if empty { Err(operator("the PIN file is empty".to_owned())) } else { Ok(pin) }
}

/// With one session, read, sign and answer in turn: no thread to wake. With more, one thread for each.
fn serve(
    start: &Start,
    mut socket: UnixStream,
    mut inbox: Inbox,
    mut sessions: Vec<TokenSession>,
) -> io::Result<()> {
    if let [session] = &mut sessions[..] {
        return in_turn(session, &mut socket, &mut inbox);
    }
    let writer = Arc::new(Mutex::new(socket.try_clone()?));
    let (jobs, taken) = mpsc::sync_channel::<ToWorker>(usize::from(start.sessions) * 2);
    let taken = Arc::new(Mutex::new(taken));
    for mut session in sessions {
        let (taken, writer) = (taken.clone(), writer.clone());
        thread::spawn(move || {
            loop {
                // A poisoned lock means that another thread panicked; the daemon will start a new worker.
                let Ok(Ok(message)) = taken.lock().map(|jobs| jobs.recv()) else { return };
                let answer = answer(&mut session, message);
                let written = writer.lock().map(|mut writer| wire::write(&mut *writer, &answer));
                if !matches!(written, Ok(Ok(()))) {
                    return;
                }
                if is_lost(&answer) {
                    std::process::exit(0);
                }
            }
        });
    }
    while let Some(message) = inbox.next()? {
        if jobs.send(message).is_err() {
            return Err(io::Error::other("every session has ended"));
        }
    }
    Ok(())
}

/// Signs and answers in turn. While more requests wait here, answers are held back for a moment and go out together:
/// each one that goes alone takes a processor from the module to the daemon and back.
fn in_turn(session: &mut TokenSession, socket: &mut UnixStream, inbox: &mut Inbox) -> io::Result<()> {
    let mut held = BytesMut::new();
    let mut since = Instant::now();
    while let Some(message) = inbox.next()? {
        if held.is_empty() {
            since = Instant::now();
        }
        let answer = answer(session, message);
        wire::put(&answer, &mut held)?;
        let lost = is_lost(&answer);
        // One request is kept to work on while the daemon takes the answers and sends more.
        if lost || !inbox.holds_two() || since.elapsed() >= LONGEST_HOLD {
            socket.write_all(&held)?;
            held.clear();
        }
        if lost {
            return Ok(());
        }
    }
    Ok(())
}

/// How long an answer may wait for the next ones.
const LONGEST_HOLD: Duration = Duration::from_millis(1);

/// After a fatal fault nothing that the module says can be relied on, least of all its finalisation.
fn is_lost(answer: &FromWorker) -> bool {
    matches!(answer, FromWorker::Fault { fault: Fault { class: Class::Fatal, .. }, .. })
}

fn answer(session: &mut TokenSession, message: ToWorker) -> FromWorker {
    let public_key = |id, key: Result<PublicKey, Fault>| {
        let spki = key.and_then(|key| {
            key.to_spki().map_err(|bad| Fault { class: Class::Request, text: bad.to_string() })
        });
        match spki {
            Ok(spki) => FromWorker::PublicKey { id, spki: ByteBuf::from(spki) },
            Err(fault) => FromWorker::Fault { id, fault },
        }
    };
    match message {
        ToWorker::Sign { id, object, mechanism, input } => match session.sign(&object, mechanism, &input) {
            Ok(signature) => FromWorker::Signed { id, signature: ByteBuf::from(signature) },
            Err(fault) => FromWorker::Fault { id, fault },
        },
        ToWorker::Inspect { id, object } => public_key(id, session.public_key(&object)),
        ToWorker::Generate { id, label, algorithm } => {
            let made = Algorithm::from_code(algorithm)
                .ok_or_else(|| Fault { class: Class::Request, text: "an unknown algorithm".to_owned() })
                .and_then(|algorithm| session.generate(&label, algorithm));
            public_key(id, made)
        }
        ToWorker::Start(_) => {
            let text = "a worker was started twice".to_owned();
            FromWorker::Fault { id: 0, fault: Fault { class: Class::Fatal, text } }
        }
    }
}
