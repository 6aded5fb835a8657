//! X.509 certificates and requests.

use std::path::PathBuf;

use chancery_formats::x509::{Profile, Subject};
use chancery_protocol::{Hash, KeyName};
use clap::Subcommand;

use super::values::{self, Expires, Output};

#[derive(Debug, Subcommand)]
pub(crate) enum X509Command {
    /// Make a self-signed X.509 certificate of a key, once, and store it with the key (operators)
    ///
    /// The certificate's signature is made by the key itself, in its token. If one is stored already, that one is
    /// written.
    SelfSign(SelfSign),
    /// Write a certification request (PKCS#10), for a certificate that somebody else makes
    Csr(Csr),
}

#[derive(Debug, clap::Args)]
pub(crate) struct SelfSign {
    /// The key's name
    pub(crate) name: KeyName,
    /// Whose key it is: `CN=Example, O=Example Org` (RFC 4514) or `/O=Example Org/CN=Example` (openssl)
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Subject,
    /// What the key is for: kernel modules, UEFI Secure Boot, or code in general
    #[arg(long, value_parser = values::words(&Profile::ALL, Profile::as_str))]
    pub(crate) profile: Profile,
    /// When the certificate expires: `2y`, `18mo`, `90d`, `2028-12-31` or `never`; otherwise with the key's policy
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<Expires>,
    /// The hash of its signature; otherwise the one that suits the key
    #[arg(long, value_name = "HASH", value_parser = values::words(Hash::ALL, Hash::as_str))]
    pub(crate) digest: Option<Hash>,
    /// Write DER instead of PEM
    #[arg(long)]
    pub(crate) no_armor: bool,
    /// Where to write it; `-` is the standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Csr {
    /// The key's name
    pub(crate) name: KeyName,
    /// Whose key it is: `CN=Example, O=Example Org` (RFC 4514) or `/O=Example Org/CN=Example` (openssl)
    #[arg(long, value_name = "NAME")]
    pub(crate) subject: Subject,
    /// The hash of its signature; otherwise the one that suits the key
    #[arg(long, value_name = "HASH", value_parser = values::words(Hash::ALL, Hash::as_str))]
    pub(crate) digest: Option<Hash>,
    /// Write DER instead of PEM
    #[arg(long)]
    pub(crate) no_armor: bool,
    /// Where to write it; `-` is the standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: Output,
}

/// X.509 certificates to verify with, where they come from.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "certificates", required = true, multiple = true)]
pub(crate) struct X509Certificates {
    /// A file of X.509 certificates, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Vec<PathBuf>,
    /// A key whose stored X.509 certificate is used
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: Vec<KeyName>,
}
