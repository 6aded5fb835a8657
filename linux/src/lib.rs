//! The calls of Linux that no safe crate offers. This is the one place in the house that calls C from Rust by itself.

mod peers;
mod scheduling;

pub use peers::peer_groups;
pub use scheduling::schedule_as_batch;
