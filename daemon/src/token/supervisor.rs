//! The supervisor of one token's workers: an actor that owns the queue, the processes and the breaker.
//!
//! A worker that dies, or that misses its deadline and is killed, gives its unanswered requests back to the queue.
//! While no worker can be started, requests are answered at once with "later" (the breaker); the token is tried again
//! at growing intervals, and the first worker that is ready closes the breaker. A wrong PIN is not tried again until
//! the operator says so.

use std::sync::Arc;
use std::time::Duration;

use chancery_protocol::admin::TokenStatus;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use super::pace::Pace;
use super::process::{Event, Process, What};
use super::queue::Queue;
use super::slot::{Slot, Working};
use super::wire::{Class, Fault, FromWorker};
use super::{Answer, Job, TokenError, Work};
use crate::{config, journal};

/// What the supervisor is told.
pub enum Command {
    /// Do this.
    Job(Job),
    /// Say how the token is.
    Status(oneshot::Sender<TokenStatus>),
    /// The operator has acted.
    TryAgain,
}

/// Times that a request may be at a worker that is lost, before it is given back to its sender.
const MOST_ATTEMPTS: u8 = 4;
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Pause before a request that the token refused as busy is tried again.
const TRANSIENT_PAUSE: Duration = Duration::from_millis(50);

/// The state that operators are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Ready,
    Unavailable,
    LockedOut,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unavailable => "unavailable",
            Self::LockedOut => "locked-out",
        }
    }
}

struct Supervisor {
    name: Arc<str>,
    config: config::Token,
    queue: Queue,
    slots: Vec<Slot>,
    commands: mpsc::WeakUnboundedSender<Command>,
    events: mpsc::UnboundedSender<Event>,
    state: State,
    since: Instant,
    /// Starts or workers lost since the last answer of the token.
    losses: u32,
    next_start: Instant,
    /// The operator has to act before another worker is started.
    held_back: bool,
    next_number: u64,
    next_id: u64,
    pace: Pace,
    signatures: u64,
    restarts: u64,
    last_error: String,
}

/// Starts the supervisor as a task of its own.
pub fn start(
    name: Arc<str>,
    config: config::Token,
    queue: Queue,
    commands: mpsc::WeakUnboundedSender<Command>,
    inbox: mpsc::UnboundedReceiver<Command>,
) {
    let (events, heard) = mpsc::unbounded_channel();
    let slots = (0..config.workers.count()).map(|_| Slot::Empty).collect();
    let now = Instant::now();
    let supervisor = Supervisor {
        name,
        config,
        queue,
        slots,
        commands,
        events,
        state: State::Starting,
        since: now,
        losses: 0,
        next_start: now,
        held_back: false,
        next_number: 1,
        next_id: 1,
        pace: Pace::default(),
        signatures: 0,
        restarts: 0,
        last_error: String::new(),
    };
    tokio::spawn(supervisor.run(inbox, heard));
}

