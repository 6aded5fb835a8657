//! `chancery-gpg`: stands where `gpg` stands for signing.
//!
//! Read in this order: [`options`] (every option of gpg, and what becomes of it), [`arguments`] (gpg's way to read a
//! command line), [`request`] (what it asks for), [`select`] (which key is meant), [`data`] (what is signed), [`sign`]
//! (the run), [`place`] (where the signature goes) and [`status`] (lines for programs). Everything that is no signing goes to
//! the real gpg. [`man`] is the page. What gpg does was learnt from its manual, its doc/DETAILS and by trying 2.2.40.

mod arguments;
mod data;
pub(crate) mod man;
mod options;
mod place;
mod request;
mod select;
mod sign;
mod status;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use self::request::{Request, Work};
use self::status::{Code, InvalidSigner, Status};
use crate::args::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::hand_over::Real;
use crate::terminal;

/// The name of this face.
const NAME: &str = "chancery-gpg";
/// gpg's exit code for everything that is not a bad signature.
const FAILED: u8 = 2;
/// Does what is no signing.
const GPG: Real = Real { names: &["gpg", "gpg2"], handed_over: "CHANCERY_GPG_HANDED_OVER" };

/// Whether the program was called as `chancery-gpg`, or as `gpg`: rpmsign gives the word `gpg` as the program's name
/// whatever it runs (rpm 4, `%__gpg_sign_cmd`), and a link of that name in the PATH serves callers that know no other.
pub(crate) fn is_meant(arguments: &[OsString]) -> bool {
    let name = arguments.first().and_then(|program| Path::new(program).file_name()).unwrap_or_default();
    let name = name.to_string_lossy();
    name.ends_with(NAME) || name == "gpg" || name == "gpg2"
}

/// A run of `chancery-gpg`.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let words = arguments.get(1..).unwrap_or_default();
    let (status, work) = request::understand(words);
    let mut status = match Status::open(status) {
        Ok(status) => status,
        Err(failure) => return fail(&failure),
    };
    match work {
        Ok(Work::Sign(request)) => signed(request, &mut status),
        Ok(Work::HandOver) => fail(&GPG.take_over(words).unwrap_or_else(|| no_gpg(words))),
        Ok(Work::Version) => tell(VERSION),
        Ok(Work::Help) => tell(HELP),
        Err(failure) => {
            status.failure("option-parser", Code::GENERAL);
            fail(&failure)
        }
    }
}

/// Something is asked that only gpg does, and there is none.
fn no_gpg(words: &[OsString]) -> Failure {
    let asked = words.iter().map(|word| word.to_string_lossy()).find(|word| word.starts_with('-'));
    let not_ours = match asked {
        Some(option) => format!("`{option}` does not sign"),
        None => "there is no command to sign".to_owned(),
    };
    Failure::new(Exit::Usage, format!("{not_ours}, and no gpg is installed that it could be handed to"))
        .hint("install gpg, or use `chancery verify openpgp` and `chancery key cert NAME --openpgp`")
}

/// What comes from the environment; there are no options of our own among gpg's.
#[derive(Parser)]
#[command(name = NAME)]
struct Environment {
    #[command(flatten)]
    global: Global,
    /// The key that signs where the command line names none.
    #[arg(long, env = "CHANCERY_KEY")]
    key: Option<String>,
}

fn signed(request: Request, status: &mut Status) -> ExitCode {
    let environment = match Environment::try_parse_from([NAME]) {
        Ok(environment) => environment,
        Err(error) => {
            let _ = terminal::usage(&error);
            return FAILED.into();
        }
    };
    // One thread does it all: there is one connection and one file.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(&Failure::new(Exit::Failed, format!("the event loop cannot start: {error}")));
        }
    };
    match runtime.block_on(sign::run(&environment, request, status)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            if let Some(invalid) = &stop.signer {
                status.invalid_signer(invalid);
            }
            status.failure("sign", stop.code);
            fail(&stop.failure)
        }
    }
}

/// Why nothing was signed: in words for people, and in gpg's numbers for programs.
#[derive(Debug)]
struct Stop {
    failure: Failure,
    code: Code,
    /// Who was to sign, if that is what was wrong.
    signer: Option<InvalidSigner>,
}

impl Stop {
    fn new(failure: Failure, code: Code) -> Self {
        Self { failure, code, signer: None }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        let code = match failure.exit {
            Exit::Refused => Code::NO_SECRET_KEY,
            Exit::Unavailable => Code::NO_AGENT,
            _ => Code::GENERAL,
        };
        Self::new(failure, code)
    }
}

fn fail(failure: &Failure) -> ExitCode {
    terminal::stand_in_fails(NAME, failure);
    FAILED.into()
}

fn tell(text: &str) -> ExitCode {
    terminal::stand_in_says(text);
    ExitCode::SUCCESS
}

/// The first line is for programs: rpm 4.20 and later look for `GnuPG`, debsign for the number that is the third word.
const VERSION: &str = concat!(
    "gpg (GnuPG) 2.2.40 compatible: chancery-gpg ",
    env!("CARGO_PKG_VERSION"),
    "\n\
     This is not GnuPG. It signs with keys of chanceryd where gpg would, and hands the rest to the gpg that is installed.\n\
     \n\
     Supported algorithms:\n\
     Pubkey: RSA, ECDSA, EDDSA\n\
     Hash: SHA256, SHA384, SHA512\n\
     Compression: Uncompressed\n"
);

const HELP: &str = "\
Signs with keys of chanceryd where gpg would

Usage: chancery-gpg [options] --sign|--detach-sign|--clear-sign [file]

 -s, --sign             make a message that holds data and signature
 -b, --detach-sign      make a detached signature
     --clear-sign       make a cleartext signed message
 -a, --armor            write text instead of bytes
 -t, --textmode         make a detached signature of text
 -o, --output FILE      write to FILE; - is the standard output
 -u, --local-user NAME  sign with this key: the daemon's name of it, a fingerprint, a key id or a user id
     --default-key NAME the same, where there is no --local-user
     --digest-algo NAME SHA256, SHA384 or SHA512; otherwise the one that suits the key
     --status-fd N      write status lines to the descriptor N
     --status-file FILE write status lines to FILE
     --batch            ask nothing; nor with --no-tty, --command-fd or --command-file
     --yes, --no        overwrite files, or not, without asking

Without a name, the key is that of CHANCERY_KEY, or the only one of yours with an OpenPGP certificate. CHANCERY_SOCKET is
the daemon's socket, CHANCERY_BUILD_ID the build for the audit trail. A passphrase is never read: --passphrase-fd 0 is refused
where the standard input is signed. --version and --help tell about this program. Other options of gpg are ignored where they change
nothing, and refused by name where they would. Commands that do not sign are handed to the gpg that is installed.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_whose_face_it_is() {
        for (name, meant) in [
            ("/usr/bin/chancery-gpg", true),
            ("chancery-gpg", true),
            ("gpg", true),
            ("/opt/bin/gpg2", true),
            ("chancery", false),
            ("chancery-sign-file", false),
            ("gpgv", false),
            ("", false),
        ] {
            assert_eq!(is_meant(&[name.into()]), meant, "{name}");
        }
        assert!(!is_meant(&[]));
    }

    #[test]
    fn the_first_line_of_the_version_serves_those_who_probe_it() {
        let first = VERSION.lines().next().unwrap();
        assert!(first.contains("GnuPG") && first.contains(NAME));
        assert_eq!(first.split(' ').nth(2), Some("2.2.40"));
    }
}
