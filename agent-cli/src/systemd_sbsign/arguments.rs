//! The command line of systemd-sbsign (systemd 258), which getopt_long reads: options may stand anywhere, also before the
//! verb, and be abbreviated while only one is meant.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{ArgAction, Parser};

use crate::exit::Exit;
use crate::failure::Failure;

/// Sign PE images for UEFI Secure Boot as systemd-sbsign does, with a key in a token
///
/// `sign` signs an image, beside the signatures that it has. With `--prepare-offline-signing` it writes what is to be signed
/// where the key is, and with `--signed-data` and `--signed-data-signature` it attaches what was signed there, if it is good
/// and over this image.
///
/// The key is the name of a key of chanceryd, or a `pkcs11:` URI (RFC 7512) whose `object=` is one; where a caller insists on
/// a file, a file with the key's certificate will do. `CHANCERY_SOCKET` names the daemon's socket, `CHANCERY_BUILD_ID` the
/// build for the audit trail. `SOURCE_DATE_EPOCH`, in seconds since 1970, is told as the time of the signature, in the place
/// of now.
#[derive(Debug, Parser)]
#[command(
    name = super::NAMES[0],
    version,
    disable_version_flag = true,
    disable_help_flag = true,
    infer_long_args = true,
    args_override_self = true,
    override_usage = "chancery-systemd-sbsign [OPTIONS...] sign EXEFILE"
)]
pub(crate) struct SystemdSbsign {
    /// Where to write the signed image, or what is to be signed
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    output: Option<PathBuf>,
    /// The key's certificate, PEM or DER; otherwise the one that is stored with the key
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    certificate: Option<PathBuf>,
    /// Where the certificate is: `file`, or `provider:pkcs11`, which means the one that is stored with the key
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true, value_parser = ["file", PROVIDER])]
    certificate_source: Option<String>,
    /// The key: its name, or a `pkcs11:` URI
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    private_key: Option<OsString>,
    /// What would load the key: all of them mean a key of chanceryd
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true, value_parser = ["file", ENGINE, PROVIDER])]
    private_key_source: Option<String>,
    /// Write what is to be signed elsewhere, and sign nothing
    #[arg(long)]
    prepare_offline_signing: bool,
    /// What was signed elsewhere, as `--prepare-offline-signing` wrote it
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    signed_data: Option<PathBuf>,
    /// The bare signature over it
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    signed_data_signature: Option<PathBuf>,
    /// Print help
    #[arg(short, long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Print version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
    /// `sign`
    #[arg(value_name = "COMMAND", value_parser = ["sign", "help"])]
    command: String,
    /// The image
    #[arg(value_name = "EXEFILE")]
    image: Option<PathBuf>,
}

const ENGINE: &str = "engine:pkcs11";
const PROVIDER: &str = "provider:pkcs11";

/// What a command line asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To sign, or a part of it.
    Sign(Sign),
    /// Help, which this is; or it is wrong, and this says so.
    Told(clap::Error),
}

/// `sign`.
#[derive(Debug)]
pub(super) struct Sign {
    pub(super) by: By,
    pub(super) output: PathBuf,
    pub(super) image: PathBuf,
}

/// Who signs.
#[derive(Debug)]
pub(super) enum By {
    /// A key, as the command line names it; without a certificate, the stored one is meant.
    Key { key: OsString, certificate: Option<PathBuf> },
    /// Nobody yet.
    Nobody { certificate: PathBuf },
    /// Somebody has.
    Elsewhere { data: PathBuf, signature: PathBuf, certificate: PathBuf },
}

/// Reads a command line, of which the first word is the program.
pub(super) fn read(arguments: Vec<OsString>) -> Result<Asked, Failure> {
    let args = match SystemdSbsign::try_parse_from(arguments) {
        Ok(args) if args.command == "help" => {
            match SystemdSbsign::try_parse_from([super::NAMES[0], "--help"]) {
                Err(help) => return Ok(Asked::Told(help)),
                Ok(args) => args,
            }
        }
        Ok(args) => args,
        Err(error) => return Ok(Asked::Told(error)),
    };
    let (image, output) = (wanted(args.image.clone(), "image", "EXEFILE")?, args.output.clone());
    let output = wanted(output, "output", "--output=PATH")?;
    Ok(Asked::Sign(Sign { by: args.by()?, output, image }))
}

