//! What is asked: `-Y sign`, as ssh-keygen(1) has it, or anything else.

use std::ffi::OsString;

use chancery_formats::ssh::{MessageHash, Namespace};
use clap::error::ErrorKind;
use clap::{ArgAction, Parser};

use crate::args::{Global, Input};

/// Stands where ssh-keygen stands for signing: SSH signatures by keys behind chanceryd
///
/// Made for git (`gpg.ssh.program`). `-Y sign` is done with a key of the daemon. Everything else is given, as it is, to
/// the ssh-keygen that is installed.
#[derive(Debug, Parser)]
#[command(
    name = super::NAME,
    version,
    disable_version_flag = true,
    disable_help_flag = true,
    override_usage = "chancery-ssh-keygen -Y sign -f KEY -n NAMESPACE [-q] [-U] [-O hashalg=HASH] [FILE]..."
)]
pub(crate) struct SshKeygen {
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do
    #[arg(short = 'Y', value_name = "OPERATION", value_parser = ["sign"], required = true)]
    operation: String,
    /// The key: its name, or a file with its public key as `chancery key show NAME --ssh` writes it
    #[arg(short = 'f', value_name = "KEY")]
    pub(crate) key: OsString,
    /// What the signatures are for; git says `git`
    #[arg(short = 'n', value_name = "NAMESPACE")]
    pub(crate) namespace: Namespace,
    /// Says that an agent has the key; chanceryd has it anyway
    #[arg(short = 'U')]
    agent: bool,
    /// `hashalg=sha256` or `hashalg=sha512` (the default): the hash of the message
    #[arg(short = 'O', value_name = "OPTION", value_parser = hash_option)]
    options: Vec<MessageHash>,
    /// Say more; there is no more to say
    #[arg(short = 'v', action = ArgAction::Count)]
    verbose: u8,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Print version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
    /// The files; each signature is written to FILE.sig. Without, or with `-`, the standard input is signed to the
    /// standard output
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<Input>,
}

impl SshKeygen {
    /// The hash of the message; the last one that was named.
    pub(crate) fn hash(&self) -> MessageHash {
        self.options.last().copied().unwrap_or_default()
    }
}

/// What a command line asks.
#[derive(Debug)]
pub(super) enum Request {
    /// To sign.
    Sign(Box<SshKeygen>),
    /// To tell what can be asked.
    Help(clap::Error),
    /// To sign, in a way that is not understood.
    Wrong(clap::Error),
    /// Something that the real ssh-keygen does.
    Other,
}

/// Reads a command line, of which the first word is the program.
pub(super) fn request(arguments: &[OsString]) -> Request {
    match SshKeygen::try_parse_from(arguments) {
        Ok(sign) => Request::Sign(Box::new(sign)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Request::Help(error)
        }
        Err(error) if asks_to_sign(arguments) => Request::Wrong(error),
        Err(_) => Request::Other,
    }
}

/// Whether `-Y sign` stands anywhere, in one word or two.
fn asks_to_sign(arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| word == "-Ysign")
        || arguments.windows(2).any(|words| words[0] == "-Y" && words[1] == "sign")
}

/// `hashalg=HASH`, of which ssh-keygen -Y sign knows no other.
fn hash_option(text: &str) -> Result<MessageHash, String> {
    let hash = text.strip_prefix("hashalg=").ok_or("it is not `hashalg=HASH`")?;
    let known = MessageHash::ALL.iter().copied().find(|known| known.as_str() == hash);
    known.ok_or_else(|| "the hash is sha256 or sha512".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Request {
        request(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_git_says_is_understood() {
        for (line, files) in [
            ("chancery-ssh-keygen -Y sign -n git -f /srv/key.pub /tmp/.git_signing_buffer_tmpA1", 1),
            ("chancery-ssh-keygen -Y sign -n git -f /tmp/.git_signing_key_tmpA1 -U /tmp/buffer", 1),
            ("chancery-ssh-keygen -q -Ysign -nfile -frelease -Ohashalg=sha256", 0),
        ] {
            let Request::Sign(sign) = read(line) else { panic!("{line}") };
            assert_eq!(sign.files.len(), files, "{line}");
        }
    }

    #[test]
    fn the_last_hash_counts() {
        let Request::Sign(sign) =
            read("c -Y sign -n a -f k -O hashalg=sha256 -O hashalg=sha512 -O hashalg=sha256")
        else {
            panic!("refused");
        };
        assert_eq!(sign.hash(), MessageHash::Sha256);
    }

    #[test]
    fn what_does_not_sign_is_left_to_ssh_keygen() {
        for line in [
            "c -Y find-principals -f signers -s sig",
            "c -Y verify -n git -f signers -I me@example.org -s sig",
            "c -Y check-novalidate -n git -s sig",
            "c -l -f key.pub",
            "c -s ca -I id -V +52w -h key.pub",
            "c",
        ] {
            assert!(matches!(read(line), Request::Other), "{line}");
        }
    }

    #[test]
    fn signing_in_a_way_that_is_not_understood_is_no_business_of_ssh_keygen() {
        for line in [
            "c -Y sign -n git a",
            "c -Y sign -f release a",
            "c -Ysign -n git -f release -O verify-time=1 a",
            "c -Y sign -n git -f release -O hashalg=sha1 a",
            "c -Y sign -n git -f release -D module a",
        ] {
            assert!(matches!(read(line), Request::Wrong(_)), "{line}");
        }
    }
}
