//! The audit trail's writer: no signature leaves before its record is on disk.
//!
//! A thread of its own appends what has gathered, syncs once for all of it (group commit) and then answers. The token
//! works meanwhile. A write that fails is undone, refuses what waited for it, and is tried anew with the next record:
//! a full disk stops signing, and room on it starts signing again.

pub mod checkpoint;
mod trail;

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use chancery_audit::{Event, Intent, Link, Outcome, Record, Refused};
use chancery_protocol::admin::AuditStatus;
use chancery_protocol::{Reason, Refusal, Scheme};
use tokio::sync::oneshot;

use crate::journal;
use crate::peer::Peer;
use crate::policy::Grant;
use crate::request::Order;
use trail::Trail;

/// A granted order whose intent is with the writer. Made here alone, and used up by the token.
#[must_use = "an intent on record that is not carried out misleads whoever reads the trail"]
pub struct Recorded {
    scheme: Scheme,
    _grant: Option<Grant>,
}

impl Recorded {
    /// The scheme that was granted.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
}

/// The record's way to the disk.
pub struct Durable(oneshot::Receiver<Written>);

/// A record's number, or why it could not be written.
type Written = Result<u64, Arc<str>>;

impl Durable {
    /// Waits until the record is on disk; its number.
    pub async fn wait(self) -> Result<u64, Refusal> {
        match self.0.await {
            Ok(Ok(seq)) => Ok(seq),
            Ok(Err(_)) | Err(_) => Err(unwritable()),
        }
    }
}

fn unwritable() -> Refusal {
    Refusal::new(Reason::AuditUnavailable, "the audit trail cannot be written, so nothing is signed")
        .retry_after(Duration::from_secs(1))
}

/// What the writer is told.
enum Message {
    /// Append this, and say when it is on disk.
    Record(Box<Event>, Option<oneshot::Sender<Written>>),
    /// Where does the trail stand?
    Head(oneshot::Sender<Link>),
    /// The last record was sent.
    Close,
}

/// The audit trail, to those who write to it.
pub struct Audit {
    messages: mpsc::Sender<Message>,
    status: Arc<Mutex<AuditStatus>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Opens the trail in `folder`, goes on where it ended, and starts the writer.
    pub fn open(folder: &Path, max_file: u64) -> Result<Self> {
        let (trail, torn) = Trail::open(folder, max_file)
            .with_context(|| format!("the audit trail in {}", folder.display()))?;
        let status = Arc::new(Mutex::new(status_of(&trail, String::new())));
        let (messages, inbox) = mpsc::channel();
        let writer = Writer { trail, status: Arc::clone(&status), inbox, owed: Vec::new() };
        let writer = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        let audit = Self { messages, status, writer: Mutex::new(Some(writer)) };
        let software = concat!("chanceryd ", env!("CARGO_PKG_VERSION")).to_owned();
        let started = audit.append(Event::Started { software, torn: hex::encode(torn) });
        let written = started.0.blocking_recv().context("the audit writer ended")?;
        written.map_err(|why| anyhow::anyhow!("the audit trail in {}: {why}", folder.display()))?;
        Ok(audit)
    }

    /// Puts a grant on record. The record is on its way; the answer to the peer waits for [`Durable`].
    pub fn intend(&self, grant: Grant, peer: &Peer, order: &Order) -> (Recorded, Durable) {
        let intent = Intent {
            caller: peer.caller(),
            key: order.key.to_string(),
            scheme: order.scheme.to_string(),
            input: order.kind().as_str().to_owned(),
            digests: order.audited_digests(),
            format: order.format.to_string(),
            artifact: order.context.artifact.clone(),
            artifact_digest: hex::encode(&order.context.artifact_digest),
            build: order.context.build.clone(),
            rule: grant.rule(),
        };
        let durable = self.append(Event::Intent(intent));
        (Recorded { scheme: order.scheme, _grant: Some(grant) }, durable)
    }

    /// Puts on record what became of an intent. Nobody waits for it.
    pub fn outcome(&self, intent: u64, result: &str, elapsed: Duration) {
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let outcome = Outcome { intent, result: result.to_owned(), elapsed_us };
        self.send(Message::Record(Box::new(Event::Outcome(outcome)), None));
    }

