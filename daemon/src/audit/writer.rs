//! The writer's thread: groups of records to the disk, and answers to those who wait for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chancery_audit::{Event, Record};
use chancery_protocol::admin::AuditStatus;
use nix::sys::prctl;
use tokio::sync::oneshot;

use super::Written;
use super::inbox::{Inbox, Message};
use super::trail::Trail;
use crate::journal::{self, Notes, Signed};

/// What is left unwritten in a group.
type Group = Vec<(Box<Event>, Option<oneshot::Sender<Written>>)>;

/// The writer of a trail.
pub struct Writer {
    trail: Trail,
    status: Arc<Mutex<AuditStatus>>,
    inbox: Arc<Inbox>,
    notes: Notes,
    held: Held,
    /// Outcomes and refusals that could not be written yet.
    owed: Vec<Record>,
    /// Intents on record without their outcome.
    open: u32,
    /// What the last requests took as a whole, evened out.
    pace: Duration,
    last_sync: Instant,
}

impl Writer {
    /// Most records that are kept while they cannot be written.
    const MOST_OWED: usize = 16_384;
    /// While so few requests are under way, each sync begins at once.
    const FEW: u32 = 2;
    /// With more, syncs keep a distance that is this part of what a request takes as a whole: its answer waits for the
    /// token anyway, and a sync costs the machine as much as some signatures do.
    const DISTANCE_PART: u32 = 2;
    /// The largest distance of syncs.
    const MOST_DISTANCE: Duration = Duration::from_millis(10);

    /// A writer of `trail` that tells `status` how it is.
    pub fn new(trail: Trail, status: Arc<Mutex<AuditStatus>>, inbox: Arc<Inbox>, notes: Notes) -> Self {
        Self {
            trail,
            status,
            inbox,
            notes,
            held: Held::default(),
            owed: Vec::new(),
            open: 0,
            pace: Duration::ZERO,
            last_sync: Instant::now(),
        }
    }

    /// Writes until told to close.
    pub fn run(mut self) {
        // Waits of some microseconds are meant; the kernel's usual slack is 50.
        let _ = prctl::set_timerslack(1000);
        let mut group = Group::new();
        let (mut serving, mut idle) = (true, false);
        while serving {
            let distance = match self.open {
                0..=Self::FEW => Duration::ZERO,
                _ => (self.pace / Self::DISTANCE_PART).min(Self::MOST_DISTANCE),
            };
            let more = (self.open > 0 && !idle) || !self.held.notes.is_empty();
            let messages = self.inbox.take(more, self.last_sync + distance);
            idle = messages.is_empty();
            for message in messages {
                match message {
                    Message::Urgent(event, reply) => group.push((event, Some(reply))),
                    Message::Lazy(event, note) => {
                        group.push((event, None));
                        self.held.notes.extend(note);
                    }
                    Message::Head(reply) => {
                        self.write(&mut group);
                        let _ = reply.send(self.trail.head().clone());
                    }
                    Message::Close => serving = false,
                }
            }
            let waited_for = group.iter().any(|(_, reply)| reply.is_some());
            self.write(&mut group);
            if !waited_for || self.held.enough() {
                self.held.tell(&self.notes);
            }
        }
        self.held.tell(&self.notes);
        if let Err(error) = self.trail.sync() {
            tracing::error!(message_id = journal::AUDIT_FAILED, chancery_error = %error, "the audit trail's end: {error}");
        }
    }

    /// Appends a group of records, and syncs if somebody waits for one of them.
    fn write(&mut self, group: &mut Group) {
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
        let result = self.trail.append(&records).and_then(|()| {
            if !waited_for {
                return Ok(());
            }
            self.last_sync = Instant::now();
            self.trail.sync()
        });
        let fault: Option<Arc<str>> = result.err().map(|error| Arc::from(error.to_string()));
        if let Some(fault) = &fault {
            tracing::error!(
                message_id = journal::AUDIT_FAILED,
                chancery_error = &**fault,
                "the audit trail cannot be written, so nothing is signed: {fault}"
            );
        } else {
            self.count(&records);
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
        let status = super::status_of(&self.trail, fault.map(|fault| fault.to_string()).unwrap_or_default());
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// Keeps count of the requests that are under way.
    fn count(&mut self, records: &[Record]) {
        for record in records {
            match &record.event {
                Event::Intent(_) => self.open += 1,
                Event::Outcome(outcome) => {
                    self.open = self.open.saturating_sub(1);
                    self.pace = (self.pace * 7 + Duration::from_micros(outcome.elapsed_us)) / 8;
                }
                _ => {}
            }
        }
    }
}

/// Notes of what is on record, held back from the journal while somebody waits for a signature: the journal's thread would
/// take the processor that the answer needs.
struct Held {
    notes: Vec<Signed>,
    last_told: Instant,
}

impl Default for Held {
    fn default() -> Self {
        Self { notes: Vec::new(), last_told: Instant::now() }
    }
}

impl Held {
    /// Most notes that are held back.
    const MOST: usize = 64;
    /// The longest time that they are held back while signatures go on.
    const LONGEST: Duration = Duration::from_millis(100);

    fn enough(&self) -> bool {
        self.notes.len() >= Self::MOST || self.last_told.elapsed() >= Self::LONGEST
    }

    fn tell(&mut self, journal: &Notes) {
        self.notes.drain(..).for_each(|note| journal.signed(note));
        self.last_told = Instant::now();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Also after a panic: nobody waits for a writer that is gone.
        self.inbox.end();
    }
}
