//! A place for one worker process, and the requests that the process has.

use std::collections::BTreeMap;
use std::time::Duration;

use chancery_protocol::ByteBuf;
use tokio::time::Instant;

use super::pace::LEAST_DEPTH;
use super::process::Process;
use super::wire::ToWorker;
use super::{Job, Work};
use crate::config;

/// Times in a row that a worker may say that its token is busy, before another takes its place.
const MOST_BUSY: u8 = 8;

/// A place for a worker process.
pub enum Slot {
    /// No process.
    Empty,
    /// Loading the module and logging in.
    Starting { process: Process, deadline: Instant },
    /// Serving.
    Ready(Working),
}

impl Slot {
    /// Whether this is the place of the process of that number.
    pub fn holds(&self, number: u64) -> bool {
        match self {
            Self::Empty => false,
            Self::Starting { process, .. } | Self::Ready(Working { process, .. }) => process.number == number,
        }
    }

    /// The worker, if it serves.
    pub fn working(&mut self) -> Option<&mut Working> {
        if let Self::Ready(worker) = self { Some(worker) } else { None }
    }

    /// Requests that are here.
    pub fn load(&self) -> usize {
        if let Self::Ready(worker) = self { worker.load() } else { 0 }
    }
}

/// A worker that serves.
pub struct Working {
    /// Its process.
    pub process: Process,
    /// Requests at the worker, by id, and when each was given to it.
    jobs: BTreeMap<u64, (Instant, Job)>,
    /// When it last answered, or was last given a request while idle.
    progress: Instant,
    /// How often in a row it said that the token is busy.
    busy: u8,
}

impl Working {
    /// A process that has said that it is ready.
    pub fn of(process: Process) -> Self {
        Self { process, jobs: BTreeMap::new(), progress: Instant::now(), busy: 0 }
    }

    /// Requests that it has.
    pub fn load(&self) -> usize {
        self.jobs.len()
    }

    /// Gives it a request under a number of its own.
    pub fn give(&mut self, id: u64, job: Job) {
        let now = Instant::now();
        if self.jobs.is_empty() {
            self.progress = now;
        }
        self.process.tell(message(id, &job.work));
        self.jobs.insert(id, (now, job));
    }

    /// Takes a request off that it is done with, one way or another, and tells what it took since the one before.
    pub fn finished(&mut self, id: u64) -> (Duration, Option<Job>) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.progress);
        self.progress = now;
        (took, self.jobs.remove(&id).map(|(_, job)| job))
    }

    /// It has answered.
    pub fn complied(&mut self) {
        self.busy = 0;
    }

    /// It has said that the token is busy; whether it says so too often.
    pub fn declined_too_often(&mut self) -> bool {
        self.busy += 1;
        self.busy >= MOST_BUSY
    }

    /// What it has not finished, in the order in which it was given. The process ends.
    pub fn into_jobs(self) -> impl DoubleEndedIterator<Item = Job> {
        self.jobs.into_values().map(|(_, job)| job)
    }

    /// When it must have answered: something by the token's time after its last answer, and
    /// each request by its own time and that of those that may be before it, so that one stuck session is not hidden
    /// by the others.
    pub fn due(&self, config: &config::Token) -> Option<Instant> {
        let (oldest, _) = self.jobs.values().next()?;
        // Making a key takes longer than using one.
        let makes = self.jobs.values().any(|(_, job)| matches!(job.work, Work::Generate { .. }));
        let most = if makes { config.timeout.max(config.start_timeout) } else { config.timeout };
        Some((self.progress + most).min(*oldest + most * LEAST_DEPTH))
    }
}

fn message(id: u64, work: &Work) -> ToWorker {
    match work {
        Work::Sign { object, mechanism, input } => ToWorker::Sign {
            id,
            object: object.to_string(),
            mechanism: *mechanism,
            input: ByteBuf::from(input.clone()),
        },
        Work::Inspect { object } => ToWorker::Inspect { id, object: object.to_string() },
        Work::Generate { label, algorithm } => {
            ToWorker::Generate { id, label: label.clone(), algorithm: algorithm.code() }
        }
    }
}