impl SystemdSbsign {
    /// Who signs: one of three, as systemd-sbsign has it.
    fn by(self) -> Result<By, Failure> {
        let certificate = self.certificate.filter(|_| self.certificate_source.as_deref() != Some(PROVIDER));
        match (self.private_key, self.prepare_offline_signing, self.signed_data, self.signed_data_signature) {
            (Some(key), false, None, None) => Ok(By::Key { key, certificate }),
            (None, true, None, None) => Ok(By::Nobody { certificate: named(certificate)? }),
            (None, false, Some(data), Some(signature)) => {
                Ok(By::Elsewhere { data, signature, certificate: named(certificate)? })
            }
            (None, false, None, None) => Err(misused("nobody is named who signs")
                .hint(format!("name a key: `--private-key=NAME`; {KEYS}"))),
            (_, false, _, _) => Err(misused(
                "`--signed-data` and `--signed-data-signature` belong together, and no key with them",
            )
            .hint("the first is what `--prepare-offline-signing` wrote, the second the signature over it")),
            (_, true, _, _) => Err(misused(
                "`--prepare-offline-signing` signs nothing, and takes neither key nor signature",
            )
            .hint("sign what it writes, then come back with `--signed-data` and `--signed-data-signature`")),
        }
    }
}

const KEYS: &str = "`chancery keys` lists those that you may use";

/// Where no key is at hand whose certificate could be asked for.
fn named(certificate: Option<PathBuf>) -> Result<PathBuf, Failure> {
    wanted(certificate, "certificate", "--certificate=PATH")
}

fn wanted(given: Option<PathBuf>, what: &str, word: &str) -> Result<PathBuf, Failure> {
    let given = given.filter(|path| path.as_os_str() != OsStr::new(""));
    given.ok_or_else(|| misused(&format!("no {what} is named")).hint(format!("name one: `{word}`")))
}

fn misused(error: &str) -> Failure {
    Failure::new(Exit::Usage, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, Failure> {
        read(line.split_whitespace().map(OsString::from).collect())
    }

    fn sign(line: &str) -> Sign {
        match asked(line) {
            Ok(Asked::Sign(sign)) => sign,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_ukify_and_mkosi_say_is_understood() {
        for line in [
            "s sign --private-key boot --certificate db.pem linux.efi --output out.efi",
            "s sign --private-key pkcs11:object=boot --certificate db.pem --private-key-source engine:pkcs11 linux.efi --output out.efi",
            "s sign --output out.efi --private-key=boot --private-key-source=provider:pkcs11 --certificate=db.pem --certificate-source=file linux.efi",
            "s --out=out.efi --private-key=boot --certificate=db.pem sign linux.efi",
        ] {
            let sign = sign(line);
            let paths = (sign.image.to_str(), sign.output.to_str());
            assert_eq!(paths, (Some("linux.efi"), Some("out.efi")), "{line}");
            let By::Key { key, certificate } = sign.by else { panic!("{line}") };
            assert!(key == "boot" || key == "pkcs11:object=boot", "{line}");
            assert_eq!(certificate, Some("db.pem".into()), "{line}");
        }
        // A provider's certificate is the stored one.
        let line = "s sign --private-key=boot --certificate=pkcs11:object=boot --certificate-source=provider:pkcs11 --output=o a";
        assert!(matches!(sign(line).by, By::Key { certificate: None, .. }));
    }

    #[test]
    fn the_offline_flow_takes_a_certificate_and_no_key() {
        let line = "s sign --certificate=db.pem --output=data --prepare-offline-signing a.efi";
        assert!(matches!(sign(line).by, By::Nobody { .. }));
        let line =
            "s sign --certificate=db.pem --output=b.efi --signed-data=data --signed-data-signature=sig a.efi";
        assert!(matches!(sign(line).by, By::Elsewhere { .. }));
        for line in [
            "s sign --output=data --prepare-offline-signing a.efi",
            "s sign --certificate=db.pem --output=data --prepare-offline-signing --private-key=boot a.efi",
            "s sign --certificate=db.pem --output=b.efi --signed-data=data a.efi",
            "s sign --certificate=db.pem --output=b.efi --private-key=boot --signed-data=data --signed-data-signature=sig a.efi",
            "s sign --certificate=db.pem --output=b.efi a.efi",
            "s sign --certificate=db.pem --private-key=boot a.efi",
            "s sign --private-key=boot --output=b.efi",
        ] {
            let failure = asked(line).expect_err(line);
            assert!(failure.exit == Exit::Usage && failure.hint.is_some(), "{line}");
        }
    }

    #[test]
    fn other_commands_and_sources_are_refused_by_name() {
        for (line, name) in [
            ("s verify a.efi", "verify"),
            ("s sign --private-key-source=engine:tpm2tss --private-key=1 --output=o a.efi", "engine:tpm2tss"),
            (
                "s sign --certificate-source=provider:tpm2 --private-key=boot --output=o a.efi",
                "provider:tpm2",
            ),
            ("s sign --sign a.efi", "--sign"),
        ] {
            let Ok(Asked::Told(error)) = asked(line) else { panic!("{line}") };
            assert!(error.use_stderr() && error.to_string().contains(name), "{line}: {error}");
        }
        for line in ["s help", "s --help", "s -h", "s --version"] {
            assert!(matches!(asked(line), Ok(Asked::Told(told)) if !told.use_stderr()), "{line}");
        }
    }
}
