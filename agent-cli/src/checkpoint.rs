//! A checkpoint's signature over the audit trail.

use chancery_audit::Checkpoint;
use chancery_formats::raw::{self, Input};
use chancery_protocol::{PublicKey, Scheme, UnknownWord};

use crate::failure::chain;

/// Whether `checkpoint` is a signature by `key` over `text`.
pub(crate) fn check(key: &PublicKey, checkpoint: &Checkpoint, text: &str) -> Result<(), String> {
    let scheme: Scheme = checkpoint.scheme.parse().map_err(|bad: UnknownWord| bad.to_string())?;
    let raw = hex::decode(&checkpoint.signature).map_err(|_| "the signature is not hexadecimal")?;
    let input = Input::of(scheme, text.as_bytes().to_vec()).map_err(|error| chain(&error))?;
    raw::verify(key, scheme, &input, &raw).map_err(|error| chain(&error))
}
