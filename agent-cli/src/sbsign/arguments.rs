//! The command line of sbsign (sbsigntools 0.9.4), which getopt_long reads: options may stand anywhere, be abbreviated
//! while only one is meant, and be given again, of which the last counts.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

/// Sign an image for UEFI Secure Boot as sbsign does, with a key in a token
///
/// A signature that is there stays; the new one stands behind it. With an RSA key, the output is that of sbsign at the
/// same time, byte for byte. The key is the name of a key of chanceryd, or a `pkcs11:` URI (RFC 7512) whose `object=` is
/// one; where a caller insists on a file, a file with the key's certificate will do.
///
/// `CHANCERY_SOCKET` names the daemon's socket, `CHANCERY_BUILD_ID` the build for the audit trail. `SOURCE_DATE_EPOCH`, in
/// seconds since 1970, is told as the time of the signature, in the place of now.
#[derive(Debug, Parser)]
#[command(
    name = super::NAMES[0],
    version,
    disable_version_flag = true,
    disable_help_flag = true,
    infer_long_args = true,
    args_override_self = true,
    override_usage = "chancery-sbsign [options] --key <key> [--cert <certfile>] <efi-boot-image>"
)]
pub(crate) struct Sbsign {
    /// The engine that would load the key: `pkcs11`, whose URIs are keys here, and no other
    #[arg(short, long, value_name = "eng", allow_hyphen_values = true, value_parser = ["pkcs11"])]
    engine: Option<String>,
    /// The key: its name, or a `pkcs11:` URI
    #[arg(short, long, value_name = "key", required = true, allow_hyphen_values = true)]
    pub(crate) key: OsString,
    /// The key's certificate, PEM or DER; otherwise the one that is stored with the key
    #[arg(short, long, value_name = "certfile", allow_hyphen_values = true)]
    pub(crate) cert: Option<PathBuf>,
    /// A file of further certificates, PEM or DER, to embed behind it
    #[arg(short, long, value_name = "addcertfile", allow_hyphen_values = true)]
    pub(crate) addcert: Option<PathBuf>,
    /// Write the signature alone, not a signed image
    #[arg(short, long)]
    pub(crate) detached: bool,
    /// Where to write it (default `<efi-boot-image>.signed`, or `<efi-boot-image>.pk7` for detached signatures)
    #[arg(short, long, value_name = "file", allow_hyphen_values = true)]
    pub(crate) output: Option<PathBuf>,
    /// Say more; there is no more to say
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// Print help
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Print version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
    /// The image
    #[arg(value_name = "efi-boot-image")]
    pub(crate) image: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Sbsign, clap::Error> {
        Sbsign::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn what_callers_say_is_understood() {
        for line in [
            // ukify 257, with an engine.
            "sbsign --key pkcs11:object=boot --cert db.pem --engine pkcs11 linux.efi --output signed.efi",
            "sbsign --key boot --cert db.pem --output linux.efi linux.efi",
            "sbsign --key=boot --ce=db.pem --out=linux.efi linux.efi",
            "sbsign -kboot -c db.pem -dvo linux.efi linux.efi",
            "sbsign linux.efi -k other -k boot -e pkcs11 -v -v --verb",
        ] {
            let read = read(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(read.image, PathBuf::from("linux.efi"), "{line}");
            assert!(["boot", "pkcs11:object=boot"].map(OsString::from).contains(&read.key), "{line}");
        }
    }

    #[test]
    fn what_sbsign_would_refuse_or_guess_at_is_refused() {
        for line in [
            "sbsign",
            "sbsign --cert db.pem linux.efi",
            "sbsign --key boot --cert db.pem",
            "sbsign --key boot one.efi two.efi",
            "sbsign --key boot --ver linux.efi",
            "sbsign --key boot --engine tpm2 linux.efi",
            // sbsign tells that it has no such option, and signs.
            "sbsign --key boot --digest sha1 linux.efi",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
