//! Timestamps from servers (RFC 3161), for signatures of any kind that CMS holds.
//!
//! [`Timestamper`] is all that commands use. It looks into the [`cache`] first, then asks one [`server`] after the other
//! by [`http`], each at its own [`pace`]. What is wrong with an answer decides whether the same server is asked again
//! ([`trouble`]). Which servers there are says the command line, or a file ([`settings`]).

mod cache;
mod http;
mod pace;
mod places;
mod server;
mod settings;
mod trouble;

use std::path::Path;
use std::time::{Duration, Instant};

use chancery_formats::timestamp::{Error, Imprint, Kind, Request, Token, Trust, attach};
use jiff::Timestamp;
use tokio::time::sleep;

pub(crate) use server::Address;

use crate::args::{Global, TimestampServers, Timestamps};
use crate::clock;
use crate::efi::certificates_of;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::blocking;
use cache::Cache;
use http::Http;
use server::Server;
use trouble::{Passing, Trouble};

/// How often one server is asked for one timestamp.
const TRIES: u32 = 3;
/// How long the first pause between two tries is; each one doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long a server may take for an answer, unless `--wait` is shorter.
const ANSWER: Duration = Duration::from_secs(10);

/// Gets timestamps.
pub(crate) struct Timestamper {
    servers: Vec<Server>,
    http: Http,
    cache: Option<Cache>,
    /// How long one server is tried for one timestamp.
    patience: Duration,
}

impl Timestamper {
    /// What `--timestamp` and the options about it ask for; nothing without them.
    pub(crate) fn of(args: &Timestamps, global: &Global) -> Result<Option<Self>, Failure> {
        if args.timestamp || !args.servers.url.is_empty() {
            return Self::new(&args.servers, global).map(Some);
        }
        if args.servers.policy.is_some() || args.servers.ca.is_some() {
            let told =
                "`--timestamp-policy` and `--timestamp-ca` are about timestamps, and none is asked for";
            return Err(Failure::new(Exit::Usage, told).hint("add `--timestamp`, or `--timestamp-url URL`"));
        }
        Ok(None)
    }

    /// The servers that the command line names, or else those of the settings.
    pub(crate) fn new(args: &TimestampServers, global: &Global) -> Result<Self, Failure> {
        let folder = places::cache();
        let mut servers = if args.url.is_empty() {
            settings::read()?
        } else {
            args.url.iter().cloned().map(Server::new).collect()
        };
        let trust = args.ca.as_deref().map(trust).transpose()?;
        for server in &mut servers {
            server.policy = args.policy.or(server.policy);
            if let Some(trust) = &trust {
                server.trust = trust.clone();
            }
            server.pace.share_in(folder.as_deref());
        }
        let patience = Duration::from_secs(global.wait.into());
        let cache = folder.as_deref().and_then(Cache::open);
        let http = Http::new(ANSWER.min(patience), &servers);
        Ok(Self { servers, http, cache, patience })
    }

    /// The signature in `cms`, of the file at `path`, with a timestamp beside it.
    pub(crate) async fn stamp(&self, path: &Path, cms: &[u8], kind: Kind) -> Result<Vec<u8>, Failure> {
        let token = self.token(path, cms).await?;
        attach(cms, &token, kind).map_err(|error| unstampable(path, &error))
    }

    /// A timestamp of the signature in `cms`, of the file at `path`: a kept one, or the first that a server gives.
    pub(crate) async fn token(&self, path: &Path, cms: &[u8]) -> Result<Token, Failure> {
        let imprint = Imprint::of(cms).map_err(|error| unstampable(path, &error))?;
        if let Some(token) = self.kept(&imprint).await? {
            return Ok(token);
        }
        let mut troubles = Vec::new();
        // Who has just failed is asked last.
        let (resting, awake): (Vec<_>, Vec<_>) = self.servers.iter().partition(|server| server.rests());
        for server in awake.into_iter().chain(resting) {
            match self.ask(server, &imprint).await? {
                Ok(token) => {
                    self.keep(server, &imprint, &token).await?;
                    return Ok(token);
                }
                Err(trouble) => troubles.push((server, trouble)),
            }
        }
        Err(nobody(path, &troubles))
    }

