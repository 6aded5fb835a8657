//! The daemon's life: open what is needed, serve, reload when told, drain and end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use chancery_protocol::admin::Admin;
use chancery_protocol::agent::Agent;
use chancery_protocol::stream::Stream;
use chancery_protocol::{Reason, Refusal};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::args::Serve;
use crate::audit::{Audit, checkpoint};
use crate::config::Config;
use crate::house::House;
use crate::journal;
use crate::listen::Sockets;
use crate::peer::Peer;
use crate::session::{self, Account, Desk};
use crate::token::Token;

/// How long requests that were accepted may take to be answered after the order to stop.
const DRAIN: Duration = Duration::from_secs(25);

/// Connections over their user's limit that are told so at a time.
const MOST_TURNED_AWAY: usize = 64;
/// How long the last checkpoint may take.
const LAST_CHECKPOINT: Duration = Duration::from_secs(3);

/// Serves until told to stop.
pub fn run(args: &Serve) -> Result<()> {
    harden()?;
    journal::start()?;
    let config = Config::read(&args.config)?;
    let sockets = Sockets::open(args)?;
    let max_file = u64::from(config.audit.max_file_mib.max(1)) << 20;
    let audit = Audit::open(&config.audit.directory, max_file, journal::Notes::start()?)?;
    // One thread carries every connection: it hands bytes on, while tokens sign in processes and the trail is written
    // in a thread of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(config, sockets, audit))
}

/// No core dump and no debugger, and as many connections as the system allows.
fn harden() -> Result<()> {
    // Not dumpable already means no core; the limit says it twice. A unit's sandbox may forbid to change limits, after
    // it has set them itself.
    prctl::set_dumpable(false)?;
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    Ok(())
}

async fn serve(config: Config, sockets: Sockets, audit: Audit) -> Result<()> {
    let Sockets { agents, admin, made: _made } = sockets;
    let tokens =
        config.token.iter().map(|(name, token)| Token::start(name, token.clone(), &config.limits)).collect();
    let house = Arc::new(House::new(config, tokens, audit));
    let result = house.reload().await.context("the policy");
    if let Err(error) = result {
        house.audit.close();
        return Err(error);
    }
    let (stop, stopped) = watch::channel(false);
    let users = Arc::new(Users::default());
    let mut doors = JoinSet::new();
    let agents = UnixListener::from_std(agents)?;
    doors.spawn(open_door::<Agent>(agents, Arc::clone(&house), Arc::clone(&users), stopped.clone()));
    if let Some(listener) = admin {
        let listener = UnixListener::from_std(listener)?;
        doors.spawn(open_door::<Admin>(listener, Arc::clone(&house), Arc::clone(&users), stopped.clone()));
    }
    let checkpoints = tokio::spawn(checkpoint::keep(Arc::clone(&house)));
    if house.config.vigil {
        let house = Arc::clone(&house);
        tokio::spawn(async move { house.vigil.keep().await });
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tracing::info!(
        message_id = journal::STARTED,
        "{} serves {} keys",
        concat!("chanceryd ", env!("CARGO_PKG_VERSION")),
        house.rules().policy.len()
    );
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
    let watchdog = sd_notify::watchdog_enabled().map(|period| period / 2);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?]);
                let house = Arc::clone(&house);
                tokio::spawn(async move {
                    // What is wrong has gone to the journal and to `chancery status`; the old policy serves.
                    let status = match house.mended().await {
                        Ok(_) => "serving",
                        Err(_) => "serving with the old policy: the new one is not good",
                    };
                    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
                });
            }
            () = sleep(watchdog.unwrap_or(Duration::from_secs(3600))), if watchdog.is_some() => {
                notify(&[NotifyState::Watchdog]);
            }
        }
    }
    notify(&[NotifyState::Stopping]);
    stop.send_replace(true);
    let drained = timeout(DRAIN, async { while doors.join_next().await.is_some() {} }).await.is_ok();
    checkpoints.abort();
    // A token that hangs must not keep the trail from being closed.
    let _ = timeout(LAST_CHECKPOINT, checkpoint::last(&house)).await;
    tracing::info!(message_id = journal::DRAINED, chancery_drained = drained, "chanceryd ends");
    house.audit.close();
    Ok(())
}

fn notify(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(state);
}

/// How many connections each user has open, and what is unanswered on them.
#[derive(Default)]
struct Users(Mutex<HashMap<u32, (u32, Arc<Account>)>>);

impl Users {
    /// A place for one more connection of `uid`, kept until it is dropped.
    fn place(self: &Arc<Self>, uid: u32, most: u32) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, account) = open.entry(uid).or_default();
        (*count < most).then(|| {
            *count += 1;
            Place { users: Arc::clone(self), uid, account: Arc::clone(account) }
        })
    }
}

/// One connection's place among its user's.
struct Place {
    users: Arc<Users>,
    uid: u32,
    account: Arc<Account>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.users.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = open.get_mut(&self.uid) {
            *count -= 1;
            // Requests that are still under way hold the account; whoever comes back finds it again.
            if *count == 0 && Arc::strong_count(&self.account) == 2 {
                open.remove(&self.uid);
            }
        }
    }
}

/// Accepts connections until the daemon stops, then waits for those that are open to end.
async fn open_door<D: Desk>(
    listener: UnixListener,
    house: Arc<House>,
    users: Arc<Users>,
    mut stop: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    let most = house.config.limits.connections_per_user;
    let polite = Arc::new(Semaphore::new(MOST_TURNED_AWAY));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
            Some(_) = sessions.join_next(), if !sessions.is_empty() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: those who are connected go on, and their end makes room.
                tracing::error!("a connection could not be accepted: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let peer = match Peer::of(&stream) {
            Ok(peer) => Arc::new(peer),
            Err(error) => {
                tracing::warn!("a connection was dropped, its peer is unknown: {error}");
                continue;
            }
        };
        let stream = match stream.into_std().and_then(Stream::new) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!("a connection was dropped: {error}");
                continue;
            }
        };
        let (house, stop) = (Arc::clone(&house), stop.clone());
        if let Some(place) = users.place(peer.uid(), most) {
            sessions.spawn(async move {
                session::serve::<D>(stream, peer, house, &place.account, stop).await;
                drop(place);
            });
        } else {
            let refusal =
                Refusal::new(Reason::Busy, format!("{most} connections of your user are open already"))
                    .retry_after(Duration::from_millis(200));
            // Only so many are told; the rest are dropped, which clients take for "later" too.
            if let Ok(permit) = Arc::clone(&polite).try_acquire_owned() {
                let mut stop = stop;
                sessions.spawn(async move {
                    tokio::select! {
                        () = session::turn_away(stream, refusal) => {}
                        _ = stop.changed() => {}
                    }
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    while sessions.join_next().await.is_some() {}
}
