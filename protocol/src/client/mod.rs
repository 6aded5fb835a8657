//! The client: many requests in flight on one connection, which it makes again when it breaks.
//!
//! Signing is repeatable, so a request whose answer was lost with a connection is sent again on the next one, and a
//! refusal that says "later" is tried again later, until the caller's patience ends. Restarting the daemon therefore
//! costs its clients a pause and no request.

mod connection;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};

use crate::agent::{self, Agent};
use crate::hello::Welcome;
use crate::words::{CertificateKind, KeyName};
use crate::{Refusal, Service, admin};

/// Requests that may wait inside the client before `call` itself waits.
const BACKLOG: usize = 256;
/// Shortest pause before a refused request is tried again.
const SHORTEST_RETRY: Duration = Duration::from_millis(5);

/// Why a request got no answer that serves.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket could not be reached at all.
    #[error("no connection to {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The daemon refused the request.
    #[error("{0}")]
    Refused(Refusal),
    /// No answer came in time.
    #[error("no answer from {} within {} s{}", path.display(), patience.as_secs(),
            last_fault.as_ref().map(|fault| format!(" (last: {fault})")).unwrap_or_default())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        patience: Duration,
        /// What went wrong with the connection last, if anything did.
        last_fault: Option<String>,
    },
    /// The other side does not speak this protocol, or another version of it.
    #[error("{} does not speak this protocol: {what}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        what: String,
    },
    /// The connection broke, and the request is none that may be sent twice.
    #[error("the connection to {} broke before the answer; the request may have been carried out", path.display())]
    Unknown {
        /// The socket.
        path: PathBuf,
    },
    /// The request does not fit a frame.
    #[error("{0}")]
    TooLong(#[from] crate::codec::TooLong),
}

/// A client of one of the daemon's sockets. Clones share the connection.
pub struct Client<S: Service> {
    requests: mpsc::Sender<Pending<S>>,
    fault: watch::Receiver<Option<String>>,
    welcome: Welcome,
    path: PathBuf,
    patience: Duration,
}

impl<S: Service> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            fault: self.fault.clone(),
            welcome: self.welcome.clone(),
            path: self.path.clone(),
            patience: self.patience,
        }
    }
}

/// A request on its way, and where its answer goes.
struct Pending<S: Service> {
    request: S::Request,
    reply: oneshot::Sender<Result<S::Response, ClientError>>,
}

impl<S: Service> Client<S> {
    /// Connects to `path`, waiting at most `patience` for the daemon, now and for each answer later.
    ///
    /// A socket that does not exist or may not be opened is an error at once; one that nobody serves yet is waited for.
    pub async fn connect(path: &Path, patience: Duration) -> Result<Self, ClientError> {
        let deadline = Instant::now() + patience;
        let mut backoff = connection::Backoff::default();
        let (connected, welcome) = loop {
            match connection::connect::<S>(path).await {
                Ok(connected) => break connected,
                Err(fault) if fault.is_passing() && Instant::now() + backoff.delay() < deadline => {
                    sleep(backoff.next()).await;
                }
                Err(fault) => return Err(fault.into_error(path)),
            }
        };
        let (requests, inbox) = mpsc::channel(BACKLOG);
        let (fault_in, fault) = watch::channel(None);
        tokio::spawn(connection::run::<S>(path.to_owned(), connected, inbox, fault_in));
        Ok(Self { requests, fault, welcome, path: path.to_owned(), patience })
    }

    /// The terms that the daemon gave at the first connection.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends `request` and waits for its answer, trying again while the daemon says that it can help.
    pub async fn call(&self, request: S::Request) -> Result<S::Response, ClientError> {
        let deadline = Instant::now() + self.patience;
        loop {
            let refusal = match self.attempt(request.clone(), deadline).await {
                Err(ClientError::Refused(refusal)) => refusal,
                answer => return answer,
            };
            match refusal.retry() {
                Some(delay) if Instant::now() + delay < deadline => sleep(delay.max(SHORTEST_RETRY)).await,
                _ => return Err(ClientError::Refused(refusal)),
            }
        }
    }

