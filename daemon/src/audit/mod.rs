//! The audit trail's writer: no signature leaves before its record is on disk.
//!
//! A thread of its own appends what has gathered, syncs once for all of it (group commit) and then answers. The token
//! works meanwhile. A write that fails is undone, refuses what waited for it, and is tried anew with the next record:
//! a full disk stops signing, and room on it starts signing again.

pub mod checkpoint;
mod inbox;
mod trail;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use chancery_audit::{Event, Intent, Link, Outcome, Refused};
use chancery_protocol::admin::AuditStatus;
use chancery_protocol::{Reason, Refusal, Scheme};
use tokio::sync::oneshot;

use crate::journal::{Notes, Signed};
use crate::peer::Peer;
use crate::policy::Grant;
use crate::request::Order;
use inbox::{Inbox, Message};
use trail::Trail;
use writer::Writer;

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

/// The audit trail, to those who write to it.
pub struct Audit {
    inbox: Arc<Inbox>,
    status: Arc<Mutex<AuditStatus>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Audit {
    /// Opens the trail in `folder`, goes on where it ended, and starts the writer.
    pub fn open(folder: &Path, max_file: u64, notes: Notes) -> Result<Self> {
        let (trail, torn) = Trail::open(folder, max_file)
            .with_context(|| format!("the audit trail in {}", folder.display()))?;
        let status = Arc::new(Mutex::new(status_of(&trail, String::new())));
        let inbox = Arc::new(Inbox::default());
        let writer = Writer::new(trail, Arc::clone(&status), Arc::clone(&inbox), notes);
        let writer = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        let audit = Self { inbox, status, writer: Mutex::new(Some(writer)) };
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
        let (reply, written) = oneshot::channel();
        if self.inbox.put_down(Message::Urgent(Box::new(Event::Intent(intent)), reply)) {
            let inbox = Arc::clone(&self.inbox);
            // After what is ready now, which brings the order to the token: woken first, the writer would take the
            // processor that the worker is about to get.
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                inbox.wake();
            });
        }
        let durable = Durable(written);
        (Recorded { scheme: order.scheme, _grant: Some(grant) }, durable)
    }

    /// Puts on record what became of an intent, and then tells the journal of a signature. Nobody waits for it.
    pub fn outcome(&self, intent: u64, result: &str, elapsed: Duration, note: Option<Signed>) {
        let elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let outcome = Outcome { intent, result: result.to_owned(), elapsed_us };
        self.inbox.put(Message::Lazy(Box::new(Event::Outcome(outcome)), note));
    }

    /// Puts a refusal on record. Nobody waits for it.
    pub fn refused(&self, peer: &Peer, key: &str, refusal: &Refusal, detail: &str) {
        let record = Refused {
            caller: peer.caller(),
            key: key.to_owned(),
            reason: refusal.reason().as_str().to_owned(),
            detail: detail.to_owned(),
        };
        self.inbox.put(Message::Lazy(Box::new(Event::Refused(record)), None));
    }

    /// Puts another event on record.
    pub fn append(&self, event: Event) -> Durable {
        let (reply, written) = oneshot::channel();
        self.inbox.put(Message::Urgent(Box::new(event), reply));
        Durable(written)
    }

    /// Where the trail stands.
    pub async fn head(&self) -> Option<Link> {
        let (reply, head) = oneshot::channel();
        self.inbox.put(Message::Head(reply));
        head.await.ok()
    }

    /// How it is.
    pub fn status(&self) -> AuditStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes the last record and waits until everything is on disk.
    pub fn close(&self) {
        self.inbox.put(Message::Lazy(Box::new(Event::Stopped {}), None));
        self.inbox.put(Message::Close);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

fn status_of(trail: &Trail, fault: String) -> AuditStatus {
    let head = trail.head();
    AuditStatus { file: trail.file_name(), sequence: head.seq, head: head.hash.clone(), fault }
}
