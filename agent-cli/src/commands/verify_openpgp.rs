//! `chancery verify openpgp`

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::openpgp::{Certificate, Verified, VerifyError, verify_detached, verify_message};
use jiff::Timestamp;

use crate::args::{Global, Output, VerifyOpenpgp};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{self, Deed, Done, blocking};
use crate::key::certificates;
use crate::output::Replacement;
use crate::terminal::Terminal;

/// Largest detached signature that is read, in bytes.
const MAX_SIGNATURE: u64 = 1024 * 1024;

/// Where a file's signature is, and where what it covers goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Signed {
    /// In a file of its own.
    Detached(PathBuf),
    /// In the file, around or behind the data.
    Message(Option<Output>),
}

pub(crate) async fn run(global: &Global, args: VerifyOpenpgp, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.files.len() > 1 && (args.signature.is_some() || args.output.is_some()) {
        return Err(Failure::new(Exit::Usage, "`--signature` and `--output` are for one file")
            .hint("verify the files one by one, or put FILE.asc beside each FILE"));
    }
    if args.output == Some(Output::Stdout) {
        terminal.keep_stdout_for_product();
    }
    let certificates = Arc::new(certificates(global, args.certificates).await?);
    let (signature, output) = (args.signature, args.output.clone());
    let spool = match &output {
        Some(Output::Stdout) => Some(
            tempfile::tempfile().map_err(|error| Failure::file("write in", &std::env::temp_dir(), &error))?,
        ),
        _ => None,
    };
    let work = |path: PathBuf| {
        let signed = match &signature {
            Some(signature) => Signed::Detached(signature.clone()),
            None => signed(&path, output.clone()),
        };
        let spool = spool.as_ref().map(File::try_clone);
        one(Arc::clone(&certificates), path, signed, spool)
    };
    let exit = files::each(terminal, args.files, work).await?;
    if let (Exit::Done, Some(mut spool)) = (exit, spool) {
        use std::io::Seek;
        spool.rewind().map_err(|error| Failure::file("read in", &std::env::temp_dir(), &error))?;
        terminal.product(spool)?;
    }
    Ok(exit)
}

/// A file beside which a signature stands is what that signature covers; any other is a message.
fn signed(path: &Path, output: Option<Output>) -> Signed {
    let beside = |suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    match [".asc", ".sig"].into_iter().map(beside).find(|path| path.is_file()) {
        Some(signature) if output.is_none() => Signed::Detached(signature),
        _ => Signed::Message(output),
    }
}

async fn one(
    certificates: Arc<Vec<Certificate>>,
    path: PathBuf,
    signed: Signed,
    spool: Option<io::Result<File>>,
) -> Result<Done, Failure> {
    let good = blocking(move || {
        let failed = |error: &VerifyError| failure(&path, error);
        let data = File::open(&path).map_err(|error| Failure::file("read", &path, &error))?;
        if data.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Failure::new(Exit::BadArtifact, format!("{}: is a directory", path.display()))
                .hint("name the files in it"));
        }
        match signed {
            Signed::Detached(signature) => {
                let bytes = read_signature(&signature)?;
                verify_detached(&certificates, &bytes, data).map_err(|error| failed(&error))
            }
            Signed::Message(Some(Output::File(output))) => {
                let replacement = Replacement::at(&output)?;
                let good = verify_message(&certificates, data, &mut replacement.file())
                    .map_err(|error| failed(&error))?;
                replacement.commit()?;
                Ok(good)
            }
            Signed::Message(_) => {
                let mut output: Box<dyn Write> = match spool {
                    Some(spool) => Box::new(
                        spool.map_err(|error| Failure::file("write in", &std::env::temp_dir(), &error))?,
                    ),
                    None => Box::new(io::sink()),
                };
                verify_message(&certificates, data, &mut output).map_err(|error| failed(&error))
            }
        }
    });
    Ok(told(&good.await?))
}

fn read_signature(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: io::Error| Failure::file("read", path, &error);
    if fs::metadata(path).map_err(cannot)?.len() > MAX_SIGNATURE {
        return Err(Failure::new(
            Exit::BadArtifact,
            format!("{}: is too large for a detached signature", path.display()),
        )
        .hint("the signature comes with `--signature`, the signed file without an option"));
    }
    fs::read(path).map_err(cannot)
}

fn told(good: &[Verified]) -> Done {
    let Some(first) = good.first() else { return Done::new(Deed::Verified) };
    let made = Timestamp::from_second(first.created.into()).map(|time| time.to_string()).unwrap_or_default();
    let who = first.user_ids.first().map(|user_id| format!(" ({user_id})")).unwrap_or_default();
    Done::new(Deed::Verified)
        .text(format!("signature of {}{who}, made {made}", first.certificate))
        .detail("key", first.key.to_string())
        .detail("certificate", first.certificate.to_string())
        .detail("user_ids", first.user_ids.clone())
        .detail("created", first.created)
}

fn failure(path: &Path, error: &VerifyError) -> Failure {
    let told = |exit| Failure::new(exit, format!("{}: {}", path.display(), chain(error)));
    match error {
        VerifyError::NoSignature => told(Exit::Failed)
            .hint("a detached signature is looked for in FILE.asc and FILE.sig; `--signature` names another"),
        VerifyError::UnknownKey(_) => {
            told(Exit::Failed).hint("give that key's certificate too, if you trust it: `--cert FILE`")
        }
        VerifyError::BadSignature { .. } => {
            told(Exit::Failed).hint("do not use the file; fetch it and its signature again")
        }
        VerifyError::Malformed(_) => told(Exit::BadArtifact)
            .hint("a detached signature is looked for in FILE.asc and FILE.sig; `--signature` names another"),
        VerifyError::Io(source) => Failure::file("verify", path, source),
        _ => told(Exit::Failed),
    }
}
