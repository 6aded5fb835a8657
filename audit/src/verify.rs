//! Reading: a chain is walked line by line, and the first break is named.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, Read};

use crate::chain::Link;
use crate::record::{Checkpoint, Entry, Event};

/// Longest line that is read, in bytes: a batch of 64 digests with every field full stays far below it.
const MAX_LINE: u64 = 256 * 1024;

/// Lines whose hashes are kept for the checkpoint that covers one of them.
const RECENT: usize = 131_072;

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The line is longer than any record.
    #[error("is longer than {MAX_LINE} bytes")]
    TooLong,
    /// The line has no newline: the file was cut, or the daemon was stopped in the middle of it.
    #[error("ends without a newline: the file was cut there, or a crash left it unfinished")]
    Torn,
    /// The line is not a record.
    #[error("is not a record: {0}")]
    NotARecord(#[from] serde_json::Error),
    /// Lines are missing or in another order.
    #[error("has number {found} where {expected} was due: lines were dropped or reordered")]
    Sequence {
        /// The number that was due.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
    /// The line before was changed.
    #[error("does not follow from the line before it: that line, or this one, was changed")]
    Hash,
    /// An outcome for no intent.
    #[error("tells the outcome of record {0}, which is no open intent")]
    NoIntent(u64),
    /// A checkpoint that covers another line than the one that stands there.
    #[error("is a checkpoint over another record {0} than the one in this trail")]
    Covers(u64),
    /// A checkpoint whose signature is not good.
    #[error("is a checkpoint whose signature is not good: {0}")]
    Checkpoint(String),
}

/// Where a trail breaks.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {fault}")]
pub struct Broken {
    /// The file, as it was named.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What a whole trail says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// First record's number.
    pub first: u64,
    /// Last record's number.
    pub last: u64,
    /// Hash of the last line, in hexadecimal; whoever keeps it elsewhere can later prove that nothing was cut off.
    pub head: String,
    /// Intents that ended in a signature.
    pub signed: u64,
    /// Intents that ended otherwise.
    pub failed: u64,
    /// Requests refused by policy.
    pub refused: u64,
    /// Checkpoints whose signature was checked.
    pub checkpoints_checked: u64,
    /// Checkpoints that were met without a key to check them.
    pub checkpoints_unchecked: u64,
    /// Checkpoints over lines from before the first record, which say nothing about this part of the trail.
    pub checkpoints_before: u64,
    /// The last line that a checkpoint covers; everything behind it could have been cut off or replaced unseen.
    pub last_checkpoint: Option<u64>,
    /// Numbers of intents without an outcome: they may have been signed.
    pub open_intents: Vec<u64>,
}

/// Checks a checkpoint's signature over a text.
type CheckpointJudge<'a> = dyn Fn(&Checkpoint, &str) -> Result<(), String> + 'a;

/// Walks the files of a trail, in their order.
pub struct Verifier<'a> {
    head: Option<Link>,
    recent: VecDeque<String>,
    intents: BTreeMap<u64, usize>,
    summary: Summary,
    judge: Option<&'a CheckpointJudge<'a>>,
}

impl<'a> Verifier<'a> {
    /// A verifier that checks checkpoints with `judge`, which gets the checkpoint and the text that must be signed;
    /// without one they are only counted.
    pub fn new(judge: Option<&'a CheckpointJudge<'a>>) -> Self {
        Self {
            head: None,
            recent: VecDeque::new(),
            intents: BTreeMap::new(),
            summary: Summary::default(),
            judge,
        }
    }

