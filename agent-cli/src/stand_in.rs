//! What the programs share that stand in for tools which end with 1 whatever is wrong.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use chancery_formats::pe::{Attributes, Existing, Options, PageHashes, Signed};
use chancery_protocol::Hash;
use clap::Parser;

use crate::args::Global;
use crate::block_on;
use crate::clock::signing_time;
use crate::efi::Source;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::image_signer::{ImageSigner, Product};
use crate::offline::{self, Apart};
use crate::output::Replacement;
use crate::terminal::{self, Terminal};

/// Reads a command line, as the tool does it; otherwise help was asked for, or it is wrong, which has been told.
pub(crate) fn read<T: Parser>(arguments: Vec<OsString>) -> Result<T, ExitCode> {
    T::try_parse_from(arguments).map_err(|error| ended(terminal::usage(&error)))
}

/// Does the `work` that `file` is about, with what the environment says of daemon and build. A signal leaves what is
/// there as it was.
pub(crate) fn run<W>(file: &Path, work: impl Fn(Global) -> W) -> ExitCode
where
    W: Future<Output = Result<Done, Failure>> + Send + 'static,
{
    let terminal = Terminal::of_stand_in();
    let outcome = Global::of_environment()
        .and_then(|global| block_on(files::each(&terminal, vec![file.to_owned()], |_| work(global.clone()))));
    ended(outcome.unwrap_or_else(|failure| terminal.fail(&failure)))
}

/// The tool's exit code; of our own, the one of a signal is kept.
pub(crate) fn ended(exit: Exit) -> ExitCode {
    match exit {
        Exit::Done | Exit::Interrupted => exit.into(),
        _ => Exit::Failed.into(),
    }
}

/// Signs an image, and puts what is made of it into the file that `to` opens.
pub(crate) async fn sign_image(
    images: ImageSigner,
    image: &Path,
    product: Product,
    to: impl FnOnce(&Source) -> Result<Replacement, Failure>,
) -> Result<Done, Failure> {
    let (source, signed) = Arc::new(images).sign(image).await?;
    let replacement = to(&source)?;
    put(product, source, signed, replacement).await
}

/// Puts a signature that was made elsewhere into a copy of its image, in the file that `to` opens.
pub(crate) async fn attach(
    apart: Apart,
    image: &Path,
    to: impl FnOnce(&Source) -> Result<Replacement, Failure>,
) -> Result<Done, Failure> {
    let file = image.to_owned();
    let assembled = blocking(move || {
        let mut source = Source::open(&file)?;
        let signed = apart.assemble(&file, &mut source, Existing::Append)?;
        Ok((source, signed))
    });
    let (source, signed) = assembled.await?;
    let replacement = to(&source)?;
    put(Product::Image, source, signed, replacement).await
}

/// Writes what is to be signed of an image, at `to`.
pub(crate) async fn export(image: &Path, to: &Path, options: Options) -> Result<Done, Failure> {
    let (image, to) = (image.to_owned(), to.to_owned());
    blocking(move || Replacement::write(&to, offline::prepare(&image, &options)?.as_der())).await?;
    Ok(Done::new(Deed::Signed))
}

/// As pesign and systemd-sbsign sign: they tell the time, and that nobody has ciphers for mail.
pub(crate) fn like_pesign(hash: Hash) -> Result<Options, Failure> {
    let (signing_time, page_hashes) = (Some(signing_time()?), PageHashes::Leave);
    Ok(Options {
        hash,
        existing: Existing::Append,
        attributes: Attributes::Pesign,
        signing_time,
        page_hashes,
    })
}

/// The temporary file is held here and not on the thread that fills it, so that it goes at once if the run is interrupted.
async fn put(
    product: Product,
    source: Source,
    signed: Signed,
    replacement: Replacement,
) -> Result<Done, Failure> {
    let output = replacement.writer()?;
    blocking(move || product.write(source, &signed, &output)).await?;
    blocking(move || replacement.commit()).await?;
    Ok(Done::new(Deed::Signed))
}
