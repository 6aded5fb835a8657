//! How a run ended, as its exit code tells.

use std::process::ExitCode;

/// The exit codes. They are documented in the man page from this table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    Unavailable = 4,
    BadArtifact = 5,
    Interrupted = 130,
}

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::Unavailable,
        Self::BadArtifact,
        Self::Interrupted,
    ];

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for the man page.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "everything was done, or had been done before",
            Self::Failed => {
                "some of several files failed, or for different reasons; a file could not be read or written; a \
                 signature or an audit trail is not good; anything without a code of its own"
            }
            Self::Usage => "the command line was wrong; nothing was done",
            Self::Refused => {
                "the daemon refused: a key that does not exist or may not be used so, or a socket that may not be opened"
            }
            Self::Unavailable => {
                "the daemon, its token, its audit trail or every timestamp server was not available; a later try may succeed"
            }
            Self::BadArtifact => {
                "what was given is not of its format: empty, truncated, damaged, a directory"
            }
            Self::Interrupted => {
                "stopped by SIGINT or SIGTERM; files that were not finished are as they were"
            }
        }
    }

    /// The code of a run over several files: the one reason if all failed for the same, otherwise [`Exit::Failed`].
    pub(crate) fn of_many(ends: impl IntoIterator<Item = Self>) -> Self {
        let mut ends = ends.into_iter();
        let Some(first) = ends.next() else { return Self::Done };
        if ends.all(|end| end == first) { first } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_files_exit_with_the_reason_that_they_share() {
        let cases: [(&[Exit], Exit); 6] = [
            (&[], Exit::Done),
            (&[Exit::Done, Exit::Done], Exit::Done),
            (&[Exit::BadArtifact], Exit::BadArtifact),
            (&[Exit::Unavailable, Exit::Unavailable], Exit::Unavailable),
            (&[Exit::Done, Exit::BadArtifact], Exit::Failed),
            (&[Exit::Refused, Exit::BadArtifact], Exit::Failed),
        ];
        for (ends, expected) in cases {
            assert_eq!(Exit::of_many(ends.iter().copied()), expected, "{ends:?}");
        }
    }

    #[test]
    fn no_two_ends_share_a_code() {
        for (n, one) in Exit::ALL.iter().enumerate() {
            assert!(Exit::ALL[n + 1..].iter().all(|other| other.code() > one.code()));
        }
    }
}
