//! Many files at a time: bounded, each on its own, told as they end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Files that are worked on at a time: enough to keep a token's queue full while others are read and written, few
/// enough for the memory of their headers.
const AT_A_TIME: usize = 64;

/// A run over so many files is batch work.
const MANY: usize = 16;

/// Sees to it that a run over many files does not take the processor from a token in software, each time when it wakes for
/// an answer. To be called before threads are started.
pub(crate) fn give_way(files: &[PathBuf]) {
    if files.len() >= MANY {
        // Where a sandbox forbids it, the run is no worse than before.
        let _ = chancery_linux::schedule_as_batch();
    }
}

/// Threads that read, hash and write.
pub(crate) fn blocking_threads() -> usize {
    available_parallelism().map_or(4, usize::from).clamp(4, 8)
}

/// Runs `work`, which may wait for disks, on its own thread.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(defect()))
}

/// What was done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Signed,
    AlreadySigned,
    Verified,
    Unsigned,
    NotSigned,
    Stamped,
    AlreadyStamped,
}

impl Deed {
    /// In the summary.
    const fn text(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::AlreadySigned => "already signed",
            Self::Verified => "good",
            Self::Unsigned => "unsigned",
            Self::NotSigned => "was not signed",
            Self::Stamped => "timestamped",
            Self::AlreadyStamped => "already timestamped",
        }
    }

    /// In `--json`.
    const fn word(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::AlreadySigned => "already-signed",
            Self::Verified => "good",
            Self::Unsigned => "unsigned",
            Self::NotSigned => "not-signed",
            Self::Stamped => "timestamped",
            Self::AlreadyStamped => "already-timestamped",
        }
    }
}

/// How a file ended well.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) deed: Deed,
    /// More to say behind the deed, such as `by 0123...`; may be empty.
    pub(crate) text: String,
    /// The same for `--json`.
    pub(crate) details: Map<String, Value>,
}

impl Done {
    pub(crate) fn new(deed: Deed) -> Self {
        Self { deed, text: String::new(), details: Map::new() }
    }

    #[must_use]
    pub(crate) fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    #[must_use]
    pub(crate) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// Does `work` with each file and says how each ended. One file's failure does not stop the others.
pub(crate) async fn each<W, F>(terminal: &Terminal, files: Vec<PathBuf>, work: W) -> Result<Exit, Failure>
where
    W: Fn(PathBuf) -> F,
    F: Future<Output = Result<Done, Failure>> + Send + 'static,
{
    let files = once_each(files);
    let total = files.len();
    let mut waiting = files.into_iter();
    let mut running: JoinSet<Result<Done, Failure>> = JoinSet::new();
    let mut names = BTreeMap::new();
    let mut tally = Tally::default();
    let cannot = |error| Failure::new(Exit::Failed, format!("signals cannot be waited for: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    terminal.start_bar(total);
    loop {
        while running.len() < AT_A_TIME {
            let Some(file) = waiting.next() else { break };
            let task = running.spawn(work(file.clone()));
            names.insert(task.id(), file);
        }
        let ended = tokio::select! {
            ended = running.join_next_with_id() => ended,
            _ = interrupt.recv() => { tally.interrupted = true; break }
            _ = terminate.recv() => { tally.interrupted = true; break }
        };
        let Some(ended) = ended else { break };
        let (task, outcome) = match ended {
            Ok((task, outcome)) => (task, outcome),
            Err(error) => (error.id(), Err(defect())),
        };
        let file = names.remove(&task).unwrap_or_default();
        tally.add(terminal, &file, outcome);
        terminal.advance_bar(&file);
    }
    // What has not ended is dropped, and its temporary files with it.
    running.shutdown().await;
    terminal.end_bar();
    Ok(tally.sum_up(terminal, total))
}

/// Every file once, in the order of the command line: two tasks on one file would undo each other.
fn once_each(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut once = |path: &Path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
    files.into_iter().filter(|path| once(path)).collect()
}

/// What became of the files so far.
#[derive(Default)]
struct Tally {
    deeds: BTreeMap<Deed, usize>,
    ends: Vec<Exit>,
    failed: usize,
    interrupted: bool,
}

impl Tally {
    fn add(&mut self, terminal: &Terminal, file: &Path, outcome: Result<Done, Failure>) {
        match outcome {
            Ok(done) => {
                *self.deeds.entry(done.deed).or_default() += 1;
                self.ends.push(Exit::Done);
                let mut object = done.details;
                object.insert("file".into(), json!(file.to_string_lossy()));
                object.insert("result".into(), json!(done.deed.word()));
                let mut text = format!("{}: {}", file.display(), done.deed.text());
                if !done.text.is_empty() {
                    let between = if done.text.starts_with('\n') { "" } else { " " };
                    text = format!("{text}{between}{}", done.text);
                }
                // The bar shows what went as usual; what did not is worth a line.
                let object = Value::Object(object);
                match done.deed {
                    Deed::AlreadySigned | Deed::NotSigned | Deed::AlreadyStamped => {
                        terminal.news(text, &object);
                    }
                    Deed::Signed | Deed::Verified | Deed::Unsigned | Deed::Stamped => {
                        terminal.progress_news(text, &object);
                    }
                }
            }
            Err(failure) => {
                self.failed += 1;
                self.ends.push(failure.exit);
                terminal.fail_file(file, &failure);
            }
        }
    }

    fn sum_up(self, terminal: &Terminal, total: usize) -> Exit {
        let unfinished = total - self.ends.len();
        if total > 1 || unfinished > 0 {
            let mut object = Map::new();
            let mut parts = Vec::new();
            for (&deed, &count) in &self.deeds {
                parts.push(format!("{} {count}", deed.text()));
                object.insert(deed.word().into(), json!(count));
            }
            for (word, count) in [("failed", self.failed), ("unfinished", unfinished)] {
                if count > 0 {
                    parts.push(format!("{word} {count}"));
                }
                object.insert(word.into(), json!(count));
            }
            object.insert("total".into(), json!(total));
            terminal.news(format_args!("{} of {total}", parts.join(", ")), &json!({ "summary": object }));
        }
        if self.interrupted { Exit::Interrupted } else { Exit::of_many(self.ends) }
    }
}

/// What a panic becomes.
pub(crate) fn defect() -> Failure {
    Failure::new(Exit::Failed, "chancery has a defect, and left this as it was")
        .hint("please report it with the command")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_named_twice_is_done_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        let files =
            vec![file.clone(), dir.path().join("link"), dir.path().join("./a"), dir.path().join("missing")];
        assert_eq!(once_each(files), [file, dir.path().join("missing")]);
    }
}