    /// Walks one file. The first record of the first file may have any number, so that old files can be put away; from
    /// there on everything must follow.
    pub fn file(&mut self, name: &str, reader: impl Read) -> Result<(), Broken> {
        let mut reader = io::BufReader::new(reader);
        let mut buffer = Vec::new();
        for line in 1.. {
            let broken = |fault| Broken { file: name.to_owned(), line, fault };
            buffer.clear();
            let read = reader
                .by_ref()
                .take(MAX_LINE)
                .read_until(b'\n', &mut buffer)
                .map_err(|e| broken(e.into()))?;
            if read == 0 {
                return Ok(());
            }
            if buffer.pop() != Some(b'\n') {
                return Err(broken(if read as u64 == MAX_LINE { Fault::TooLong } else { Fault::Torn }));
            }
            self.line(&buffer).map_err(broken)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let entry: Entry = crate::entry(line)?;
        match &self.head {
            Some(head) if entry.seq != head.seq + 1 => {
                return Err(Fault::Sequence { expected: head.seq + 1, found: entry.seq });
            }
            Some(head) if entry.prev != head.hash => return Err(Fault::Hash),
            None if entry.seq == 1 && entry.prev != Link::start().hash => return Err(Fault::Hash),
            None => self.summary.first = entry.seq,
            Some(_) => {}
        }
        match entry.record.event {
            Event::Intent(intent) => drop(self.intents.insert(entry.seq, intent.digests.len())),
            Event::Outcome(outcome) => {
                let known = self.intents.remove(&outcome.intent);
                if known.is_none() && outcome.intent >= self.summary.first {
                    return Err(Fault::NoIntent(outcome.intent));
                }
                let count = known.unwrap_or(1) as u64;
                if outcome.result == "signed" {
                    self.summary.signed += count;
                } else {
                    self.summary.failed += count;
                }
            }
            Event::Refused(_) => self.summary.refused += 1,
            Event::Checkpoint(checkpoint) => {
                // One over a line before the first file says nothing about this part of the trail; every other one
                // must fit a line that was read, or an old good one could vouch for a forged trail.
                if checkpoint.covers < self.summary.first {
                    self.summary.checkpoints_before += 1;
                } else {
                    self.checkpoint(&checkpoint, entry.seq)?;
                }
            }
            _ => {}
        }
        let head = Link::of(entry.seq, line);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(head.hash.clone());
        self.head = Some(head);
        Ok(())
    }

    /// Checks a checkpoint that stands at `seq` against the line that it covers.
    fn checkpoint(&mut self, checkpoint: &Checkpoint, seq: u64) -> Result<(), Fault> {
        // The last of the recent lines has the number before `seq`.
        let back =
            seq.checked_sub(checkpoint.covers).and_then(|back| usize::try_from(back).ok()).unwrap_or(0);
        let covered = self.recent.len().checked_sub(back).and_then(|at| self.recent.get(at));
        if covered != Some(&checkpoint.hash) {
            return Err(Fault::Covers(checkpoint.covers));
        }
        match self.judge {
            Some(judge) => {
                let text = Checkpoint::signed_text(checkpoint.covers, &checkpoint.hash);
                judge(checkpoint, &text).map_err(Fault::Checkpoint)?;
                self.summary.checkpoints_checked += 1;
            }
            None => self.summary.checkpoints_unchecked += 1,
        }
        self.summary.last_checkpoint = Some(checkpoint.covers);
        Ok(())
    }

    /// What the trail says, when every file was walked.
    pub fn finish(mut self) -> Summary {
        if let Some(head) = self.head {
            self.summary.last = head.seq;
            self.summary.head = head.hash;
        }
        self.summary.open_intents = self.intents.into_keys().collect();
        self.summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, Outcome, Record, Refused, record::Caller};
    use proptest::prelude::*;

    fn caller() -> Caller {
        Caller { uid: 1000, gid: 1000, groups: vec![], pid: 42, exe: None, unit: None }
    }

    fn record(event: Event) -> Record {
        Record { time: jiff::Timestamp::UNIX_EPOCH, event }
    }

    fn intent() -> Event {
        Event::Intent(crate::Intent {
            caller: caller(),
            key: "release".into(),
            scheme: "rsa-pkcs1-sha256".into(),
            input: "digest".into(),
            digests: vec!["00".repeat(32)],
            format: "rpm".into(),
            artifact: "a\nb\".rpm".into(),
            artifact_digest: String::new(),
            build: String::new(),
            rule: "release.toml:1".into(),
        })
    }

    fn trail() -> Vec<u8> {
        let (mut chain, mut out) = (Chain::after(Link::start()), Vec::new());
        let refused = Refused { caller: caller(), key: "x".into(), reason: "r".into(), detail: "d".into() };
        for event in [
            Event::Started { software: "chanceryd".into(), torn: String::new() },
            intent(),
            intent(),
            Event::Outcome(Outcome { intent: 2, result: "signed".into(), elapsed_us: 5 }),
            Event::Refused(refused),
            Event::Stopped {},
        ] {
            chain.put(&record(event), &mut out).unwrap();
        }
        out
    }

    fn verify(bytes: &[u8]) -> Result<Summary, Broken> {
        let mut verifier = Verifier::new(None);
        verifier.file("trail", bytes)?;
        Ok(verifier.finish())
    }

    #[test]
    fn a_good_trail_is_summed_up() {
        let summary = verify(&trail()).unwrap();
        assert_eq!((summary.first, summary.last, summary.signed, summary.refused), (1, 6, 1, 1));
        assert_eq!(summary.open_intents, [3]);
    }

    #[test]
    fn a_dropped_line_is_named() {
        let trail = trail();
        let lines: Vec<_> = trail.split_inclusive(|&b| b == b'\n').collect();
        let without = [lines[0], lines[2], lines[3]].concat();
        let broken = verify(&without).unwrap_err();
        assert_eq!(
            broken.to_string(),
            "trail:2: has number 3 where 2 was due: lines were dropped or reordered"
        );
    }

    #[test]
    fn a_trail_in_two_files_is_one_trail() {
        let trail = trail();
        let cut = trail.iter().position(|&b| b == b'\n').unwrap() + 1;
        let mut verifier = Verifier::new(None);
        verifier.file("1", &trail[..cut]).unwrap();
        verifier.file("2", &trail[cut..]).unwrap();
        assert_eq!(verifier.finish(), verify(&trail).unwrap());
    }

    #[test]
    fn a_checkpoint_counts_only_over_the_line_that_it_covers() {
        let trail = trail();
        let lines: Vec<_> = trail.split(|&b| b == b'\n').collect();
        let at = |covers: u64, hash: String| {
            let (mut chain, mut out) = (Chain::after(Link::of(6, lines[5])), trail.clone());
            let checkpoint =
                Checkpoint { covers, hash, key: "a".into(), scheme: "s".into(), signature: String::new() };
            chain.put(&record(Event::Checkpoint(checkpoint)), &mut out).unwrap();
            let judge = |_: &Checkpoint, _: &str| Ok(());
            let mut verifier = Verifier::new(Some(&judge));
            verifier.file("trail", &out[..])?;
            Ok(verifier.finish())
        };
        let hash = |seq: u64| Link::of(seq, lines[usize::try_from(seq).unwrap() - 1]).hash;
        for seq in 1..=6 {
            let summary: Result<Summary, Broken> = at(seq, hash(seq));
            assert_eq!(summary.unwrap().last_checkpoint, Some(seq));
        }
        for (covers, hash) in [(3, hash(4)), (7, hash(6)), (1000, hash(6)), (u64::MAX, hash(1))] {
            assert!(matches!(at(covers, hash).unwrap_err().fault, Fault::Covers(_)), "{covers}");
        }
        assert_eq!(at(0, "0".repeat(64)).unwrap().checkpoints_before, 1);
    }

    #[test]
    fn a_torn_last_line_is_named() {
        let trail = trail();
        assert!(matches!(verify(&trail[..trail.len() - 1]).unwrap_err().fault, Fault::Torn));
    }

    proptest! {
        #[test]
        fn no_changed_byte_before_the_last_line_goes_unseen(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut trail = trail();
            let last_line = trail[..trail.len() - 1].iter().rposition(|&b| b == b'\n').unwrap();
            let at = at.index(last_line);
            trail[at] ^= 1 << bit;
            prop_assert!(verify(&trail).is_err());
        }

        #[test]
        fn any_bytes_are_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = verify(&bytes);
        }
    }
}
