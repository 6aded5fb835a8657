//! One worker process, as the daemon sees it: a child, and a task that carries messages to and from it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use anyhow::{Context, Result};
use bytes::BytesMut;
use chancery_protocol::stream::Stream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::wire::{self, FromWorker, Start, ToWorker};
use crate::config::{self, SessionMode};
use crate::together;

/// What a worker process tells its supervisor.
pub struct Event {
    /// Which worker process: processes are numbered, and a number is never used twice.
    pub process: u64,
    /// What it says.
    pub what: What,
}

/// What a worker process says.
pub enum What {
    /// A message.
    Said(FromWorker),
    /// It is gone.
    Ended(String),
}

/// A running worker. Dropping it kills the process.
pub struct Process {
    /// Its number.
    pub number: u64,
    outbox: mpsc::UnboundedSender<ToWorker>,
    child: Child,
}

impl Process {
    /// Starts a worker for the token of `config`, which will tell `events`.
    pub fn spawn(number: u64, config: &config::Token, events: mpsc::UnboundedSender<Event>) -> Result<Self> {
        let pin = config.pin.open()?;
        let (ours, theirs) = UnixStream::pair().context("a socket pair for a worker")?;
        together::leave();
        let child = Command::new("/proc/self/exe")
            .arg0("chanceryd")
            .arg("worker")
            .env_clear()
            .envs(&config.environment)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(pin))
            .kill_on_drop(true)
            .spawn()
            .context("a worker process")?;
        let stream = Stream::new(ours)?;
        let (outbox, inbox) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let end = carry(stream, inbox, number, &events).await;
            let what = What::Ended(end.map_or_else(|error| error.to_string(), |()| "it ended".to_owned()));
            let _ = events.send(Event { process: number, what });
        });
        let process = Self { number, outbox, child };
        process.tell(ToWorker::Start(Start {
            module: config.module.to_string_lossy().into_owned(),
            token: config.uri.to_string(),
            sessions: config.sessions,
            read_only: config.session_mode == SessionMode::ReadOnly,
            vigil: config.vigil,
        }));
        Ok(process)
    }

    /// Sends a message. One to a process that is gone is lost, and its end is an event of its own.
    pub fn tell(&self, message: ToWorker) {
        let _ = self.outbox.send(message);
    }

    /// The process id, for the journal.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }
}

/// Carries messages both ways until one side ends. Messages that wait are written together.
async fn carry(
    stream: Stream,
    mut inbox: mpsc::UnboundedReceiver<ToWorker>,
    number: u64,
    events: &mpsc::UnboundedSender<Event>,
) -> io::Result<()> {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        tokio::select! {
            biased;
            message = inbox.recv() => {
                let Some(message) = message else { return Ok(()) };
                wire::put(&message, &mut output)?;
                while let Ok(message) = inbox.try_recv() {
                    wire::put(&message, &mut output)?;
                }
                stream.write(&mut output)?;
            }
            count = stream.read(&mut input) => {
                if count? == 0 {
                    return Err(io::Error::other("it ended"));
                }
                while let Some(message) = wire::take(&mut input)? {
                    let _ = events.send(Event { process: number, what: What::Said(message) });
                }
            }
            room = stream.room(), if !output.is_empty() => {
                room?;
                stream.write(&mut output)?;
            }
        }
    }
}
