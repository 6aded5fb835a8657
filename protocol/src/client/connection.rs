//! One connection after another: hello, requests out, answers in, and again when it breaks.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::{ClientError, Pending};
use crate::frame::Frame;
use crate::hello::{FromClient, FromDaemon, HELLO_VERSION, Hello, VERSION, Welcome};
use crate::stream::Stream;
use crate::{Message, Refusal, Service};

/// How long the daemon may take for its half of the hello exchange.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// A pause that doubles from try to try.
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        // Agents that lost the same daemon do not all come back in the same millisecond.
        Self(Duration::from_millis(10 + u64::from(std::process::id() % 8)))
    }
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(1);

    /// The pause before the next try.
    pub(super) fn delay(&self) -> Duration {
        self.0
    }

    /// The same, after which the next one is longer.
    pub(super) fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = (self.0 * 2).min(Self::LONGEST);
        now
    }
}

/// Why a connection could not be made or kept.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Refused(Refusal),
    Protocol(String),
}

impl Fault {
    /// Whether the next try may go better without anybody doing anything.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Io(error) => {
                !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
            }
            Self::Refused(refusal) => refusal.retry().is_some(),
            Self::Protocol(_) => false,
        }
    }

    pub(super) fn into_error(self, path: &Path) -> ClientError {
        let path = path.to_owned();
        match self {
            Self::Io(source) => ClientError::Connect { path, source },
            Self::Refused(refusal) => ClientError::Refused(refusal),
            Self::Protocol(what) => ClientError::Protocol { path, what },
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Io(error) => error.to_string(),
            Self::Refused(refusal) => refusal.to_string(),
            Self::Protocol(what) => what.clone(),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A connection whose hello exchange is done.
pub(super) struct Connected {
    stream: Stream,
    input: BytesMut,
    version: u8,
    max_in_flight: usize,
}

/// Connects and exchanges hellos.
pub(super) async fn connect<S: Service>(path: &Path) -> Result<(Connected, Welcome), Fault> {
    let stream = Stream::new(UnixStream::connect(path).await?.into_std()?)?;
    timeout(HELLO_TIMEOUT, async {
        let hello = FromClient::Hello(Hello {
            magic: S::MAGIC,
            min_version: VERSION,
            max_version: VERSION,
            software: concat!("chancery ", env!("CARGO_PKG_VERSION")).to_owned(),
            extensions: Vec::new(),
        });
        let mut out = BytesMut::new();
        hello.put(HELLO_VERSION, 0, &mut out).map_err(|error| Fault::Protocol(error.to_string()))?;
        stream.write_all(out).await?;
        let mut input = BytesMut::new();
        let frame = loop {
            if let Some(frame) = Frame::take(&mut input).map_err(|bad| Fault::Protocol(bad.to_string()))? {
                break frame;
            }
            if stream.read(&mut input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        match FromDaemon::decode(frame.kind, &frame.body).map_err(|bad| Fault::Protocol(bad.to_string()))? {
            FromDaemon::Refused(refusal) => Err(Fault::Refused(refusal)),
            FromDaemon::Welcome(welcome) if welcome.version == VERSION && frame.version == HELLO_VERSION => {
                let max_in_flight = usize::from(welcome.max_in_flight).max(1);
                Ok((Connected { stream, input, version: welcome.version, max_in_flight }, welcome))
            }
            FromDaemon::Welcome(welcome) => {
                Err(Fault::Protocol(format!("it chose version {}, which was not offered", welcome.version)))
            }
        }
    })
    .await
    .map_err(|_| Fault::Io(io::ErrorKind::TimedOut.into()))?
}

/// The requests that are not answered yet: sent on this connection, or waiting for their turn.
struct Unanswered<S: Service> {
    sent: BTreeMap<u32, Pending<S>>,
    waiting: VecDeque<(u32, Pending<S>)>,
    next_id: u32,
}

impl<S: Service> Unanswered<S> {
    fn add(&mut self, pending: Pending<S>) {
        self.waiting.push_back((self.next_id, pending));
        self.next_id = self.next_id.wrapping_add(1);
    }

    /// Writes waiting requests to `out` as far as the connection may carry them.
    fn put(&mut self, version: u8, max_in_flight: usize, out: &mut BytesMut) {
        while self.sent.len() < max_in_flight {
            let Some((id, pending)) = self.waiting.pop_front() else { return };
            if pending.reply.is_closed() {
                continue;
            }
            match pending.request.put(version, id, out) {
                Ok(()) => drop(self.sent.insert(id, pending)),
                Err(error) => drop(pending.reply.send(Err(error.into()))),
            }
        }
    }

    /// The connection broke: everything that was sent waits again, in its order, unless it may not be sent twice.
    fn unsend(&mut self, path: &Path) {
        for (id, pending) in std::mem::take(&mut self.sent).into_iter().rev() {
            if S::is_repeatable(&pending.request) {
                self.waiting.push_front((id, pending));
            } else {
                let _ = pending.reply.send(Err(ClientError::Unknown { path: path.to_owned() }));
            }
        }
    }

    fn forget_abandoned(&mut self) {
        self.waiting.retain(|(_, pending)| !pending.reply.is_closed());
    }

    fn fail(&mut self, mut error: impl FnMut() -> ClientError) {
        for (_, pending) in self.waiting.drain(..) {
            let _ = pending.reply.send(Err(error()));
        }
    }

    fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.waiting.is_empty()
    }
}

/// Serves `inbox` until every handle is gone.
pub(super) async fn run<S: Service>(
    path: PathBuf,
    first: Connected,
    mut inbox: mpsc::Receiver<Pending<S>>,
    fault: watch::Sender<Option<String>>,
) {
    let mut unanswered = Unanswered { sent: BTreeMap::new(), waiting: VecDeque::new(), next_id: 1 };
    let mut connection = Some(first);
    let mut backoff = Backoff::default();
    loop {
        if let Some(connected) = connection.take() {
            let since = Instant::now();
            match converse(connected, &mut inbox, &mut unanswered).await {
                Ok(()) => return,
                Err(broken) => {
                    fault.send_replace(Some(broken.describe()));
                    unanswered.unsend(&path);
                }
            }
            // A daemon that takes connections and drops them at once is not asked in a busy loop.
            if since.elapsed() > Backoff::LONGEST {
                backoff = Backoff::default();
            } else {
                sleep(backoff.next()).await;
            }
        }
        unanswered.forget_abandoned();
        if unanswered.is_empty() {
            // Nobody waits: connect again when somebody does.
            let Some(pending) = inbox.recv().await else { return };
            unanswered.add(pending);
        }
        match connect::<S>(&path).await {
            Ok((connected, _)) => connection = Some(connected),
            // A socket that has gone may be made again by a restart, so only refusals and strangers end the wait.
            Err(Fault::Io(error)) => {
                fault.send_replace(Some(error.to_string()));
                sleep(backoff.next()).await;
            }
            Err(passing) if passing.is_passing() => {
                fault.send_replace(Some(passing.describe()));
                sleep(backoff.next()).await;
            }
            Err(Fault::Refused(refusal)) => unanswered.fail(|| ClientError::Refused(refusal.clone())),
            Err(stranger) => {
                let what = stranger.describe();
                unanswered.fail(|| ClientError::Protocol { path: path.clone(), what: what.clone() });
            }
        }
    }
}

/// Carries requests and answers over one connection. `Ok` when the client is no longer used.
async fn converse<S: Service>(
    mut connected: Connected,
    inbox: &mut mpsc::Receiver<Pending<S>>,
    unanswered: &mut Unanswered<S>,
) -> Result<(), Fault> {
    let stream = &connected.stream;
    let mut out = BytesMut::new();
    let mut open = true;
    loop {
        unanswered.put(connected.version, connected.max_in_flight, &mut out);
        stream.write(&mut out)?;
        if !open && unanswered.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            count = stream.read(&mut connected.input) => {
                if count? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                take_answers(&mut connected.input, connected.version, unanswered)?;
            }
            // What waits is written at the loop's head.
            room = stream.room(), if !out.is_empty() => room?,
            pending = inbox.recv(), if open && unanswered.waiting.is_empty() => match pending {
                Some(pending) => {
                    unanswered.add(pending);
                    // What else is ready goes out in the same write.
                    while let Ok(pending) = inbox.try_recv() {
                        unanswered.add(pending);
                    }
                }
                None => open = false,
            },
        }
    }
}

fn take_answers<S: Service>(
    input: &mut BytesMut,
    version: u8,
    unanswered: &mut Unanswered<S>,
) -> Result<(), Fault> {
    while let Some(frame) = Frame::take(input).map_err(|bad| Fault::Protocol(bad.to_string()))? {
        if frame.version != version {
            return Err(Fault::Protocol(crate::BadMessage::Version(frame.version).to_string()));
        }
        let response =
            S::Response::decode(frame.kind, &frame.body).map_err(|bad| Fault::Protocol(bad.to_string()))?;
        let Some(pending) = unanswered.sent.remove(&frame.id) else {
            let what = format!("an answer to request {}, which was not sent", frame.id);
            return Err(Fault::Protocol(what));
        };
        let _ = pending.reply.send(Ok(response));
    }
    Ok(())
}