    async fn attempt(&self, request: S::Request, deadline: Instant) -> Result<S::Response, ClientError> {
        let (reply, answer) = oneshot::channel();
        let sent = async {
            self.requests.send(Pending { request, reply }).await.ok()?;
            answer.await.ok()
        };
        match timeout_at(deadline, sent).await {
            Ok(Some(answer)) => S::refusal(answer?).map_err(ClientError::Refused),
            _ => Err(ClientError::NoAnswer {
                path: self.path.clone(),
                patience: self.patience,
                last_fault: self.fault.borrow().clone(),
            }),
        }
    }

    fn unexpected(&self, name: &str) -> ClientError {
        ClientError::Protocol {
            path: self.path.clone(),
            what: format!("an answer of type {name} to another question"),
        }
    }
}

impl Client<Agent> {
    /// Signatures over digests, in their order.
    pub async fn sign(&self, request: agent::Sign) -> Result<Vec<Vec<u8>>, ClientError> {
        let asked = request.digests.len();
        match self.call(agent::Request::Sign(request)).await? {
            agent::Response::Signatures(answer) if answer.signatures.len() == asked => {
                Ok(answer.signatures.into_iter().map(serde_bytes::ByteBuf::into_vec).collect())
            }
            other => Err(self.unexpected(other.name())),
        }
    }

    /// The signature over a message.
    pub async fn sign_message(&self, request: agent::SignMessage) -> Result<Vec<u8>, ClientError> {
        match self.call(agent::Request::SignMessage(request)).await? {
            agent::Response::Signatures(mut answer) if answer.signatures.len() == 1 => {
                Ok(answer.signatures.swap_remove(0).into_vec())
            }
            other => Err(self.unexpected(other.name())),
        }
    }

    /// Every key that this user may use.
    pub async fn keys(&self) -> Result<Vec<agent::KeySummary>, ClientError> {
        let mut keys: Vec<agent::KeySummary> = Vec::new();
        loop {
            let after = keys.last().map(|key| key.name.clone());
            match self.call(agent::Request::ListKeys(agent::ListKeys { after })).await? {
                agent::Response::Keys(page) => {
                    let done = !page.more || page.keys.is_empty();
                    keys.extend(page.keys);
                    if done {
                        return Ok(keys);
                    }
                }
                other => return Err(self.unexpected(other.name())),
            }
        }
    }

    /// What a key is.
    pub async fn describe(&self, key: &KeyName) -> Result<agent::KeyDescription, ClientError> {
        match self.call(agent::Request::DescribeKey(agent::DescribeKey { key: key.clone() })).await? {
            agent::Response::KeyDescription(description) => Ok(description),
            other => Err(self.unexpected(other.name())),
        }
    }

    /// A certificate stored with a key.
    pub async fn certificate(&self, key: &KeyName, kind: CertificateKind) -> Result<Vec<u8>, ClientError> {
        let request = agent::FetchCertificate { key: key.clone(), kind: kind.code() };
        match self.call(agent::Request::FetchCertificate(request)).await? {
            agent::Response::Certificate(certificate) => Ok(certificate.bytes.into_vec()),
            other => Err(self.unexpected(other.name())),
        }
    }
}

impl Client<admin::Admin> {
    /// How the daemon is.
    pub async fn status(&self) -> Result<admin::StatusReport, ClientError> {
        match self.call(admin::Request::Status(admin::Status { extensions: Vec::new() })).await? {
            admin::Response::StatusReport(report) => Ok(report),
            other => Err(self.unexpected(other.name())),
        }
    }

    /// Makes a key.
    pub async fn generate_key(
        &self,
        request: admin::GenerateKey,
    ) -> Result<agent::KeyDescription, ClientError> {
        match self.call(admin::Request::GenerateKey(request)).await? {
            admin::Response::KeyDescription(description) => Ok(description),
            other => Err(self.unexpected(other.name())),
        }
    }

    /// Keeps a certificate with its key; what was done, in words.
    pub async fn store_certificate(&self, request: admin::StoreCertificate) -> Result<String, ClientError> {
        self.done(admin::Request::StoreCertificate(request)).await
    }

    /// Makes the daemon read its policy again; what was done, in words.
    pub async fn reload(&self) -> Result<String, ClientError> {
        self.done(admin::Request::Reload(admin::Reload { extensions: Vec::new() })).await
    }

    async fn done(&self, request: admin::Request) -> Result<String, ClientError> {
        match self.call(request).await? {
            admin::Response::Done(done) => Ok(done.message),
            other => Err(self.unexpected(other.name())),
        }
    }
}
