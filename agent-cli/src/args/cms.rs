//! Files of any kind, signed by CMS.

use std::path::PathBuf;

use chancery_protocol::{Hash, KeyName};

use super::timestamp::Timestamps;
use super::values::{self, Input, Output};
use super::x509::X509Certificates;

#[derive(Debug, clap::Args)]
pub(crate) struct SignCms {
    /// The key's name
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: KeyName,
    /// The key's X.509 certificate, PEM or DER; otherwise the one that is stored with the key
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Certificates to embed beside it: those of its issuers, PEM or DER
    #[arg(long, value_name = "FILE", conflicts_with = "no_certificates")]
    pub(crate) chain: Vec<PathBuf>,
    /// The hash; otherwise the one that suits the key
    #[arg(long, visible_alias = "digest", value_name = "HASH", value_parser = values::words(Hash::ALL, Hash::as_str))]
    pub(crate) hash: Option<Hash>,
    /// Make a signature that lies beside the file, FILE.p7s (the default)
    #[arg(long, conflicts_with = "attached")]
    pub(crate) detached: bool,
    /// Make a signature that holds the file, FILE.p7m
    #[arg(long, conflicts_with = "armor")]
    pub(crate) attached: bool,
    /// Sign the file's own digest, without signed attributes, as the kernel's fs-verity wants it
    #[arg(long, conflicts_with_all = ["no_signing_time", "cades"])]
    pub(crate) no_attributes: bool,
    /// Do not tell when it was signed: the same file and an RSA key give the same bytes each time
    #[arg(long)]
    pub(crate) no_signing_time: bool,
    /// Name the signer's certificate among the signed attributes (signing-certificate-v2), as CAdES wants it
    #[arg(long)]
    pub(crate) cades: bool,
    /// Embed no certificate: the verifier has it
    #[arg(long)]
    pub(crate) no_certificates: bool,
    /// Name the signer's certificate by its subject key identifier, not by issuer and serial number
    #[arg(long)]
    pub(crate) key_identifier: bool,
    /// Write PKCS#7, as `openssl smime` and `fsverity sign` do; verifiers read both
    #[arg(long)]
    pub(crate) pkcs7: bool,
    /// Write text (PEM)
    #[arg(long, overrides_with = "no_armor")]
    pub(crate) armor: bool,
    /// Write bytes (DER; the default)
    #[arg(long)]
    pub(crate) no_armor: bool,
    /// Where to write it, for one file; `-` is the standard output
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    pub(crate) timestamps: Timestamps,
    /// The files; `-`, or none, is the standard input
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<Input>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyCms {
    #[command(flatten)]
    pub(crate) certificates: X509Certificates,
    /// Certificates of which one has to vouch for the server of a timestamp, PEM or DER; otherwise any server's counts
    #[arg(long, value_name = "FILE")]
    pub(crate) timestamp_ca: Option<PathBuf>,
    /// The detached signature of FILE
    #[arg(long, short, value_name = "FILE", conflicts_with = "output")]
    pub(crate) signature: Option<PathBuf>,
    /// Where to write the file that a signature holds, if it is good
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<Output>,
    /// The files
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}