    /// Asks one server, again where that may help.
    async fn ask(&self, server: &Server, imprint: &Imprint) -> Result<Result<Token, Trouble>, Failure> {
        let begin = Instant::now();
        let (mut tries, mut pause) = (0, FIRST_PAUSE);
        loop {
            sleep(server.pace.turn().await?).await;
            let trouble = match self.once(server, imprint).await? {
                Ok(token) => return Ok(Ok(token)),
                Err(trouble) => trouble,
            };
            let wait = match trouble.passing {
                Passing::No => return Ok(Err(trouble)),
                Passing::Yes => pause,
                Passing::After(wait) => wait.max(pause),
            };
            tries += 1;
            if tries == TRIES || begin.elapsed() + wait > self.patience {
                server.rest();
                return Ok(Err(trouble.after(tries)));
            }
            sleep(wait).await;
            pause *= 2;
        }
    }

    /// One request, with a nonce of its own, and its answer.
    async fn once(&self, server: &Server, imprint: &Imprint) -> Result<Result<Token, Trouble>, Failure> {
        let request = Request::for_imprint(imprint.clone(), server.policy);
        let request = match request.and_then(|request| Ok((request.to_der()?, request))) {
            Ok(request) => request,
            Err(error) => return Ok(Err(Trouble::of(&error))),
        };
        let (http, address, trust) = (self.http.clone(), server.address.clone(), server.trust.clone());
        blocking(move || {
            let (der, request) = request;
            Ok(http.ask(&address, &der).and_then(|answer| {
                request.answered(&answer, &trust, clock::now().into()).map_err(|error| Trouble::of(&error))
            }))
        })
        .await
    }

    /// A token that one of the servers gave earlier, and that would be taken from it now.
    async fn kept(&self, imprint: &Imprint) -> Result<Option<Token>, Failure> {
        let Some(cache) = self.cache.clone() else { return Ok(None) };
        let asked: Vec<_> = self.servers.iter().map(Server::asked).collect();
        let imprint = imprint.clone();
        blocking(move || {
            Ok(asked.into_iter().find_map(|(address, policy, trust)| {
                let token = cache.token(&address, policy, &imprint)?;
                Request::for_imprint(imprint.clone(), policy).ok()?.kept(&token, &trust).ok()
            }))
        })
        .await
    }

    async fn keep(&self, server: &Server, imprint: &Imprint, token: &Token) -> Result<(), Failure> {
        let Some(cache) = self.cache.clone() else { return Ok(()) };
        let (address, policy, _) = server.asked();
        let (imprint, token) = (imprint.clone(), token.clone());
        blocking(move || {
            cache.keep(&address, policy, &imprint, &token);
            Ok(())
        })
        .await
    }
}

/// The time of a timestamp, in words.
pub(crate) fn told(token: &Token) -> String {
    let time = i64::try_from(token.time()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("{} seconds after 1970", token.time()), |time| time.to_string())
}

/// Certificates in a file that vouch for TSAs.
fn trust(path: &Path) -> Result<Trust, Failure> {
    certificates_of(path).map(Trust::Among)
}

/// A signature that cannot have a timestamp.
pub(crate) fn unstampable(path: &Path, error: &Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {}", path.display(), chain(error)))
        .hint("sign it again, and then with `--timestamp`")
}

/// What every server said. Where all of them may do better later, the exit code says so.
fn nobody(path: &Path, troubles: &[(&Server, Trouble)]) -> Failure {
    let passing = troubles.iter().all(|(_, trouble)| trouble.passing != Passing::No);
    let exit = if passing { Exit::Unavailable } else { Exit::Failed };
    let told = troubles.iter().map(|(server, trouble)| format!("{}: {trouble}", server.address));
    let told = told.collect::<Vec<_>>().join("; ");
    Failure::new(exit, format!("{}: no server gave a timestamp: {told}", path.display()))
        .hint("name another server with `--timestamp-url URL`, or sign without one: `chancery timestamp` adds it later")
}
