//! What can be asked: one definition of the parser, the help, the man pages and the completions.

#![expect(
    clippy::struct_excessive_bools,
    reason = "a flag of the command line is a bool until its command reads it"
)]

mod cms;
mod efi;
mod module;
mod sign;
mod timestamp;
mod values;
mod variable;
mod x509;

use std::path::PathBuf;

use chancery_protocol::{ADMIN_SOCKET, AGENT_SOCKET, Algorithm, Format, KeyName};
use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Parser, Subcommand};

use crate::commands::integrate;

pub(crate) use cms::{SignCms, VerifyCms};
pub(crate) use efi::{
    AttachCommand, AttachEfi, PrepareCommand, PrepareEfi, ShowCommand, ShowEfi, SignEfi, UnsignCommand,
    UnsignEfi, VerifyEfi,
};
pub(crate) use module::{SignModule, VerifyModule};
pub(crate) use sign::{SignCommand, SignOpenpgp, SignRpm, SignSsh};
pub(crate) use timestamp::{TimestampCms, TimestampCommand, TimestampEfi, TimestampServers, Timestamps};
pub(crate) use values::{Allow, Expires, Input, Output};
pub(crate) use variable::{ShowVariable, SignVariable, VerifyVariable};
pub(crate) use x509::{Csr, SelfSign, X509Certificates, X509Command};

use crate::exit::Exit;
use crate::failure::Failure;

/// Signs packages and files with keys that live in a PKCS#11 token behind chanceryd
///
/// chancery hashes and packages; the signatures are made by the daemon chanceryd, whose keys never leave their token.
#[derive(Debug, Parser)]
#[command(
    name = "chancery",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// The daemon's socket for agents
    #[arg(long, global = true, value_name = "PATH", env = "CHANCERY_SOCKET", default_value = AGENT_SOCKET, hide_env_values = true, help_heading = GLOBAL)]
    pub(crate) socket: PathBuf,
    /// The daemon's socket for operators
    #[arg(long, global = true, value_name = "PATH", env = "CHANCERY_ADMIN_SOCKET", default_value = ADMIN_SOCKET, hide_env_values = true, help_heading = GLOBAL)]
    pub(crate) admin_socket: PathBuf,
    /// How long to wait for a daemon or a token that is away, and for each answer
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86400), help_heading = GLOBAL)]
    pub(crate) wait: u32,
    /// The build that made the artifacts, for the audit trail
    #[arg(long, global = true, value_name = "TEXT", env = "CHANCERY_BUILD_ID", value_parser = values::build_id, hide_env_values = true, help_heading = GLOBAL)]
    pub(crate) build_id: Option<String>,
    /// One JSON object a line instead of text
    ///
    /// The lines, errors included, go to the standard output, or to the standard error where the standard output
    /// carries a signature, a certificate or a message.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
    /// Say only what was asked for, and errors
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    pub(crate) quiet: bool,
}

const GLOBAL: &str = "Options of every command";

