//! `chancery sign rpm`

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::openpgp::SigningKey;
use chancery_formats::rpm::{Edited, Error, Existing, Options, Package, Pending, Prepared, SignatureKind};
use chancery_protocol::{Algorithm, Digest, Format, Scheme};
use tokio::sync::Semaphore;

use crate::args::{Global, SignRpm};
use crate::clock::now;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{self, Deed, Done, blocking};
use crate::key::Key;
use crate::lane::Lane;
use crate::output::{Folders, Replacement};
use crate::signer::{Artifact, Signer, artifact_name};
use crate::terminal::Terminal;

/// How a signed package is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// A new file takes the place of the old one.
    Replace,
    /// Over the old signature header, if the new one fits.
    InPlace,
}

/// What all packages share.
struct Job {
    signer: Signer,
    key: SigningKey,
    options: Options,
    write: Write,
    /// Where headers are read.
    headers: Lane,
    /// Turns to read a payload.
    payloads: Semaphore,
    /// Where packages were replaced.
    folders: Folders,
}

pub(crate) async fn run(global: &Global, args: SignRpm, terminal: &Terminal) -> Result<Exit, Failure> {
    files::give_way(&args.files);
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    let certificate = key.certificate(&client).await?;
    let signing_key = key.openpgp(certificate.as_ref())?;
    let hash = args.digest.unwrap_or_else(|| signing_key.default_hash());
    key.serves(Format::Rpm, Scheme::over_digest(key.algorithm, hash))?;
    if matches!(key.algorithm, Algorithm::P256 | Algorithm::P384 | Algorithm::P521) {
        terminal.note("note: rpm before 4.20 cannot verify ECDSA; for such systems sign with RSA or Ed25519");
    }

    let also = [(args.v3, SignatureKind::V3), (args.v6, SignatureKind::V6)];
    let job = Arc::new(Job {
        signer: Signer::new(client, args.key, Format::Rpm, global.build_id.as_deref()),
        key: signing_key,
        options: Options {
            hash: Some(hash),
            also: also.into_iter().filter_map(|(asked, kind)| asked.then_some(kind)).collect(),
            existing: if args.keep_existing { Existing::Keep } else { Existing::Replace },
        },
        write: if args.in_place { Write::InPlace } else { Write::Replace },
        headers: Lane::new()?,
        payloads: Semaphore::new(files::blocking_threads()),
        folders: Folders::default(),
    });
    let exit = files::each(terminal, args.files, |path| sign(Arc::clone(&job), path)).await?;
    blocking(move || job.folders.sync()).await?;
    Ok(exit)
}

async fn sign(job: Arc<Job>, path: PathBuf) -> Result<Done, Failure> {
    let Read { package, digest, prepared, file } = read(&job, &path).await?;
    let done = |deed| {
        Done::new(deed)
            .detail("package", package.as_str())
            .detail("key", job.signer.key().as_str())
            .detail("fingerprint", job.key.fingerprint().to_string())
    };
    let pending = match prepared {
        Prepared::AlreadySigned(_) => return Ok(done(Deed::AlreadySigned).text("by this key, left alone")),
        Prepared::Pending(pending) => pending,
    };
    let name = artifact_name(&path);
    let artifact = Artifact { name: &name, digest: digest.as_ref() };
    let raw = job.signer.sign(artifact, pending.scheme(), &pending.digests()).await?;
    attach(&job, *pending, raw, file, path).await?;
    Ok(done(Deed::Signed))
}

/// What was read of a package.
struct Read {
    /// Its name, version, release and architecture.
    package: String,
    /// The digest of its header, by which rpm names a build (`%{SHA256HEADER}`).
    digest: Option<Digest>,
    /// What is to be signed in it.
    prepared: Prepared,
    /// Its file, which is the one that will be copied.
    file: File,
}

async fn read(job: &Arc<Job>, path: &Path) -> Result<Read, Failure> {
    let header = {
        let (job, path) = (Arc::clone(job), path.to_owned());
        move || {
            let (package, file) = open(&job, &path)?;
            let header_is_enough = !package.needs_payload(&job.options);
            header_is_enough.then(|| prepare(&job, &path, &package, file)).transpose()
        }
    };
    if let Some(read) = job.headers.run(header).await? {
        return Ok(read);
    }
    // The payload is read beside those of others, and the header kept for it: of a few packages at a time.
    let _turn = job.payloads.acquire().await;
    let again = {
        let (job, path) = (Arc::clone(job), path.to_owned());
        move || open(&job, &path)
    };
    let (package, file) = job.headers.run(again).await?;
    let (job, path) = (Arc::clone(job), path.to_owned());
    blocking(move || prepare(&job, &path, &package, file)).await
}

fn open(job: &Job, path: &Path) -> Result<(Package, File), Failure> {
    let opened = Package::open(path).map_err(|error| failure(path, &error))?;
    if job.write == Write::InPlace {
        // Better to know it before a signature is made.
        writable(path)?;
    }
    Ok(opened)
}

fn prepare(job: &Job, path: &Path, package: &Package, file: File) -> Result<Read, Failure> {
    let prepared = package.prepare(&job.options, &job.key, now(), &file);
    Ok(Read {
        package: package.identity().to_string(),
        digest: package.header_digest().ok(),
        prepared: prepared.map_err(|error| failure(path, &error))?,
        file,
    })
}

/// Writes the signed package. The temporary file is held here and not on the thread that fills it, so that it goes at
/// once if the run is interrupted.
async fn attach(
    job: &Arc<Job>,
    pending: Pending,
    raw: Vec<Vec<u8>>,
    file: File,
    path: PathBuf,
) -> Result<(), Failure> {
    let edited = pending.finish(&raw).map_err(|error| failure(&path, &error))?;
    if job.write == Write::InPlace && edited.fits_in_place() {
        return blocking(move || write_in_place(&edited, &path)).await;
    }
    let replacement = Replacement::of(&path, &file)?;
    let copy = replacement.writer()?;
    blocking(move || edited.write_to(&file, copy).map(drop).map_err(|error| failure(&path, &error))).await?;
    let job = Arc::clone(job);
    blocking(move || replacement.commit_in(&job.folders)).await
}

fn write_in_place(edited: &Edited, path: &Path) -> Result<(), Failure> {
    let file = writable(path)?;
    edited.write_in_place(&file).map_err(|error| failure(path, &error))?;
    file.sync_all().map_err(|error| Failure::file("write", path, &error))
}

fn writable(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.map_err(|error| Failure::file("write", path, &error))
}

/// What is wrong with a package, with its path and the next step.
pub(super) fn failure(path: &Path, error: &Error) -> Failure {
    let file = path.display();
    let bad = || Failure::new(Exit::BadArtifact, format!("{file}: {}", chain(error)));
    match error {
        Error::Read { source, .. }
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
        {
            Failure::file("read", path, source)
        }
        Error::Write(source) => Failure::file("write the signed copy of", path, source),
        Error::Read { .. } | Error::Changed | Error::DoesNotFit => {
            Failure::new(Exit::Failed, format!("{file}: {}", chain(error)))
        }
        Error::OpenPgp(error) => super::sign_openpgp::failure(path, error),
        Error::NotRpm(_) => bad().hint(format!("`file {file}` tells what it is")),
        Error::Truncated { .. } | Error::Corrupt { .. } => {
            bad().hint("fetch or build the package again; `rpm -Kv` should say the same of this one")
        }
        Error::Format3 | Error::NoV3InFormat6 => bad(),
        _ => bad().hint("build the package again; `rpm -qip` should refuse this one too"),
    }
}
