//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Where the configuration is unless told otherwise.
const CONFIG: &str = "/etc/chancery/chanceryd.toml";

/// Keeps signing keys in a PKCS#11 token and answers digest-sign requests on a Unix socket
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Without a command it serves: on the sockets that systemd hands over, or on --socket."
)]
pub struct Cli {
    /// What to do; serve, if nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve
    #[command(flatten)]
    pub serve: Serve,
}

/// The settings of serving
#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG, global = true)]
    pub config: PathBuf,
    /// Make the agents' socket here instead of taking it from systemd (for development)
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Make the operator's socket here (for development)
    #[arg(long, value_name = "PATH", requires = "socket")]
    pub admin_socket: Option<PathBuf>,
}

/// What the program can do besides serving
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say whether the configuration is good, and who may use what
    Check,
    /// Serve a token to the daemon that started this process (internal)
    #[command(hide = true)]
    Worker,
}
