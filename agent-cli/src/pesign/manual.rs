//! What the man page says of `chancery-pesign`, beside its options.

use clap::CommandFactory;

use super::arguments::Pesign;
use crate::commands::StandIn;

/// The stand-in, for its man page.
pub(crate) fn manual() -> StandIn {
    StandIn {
        command: Pesign::command(),
        synopsis: &[
            "chancery-pesign -s -c <nickname> -i <infile> -o <outfile> [--force]",
            "chancery-pesign -s -c <nickname> -i <infile> -e <outsig>",
            "chancery-pesign -E <signed_attributes_file> -i <infile>",
            "chancery-pesign -I <signed_attributes_file> -R <inraw> -c <nickname> -i <infile> -o <outfile>",
            "chancery-pesign -C <outcert> -c <nickname>",
            "chancery-pesign -h -i <infile>",
            "chancery-pesign -S -i <infile>",
        ],
        exit: &[
            ("0", "It is done, or nothing was asked for."),
            (
                "1",
                "It is not, or the command line was wrong; no file was written, and the standard error says why.",
            ),
        ],
    }
}
