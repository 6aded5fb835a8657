//! Timestamps of signatures (RFC 3161), for every command that makes CMS.

use std::path::PathBuf;

use chancery_formats::timestamp::Policy;
use clap::Subcommand;

use crate::timestamp::Address;

const HEADING: &str = "Timestamps";

/// Whether a new signature gets a timestamp, and from where.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Timestamps {
    /// Put a timestamp beside the signature (RFC 3161), by the servers in /etc/chancery/timestamp.toml or in the user's
    /// own ~/.config/chancery/timestamp.toml
    #[arg(long, help_heading = HEADING)]
    pub(crate) timestamp: bool,
    #[command(flatten)]
    pub(crate) servers: TimestampServers,
}

/// Who gives timestamps.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TimestampServers {
    /// A timestamp server, by http or https, in the place of the settings'; several are tried in their order
    #[arg(id = "timestamp_url", long = "timestamp-url", value_name = "URL", help_heading = HEADING)]
    pub(crate) url: Vec<Address>,
    /// The policy to ask the server for
    #[arg(id = "timestamp_policy", long = "timestamp-policy", value_name = "OID", help_heading = HEADING)]
    pub(crate) policy: Option<Policy>,
    /// Certificates of which one has to vouch for the server, PEM or DER; otherwise any server's timestamp is taken
    #[arg(id = "timestamp_ca", long = "timestamp-ca", value_name = "FILE", help_heading = HEADING)]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TimestampCommand {
    /// Put timestamps beside the signatures of PE images that have none
    ///
    /// Signatures that have a timestamp are left alone. An image is replaced in one step, or left as it was.
    Efi(TimestampEfi),
    /// Put timestamps beside CMS signatures that have none
    ///
    /// FILE is the signature: FILE.p7s, or one that holds its file. It is replaced in one step, or left as it was.
    Cms(TimestampCms),
}

#[derive(Debug, clap::Args)]
pub(crate) struct TimestampCms {
    #[command(flatten)]
    pub(crate) servers: TimestampServers,
    /// The signatures
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TimestampEfi {
    #[command(flatten)]
    pub(crate) servers: TimestampServers,
    /// The images
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}
