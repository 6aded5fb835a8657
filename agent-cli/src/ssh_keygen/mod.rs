//! `chancery-ssh-keygen`, which stands where `ssh-keygen` stands for signing: git's `gpg.ssh.program`.
//!
//! `-Y sign` is done with a key of the daemon; everything else (`-Y verify`, `-Y find-principals`, ...) is given to the
//! real ssh-keygen. Lines and exit codes are those of ssh-keygen from OpenSSH 9.2.

mod arguments;
mod select;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::args::{Input, Output};
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::hand_over::Real;
use crate::output;
use crate::sources::beside;
use crate::ssh::SshSigner;
use crate::terminal::{self, Terminal};

pub(crate) use arguments::SshKeygen;
use arguments::{Request, request};

/// The name under which this is called.
pub(crate) const NAME: &str = "chancery-ssh-keygen";

/// What ssh-keygen ends with when its arguments are wrong.
const USAGE: u8 = 1;
/// What ssh-keygen ends with when anything else fails.
const FATAL: u8 = 255;

/// Does what is no signing.
const SSH_KEYGEN: Real = Real { names: &["ssh-keygen"], handed_over: "CHANCERY_SSH_KEYGEN_HANDED_OVER" };

/// Does what ssh-keygen would do with these arguments.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let sign = match request(arguments) {
        Request::Sign(sign) => sign,
        Request::Help(help) => return terminal::usage(&help).into(),
        Request::Wrong(error) => {
            terminal::usage(&error);
            return USAGE.into();
        }
        Request::Other => {
            let failure = SSH_KEYGEN.take_over(arguments.get(1..).unwrap_or_default());
            Terminal::plain().fail(&failure.unwrap_or_else(no_ssh_keygen));
            return FATAL.into();
        }
    };
    let terminal = Terminal::new(&sign.global);
    match crate::block_on(sign_all(&sign, &terminal)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.fail(&failure);
            FATAL.into()
        }
    }
}

/// Something is asked that only ssh-keygen does, and there is none.
fn no_ssh_keygen() -> Failure {
    Failure::new(Exit::Failed, "all but `-Y sign` is done by ssh-keygen, and none is installed")
        .hint("on Debian: apt-get install openssh-client")
}

/// Signs one file after the other, and stops at the first that fails, as ssh-keygen does.
async fn sign_all(sign: &SshKeygen, terminal: &Terminal) -> Result<Exit, Failure> {
    terminal.keep_stdout_for_product();
    let client = daemon::agent(&sign.global).await?;
    let key = select::key(&client, &sign.key).await?;
    let signer = SshSigner::new(client, &key, sign.namespace.clone(), sign.hash(), &sign.global)?;
    if sign.files.is_empty() {
        return to_stdout(&signer, terminal).await;
    }
    for file in &sign.files {
        match file {
            Input::Stdin => to_stdout(&signer, terminal).await?,
            Input::File(path) => beside_file(&signer, path, terminal).await?,
        };
    }
    Ok(Exit::Done)
}

async fn to_stdout(signer: &SshSigner, terminal: &Terminal) -> Result<Exit, Failure> {
    terminal.note("Signing data on standard input");
    let signature = signer.sign(Input::Stdin).await?;
    terminal.product(signature.as_bytes())?;
    Ok(Exit::Done)
}

async fn beside_file(signer: &SshSigner, path: &Path, terminal: &Terminal) -> Result<Exit, Failure> {
    terminal.note(format_args!("Signing file {}", path.display()));
    let signature = signer.sign(Input::File(path.to_owned())).await?;
    let place = beside(path, ".sig");
    // ssh-keygen asks once it has signed, and takes no answer for a no.
    if fs::symlink_metadata(&place).is_ok() && !terminal::confirms_overwriting(&place)? {
        return Ok(Exit::Done);
    }
    output::deliver(&Output::File(place.clone()), signature.as_bytes(), terminal)?;
    terminal.note(format_args!("Write signature to {}", place.display()));
    Ok(Exit::Done)
}
