//! Kernel modules.

use std::path::PathBuf;

use chancery_protocol::{Hash, KeyName};

use super::values;
use super::x509::X509Certificates;

#[derive(Debug, clap::Args)]
pub(crate) struct SignModule {
    /// The key's name
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: KeyName,
    /// The hash, the kernel's CONFIG_MODULE_SIG_HASH
    #[arg(long, visible_alias = "digest", value_name = "HASH", default_value = "sha512", value_parser = values::words(Hash::ALL, Hash::as_str))]
    pub(crate) hash: Hash,
    /// The key's X.509 certificate, PEM or DER; otherwise the one that is stored with the key
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Append after signatures that are there, as sign-file does, instead of replacing them
    #[arg(long)]
    pub(crate) stack: bool,
    /// The modules
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyModule {
    #[command(flatten)]
    pub(crate) certificates: X509Certificates,
    /// The modules
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}
