//! `chancery sign module`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::module::{Existing, Options, Pending, SignerId, prepare, signature_of};
use chancery_formats::raw::Input;
use chancery_formats::x509::{Certificate, Profile};
use chancery_protocol::{Algorithm, Format, Scheme};

use crate::args::{Global, SignModule};
use crate::certificates::of_signer;
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::key::Key;
use crate::module::{Source, failure};
use crate::output::{Folders, Replacement};
use crate::signer::{Artifact, Signer, artifact_name};
use crate::terminal::Terminal;

/// What all modules share.
struct Job {
    signer: Signer,
    certificate: Certificate,
    options: Options,
    /// Where modules were replaced.
    folders: Folders,
}

pub(crate) async fn run(global: &Global, args: SignModule, terminal: &Terminal) -> Result<Exit, Failure> {
    files::give_way(&args.files);
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    if key.algorithm == Algorithm::Ed25519 {
        let error = chancery_formats::module::Error::Algorithm(key.algorithm);
        return Err(failure(Path::new(key.name.as_str()), &error));
    }
    if key.algorithm == Algorithm::P521 {
        terminal.note(
            "note: kernels before 6.10 cannot verify P-521; for such systems sign with RSA, P-256 or P-384",
        );
    }
    key.serves(Format::Module, Scheme::over_digest(key.algorithm, args.hash))?;
    let certificate = of_signer(&client, &key, args.cert.as_deref(), Profile::Module).await?;
    let existing = if args.stack { Existing::Stack } else { Existing::Replace };
    let job = Arc::new(Job {
        signer: Signer::new(client, args.key, Format::Module, global.build_id.as_deref()),
        certificate,
        options: Options { hash: args.hash, signer: SignerId::IssuerAndSerialNumber, existing },
        folders: Folders::default(),
    });
    let exit = files::each(terminal, args.files, |path| sign(Arc::clone(&job), path)).await?;
    blocking(move || job.folders.sync()).await?;
    Ok(exit)
}

async fn sign(job: Arc<Job>, path: PathBuf) -> Result<Done, Failure> {
    let done = |deed| {
        Done::new(deed)
            .detail("key", job.signer.key().as_str())
            .detail("subject", job.certificate.subject().to_string())
            .detail("hash", job.options.hash.as_str())
    };
    let read = blocking({
        let (job, path) = (Arc::clone(&job), path.clone());
        move || read(&job, &path)
    });
    let (source, pending) = read.await?;
    let Some(pending) = pending else {
        return Ok(done(Deed::AlreadySigned).text("by this key, left alone"));
    };
    let name = artifact_name(&path);
    let input = Input::Digest(pending.digest().clone());
    let raw = job.signer.sign_input(Artifact::named(&name), pending.scheme(), &input).await?;
    let signed = pending.finish(&raw).map_err(|error| failure(&path, &error))?;
    // The temporary file is held here and not on the thread that fills it, so that it goes at once if the run is
    // interrupted.
    let replacement = Replacement::of(&path, &source.file)?;
    let output = replacement.writer()?;
    blocking(move || source.write(&signed, &output)).await?;
    blocking({
        let job = Arc::clone(&job);
        move || replacement.commit_in(&job.folders)
    })
    .await?;
    Ok(done(Deed::Signed))
}

/// Reads a module; nothing is pending if the key has signed it already, and just so.
fn read(job: &Job, path: &Path) -> Result<(Source, Option<Pending>), Failure> {
    let mut source = Source::open(path)?;
    let (module, plain) = source.plain();
    let failed = |error| failure(path, &error);
    if job.options.existing == Existing::Replace {
        let (hash, form) = (job.options.hash, job.options.signer);
        if signature_of(module, plain, &job.certificate, hash, form).map_err(failed)?.is_some() {
            return Ok((source, None));
        }
    }
    let pending = prepare(module, plain, &job.certificate, &job.options).map_err(failed)?;
    Ok((source, Some(pending)))
}
