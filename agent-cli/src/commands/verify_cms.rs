//! `chancery verify cms`

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::cms::file::{Content, Signature, Verified, of_text, open};
use chancery_formats::timestamp::{self as stamp, Kind, Token, Trust, read};
use chancery_formats::x509::{Certificate, Profile};
use jiff::Timestamp;

use crate::args::{Global, Output, VerifyCms};
use crate::certificates::trusted;
use crate::cms::{failure, not_good};
use crate::efi::certificates_of;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{self, Deed, Done, blocking};
use crate::module::small;
use crate::output::Replacement;
use crate::sources::beside;
use crate::terminal::Terminal;
use crate::timestamp;

/// Where a file's signature is, and where the file goes.
#[derive(Debug, Clone)]
enum Signed {
    /// In a file of its own.
    Detached(PathBuf),
    /// Around the file; what it holds may be written.
    Attached(Option<Output>),
}

/// What signatures are verified with.
struct Trusted {
    signers: Vec<Certificate>,
    tsas: Trust,
}

impl Trusted {
    /// The timestamp beside a signature, if there is one. It has to be good.
    fn timestamp(&self, path: &Path, cms: &[u8]) -> Result<Option<Token>, Failure> {
        read(cms, Kind::Cms, &self.tsas).map_err(|error| not_good_time(path, &error))
    }
}

/// A good signature, and its timestamp.
type Good = (Verified, Option<Token>);

pub(crate) async fn run(global: &Global, args: VerifyCms, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.files.len() > 1 && (args.signature.is_some() || args.output.is_some()) {
        return Err(Failure::new(Exit::Usage, "`--signature` and `--output` are for one file")
            .hint("verify the files one by one, or put FILE.p7s beside each FILE"));
    }
    if args.output == Some(Output::Stdout) {
        terminal.keep_stdout_for_product();
    }
    let signers = trusted(global, &args.certificates, Profile::Code).await?;
    let tsas = args.timestamp_ca.as_deref().map(certificates_of).transpose()?;
    let tsas = tsas.map_or(Trust::Anyone, Trust::Among);
    let trusted = Arc::new(Trusted { signers, tsas });
    let in_spool = |error: &io::Error| Failure::file("write in", &std::env::temp_dir(), error);
    let spool = match args.output {
        Some(Output::Stdout) => Some(tempfile::tempfile().map_err(|error| in_spool(&error))?),
        _ => None,
    };
    let work = |path: PathBuf| {
        let signed = signed(&path, &args);
        let trusted = Arc::clone(&trusted);
        let spool = spool.as_ref().map(File::try_clone);
        blocking(move || {
            let spool = spool.transpose().map_err(|error| in_spool(&error))?;
            match signed {
                Signed::Detached(signature) => detached(&trusted, &path, &signature),
                Signed::Attached(output) => attached(&trusted, &path, output.as_ref(), spool),
            }
            .map(|(verified, token)| told(&verified, token.as_ref()))
        })
    };
    let exit = files::each(terminal, args.files.clone(), work).await?;
    if let (Exit::Done, Some(mut spool)) = (exit, spool) {
        spool.rewind().map_err(|error| in_spool(&error))?;
        terminal.product(spool)?;
    }
    Ok(exit)
}

/// A file beside which a signature stands is what that signature is over; any other is a signature that holds its file.
fn signed(path: &Path, args: &VerifyCms) -> Signed {
    let at = beside(path, ".p7s");
    match &args.signature {
        Some(signature) => Signed::Detached(signature.clone()),
        None if args.output.is_none() && at.is_file() => Signed::Detached(at),
        None => Signed::Attached(args.output.clone()),
    }
}

