//! `chancery sign openpgp`

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::openpgp::{Certificate, Content, Encoding, Error, SigningKey, verify_detached};
use chancery_protocol::{Format, Hash, Scheme};

use crate::args::{Global, Input, Output, SignOpenpgp};
use crate::clock::now;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{self, Deed, Done, blocking};
use crate::key::Key;
use crate::output::Replacement;
use crate::shape::{self, Shape};
use crate::signer::{Artifact, Signer, artifact_name};
use crate::sources::{Sources, beside};
use crate::terminal::Terminal;

/// Largest file that is looked at as an existing detached signature, in bytes.
const MAX_SIGNATURE: u64 = 64 * 1024;

/// What all files share.
struct Job {
    signer: Signer,
    key: SigningKey,
    /// The key's own, to know its signatures again.
    certificate: Option<Certificate>,
    hash: Hash,
    shape: Shape,
}

pub(crate) async fn run(global: &Global, args: SignOpenpgp, terminal: &Terminal) -> Result<Exit, Failure> {
    let shape = shape_of(&args);
    let what = Sources::of(&args.files, args.output.as_ref())?;
    if let Sources::One(_, Output::Stdout) = what {
        terminal.keep_stdout_for_product();
    }
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    let certificate = key.certificate(&client).await?;
    let signing_key = key.openpgp(certificate.as_ref())?;
    let hash = args.digest.unwrap_or_else(|| signing_key.default_hash());
    key.serves(Format::Openpgp, Scheme::over_digest(key.algorithm, hash))?;
    let signer = Signer::new(client, args.key, Format::Openpgp, global.build_id.as_deref());
    let job = Arc::new(Job { signer, key: signing_key, certificate, hash, shape });
    match what {
        Sources::One(input, Output::Stdout) => {
            let product = to_spool(&job, input).await?;
            terminal.product(product)?;
            Ok(Exit::Done)
        }
        Sources::One(Input::Stdin, Output::File(output)) => {
            files::each(terminal, vec![output], |output| to_file(Arc::clone(&job), Input::Stdin, output))
                .await
        }
        Sources::One(Input::File(path), Output::File(output)) => {
            files::each(terminal, vec![path], |path| {
                to_file(Arc::clone(&job), Input::File(path), output.clone())
            })
            .await
        }
        Sources::Many(paths) => {
            let work = |path: PathBuf| {
                let output = beside(&path, shape.suffix());
                to_file(Arc::clone(&job), Input::File(path), output)
            };
            files::each(terminal, paths, work).await
        }
    }
}

fn shape_of(args: &SignOpenpgp) -> Shape {
    let encoding = if args.no_armor { Encoding::Binary } else { Encoding::Armor };
    match (args.clear, args.inline) {
        (true, _) => Shape::Clear,
        (_, true) => Shape::Inline(encoding),
        _ => Shape::Detached(encoding, Content::Binary),
    }
}

/// Signs to a file without a name, so that nothing is written to the standard output unless all went well.
async fn to_spool(job: &Arc<Job>, input: Input) -> Result<File, Failure> {
    let shown = input.shown().to_owned();
    let spool =
        tempfile::tempfile().map_err(|error| Failure::file("write in", &std::env::temp_dir(), &error))?;
    let copy = spool.try_clone().map_err(|error| Failure::file("write", &shown, &error))?;
    make(job, input, copy).await?;
    let mut spool = spool;
    spool.rewind().map_err(|error| Failure::file("read", &shown, &error))?;
    Ok(spool)
}

async fn to_file(job: Arc<Job>, input: Input, output: PathBuf) -> Result<Done, Failure> {
    let done = |deed| {
        Done::new(deed)
            .detail("output", output.to_string_lossy())
            .detail("key", job.signer.key().as_str())
            .detail("fingerprint", job.key.fingerprint().to_string())
    };
    if let (Shape::Detached(..), Input::File(path), Some(_)) = (job.shape, &input, &job.certificate) {
        let (job, path, output) = (Arc::clone(&job), path.clone(), output.clone());
        if blocking(move || Ok(is_signed(&job, &path, &output))).await? {
            return Ok(done(Deed::AlreadySigned).text("by this key, left alone"));
        }
    }
    let replacement = blocking({
        let output = output.clone();
        move || Replacement::at(&output)
    });
    let replacement = replacement.await?;
    make(&job, input, replacement.writer()?).await?;
    blocking(move || replacement.commit()).await?;
    let text = format!("to {}", output.display());
    Ok(done(Deed::Signed).text(text))
}

/// Whether a good signature by this key over what the file holds now is there.
fn is_signed(job: &Job, path: &Path, output: &Path) -> bool {
    let read = || {
        let mut signature = Vec::new();
        File::open(output)?.take(MAX_SIGNATURE).read_to_end(&mut signature)?;
        Ok::<_, io::Error>((signature, File::open(path)?))
    };
    let Ok((signature, data)) = read() else { return false };
    let good = verify_detached(job.certificate.as_slice(), &signature, data);
    good.is_ok_and(|good| good.iter().any(|good| good.key == job.key.fingerprint()))
}

/// Signs `input` into `output`: read and hashed on a thread, signed by the daemon, finished on a thread.
async fn make(job: &Arc<Job>, input: Input, output: File) -> Result<(), Failure> {
    let path = input.shown().to_owned();
    let artifact = artifact_name(&path);
    let begun = blocking({
        let (job, path) = (Arc::clone(job), path.clone());
        move || {
            let data = input.open().map_err(|error| failure(&path, &Error::Read(error)))?;
            let begun = shape::begin(job.shape, &job.key, job.hash, now(), data, output);
            begun.map_err(|error| failure(&path, &error))
        }
    });
    let begun = begun.await?;
    let raw = job.signer.sign(Artifact::named(&artifact), begun.scheme, &[begun.digest]).await?;
    let raw = raw.into_iter().next().unwrap_or_default();
    blocking(move || (begun.finish)(&raw).map(drop).map_err(|error| failure(&path, &error))).await
}

/// What went wrong with a signature, with the path and the next step.
pub(crate) fn failure(path: &Path, error: &Error) -> Failure {
    let told = |exit| Failure::new(exit, format!("{}: {}", path.display(), chain(error)));
    match error {
        Error::Read(source) if source.kind() == io::ErrorKind::IsADirectory => {
            Failure::new(Exit::BadArtifact, format!("{}: is a directory", path.display()))
                .hint("name the files in it")
        }
        Error::Read(source) => Failure::file("read", path, source),
        Error::Write(source) => Failure::file("write the signature of", path, source),
        Error::LineTooLong { .. } | Error::StrayCarriageReturn { .. } => {
            told(Exit::BadArtifact).hint("`--detach` signs any file, byte for byte")
        }
        Error::WrongSignature { .. } => told(Exit::Failed)
            .hint("`chancery key show NAME` tells the fingerprint; does it belong to the key that signed?"),
        _ => told(Exit::Failed),
    }
}
