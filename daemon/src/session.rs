//! One connection: hello, then frames in and frames out, in whatever order the answers come.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use chancery_protocol::frame::{Frame, MAX_FRAME};
use chancery_protocol::hello::{FromClient, FromDaemon, HELLO_VERSION, Welcome, agree};
use chancery_protocol::stream::Stream;
use chancery_protocol::{BadMessage, MAX_BATCH, Message, Reason, Refusal, Service};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use crate::house::House;
use crate::journal;
use crate::peer::Peer;

/// A service and how its requests are answered.
pub trait Desk: Service {
    /// Answers one request.
    fn answer(
        house: Arc<House>,
        peer: Arc<Peer>,
        request: Self::Request,
    ) -> impl Future<Output = Self::Response> + Send;
}

/// The bytes of one user's unanswered requests, over all connections.
#[derive(Debug, Default)]
pub struct Account(AtomicUsize);

/// A request's bytes on its user's account, until it is answered.
struct Charge(Arc<Account>, usize);

impl Account {
    /// Puts `bytes` on the account, if it then holds at most `most`.
    fn charge(self: &Arc<Self>, bytes: usize, most: usize) -> Option<Charge> {
        let held = self.0.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let charge = Charge(Arc::clone(self), bytes);
        (held <= most).then_some(charge)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// How long a client may take for its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// While this many bytes of answers wait for a client that does not read, nothing more is read from it.
const MOST_UNREAD: usize = 4 * MAX_FRAME;

/// How long a client may leave answers unread, without taking any of them, while the daemon stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a connection ended, if not by its client's leave.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The client does not keep to the protocol.
    #[error("{0}")]
    Protocol(String),
}

impl From<chancery_protocol::frame::BadFrame> for Broken {
    fn from(bad: chancery_protocol::frame::BadFrame) -> Self {
        Self::Protocol(bad.to_string())
    }
}

impl From<BadMessage> for Broken {
    fn from(bad: BadMessage) -> Self {
        Self::Protocol(bad.to_string())
    }
}

/// Serves a connection until the client leaves, breaks the protocol, or the daemon stops.
pub async fn serve<D: Desk>(
    stream: Stream,
    peer: Arc<Peer>,
    house: Arc<House>,
    account: &Arc<Account>,
    stop: watch::Receiver<bool>,
) {
    house.counters.connections.fetch_add(1, Ordering::Relaxed);
    match converse::<D>(stream, &peer, &house, account, stop).await {
        Ok(()) | Err(Broken::Io(_)) => {}
        Err(Broken::Protocol(what)) => tracing::warn!(
            message_id = journal::PROTOCOL_BROKEN,
            chancery_uid = peer.uid(),
            chancery_pid = peer.pid(),
            chancery_error = what,
            "a client of uid {} broke the protocol and was cut off: {what}",
            peer.uid()
        ),
    }
    house.counters.connections.fetch_sub(1, Ordering::Relaxed);
}

async fn converse<D: Desk>(
    stream: Stream,
    peer: &Arc<Peer>,
    house: &Arc<House>,
    account: &Arc<Account>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Broken> {
    let most_bytes = (house.config.limits.in_flight_mib_per_user.max(1) as usize) << 20;
    let most_in_flight = usize::from(house.config.limits.in_flight_per_connection.max(1));
    let mut input = BytesMut::new();
    let hello = tokio::select! {
        biased;
        hello = timeout(HELLO_TIMEOUT, hello::<D>(&stream, &mut input, house)) => hello,
        // Nothing was accepted yet; a client that is about to say hello says it to the next daemon.
        _ = stop.changed() => return Ok(()),
    };
    let Ok(hello) = hello else {
        return Err(Broken::Protocol("no hello in time".to_owned()));
    };
    let Some(version) = hello? else { return Ok(()) };
    let mut output = BytesMut::new();
    let (reply, mut answers) = mpsc::unbounded_channel::<BytesMut>();
    let mut in_flight = 0;
    let mut stopping = *stop.borrow_and_update();
    loop {
        // Frames that came before there was room for them.
        while in_flight < most_in_flight && !stopping && output.len() < MOST_UNREAD {
            let Some(frame) = Frame::take(&mut input)? else { break };
            if frame.version != version {
                return Err(BadMessage::Version(frame.version).into());
            }
            let request = D::Request::decode(frame.kind, &frame.body)?;
            in_flight += 1;
            let Some(charge) = account.charge(frame.body.len(), most_bytes) else {
                let refusal = Refusal::new(Reason::Busy, "too much of what your user asked is unanswered")
                    .retry_after(Duration::from_millis(200));
                let _ = reply.send(frame_of::<D>(&D::refused(refusal), version, frame.id));
                continue;
            };
            let (house, peer, reply) = (Arc::clone(house), Arc::clone(peer), reply.clone());
            // A task of its own: it also finishes when the client leaves, so that no intent stays without its outcome.
            tokio::spawn(async move {
                let response = D::answer(house, peer, request).await;
                let _ = reply.send(frame_of::<D>(&response, version, frame.id));
                drop(charge);
            });
        }
        if input.is_empty() {
            // An idle connection holds no buffer.
            input = BytesMut::new();
        }
        stream.write(&mut output)?;
        if stopping && in_flight == 0 && output.is_empty() {
            return Ok(());
        }
        let reads = in_flight < most_in_flight && !stopping && output.len() < MOST_UNREAD;
        tokio::select! {
            biased;
            // First, so that a client that always has something to say does not keep the daemon from stopping.
            _ = stop.changed(), if !stopping => stopping = true,
            Some(answer) = answers.recv(), if in_flight > 0 => {
                in_flight -= 1;
                output.unsplit(answer);
                while let Ok(answer) = answers.try_recv() {
                    in_flight -= 1;
                    output.unsplit(answer);
                }
            }
            count = stream.read(&mut input), if reads => {
                if count? == 0 {
                    return Ok(());
                }
            }
            room = stream.room(), if !output.is_empty() => room?,
            // All is answered, and the client does not take it: it may ask the next daemon.
            () = sleep(LAST_WORDS), if stopping && in_flight == 0 => return Ok(()),
        }
    }
}

/// The hello exchange: the version that both speak; `None` after a polite refusal.
async fn hello<D: Desk>(stream: &Stream, input: &mut BytesMut, house: &House) -> Result<Option<u8>, Broken> {
    let frame = loop {
        if let Some(frame) = Frame::take(input)? {
            break frame;
        }
        if stream.read(input).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    };
    if frame.version != HELLO_VERSION {
        return Err(BadMessage::Version(frame.version).into());
    }
    let FromClient::Hello(hello) = FromClient::decode(frame.kind, &frame.body)?;
    if hello.magic != D::MAGIC {
        return Err(Broken::Protocol(format!("a hello for another socket than the {} one", D::NAME)));
    }
    let software = concat!("chanceryd ", env!("CARGO_PKG_VERSION")).to_owned();
    let answer = match agree(hello.min_version, hello.max_version) {
        Some(version) => FromDaemon::Welcome(Welcome {
            version,
            max_frame: u32::try_from(MAX_FRAME).unwrap_or(u32::MAX),
            max_batch: u16::try_from(MAX_BATCH).unwrap_or(u16::MAX),
            max_in_flight: house.config.limits.in_flight_per_connection.max(1),
            software,
            extensions: Vec::new(),
        }),
        None => FromDaemon::Refused(Refusal::new(
            Reason::Unsupported,
            format!(
                "{software} speaks no protocol version between {} and {}",
                hello.min_version, hello.max_version
            ),
        )),
    };
    write(stream, &answer).await?;
    Ok(match answer {
        FromDaemon::Welcome(welcome) => Some(welcome.version),
        FromDaemon::Refused(_) => None,
    })
}

/// Tells a client that it is not served at all.
pub async fn turn_away(stream: Stream, refusal: Refusal) {
    // Its hello is read first, so that it is not still writing when the connection closes. The answer is short enough
    // for any socket buffer; a client that does not read it learns nothing.
    let answer = async {
        stream.read(&mut BytesMut::new()).await?;
        write(&stream, &FromDaemon::Refused(refusal)).await
    };
    let _ = timeout(HELLO_TIMEOUT, answer).await;
}

async fn write(stream: &Stream, message: &FromDaemon) -> Result<(), Broken> {
    let mut out = BytesMut::new();
    message.put(HELLO_VERSION, 0, &mut out).map_err(io::Error::other)?;
    Ok(stream.write_all(out).await?)
}

/// An answer as a frame; one that does not fit becomes a refusal that does.
fn frame_of<D: Desk>(response: &D::Response, version: u8, id: u32) -> BytesMut {
    let mut out = BytesMut::new();
    if response.put(version, id, &mut out).is_err() {
        out.clear();
        let refusal = Refusal::new(Reason::Internal, "the answer does not fit a frame");
        // A refusal is at most a kilobyte.
        let _ = D::refused(refusal).put(version, id, &mut out);
    }
    out
}