impl Global {
    /// The options of a stand-in, whose command line is another tool's: the environment's, and defaults.
    pub(crate) fn of_environment() -> Result<Self, Failure> {
        #[derive(Debug, Parser)]
        struct Environment {
            #[command(flatten)]
            global: Global,
        }
        let wrong =
            |error: clap::Error| Failure::new(Exit::Usage, error.render().to_string().trim().to_owned());
        Environment::try_parse_from(["chancery"]).map(|given| given.global).map_err(wrong)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the keys that you may use
    Keys,
    /// Show and make keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make OpenPGP certificates
    #[command(subcommand)]
    Openpgp(OpenpgpCommand),
    /// Make X.509 certificates and requests
    #[command(subcommand)]
    X509(X509Command),
    /// Sign artifacts
    #[command(subcommand)]
    Sign(SignCommand),
    /// Verify signatures
    #[command(subcommand)]
    Verify(VerifyCommand),
    /// List the signatures that an artifact carries
    #[command(subcommand)]
    Show(ShowCommand),
    /// Take signatures out of artifacts
    #[command(subcommand)]
    Unsign(UnsignCommand),
    /// Write what has to be signed of an artifact, for a key that is elsewhere
    #[command(subcommand)]
    Prepare(PrepareCommand),
    /// Put a signature that lies apart into its artifact
    #[command(subcommand)]
    Attach(AttachCommand),
    /// Put timestamps beside signatures that were made before (RFC 3161)
    #[command(subcommand)]
    Timestamp(TimestampCommand),
    /// Check the audit trail
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Tell how the daemon, its tokens and its audit trail are (operators)
    ///
    /// Ends with 4 if a token is not ready or the audit trail cannot be written, and with 1 if the last reload of the
    /// policy was refused.
    Status(Status),
    /// Make the daemon read its policy files again (operators)
    Reload,
    /// Show how a tool that signs today is switched to Chancery, and back
    ///
    /// Without TOOL, lists the tools. `chancery help integrate TOOL` shows the same page.
    Integrate(Integrate),
    /// Write the completions of a shell to the standard output
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder
    Man {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Show what a key is and what you may do with it
    Show(KeyShow),
    /// Write the certificate that is stored with a key
    Cert(KeyCert),
    /// Make a key in a token, with its policy file (operators)
    ///
    /// The key is made inside the token and cannot be taken out of it.
    Generate(KeyGenerate),
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeyShow {
    /// The key's name
    pub(crate) name: KeyName,
    /// Write the public key in PEM (SubjectPublicKeyInfo) and nothing else
    #[arg(long)]
    pub(crate) pem: bool,
    /// Write the public key as a line of OpenSSH, with the key's name as its comment, and nothing else
    #[arg(long, conflicts_with = "pem")]
    pub(crate) ssh: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("kind").required(true))]
pub(crate) struct KeyCert {
    /// The key's name
    pub(crate) name: KeyName,
    /// The OpenPGP certificate
    #[arg(long, group = "kind")]
    pub(crate) openpgp: bool,
    /// The X.509 certificate
    #[arg(long, group = "kind")]
    pub(crate) x509: bool,
    /// Write text (OpenPGP armor, PEM); the default for OpenPGP
    #[arg(long, overrides_with = "no_armor")]
    pub(crate) armor: bool,
    /// Write bytes (OpenPGP packets, DER); the default for X.509
    #[arg(long)]
    pub(crate) no_armor: bool,
    /// Where to write it; `-` is the standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeyGenerate {
    /// The new key's name
    pub(crate) name: KeyName,
    /// What kind of key
    #[arg(long, value_parser = values::words(Algorithm::ALL, Algorithm::as_str))]
    pub(crate) algorithm: Algorithm,
    /// Who may use it: `user:NAME`, `group:NAME` or `unit:GLOB`; nobody unless told
    #[arg(long, value_name = "WHO")]
    pub(crate) allow: Vec<Allow>,
    /// What they may sign with it; every format unless told
    #[arg(long, value_parser = values::words(Format::ALL, Format::as_str))]
    pub(crate) format: Vec<Format>,
    /// A description for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) description: String,
    /// The token, where the daemon has several
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) token: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OpenpgpCommand {
    /// Make the OpenPGP certificate of a key, once, and store it with the key (operators)
    ///
    /// The certificate's signatures are made by the key itself, in its token. If one is stored already, that one is
    /// written.
    MakeCert(MakeCert),
}

#[derive(Debug, clap::Args)]
pub(crate) struct MakeCert {
    /// The key's name
    pub(crate) name: KeyName,
    /// Whose key it is, such as `Example Packages <packages@example.org>`; the first is the primary one
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) user_id: Vec<String>,
    /// When the certificate expires: `2y`, `18mo`, `90d`, `2028-12-31` or `never`; otherwise with the key's policy
    #[arg(long, value_name = "WHEN")]
    pub(crate) expires: Option<Expires>,
    /// Where to write it, armored; `-` is the standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VerifyCommand {
    /// Verify OpenPGP signatures
    ///
    /// A FILE beside which FILE.asc or FILE.sig stands is verified with that detached signature; any other FILE has to
    /// be a signed message. gpg and sqv are the judges of a signature; this is a convenience.
    Openpgp(VerifyOpenpgp),
    /// Verify the signatures and digests of RPM packages
    ///
    /// `rpm -Kv` is the judge of a package; this is a convenience that needs no rpm database.
    Rpm(VerifyRpm),
    /// Verify the signatures of Linux kernel modules
    ///
    /// The last signature is looked at, as the kernel does it, and dates of certificates do not count. The kernel is the
    /// judge of a module; this is a convenience that needs no kernel with the certificate in its keyring.
    Module(VerifyModule),
    /// Verify the signatures of PE images: UEFI programs, kernels, programs of Windows
    ///
    /// One signature is enough whose signer is among the certificates, or was issued by one of them, as firmware asks
    /// its `db`; dates of certificates do not count. The firmware is the judge of an image, and sbverify before it; this
    /// is a convenience.
    Efi(VerifyEfi),
    /// Verify CMS signatures over files
    ///
    /// A FILE beside which FILE.p7s stands is verified with that detached signature; any other FILE has to be a signature that
    /// holds its file. The signer has to be among the certificates, or issued by one of them; dates of certificates do not
    /// count. `openssl cms -verify` is the judge; this is a convenience.
    Cms(VerifyCms),
    /// Verify a signed update of one of UEFI firmware's variables: a `.auth` file
    ///
    /// The certificates are those of the variable above: PK's for PK and KEK, KEK's for the databases. The signature has to
    /// be over this variable's name, and the file does not say whether it replaces or adds: that is told. The firmware is the
    /// judge; it also asks whether the update is later than the last one.
    EfiVariable(VerifyVariable),
}

/// Where the certificates come from.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Certificates {
    /// A file of OpenPGP certificates, armored or binary
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Vec<PathBuf>,
    /// A key whose stored OpenPGP certificate is used
    #[arg(long, short, value_name = "NAME")]
    pub(crate) key: Vec<KeyName>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyOpenpgp {
    #[command(flatten)]
    pub(crate) certificates: Certificates,
    /// The detached signature of FILE
    #[arg(long, short, value_name = "FILE", conflicts_with = "output")]
    pub(crate) signature: Option<PathBuf>,
    /// Where to write what a message says, if its signature is good
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<Output>,
    /// The files
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct VerifyRpm {
    #[command(flatten)]
    pub(crate) certificates: Certificates,
    /// The packages
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Prove that nothing in the audit trail was changed, dropped or reordered
    ///
    /// Tells how many signatures it records, and the hash of its last record: whoever keeps that elsewhere can prove
    /// later that nothing was cut off.
    Verify(AuditVerify),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AuditVerify {
    /// The public key of the audit key in PEM, as `chancery key show NAME --pem` writes it, to check the checkpoints
    #[arg(long, value_name = "FILE", visible_alias = "key-pem")]
    pub(crate) public_key: Option<PathBuf>,
    /// The trail's files in their order, or its folder
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Integrate {
    /// The tool
    #[arg(value_name = "TOOL", value_parser = PossibleValuesParser::new(integrate::tools()))]
    pub(crate) tool: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Tell again every so many seconds, until stopped
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub(crate) watch: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_the_manual_says_is_accepted() {
        for line in [
            "chancery keys",
            "chancery key show release --pem",
            "chancery key cert release --openpgp -o release.asc",
            "chancery key generate release --algorithm rsa4096 --allow user:build --allow group:farm --format rpm",
            "chancery openpgp make-cert release --user-id Example --expires 2y",
            "chancery sign openpgp --key release",
            "chancery sign openpgp --key release --clear -o InRelease Release",
            "chancery sign rpm --key release a.rpm b.rpm --in-place --json",
            "chancery sign rpm --key release --v3 --v6 --keep-existing a.rpm",
            "chancery key show release --ssh",
            "chancery sign ssh --key release --namespace git",
            "chancery sign ssh --key release a.tar.gz b.tar.gz",
            "chancery verify rpm --cert release.asc a.rpm",
            "chancery x509 self-sign modules --subject CN=Modules --profile module --expires never -o modules.pem",
            "chancery x509 csr modules --subject /O=Example/CN=Modules --no-armor -o modules.csr",
            "chancery sign module --key modules --hash sha256 --cert modules.pem --stack a.ko b.ko.xz",
            "chancery verify module --cert a.pem --cert b.pem --key modules a.ko",
            "chancery sign efi --key boot --chain ca.pem --replace grubx64.efi shimx64.efi",
            "chancery sign efi --key boot --cert boot.pem --hash sha384 --detached -o sig.p7 linux.efi",
            "chancery sign efi --key code --page-hashes --replace program.exe",
            "chancery sign efi --key boot --timestamp --timestamp-ca tsa.pem grubx64.efi",
            "chancery sign efi --key boot --timestamp-url http://a/ --timestamp-url https://b:1/ --timestamp-policy 1.2.3 a.efi",
            "chancery timestamp efi a.efi b.efi",
            "chancery verify efi --cert db.pem --key boot grubx64.efi",
            "chancery show efi grubx64.efi",
            "chancery show efi-variable db.auth",
            "chancery verify efi-variable db db.auth --cert kek.pem --key kek",
            "chancery unsign efi a.efi b.efi",
            "chancery attach efi --replace sig.p7 linux.efi",
            "chancery sign cms --key firmware --cades --chain ca.pem --armor image.bin",
            "chancery sign cms --key verity --pkcs7 --no-attributes --no-certificates -o - -",
            "chancery verify cms --cert firmware.pem --signature image.p7s image.bin",
            "chancery verify cms --key firmware -o image.bin image.bin.p7m",
            "chancery verify openpgp --key release SHA256SUMS",
            "chancery audit verify /var/log/chancery",
            "chancery status --watch 5 --admin-socket /tmp/s",
            "chancery integrate",
            "chancery integrate rpm",
            "chancery completions bash",
            "chancery man docs/man",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "chancery",
            "chancery key cert release",
            "chancery key cert release --openpgp --x509",
            "chancery key generate release --algorithm rsa1024",
            "chancery key generate ../release --algorithm p256",
            "chancery key generate release --algorithm p256 --allow build",
            "chancery sign openpgp --key release --clear --inline",
            "chancery sign openpgp --key release --clear --no-armor",
            "chancery sign openpgp --key release --digest sha1",
            "chancery sign rpm --key release",
            "chancery sign rpm --key release --header-only --v3 a.rpm",
            "chancery sign rpm --key release --keep-existing --replace a.rpm",
            "chancery key show release --ssh --pem",
            "chancery sign ssh --key release --namespace a,b a.tar.gz",
            "chancery sign ssh --key release --digest sha384 a.tar.gz",
            "chancery verify rpm a.rpm",
            "chancery x509 self-sign modules --subject CN=Modules",
            "chancery x509 self-sign modules --subject Modules --profile module",
            "chancery sign module --key modules --hash sha1 a.ko",
            "chancery verify module a.ko",
            "chancery sign efi --key boot --append --replace a.efi",
            "chancery sign efi --key boot --replace --detached a.efi",
            "chancery sign efi --key boot --timestamp-url tsa.example.org a.efi",
            "chancery sign efi --key boot --timestamp --timestamp-policy one a.efi",
            "chancery timestamp efi",
            "chancery verify efi a.efi",
            "chancery show efi a.efi b.efi",
            "chancery attach efi sig.p7",
            "chancery keys --wait 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
