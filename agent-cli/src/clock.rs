//! The time that signatures carry.

use std::env;
use std::time::SystemTime;

use crate::exit::Exit;
use crate::failure::Failure;

/// Seconds since 1970, as OpenPGP counts them: until 2106.
pub(crate) fn now() -> u32 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX)
}

/// What builds that are to be repeated take for the time (reproducible-builds.org, "SOURCE_DATE_EPOCH").
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Seconds since 1970: those of `SOURCE_DATE_EPOCH` if the environment has it, now if not.
pub(crate) fn signing_time() -> Result<u64, Failure> {
    match env::var_os(SOURCE_DATE_EPOCH) {
        None => Ok(now().into()),
        Some(text) => text.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{SOURCE_DATE_EPOCH} is no time: `{}`", text.to_string_lossy()))
                .hint("it is the seconds since 1970, such as `date +%s` tells; unset it to have now")
        }),
    }
}