fn detached(trusted: &Trusted, path: &Path, at: &Path) -> Result<Good, Failure> {
    let bytes = small(at)?;
    let bytes = of_text(&bytes).map_or(bytes, |(cms, _)| cms);
    let opened = open(&mut Cursor::new(bytes)).map_err(|error| not_good(at, &error))?;
    let signature = Signature::decode(&opened.cms).map_err(|error| not_good(at, &error))?;
    let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    let content = Content::read(signature.hash(), file).map_err(|error| failure(path, &error))?;
    let verified = signature.verify(&content, &trusted.signers).map_err(|error| not_good(path, &error))?;
    Ok((verified, trusted.timestamp(at, &opened.cms)?))
}

fn attached(
    trusted: &Trusted,
    path: &Path,
    output: Option<&Output>,
    spool: Option<File>,
) -> Result<Good, Failure> {
    let failed = |error| not_good(path, &error);
    let unreadable = |error: io::Error| Failure::file("read", path, &error);
    let mut file = File::open(path).map_err(unreadable)?;
    if let Some((text, _)) = of_text(&small(path)?) {
        let mut plain =
            tempfile::tempfile().map_err(|error| Failure::file("write in", &std::env::temp_dir(), &error))?;
        plain.write_all(&text).map_err(|error| Failure::file("write in", &std::env::temp_dir(), &error))?;
        file = plain;
    }
    let opened = open(&mut file).map_err(failed)?;
    let signature = Signature::decode(&opened.cms).map_err(failed)?;
    let Some(place) = opened.content else {
        return Err(Failure::new(
            Exit::BadArtifact,
            format!("{}: is a detached signature, and the file that it is over is not named", path.display()),
        )
        .hint(format!("`chancery verify cms --signature {} ... FILE`", path.display())));
    };
    file.seek(SeekFrom::Start(place.start)).map_err(unreadable)?;
    let inside = file.take(place.end - place.start);
    let check = |content: Result<Content, _>| {
        let content = content.map_err(|error| failure(path, &error))?;
        let verified = signature.verify(&content, &trusted.signers).map_err(failed)?;
        Ok((verified, trusted.timestamp(path, &opened.cms)?))
    };
    match (output, spool) {
        (Some(Output::File(output)), _) => {
            let replacement = Replacement::at(output)?;
            let good = check(Content::copy(signature.hash(), inside, replacement.file()))?;
            replacement.commit()?;
            Ok(good)
        }
        (_, Some(spool)) => check(Content::copy(signature.hash(), inside, spool)),
        (_, None) => check(Content::read(signature.hash(), inside)),
    }
}

/// Why a timestamp does not count.
fn not_good_time(path: &Path, error: &stamp::Error) -> Failure {
    let failed = Failure::new(Exit::Failed, format!("{}: {}", path.display(), chain(error)));
    match error {
        stamp::Error::Untrusted(_) => {
            failed.hint("give that certificate or its issuer's too, if you trust it: `--timestamp-ca FILE`")
        }
        _ => failed.hint(
            "the file's signature may be good, but not its timestamp: sign it again, and timestamp that",
        ),
    }
}

fn told(verified: &Verified, token: Option<&Token>) -> Done {
    let (subject, anchor) = (verified.subject.to_string(), verified.anchor.to_string());
    let by = if subject == anchor { String::new() } else { format!(", vouched for by `{anchor}`") };
    let time =
        verified.signing_time.and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    let when = time.map(|time| format!(", made {time} by its own word")).unwrap_or_default();
    let stamp = token
        .map(|token| format!(", there {} by the timestamp of `{}`", timestamp::told(token), token.tsa()));
    let done = Done::new(Deed::Verified)
        .text(format!(
            "signature of `{subject}` over {}{by}{when}{}",
            verified.hash,
            stamp.unwrap_or_default()
        ))
        .detail("subject", subject)
        .detail("anchor", anchor)
        .detail("hash", verified.hash.as_str())
        .detail("signing_time", verified.signing_time);
    match token {
        Some(token) => {
            done.detail("timestamp", timestamp::told(token)).detail("tsa", token.tsa().to_string())
        }
        None => done,
    }
}
