//! PE images: UEFI programs, kernels, programs of Windows.

use std::path::PathBuf;

use chancery_protocol::{Hash, KeyName};
use clap::Subcommand;

use super::timestamp::Timestamps;
use super::values::{self, Output};
use super::variable::ShowVariable;
use super::x509::X509Certificates;

#[derive(Debug, clap::Args)]
pub(crate) struct SignEfi {
    /// The key's name
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: KeyName,
    /// The key's X.509 certificate, PEM or DER; otherwise the one that is stored with the key
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Certificates to embed behind it, as sbsign's --addcert: those of its issuers, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(crate) chain: Vec<PathBuf>,
    /// The hash; firmware is bound to know sha256 alone
    #[arg(long, visible_alias = "digest", value_name = "HASH", default_value = "sha256", value_parser = values::words(Hash::ALL, Hash::as_str))]
    pub(crate) hash: Hash,
    /// Add hashes of the image's pages, which Windows asks of some files and firmware does not look at
    #[arg(long)]
    pub(crate) page_hashes: bool,
    /// Keep signatures that are there, as sbsign does (the default)
    #[arg(long, conflicts_with = "replace")]
    pub(crate) append: bool,
    /// Replace every signature that is there
    #[arg(long)]
    pub(crate) replace: bool,
    /// Write the signature alone, to FILE.p7, and leave the image as it is
    #[arg(long, conflicts_with_all = ["append", "replace"])]
    pub(crate) detached: bool,
    /// The files are no images, but what `prepare efi` wrote of some: write the bare signature over each, to FILE.sig
    #[arg(long, conflicts_with_all = ["cert", "chain", "hash", "append", "replace", "detached", "timestamp", "timestamp_url", "timestamp_policy", "timestamp_ca"])]
    pub(crate) prepared: bool,
    /// Where to write the signed image, or the signature alone, for one file
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    pub(crate) timestamps: Timestamps,
    /// The images
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyEfi {
    #[command(flatten)]
    pub(crate) certificates: X509Certificates,
    /// The images
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowCommand {
    /// List the signatures of a PE image, and its hashes
    ///
    /// Tells of each signature whose it says to be, and whether it is over this image. Nobody has verified it then.
    Efi(ShowEfi),
    /// List what a signed update of one of firmware's variables says: a `.auth` file
    ///
    /// Tells when it was made, whose signature it says to have, and its certificates and hashes. Nobody has verified it then.
    EfiVariable(ShowVariable),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowEfi {
    /// The image
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UnsignCommand {
    /// Take every signature out of PE images
    Efi(UnsignEfi),
}

#[derive(Debug, clap::Args)]
pub(crate) struct UnsignEfi {
    /// The images
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PrepareCommand {
    /// Write what has to be signed of a PE image, for a key that is elsewhere
    ///
    /// It is small, and signed by its hash: by `sign efi --prepared`, by `openssl dgst -sha256 -sign`, or by a machine that
    /// no network reaches. `attach efi --signed-data` makes the image's signature of both. systemd-sbsign's files are of
    /// the same form.
    Efi(PrepareEfi),
}

#[derive(Debug, clap::Args)]
pub(crate) struct PrepareEfi {
    /// The certificate that the signature will be attached with, PEM or DER, to learn early that images can be signed by
    /// its key
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// The hash; firmware is bound to know sha256 alone
    #[arg(long, visible_alias = "digest", value_name = "HASH", default_value = "sha256", value_parser = values::words(Hash::ALL, Hash::as_str))]
    pub(crate) hash: Hash,
    /// Where to write it
    #[arg(long, short, value_name = "DATA")]
    pub(crate) output: Output,
    /// The image
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AttachCommand {
    /// Put a detached signature into the PE image that it is over
    ///
    /// It is CMS in DER, as `sign efi --detached` and `sbsign --detached` write it; or, with `--signed-data`, a bare
    /// signature over what `prepare efi` wrote of the image, with the certificate of its key. One over another image, or
    /// that is not its own signer's, is refused.
    Efi(AttachEfi),
}

#[derive(Debug, clap::Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct AttachEfi {
    /// What was signed, as `prepare efi` or systemd-sbsign wrote it
    #[arg(long, value_name = "DATA", requires = "bare", requires = "cert")]
    pub(crate) signed_data: Option<PathBuf>,
    /// The bare signature over it
    #[arg(id = "bare", long = "signature", value_name = "SIGNATURE", requires = "signed_data")]
    pub(crate) bare: Option<PathBuf>,
    /// The certificate of the key that signed, PEM or DER
    #[arg(long, value_name = "FILE", requires = "signed_data")]
    pub(crate) cert: Option<PathBuf>,
    /// Certificates to embed behind it: those of its issuers, PEM or DER
    #[arg(long, value_name = "FILE", requires = "signed_data")]
    pub(crate) chain: Vec<PathBuf>,
    /// Replace every signature that is there; otherwise they are kept
    #[arg(long)]
    pub(crate) replace: bool,
    /// The signature, CMS in DER
    #[arg(value_name = "SIGNATURE", required_unless_present = "signed_data", conflicts_with = "signed_data")]
    pub(crate) signature: Option<PathBuf>,
    /// The image
    #[arg(value_name = "FILE", required = true)]
    pub(crate) file: PathBuf,
}
