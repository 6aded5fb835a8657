//! What the man page says of `chancery-sign-file`. The command line itself is read by [`super::arguments`], as getopt
//! reads the kernel tool's.

use clap::{Arg, ArgAction, Command};

use crate::commands::StandIn;

/// The stand-in, for its man page.
pub(crate) fn manual() -> StandIn {
    let flag =
        |letter: char, help: &'static str| Arg::new(help).short(letter).action(ArgAction::SetTrue).help(help);
    let command = Command::new("chancery-sign-file")
        .about("Sign a kernel module as the kernel's scripts/sign-file does, with a key in a token")
        .long_about(ABOUT)
        .disable_version_flag(true)
        .disable_help_flag(true)
        .arg(flag('p', "Write the signature into <module>.p7s too"))
        .arg(flag('d', "Write the signature into <module>.p7s only"))
        .arg(flag(
            'k',
            "Name the certificate by its subject key identifier; modinfo shows nothing of such a signature",
        ))
        .arg(flag('s', "Append the CMS signature in the file <raw sig>, as -d writes it; it has to be good"))
        .arg(Arg::new("stack").long("stack").action(ArgAction::SetTrue).help(
            "Sign over signatures that are there, as the kernel's tool does, instead of replacing them",
        ));
    StandIn {
        command,
        synopsis: &[
            "chancery-sign-file [-dpk] [--stack] <hash algo> <key> <x509> <module> [<dest>]",
            "chancery-sign-file [--stack] -s <raw sig> <hash algo> <x509> <module> [<dest>]",
        ],
        exit: &[
            ("0", "The module is signed."),
            ("1", "It is not; the file is as it was, and the standard error says why."),
            ("2", "The command line was wrong."),
        ],
    }
}

const ABOUT: &str = "\
Appends a signature to a Linux kernel module. With an RSA key, the output is that of the kernel's tool, byte for byte.

The hash is sha256, sha384 or sha512. The key is the name of a key of chanceryd, or a pkcs11: URI (RFC 7512) whose \
object= is one; where a build system insists on a file, a file with the key's certificate will do. The certificate is \
DER or PEM and has to belong to the key. Without <dest>, the module is replaced in one step, and keeps its mode, owner \
and times. Signatures that are there are replaced. Modules whose names end in .ko.xz, .ko.zst or .ko.gz are signed \
inside, and compressed again as the kernel's build does it.

CHANCERY_SOCKET names the daemon's socket, CHANCERY_BUILD_ID the build for the audit trail. KBUILD_SIGN_PIN is ignored.";
