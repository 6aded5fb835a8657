//! What the man page says of `chancery-systemd-sbsign`, beside its options.

use clap::CommandFactory;

use super::arguments::SystemdSbsign;
use crate::commands::StandIn;

/// The stand-in, for its man page.
pub(crate) fn manual() -> StandIn {
    StandIn {
        command: SystemdSbsign::command(),
        synopsis: &[
            "chancery-systemd-sbsign sign --private-key=KEY [--certificate=PATH] --output=PATH EXEFILE",
            "chancery-systemd-sbsign sign --prepare-offline-signing --certificate=PATH --output=PATH EXEFILE",
            "chancery-systemd-sbsign sign --signed-data=PATH --signed-data-signature=PATH --certificate=PATH --output=PATH EXEFILE",
        ],
        exit: &[
            ("0", "It is done."),
            (
                "1",
                "It is not, or the command line was wrong; no file was written, and the standard error says why.",
            ),
        ],
    }
}