impl Supervisor {
    async fn run(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Command>,
        mut heard: mpsc::UnboundedReceiver<Event>,
    ) {
        loop {
            self.start_next();
            self.dispatch();
            let wake = self.wake();
            tokio::select! {
                biased;
                Some(event) = heard.recv() => {
                    self.event(event);
                    while let Ok(event) = heard.try_recv() {
                        self.event(event);
                    }
                }
                command = inbox.recv() => {
                    let Some(command) = command else { return };
                    self.command(command);
                    while let Ok(command) = inbox.try_recv() {
                        self.command(command);
                    }
                }
                () = sleep_until(wake) => self.expire(Instant::now()),
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Job(job) => match self.state {
                State::Unavailable | State::LockedOut => self.turn_away(job),
                State::Starting | State::Ready => self.queue.push(job),
            },
            Command::Status(reply) => drop(reply.send(self.status())),
            Command::TryAgain => {
                self.held_back = false;
                if self.state == State::LockedOut {
                    self.enter(State::Starting);
                }
                self.next_start = Instant::now();
            }
        }
    }

    /// Starts a worker if one is missing and it is time. One after another: soft tokens rewrite their files at login,
    /// and workers that log in at once disturb each other.
    fn start_next(&mut self) {
        let starting = self.slots.iter().any(|slot| matches!(slot, Slot::Starting { .. }));
        let now = Instant::now();
        if starting || self.held_back || now < self.next_start {
            return;
        }
        let Some(empty) = self.slots.iter().position(|slot| matches!(slot, Slot::Empty)) else { return };
        let number = self.next_number;
        self.next_number += 1;
        match Process::spawn(number, &self.config, self.events.clone()) {
            Ok(process) => {
                self.slots[empty] = Slot::Starting { process, deadline: now + self.config.start_timeout };
            }
            // Without its PIN file a worker is not even started; that is the operator's to mend, but a file system
            // that comes late is waited for.
            Err(error) => self.start_failed(format!("{error:#}")),
        }
    }

    /// Hands waiting jobs to the workers that have least to do.
    fn dispatch(&mut self) {
        let most = usize::from(self.config.sessions.max(1)) * self.pace.depth();
        while self.queue.len() > 0 {
            let free = self.slots.iter_mut().filter_map(Slot::working).filter(|worker| worker.load() < most);
            let Some(worker) = free.min_by_key(|worker| worker.load()) else { return };
            let Some(job) = self.queue.pop() else { return };
            worker.give(self.next_id, job);
            self.next_id += 1;
        }
    }

    fn event(&mut self, event: Event) {
        let number = event.process;
        // A process that was killed may still be heard; its jobs are elsewhere by now.
        let Some(at) = self.slots.iter().position(|slot| slot.holds(number)) else { return };
        match event.what {
            What::Said(FromWorker::Ready) => self.ready(at),
            What::Said(FromWorker::Failed(fault)) => {
                self.slots[at] = Slot::Empty;
                if fault.class == Class::Operator {
                    self.lock_out(fault);
                } else {
                    self.start_failed(fault.text);
                }
            }
            What::Said(FromWorker::Signed { id, signature }) => {
                self.signatures += 1;
                self.answered(at, id, Ok(signature.into_vec()));
            }
            What::Said(FromWorker::PublicKey { id, spki }) => self.answered(at, id, Ok(spki.into_vec())),
            What::Said(FromWorker::Fault { id, fault }) => self.fault(at, id, fault),
            What::Ended(how) => self.lost(at, format!("worker process {number} is gone: {how}")),
        }
    }

    fn ready(&mut self, at: usize) {
        if let Slot::Starting { process, .. } = std::mem::replace(&mut self.slots[at], Slot::Empty) {
            tracing::debug!(chancery_token = &*self.name, chancery_worker = process.pid(), "worker ready");
            self.slots[at] = Slot::Ready(Working::of(process));
            self.enter(State::Ready);
        }
    }

    /// Takes a job off a worker that is done with it.
    fn finished(&mut self, at: usize, id: u64) -> Option<Job> {
        let (took, job) = self.slots[at].working()?.finished(id);
        self.pace.note(took);
        job
    }

    fn answered(&mut self, at: usize, id: u64, answer: Answer) {
        self.losses = 0;
        if let Some(worker) = self.slots[at].working() {
            worker.complied();
        }
        if let Some(job) = self.finished(at, id) {
            let _ = job.reply.send(answer);
        }
    }

    fn fault(&mut self, at: usize, id: u64, fault: Fault) {
        match fault.class {
            Class::Request => self.answered(at, id, Err(TokenError::Request(fault.text))),
            Class::Operator => self.answered(at, id, Err(TokenError::Operator(fault.text))),
            Class::Transient => {
                // A worker that only ever says "busy" is the first to be free for more, and would draw all work.
                if self.slots[at].working().is_some_and(Working::declined_too_often) {
                    return self.lost(at, fault.text);
                }
                let Some(mut job) = self.finished(at, id) else { return };
                self.last_error.clone_from(&fault.text);
                job.attempts += 1;
                if job.attempts >= MOST_ATTEMPTS {
                    let _ = job.reply.send(Err(self.unavailable(fault.text)));
                } else if let Some(commands) = self.commands.upgrade() {
                    let pause = TRANSIENT_PAUSE * 2_u32.pow(job.attempts.into());
                    tokio::spawn(async move {
                        sleep(pause).await;
                        let _ = commands.send(Command::Job(job));
                    });
                }
            }
            Class::Fatal | Class::Stale => self.lost(at, fault.text),
        }
    }

    /// A worker is gone or of no more use: it is killed, and what it had goes to others.
    fn lost(&mut self, at: usize, why: String) {
        match std::mem::replace(&mut self.slots[at], Slot::Empty) {
            Slot::Empty => {}
            Slot::Starting { .. } => self.start_failed(why),
            Slot::Ready(worker) => {
                self.restarts += 1;
                tracing::warn!(
                    message_id = journal::WORKER_DIED,
                    chancery_token = &*self.name,
                    chancery_worker = worker.process.pid(),
                    chancery_requests = worker.load(),
                    chancery_error = why,
                    "a token worker is lost, its requests go to another: {why}"
                );
                self.last_error = why;
                self.back_off();
                // In their old order before those that wait.
                for mut job in worker.into_jobs().rev() {
                    job.attempts += 1;
                    let once = matches!(job.work, Work::Generate { .. });
                    if once || job.attempts >= MOST_ATTEMPTS {
                        let _ = job.reply.send(Err(self.unavailable(self.last_error.clone())));
                    } else {
                        self.queue.push_again(job);
                    }
                }
            }
        }
        if self.state == State::Ready && !self.slots.iter().any(|slot| matches!(slot, Slot::Ready(_))) {
            self.enter(if self.held_back { State::LockedOut } else { State::Starting });
        }
    }

    fn start_failed(&mut self, why: String) {
        self.last_error = why;
        self.back_off();
        if !self.slots.iter().any(|slot| matches!(slot, Slot::Ready(_))) {
            self.enter(State::Unavailable);
        }
    }

    fn lock_out(&mut self, fault: Fault) {
        self.last_error = fault.text;
        tracing::error!(
            message_id = journal::WRONG_PIN,
            chancery_token = &*self.name,
            chancery_error = self.last_error,
            "the token needs its operator and is not tried again until a reload: {}",
            self.last_error
        );
        self.held_back = true;
        // Workers that are ready know a PIN that was good; they go on.
        if !self.slots.iter().any(|slot| matches!(slot, Slot::Ready(_))) {
            self.enter(State::LockedOut);
        }
    }

    /// The first loss after an answer is mended at once; the next ones at growing intervals.
    fn back_off(&mut self) {
        let pause = match self.losses {
            0 => Duration::ZERO,
            losses => (SHORTEST_BACKOFF * 2_u32.pow(losses.min(10) - 1)).min(LONGEST_BACKOFF),
        };
        self.losses += 1;
        self.next_start = Instant::now() + pause;
    }

    fn enter(&mut self, state: State) {
        if self.state == state {
            return;
        }
        let before = std::mem::replace(&mut self.state, state);
        self.since = Instant::now();
        match state {
            State::Unavailable => tracing::error!(
                message_id = journal::TOKEN_UNAVAILABLE,
                chancery_token = &*self.name,
                chancery_error = self.last_error,
                "the token is unavailable and is tried again: {}",
                self.last_error
            ),
            State::Ready => tracing::info!(
                message_id = journal::TOKEN_BACK,
                chancery_token = &*self.name,
                chancery_before = before.as_str(),
                "the token is ready"
            ),
            State::Starting | State::LockedOut => {}
        }
        if matches!(state, State::Unavailable | State::LockedOut) {
            let waiting: Vec<Job> = self.queue.drain().collect();
            for job in waiting {
                self.turn_away(job);
            }
        }
    }

    fn turn_away(&self, job: Job) {
        let error = match self.state {
            State::LockedOut => TokenError::Operator(self.last_error.clone()),
            _ => self.unavailable(self.last_error.clone()),
        };
        let _ = job.reply.send(Err(error));
    }

    fn unavailable(&self, detail: String) -> TokenError {
        let until = self.next_start.saturating_duration_since(Instant::now());
        let retry = until.clamp(Duration::from_millis(50), Duration::from_secs(1));
        TokenError::Unavailable { retry, detail }
    }

    /// When something is due that no message announces.
    fn wake(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let missing = self.slots.iter().any(|slot| matches!(slot, Slot::Empty)) && !self.held_back;
        let starting = self.slots.iter().any(|slot| matches!(slot, Slot::Starting { .. }));
        let slots = self.slots.iter().filter_map(|slot| match slot {
            Slot::Starting { deadline, .. } => Some(*deadline),
            Slot::Ready(worker) => worker.due(&self.config),
            Slot::Empty => None,
        });
        let start = (missing && !starting).then_some(self.next_start);
        slots.chain(start).chain(self.queue.next_deadline()).min().unwrap_or(far)
    }

    fn expire(&mut self, now: Instant) {
        for at in 0..self.slots.len() {
            match &self.slots[at] {
                Slot::Starting { deadline, .. } if *deadline <= now => {
                    self.lost(
                        at,
                        format!("the module did not start within {} s", self.config.start_timeout.as_secs()),
                    );
                }
                Slot::Ready(worker) if worker.due(&self.config).is_some_and(|due| due <= now) => {
                    self.lost(
                        at,
                        format!(
                            "no answer within {} s; the worker was killed",
                            self.config.timeout.as_secs()
                        ),
                    );
                }
                _ => {}
            }
        }
        for job in self.queue.expired(now) {
            let _ = job.reply.send(Err(self.unavailable("no worker was free in time".to_owned())));
        }
    }

    fn status(&self) -> TokenStatus {
        let ready = self.slots.iter().filter(|slot| matches!(slot, Slot::Ready(_))).count();
        let in_flight: usize = self.slots.iter().map(Slot::load).sum();
        TokenStatus {
            name: self.name.to_string(),
            state: self.state.as_str().to_owned(),
            since: self.since.elapsed().as_secs(),
            workers_ready: u16::try_from(ready).unwrap_or(u16::MAX),
            workers: u16::try_from(self.slots.len()).unwrap_or(u16::MAX),
            queued: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
            signatures: self.signatures,
            restarts: self.restarts,
            last_error: self.last_error.clone(),
        }
    }
}
