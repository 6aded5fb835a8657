//! `chancery sign efi`

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::pe::{Attributes, Existing, Options, Pending, Signed, prepare, signature_of};
use chancery_formats::raw::Input;
use chancery_formats::x509::Certificate;
use chancery_protocol::{Algorithm, CertificateKind, Format, Scheme};

use crate::args::{Global, Output, SignEfi};
use crate::daemon;
use crate::efi::{Source, certificates_of, failure};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::key::{Key, no_certificate};
use crate::module::{belongs, certificate_of};
use crate::output::{Folders, Replacement};
use crate::signer::{Artifact, Signer, artifact_name};
use crate::sources::beside;
use crate::terminal::Terminal;

/// What is appended to a file's name for its detached signature.
const SUFFIX: &str = ".p7";

/// Where what was made goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    /// Into the image's own place.
    Place,
    /// The signature alone, beside the image.
    Beside,
    /// Another file: the signed image.
    Image(PathBuf),
    /// Another file: the signature alone.
    Signature(PathBuf),
}

/// What all images share.
struct Job {
    signer: Signer,
    certificate: Certificate,
    chain: Vec<Certificate>,
    options: Options,
    to: To,
    /// Where images were replaced.
    folders: Folders,
}

pub(crate) async fn run(global: &Global, args: SignEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let to = destination(&args)?;
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    if key.algorithm == Algorithm::Ed25519 {
        let error = chancery_formats::cms::Error::Algorithm(key.algorithm).into();
        return Err(failure(Path::new(key.name.as_str()), &error));
    }
    key.serves(Format::Efi, Scheme::over_digest(key.algorithm, args.hash))?;
    let certificate = match &args.cert {
        Some(path) => {
            let certificate = certificate_of(path)?;
            belongs(&certificate, &key, &path.display().to_string())?;
            certificate
        }
        None => key.x509(&client).await?.ok_or_else(|| {
            no_certificate(&key.name, CertificateKind::X509).hint(format!(
                "the operator makes it with `chancery x509 self-sign {} --subject \"CN=...\" --profile efi`",
                key.name
            ))
        })?,
    };
    let mut chain = Vec::new();
    for path in &args.chain {
        chain.append(&mut certificates_of(path)?);
    }
    chain.retain(|embedded| *embedded != certificate);
    let existing = if args.replace { Existing::Replace } else { Existing::Append };
    let job = Arc::new(Job {
        signer: Signer::new(client, args.key, Format::Efi, global.build_id.as_deref()),
        certificate,
        chain,
        options: Options {
            hash: args.hash,
            existing,
            attributes: Attributes::Authenticode,
            signing_time: None,
        },
        to,
        folders: Folders::default(),
    });
    let exit = files::each(terminal, args.files, |path| sign(Arc::clone(&job), path)).await?;
    blocking(move || job.folders.sync()).await?;
    Ok(exit)
}

/// Where it goes: one place cannot take several images.
fn destination(args: &SignEfi) -> Result<To, Failure> {
    match (&args.output, args.detached) {
        (None, false) => Ok(To::Place),
        (None, true) => Ok(To::Beside),
        (Some(_), _) if args.files.len() != 1 => {
            Err(Failure::new(Exit::Usage, "`-o` takes one image, and several are named")
                .hint("leave `-o` out: each image is signed in its place"))
        }
        (Some(Output::Stdout), _) => {
            Err(Failure::new(Exit::Usage, "what is made of an image is not written to the standard output")
                .hint("`-o FILE` writes a file"))
        }
        (Some(Output::File(path)), false) => Ok(To::Image(path.clone())),
        (Some(Output::File(path)), true) => Ok(To::Signature(path.clone())),
    }
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
    let replacement = match &job.to {
        To::Place => Replacement::of(&path, &source.file)?,
        To::Beside => Replacement::at(&beside(&path, SUFFIX))?,
        To::Image(to) | To::Signature(to) => Replacement::at(to)?,
    };
    let output = replacement.writer()?;
    let told = if job.to == To::Place {
        done(Deed::Signed)
    } else {
        let to = replacement.path().to_string_lossy().into_owned();
        done(Deed::Signed).text(format!("to {to}")).detail("output", to)
    };
    blocking(move || {
        write(&job.to, source, &signed, &output)?;
        replacement.commit_in(&job.folders)
    })
    .await?;
    Ok(told)
}

/// Reads an image; nothing is pending if the key has signed it already, and just so.
fn read(job: &Job, path: &Path) -> Result<(Source, Option<Pending>), Failure> {
    let mut source = Source::open(path)?;
    let (image, plain) = source.plain();
    let failed = |error| failure(path, &error);
    if job.to == To::Place && signature_of(image, plain, &job.certificate, &job.options).map_err(failed)? {
        return Ok((source, None));
    }
    let pending = prepare(image, plain, &job.certificate, &job.chain, &job.options).map_err(failed)?;
    Ok((source, Some(pending)))
}

fn write(to: &To, source: Source, signed: &Signed, mut output: &std::fs::File) -> Result<(), Failure> {
    match to {
        To::Place | To::Image(_) => source.write(signed.edited(), output),
        To::Beside | To::Signature(_) => {
            let place = Path::new("the signature");
            output.write_all(signed.cms()).map_err(|error| Failure::file("write", place, &error))
        }
    }
}
