//! What the man page says of `chancery-sbsign`, beside its options.

use clap::CommandFactory;

use super::arguments::Sbsign;
use crate::commands::StandIn;

/// The stand-in, for its man page.
pub(crate) fn manual() -> StandIn {
    StandIn {
        command: Sbsign::command(),
        synopsis: &["chancery-sbsign [options] --key <key> [--cert <certfile>] <efi-boot-image>"],
        exit: &[
            ("0", "The image is signed."),
            (
                "1",
                "It is not, or the command line was wrong; no file was written, and the standard error says why.",
            ),
        ],
    }
}
