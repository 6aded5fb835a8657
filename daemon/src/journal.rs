//! The journal: structured fields where systemd listens, plain lines on stderr elsewhere.
//!
//! It tells operators what happens; it is not the audit trail, which loses nothing. Fields are named `CHANCERY_…`, and
//! events that an operator may want to search for carry a message id, which systemd/chancery.catalog explains.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{fmt, registry};

/// The daemon serves.
pub const STARTED: &str = "da7aa8292f194f359bff033460d06006";
/// The daemon has answered what it had accepted, and ends.
pub const DRAINED: &str = "1babb290471d464d810123327534afa3";
/// A new policy is in force.
pub const POLICY_RELOADED: &str = "8b6794c7a9e44422a770c265dbe4c2da";
/// A policy file is bad; the old policy stays.
pub const POLICY_REFUSED: &str = "ed4354c488fa493b823b0e7dd7ceb7db";
/// A signature left.
pub const SIGNED: &str = "7baadb31b806441abfc5521d07a050bd";
/// A request was refused.
pub const REFUSED: &str = "ef65416f64fd4f13a500f7d3d62f6197";
/// A token worker is lost.
pub const WORKER_DIED: &str = "50f87613970047ba96277f87e7256b9b";
/// A token cannot be used.
pub const TOKEN_UNAVAILABLE: &str = "25e11a0a64a94e01a6e53306506043d2";
/// A token can be used.
pub const TOKEN_BACK: &str = "6d1ebbd375414cae8e41d0f900f2f111";
/// A token refused the PIN, or needs its operator otherwise.
pub const WRONG_PIN: &str = "e55cacdb9acb448c9e6a96df7d98a3fb";
/// The audit trail cannot be written.
pub const AUDIT_FAILED: &str = "ebe15080bd37478897f1ffd6333d1bbe";
/// A key was made.
pub const KEY_GENERATED: &str = "174ce9ef4f644f598655e25610060a47";
/// A certificate was stored.
pub const CERTIFICATE_STORED: &str = "c19682ff5bc840a8ad7179ed42007a6a";
/// A peer broke the protocol and was cut off.
pub const PROTOCOL_BROKEN: &str = "23e0eb545cc7446fbf7653d69eb8042c";

/// Sends events to the journal if this process was started by systemd, else to stderr.
pub fn start() -> io::Result<()> {
    // systemd sets this for services whose stderr goes to the journal (systemd.exec(5)).
    let journal = if std::env::var_os("JOURNAL_STREAM").is_some() {
        tracing_journald::layer()
            .ok()
            .map(|layer| layer.with_field_prefix(None).with_syslog_identifier("chanceryd".to_owned()))
    } else {
        None
    };
    let plain = journal.is_none().then(|| {
        fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).with_target(false)
    });
    let subscriber = registry().with(LevelFilter::INFO).with(journal).with(plain);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)
}

/// A signature that left, for the journal.
#[derive(Debug)]
pub struct Signed {
    /// The key's name.
    pub key: String,
    /// Who asked.
    pub uid: u32,
    /// Its process id.
    pub pid: i32,
    /// Its unit.
    pub unit: Option<String>,
    /// Number of the intent in the audit trail.
    pub sequence: u64,
    /// The artifact's name, as the agent states it.
    pub artifact: String,
}

/// The way of frequent events to the journal: a thread of their own, because a journal that stalls would stall whoever
/// writes to it. Events that come faster than it takes them are dropped and counted; the audit trail has them all.
pub struct Notes {
    sender: mpsc::SyncSender<Signed>,
    dropped: Arc<AtomicU64>,
}

impl Notes {
    /// Events that may wait.
    const MOST: usize = 4096;

    /// Starts the thread; it ends with the last handle.
    pub fn start() -> io::Result<Self> {
        let (sender, inbox) = mpsc::sync_channel::<Signed>(Self::MOST);
        let dropped = Arc::new(AtomicU64::new(0));
        let missing = Arc::clone(&dropped);
        thread::Builder::new().name("journal".to_owned()).spawn(move || {
            for note in inbox {
                tracing::info!(
                    message_id = SIGNED,
                    chancery_key = note.key,
                    chancery_uid = note.uid,
                    chancery_pid = note.pid,
                    chancery_unit = note.unit,
                    chancery_sequence = note.sequence,
                    chancery_artifact = note.artifact,
                    "signed with key `{}` for uid {}",
                    note.key,
                    note.uid
                );
                let count = missing.swap(0, Ordering::Relaxed);
                if count > 0 {
                    tracing::warn!(
                        "{count} signatures were not told to the journal; the audit trail has them"
                    );
                }
            }
        })?;
        Ok(Self { sender, dropped })
    }

    /// Tells of a signature, without waiting.
    pub fn signed(&self, note: Signed) {
        if self.sender.try_send(note).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_catalog_explains_every_message_id_of_the_code() {
        let code = include_str!("journal.rs");
        let catalog = include_str!("../../systemd/chancery.catalog");
        let mut ids = 0;
        for line in code.lines().filter_map(|line| line.strip_prefix("pub const ")) {
            let (name, rest) = line.split_once(": &str = \"").unwrap();
            let id = rest.trim_end_matches("\";");
            assert!(catalog.contains(&format!("# {name}\n-- {id}\n")), "{name} {id}");
            ids += 1;
        }
        assert_eq!(catalog.lines().filter(|line| line.starts_with("-- ")).count(), ids);
    }
}
