//! `chancery sign efi --prepared`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::pe::SignedAttributes;
use chancery_formats::raw::Input;
use chancery_protocol::{Format, Scheme};

use crate::args::{Global, Output, SignEfi};
use crate::daemon;
use crate::efi::failure;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::image_signer::serves;
use crate::key::Key;
use crate::offline;
use crate::output::Replacement;
use crate::signer::{Artifact, Signer, artifact_name};
use crate::sources::beside;
use crate::terminal::Terminal;

/// What is appended to a file's name for the signature over it.
const SUFFIX: &str = ".sig";

/// What all files share.
struct Job {
    key: Key,
    signer: Signer,
    to: Option<PathBuf>,
}

pub(crate) async fn run(global: &Global, args: SignEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let to = match (args.output, args.files.len()) {
        (None, _) => None,
        (Some(Output::File(path)), 1) => Some(path),
        (Some(Output::Stdout), _) => {
            return Err(Failure::new(Exit::Usage, "a bare signature is not written to the standard output")
                .hint("`-o FILE` writes a file"));
        }
        (Some(_), _) => {
            return Err(Failure::new(Exit::Usage, "`-o` takes one file, and several are named")
                .hint("leave `-o` out: each signature goes to FILE.sig"));
        }
    };
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.key).await?;
    let signer = Signer::new(client, args.key, Format::Efi, global.build_id.as_deref());
    let job = Arc::new(Job { key, signer, to });
    files::each(terminal, args.files, |path| sign(Arc::clone(&job), path)).await
}

async fn sign(job: Arc<Job>, path: PathBuf) -> Result<Done, Failure> {
    // Nothing is signed as an image's that no image could have: the file is read as what it has to be.
    let attributes = blocking({
        let path = path.clone();
        move || offline::read(&path)
    });
    let attributes = attributes.await?;
    let signature = signature(&job, &path, &attributes).await?;
    let to = job.to.clone().unwrap_or_else(|| beside(&path, SUFFIX));
    let told = to.to_string_lossy().into_owned();
    blocking(move || Replacement::write(&to, &signature)).await?;
    Ok(Done::new(Deed::Signed)
        .text(format!("to {told}"))
        .detail("key", job.key.name.as_str())
        .detail("hash", attributes.hash().as_str())
        .detail("output", told))
}

async fn signature(job: &Job, path: &Path, attributes: &SignedAttributes) -> Result<Vec<u8>, Failure> {
    let failed = |error| failure(path, &error);
    serves(&job.key, attributes.hash())?;
    let scheme = Scheme::over_digest(job.key.algorithm, attributes.hash());
    let input = Input::Digest(attributes.digest().map_err(failed)?);
    let name = artifact_name(path);
    let raw = job.signer.sign_input(Artifact::named(&name), scheme, &input).await?;
    attributes.signature(&job.key.public, &raw).map_err(failed)
}
