//! Why a server gave no timestamp, and whether to ask it again.

use std::fmt;
use std::time::Duration;

use chancery_formats::timestamp::Error;

use crate::failure::chain;

/// Whether the same request may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    No,
    Yes,
    /// The server says when.
    After(Duration),
}

/// What went wrong with one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    why: String,
    pub(super) passing: Passing,
    tries: u32,
}

impl Trouble {
    pub(super) fn new(passing: Passing, why: impl Into<String>) -> Self {
        Self { why: why.into(), passing, tries: 1 }
    }

    /// An answer that is no timestamp, or none to be taken.
    pub(super) fn of(error: &Error) -> Self {
        let passing = match error {
            Error::Refused(refusal) if refusal.may_pass() => Passing::Yes,
            _ => Passing::No,
        };
        Self::new(passing, chain(error))
    }

    /// The same after so many tries.
    pub(super) fn after(self, tries: u32) -> Self {
        Self { tries, ..self }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)?;
        if self.tries > 1 { write!(f, " ({} tries)", self.tries) } else { Ok(()) }
    }
}
