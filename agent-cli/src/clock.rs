//! The time that signatures carry.

use std::time::SystemTime;

/// Seconds since 1970, as OpenPGP counts them: until 2106.
pub(crate) fn now() -> u32 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX)
}
