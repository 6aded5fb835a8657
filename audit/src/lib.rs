//! The audit trail's form: what a record says, how records are chained, and how a chain is checked.
//!
//! A trail is a sequence of files; each line is one JSON object. `seq` counts from 1 without gaps across files, and
//! `prev` is the SHA-256 of the bytes of the line before (without its newline), 64 zeros in the first. Whoever changes,
//! drops or reorders a line breaks every line behind it; a checkpoint, signed by a key in the token, fixes everything
//! before it. docs/AUDIT.md tells how to check a trail by hand.
//!
//! The daemon writes with [`Chain`]; `chancery audit verify` reads with [`Verifier`].

mod chain;
mod record;
mod verify;

pub use chain::{Chain, Link};
pub use record::{Caller, Checkpoint, Entry, Event, Intent, Outcome, Record, Refused, entry};
pub use verify::{Broken, Fault, Summary, Verifier};
