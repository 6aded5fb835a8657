//! Variables of UEFI firmware.

use std::path::PathBuf;

use chancery_formats::variable::{Guid, Variable};
use chancery_protocol::{Digest, Hash, KeyName};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, value_parser};
use jiff::Timestamp;

use super::values::Output;
use super::x509::X509Certificates;

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("value").required(true).multiple(true).args(["add_cert", "add_image", "add_hash"]))]
pub(crate) struct SignVariable {
    /// The variable
    #[arg(value_parser = variables())]
    pub(crate) variable: Variable,
    /// The name of the key that signs: PK's for PK and KEK, one of KEK's for the databases
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: KeyName,
    /// The key's X.509 certificate, PEM or DER, which the firmware has; otherwise the one that is stored with the key
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// A certificate for the variable, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(crate) add_cert: Vec<PathBuf>,
    /// A PE image for the variable, by its SHA-256
    #[arg(long, value_name = "FILE")]
    pub(crate) add_image: Vec<PathBuf>,
    /// The SHA-256 of a PE image, as `chancery show efi` tells it
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub(crate) add_hash: Vec<Digest>,
    /// Remove the variable
    #[arg(long, group = "value", conflicts_with_all = ["add_cert", "add_image", "add_hash", "append"])]
    pub(crate) remove: bool,
    /// Add to what the variable holds, instead of replacing it
    #[arg(long)]
    pub(crate) append: bool,
    /// Whose entries they are; firmware does not look
    #[arg(long, value_name = "GUID", value_parser = value_parser!(Guid), default_value = "00000000-0000-0000-0000-000000000000")]
    pub(crate) owner: Guid,
    /// When the update was made, as in 2026-11-25T12:00:00Z; otherwise now. Firmware takes none that is not later than the
    /// last, unless it appends
    #[arg(long, value_name = "TIME")]
    pub(crate) time: Option<Timestamp>,
    /// Where to write it; `-` is the standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowVariable {
    /// The signed update
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyVariable {
    #[command(flatten)]
    pub(crate) certificates: X509Certificates,
    /// The variable that it is meant for
    #[arg(value_parser = variables())]
    pub(crate) variable: Variable,
    /// The signed update
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

fn variables() -> impl TypedValueParser<Value = Variable> {
    let names = Variable::ALL.iter().map(|variable| variable.as_str());
    PossibleValuesParser::new(names).try_map(|name| Variable::named(&name).ok_or("there is no such variable"))
}

fn sha256(text: &str) -> Result<Digest, &'static str> {
    let bytes = hex::decode(text).ok().and_then(|bytes| Digest::new(Hash::Sha256, bytes).ok());
    bytes.ok_or("a SHA-256 has 64 hexadecimal digits")
}
