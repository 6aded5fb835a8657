//! How often a server is asked: each request takes the next free slot, which all processes of a user share.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::cache;
use super::server::Address;
use crate::failure::Failure;
use crate::files::blocking;

/// Requests a second, where nobody says.
const USUAL: f64 = 4.0;
/// A slot that lies further ahead is of a clock that was wrong.
const FURTHEST: Duration = Duration::from_secs(3600);
/// Longest number in a file of slots, in bytes.
const MAX_LEN: u64 = 32;

/// The pace of one server.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    name: String,
    every: Duration,
    /// Where all processes find the next free slot.
    file: Option<PathBuf>,
    /// The next free slot of this process, for where there is no such file.
    own: Arc<Mutex<Duration>>,
}

impl Pace {
    /// The pace of a server of which none is told.
    pub(super) fn usual(address: &Address) -> Self {
        let name = cache::name(&[address.as_str()]);
        Self { name, every: Duration::from_secs_f64(1.0 / USUAL), file: None, own: Arc::default() }
    }

    /// The same with so many requests a second, which is a number above 0.
    pub(super) fn of(self, rate: f64) -> Self {
        Self { every: Duration::try_from_secs_f64(1.0 / rate).unwrap_or(FURTHEST), ..self }
    }

    /// Shares the slots with other processes, by a file in this folder.
    pub(super) fn share_in(&mut self, folder: Option<&Path>) {
        self.file = folder.map(|folder| folder.join(format!("{}.next", self.name)));
    }

    /// Takes the next free slot; how long it is until then.
    pub(super) async fn turn(&self) -> Result<Duration, Failure> {
        let pace = self.clone();
        blocking(move || Ok(pace.take(since_1970()))).await
    }

    fn take(&self, now: Duration) -> Duration {
        let shared = self.file.as_deref().and_then(|file| self.take_shared(file, now).ok());
        let slot = shared.unwrap_or_else(|| {
            let mut next = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = slot(*next, now);
            *next = slot + self.every;
            slot
        });
        slot.saturating_sub(now)
    }

    fn take_shared(&self, path: &Path, now: Duration) -> io::Result<Duration> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        // Held for as long as a number takes to be read and written.
        file.lock()?;
        let mut text = String::new();
        (&file).take(MAX_LEN).read_to_string(&mut text)?;
        let next = Duration::from_micros(text.trim().parse().unwrap_or_default());
        let slot = slot(next, now);
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "{}", (slot + self.every).as_micros())?;
        Ok(slot)
    }
}

/// The slot that is had now, if `next` is the first free one.
fn slot(next: Duration, now: Duration) -> Duration {
    if next > now + FURTHEST { now } else { next.max(now) }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn pace(folder: Option<&Path>) -> Pace {
        let mut pace = Pace::usual(&"http://tsa.example.org".parse().unwrap()).of(2.0);
        pace.share_in(folder);
        pace
    }

    #[test]
    fn slots_are_taken_one_after_the_other_by_all_processes() {
        let folder = tempfile::tempdir().unwrap();
        // Each pace stands for a process of its own.
        let waits: Vec<_> = (0..4).map(|_| pace(Some(folder.path())).take(NOW).as_millis()).collect();
        assert_eq!(waits, [0, 500, 1000, 1500]);
        let later = NOW + Duration::from_secs(60);
        assert_eq!(pace(Some(folder.path())).take(later), Duration::ZERO);
        let other = Pace { name: "other".to_owned(), ..pace(None) };
        assert_eq!(other.take(later), Duration::ZERO);
    }

    #[test]
    fn without_a_folder_a_process_keeps_its_own_pace() {
        for pace in [pace(None), pace(Some(Path::new("/dev/null/nowhere")))] {
            let waits: Vec<_> = (0..3).map(|_| pace.take(NOW).as_millis()).collect();
            assert_eq!(waits, [0, 500, 1000]);
        }
    }

    #[test]
    fn a_file_that_holds_nonsense_or_a_wrong_time_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let pace = pace(Some(folder.path()));
        let file = pace.file.clone().unwrap();
        for text in ["", "nonsense", "-5", "99999999999999999999999999", "3600000000000000"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(pace.take(NOW), Duration::ZERO, "{text}");
            assert_eq!(pace.take(NOW).as_millis(), 500, "{text}");
        }
    }
}
