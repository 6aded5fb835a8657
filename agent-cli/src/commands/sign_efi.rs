//! `chancery sign efi`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::pe::{Attributes, Existing, Options, PageHashes, Pending, signature_of};

use super::timestamp_efi;
use crate::args::{Global, Output, SignEfi};
use crate::certificates::chain;
use crate::daemon;
use crate::efi::{Source, failure};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::image_signer::{ImageSigner, Product};
use crate::key::Key;
use crate::output::{Folders, Replacement};
use crate::sources::beside;
use crate::terminal::Terminal;
use crate::timestamp::Timestamper;

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

impl To {
    const fn product(&self) -> Product {
        match self {
            Self::Place | Self::Image(_) => Product::Image,
            Self::Beside | Self::Signature(_) => Product::Signature,
        }
    }
}

/// What all images share.
struct Job {
    images: ImageSigner,
    to: To,
    /// Who gives timestamps, if any are asked for.
    stamper: Option<Timestamper>,
    /// Where images were replaced.
    folders: Arc<Folders>,
}

/// What an image needs.
enum Needs {
    /// Nothing: the key has signed it already, and just so.
    Nothing,
    /// A timestamp for the signature that the key made before, at this place of the certificate table.
    Timestamp(usize),
    /// A signature.
    Signature(Box<Pending>),
}

pub(crate) async fn run(global: &Global, args: SignEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let to = destination(&args)?;
    let stamper = Timestamper::of(&args.timestamps, global)?;
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    let existing = if args.replace { Existing::Replace } else { Existing::Append };
    let page_hashes = if args.page_hashes { PageHashes::Include } else { PageHashes::Leave };
    let attributes = Attributes::Authenticode;
    let options = Options { hash: args.hash, existing, attributes, signing_time: None, page_hashes };
    let build = global.build_id.as_deref();
    let mut images = ImageSigner::new(client, key, args.cert.as_deref(), options, build).await?;
    images.chain = chain(&args.chain, &images.certificate)?;
    let job = Arc::new(Job { images, to, stamper, folders: Arc::default() });
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
            .detail("key", job.images.key())
            .detail("subject", job.images.certificate.subject().to_string())
            .detail("hash", job.images.options.hash.as_str())
    };
    let read = blocking({
        let (job, path) = (Arc::clone(&job), path.clone());
        move || read(&job, &path)
    });
    let (source, needs) = read.await?;
    let pending = match (needs, &job.stamper) {
        (Needs::Signature(pending), _) => pending,
        (Needs::Timestamp(place), Some(stamper)) => {
            let signatures = timestamp_efi::signatures(&source.image, Some(place));
            return timestamp_efi::add(stamper, &job.folders, path, source, signatures).await;
        }
        _ => return Ok(done(Deed::AlreadySigned).text("by this key, left alone")),
    };
    let mut signed = job.images.finish(&path, *pending).await?;
    let mut token = None;
    if let Some(stamper) = &job.stamper {
        let given = stamper.token(&path, signed.cms()).await?;
        signed = signed.stamped(&given).map_err(|error| failure(&path, &error))?;
        token = Some(given);
    }
    // The temporary file is held here and not on the thread that fills it, so that it goes at once if the run is
    // interrupted.
    let replacement = match &job.to {
        To::Place => Replacement::of(&path, &source.file)?,
        To::Beside => Replacement::at(&beside(&path, SUFFIX))?,
        To::Image(to) | To::Signature(to) => Replacement::at(to)?,
    };
    let output = replacement.writer()?;
    let mut told = if job.to == To::Place {
        done(Deed::Signed)
    } else {
        let to = replacement.path().to_string_lossy().into_owned();
        done(Deed::Signed).text(format!("to {to}")).detail("output", to)
    };
    if let Some(token) = &token {
        told = timestamp_efi::with(told, token);
    }
    blocking(move || {
        job.to.product().write(source, &signed, &output)?;
        replacement.commit_in(&job.folders)
    })
    .await?;
    Ok(told)
}

/// Reads an image, and tells what it needs.
fn read(job: &Job, path: &Path) -> Result<(Source, Needs), Failure> {
    let mut source = Source::open(path)?;
    let (image, plain) = source.plain();
    let images = &job.images;
    if job.to == To::Place {
        let place = signature_of(image, plain, &images.certificate, &images.options);
        if let Some(place) = place.map_err(|error| failure(path, &error))? {
            let lacks = !timestamp_efi::signatures(image, Some(place)).is_empty();
            return Ok((source, if lacks { Needs::Timestamp(place) } else { Needs::Nothing }));
        }
    }
    let pending = images.prepare(path, &mut source)?;
    Ok((source, Needs::Signature(Box::new(pending))))
}