    /// Puts a refusal on record. Nobody waits for it.
    pub fn refused(&self, peer: &Peer, key: &str, refusal: &Refusal, detail: &str) {
        let record = Refused {
            caller: peer.caller(),
            key: key.to_owned(),
            reason: refusal.reason().as_str().to_owned(),
            detail: detail.to_owned(),
        };
        self.send(Message::Record(Box::new(Event::Refused(record)), None));
    }

    /// Puts another event on record.
    pub fn append(&self, event: Event) -> Durable {
        let (reply, written) = oneshot::channel();
        self.send(Message::Record(Box::new(event), Some(reply)));
        Durable(written)
    }

    /// Where the trail stands.
    pub async fn head(&self) -> Option<Link> {
        let (reply, head) = oneshot::channel();
        self.send(Message::Head(reply));
        head.await.ok()
    }

    /// How it is.
    pub fn status(&self) -> AuditStatus {
        self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Writes the last record and waits until everything is on disk.
    pub fn close(&self) {
        self.send(Message::Record(Box::new(Event::Stopped {}), None));
        self.send(Message::Close);
        let writer = self.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }

    /// A writer that is gone has dropped its inbox; whoever waits for a record then hears that it failed.
    fn send(&self, message: Message) {
        let _ = self.messages.send(message);
    }
}

fn status_of(trail: &Trail, fault: String) -> AuditStatus {
    let head = trail.head();
    AuditStatus { file: trail.file_name(), sequence: head.seq, head: head.hash.clone(), fault }
}

struct Writer {
    trail: Trail,
    status: Arc<Mutex<AuditStatus>>,
    inbox: mpsc::Receiver<Message>,
    /// Outcomes and refusals that could not be written yet.
    owed: Vec<Record>,
}

impl Writer {
    /// Most records that are kept while they cannot be written.
    const MOST_OWED: usize = 16_384;
    /// Most records that one sync serves.
    const GROUP: usize = 256;

    fn run(mut self) {
        let mut group = Vec::new();
        let mut open = true;
        while open {
            let Ok(first) = self.inbox.recv() else { return };
            let mut next = Some(first);
            while let Some(message) = next.take() {
                match message {
                    Message::Record(event, reply) => group.push((event, reply)),
                    Message::Head(reply) => {
                        self.write(&mut group);
                        let _ = reply.send(self.trail.head().clone());
                    }
                    Message::Close => {
                        open = false;
                        break;
                    }
                }
                if group.len() < Self::GROUP {
                    next = self.inbox.try_recv().ok();
                }
            }
            self.write(&mut group);
        }
        if let Err(error) = self.trail.sync() {
            tracing::error!(message_id = journal::AUDIT_FAILED, chancery_error = %error, "the audit trail's end: {error}");
        }
    }

    /// Appends a group of records, and syncs if somebody waits for one of them.
    fn write(&mut self, group: &mut Vec<(Box<Event>, Option<oneshot::Sender<Written>>)>) {
        if group.is_empty() {
            return;
        }
        let waited_for = group.iter().any(|(_, reply)| reply.is_some());
        let time = jiff::Timestamp::now();
        let before = self.trail.head().seq;
        let (events, replies): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        let mut records = std::mem::take(&mut self.owed);
        let owed = records.len();
        records.extend(events.into_iter().map(|event| Record { time, event: *event }));
        let result =
            self.trail.append(&records).and_then(|()| if waited_for { self.trail.sync() } else { Ok(()) });
        let fault: Option<Arc<str>> = result.err().map(|error| Arc::from(error.to_string()));
        if let Some(fault) = &fault {
            tracing::error!(
                message_id = journal::AUDIT_FAILED,
                chancery_error = &**fault,
                "the audit trail cannot be written, so nothing is signed: {fault}"
            );
        }
        if fault.is_some() && self.trail.head().seq == before {
            // What somebody waits for is refused. The rest has happened, and is written when there is room again.
            let mut waits = std::iter::repeat_n(false, owed).chain(replies.iter().map(Option::is_some));
            records.retain(|_| !waits.next().unwrap_or(true));
            records.truncate(Self::MOST_OWED);
            self.owed = records;
        }
        for (seq, reply) in (before + owed as u64 + 1..).zip(replies) {
            if let Some(reply) = reply {
                let _ = reply.send(fault.clone().map_or(Ok(seq), Err));
            }
        }
        let status = status_of(&self.trail, fault.map(|fault| fault.to_string()).unwrap_or_default());
        *self.status.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = status;
    }
}
