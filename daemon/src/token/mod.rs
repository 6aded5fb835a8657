//! Tokens. A vendor's PKCS#11 module hangs, leaks and crashes, so it lives in worker processes ([`worker`], [`module`]);
//! here is the side that starts them, feeds them and outlives them ([`supervisor`], [`process`], [`queue`]).
//! Nothing outside this folder knows cryptoki.

mod ckr;
mod inbox;
mod mechanism;
mod module;
mod pace;
mod process;
mod queue;
mod slot;
mod supervisor;
pub mod uri;
mod wire;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use chancery_protocol::admin::TokenStatus;
use chancery_protocol::{Algorithm, PublicKey, Reason, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::audit::Recorded;
use crate::config;
use crate::request::OrderInput;
use supervisor::Command;
use uri::Uri;

/// Why a token did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenError {
    /// It cannot be used now; it may come back by itself.
    #[error("the token is unavailable: {detail}")]
    Unavailable {
        /// When another try makes sense.
        retry: Duration,
        /// What the operator should know.
        detail: String,
    },
    /// Too many requests of this user wait for it.
    #[error("too many requests of this user wait for the token")]
    Busy,
    /// The request or the key is at fault.
    #[error("{0}")]
    Request(String),
    /// Only the operator can help.
    #[error("the operator has to act: {0}")]
    Operator(String),
}

impl TokenError {
    /// What a peer is told; the detail is for the journal.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Unavailable { retry, .. } => {
                Refusal::new(Reason::TokenUnavailable, "the token cannot sign now").retry_after(*retry)
            }
            Self::Busy => Refusal::new(Reason::Busy, "too many of your requests are waiting")
                .retry_after(Duration::from_millis(200)),
            Self::Request(_) => Refusal::new(
                Reason::Unsupported,
                "the token refused this request; the daemon's journal says why",
            ),
            Self::Operator(_) => Refusal::new(
                Reason::Misconfigured,
                "the token needs its operator; the daemon's journal and `chancery status` say why",
            ),
        }
    }
}

/// One piece of work for a token.
enum Work {
    Sign { object: Arc<str>, mechanism: wire::SignMechanism, input: Vec<u8> },
    Inspect { object: Arc<str> },
    Generate { label: String, algorithm: Algorithm },
}

/// What work ends in: a signature, or the DER of a public key.
type Answer = Result<Vec<u8>, TokenError>;

/// Work, for whom, until when, and where the answer goes.
struct Job {
    uid: u32,
    work: Work,
    deadline: Instant,
    attempts: u8,
    reply: oneshot::Sender<Answer>,
}

/// A token, to those who want something of it. Clones mean the same token.
#[derive(Clone)]
pub struct Token {
    name: Arc<str>,
    uri: Arc<Uri>,
    patience: Duration,
    commands: mpsc::UnboundedSender<Command>,
}

impl Token {
    /// Starts the workers of a token and looks after them until every handle is gone.
    pub fn start(name: &str, config: config::Token, limits: &config::Limits) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (name, uri) = (Arc::from(name), Arc::new(config.uri.clone()));
        let queue = queue::Queue::new(limits.queued_per_user as usize);
        supervisor::start(Arc::clone(&name), config, queue, commands.downgrade(), inbox);
        Self { name, uri, patience: limits.request_timeout, commands }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URI.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Signs what was granted and recorded; the permission is used up. A batch is shared among the workers.
    pub async fn sign(
        &self,
        recorded: Recorded,
        uid: u32,
        object: &Arc<str>,
        algorithm: Algorithm,
        input: OrderInput,
    ) -> Result<Vec<Vec<u8>>, TokenError> {
        let scheme = recorded.scheme();
        drop(recorded);
        let (mechanism, inputs) = mechanism::prepare(scheme, algorithm, input);
        let jobs: Vec<_> = inputs
            .into_iter()
            .map(|input| self.submit(uid, Work::Sign { object: Arc::clone(object), mechanism, input }))
            .collect();
        let mut signatures = Vec::with_capacity(jobs.len());
        for job in jobs {
            let signature = self.answer(job).await?;
            if signature.len() != algorithm.signature_len() {
                let text = format!("a signature of {} bytes from a {algorithm} key", signature.len());
                return Err(TokenError::Request(text));
            }
            signatures.push(signature);
        }
        Ok(signatures)
    }

    /// The public key of an object.
    pub async fn inspect(&self, object: &Arc<str>) -> Result<PublicKey, TokenError> {
        self.public_key(Work::Inspect { object: Arc::clone(object) }).await
    }

    /// Makes a key pair labelled `label`.
    pub async fn generate(&self, label: &str, algorithm: Algorithm) -> Result<PublicKey, TokenError> {
        self.public_key(Work::Generate { label: label.to_owned(), algorithm }).await
    }

    async fn public_key(&self, work: Work) -> Result<PublicKey, TokenError> {
        let spki = self.answer(self.submit(0, work)).await?;
        PublicKey::from_spki(&spki).map_err(|bad| TokenError::Request(bad.to_string()))
    }

    /// How it is.
    pub async fn status(&self) -> Option<TokenStatus> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Status(reply)).ok()?;
        answer.await.ok()
    }

    /// The operator has acted: a token that was given up for a wrong PIN is tried once more.
    pub fn try_again(&self) {
        let _ = self.commands.send(Command::TryAgain);
    }

    fn submit(&self, uid: u32, work: Work) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let job = Job { uid, work, deadline: Instant::now() + self.patience, attempts: 0, reply };
        let _ = self.commands.send(Command::Job(job));
        answer
    }

    async fn answer(&self, job: oneshot::Receiver<Answer>) -> Answer {
        job.await.unwrap_or_else(|_| {
            Err(TokenError::Unavailable {
                retry: Duration::from_secs(1),
                detail: "the daemon is stopping".to_owned(),
            })
        })
    }
}
