//! `chancery unsign efi` and `chancery attach efi`

use std::path::Path;
use std::sync::Arc;

use chancery_formats::pe::{Edited, Existing, attach, remove};

use crate::args::{AttachEfi, UnsignEfi};
use crate::efi::{Source, certificates_of, failure, not_good};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::module::{certificate_of, small};
use crate::offline::Apart;
use crate::output::{Folders, Replacement};
use crate::terminal::Terminal;

pub(crate) async fn unsign(args: UnsignEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let folders = Arc::new(Folders::default());
    let exit = files::each(terminal, args.files, |path| {
        let folders = Arc::clone(&folders);
        blocking(move || {
            let mut source = Source::open(&path)?;
            let (image, plain) = source.plain();
            if image.entries().next().is_none() {
                return Ok(Done::new(Deed::NotSigned));
            }
            let edited = remove(image, plain).map_err(|error| failure(&path, &error))?;
            replace(&path, source, &edited, &folders)?;
            Ok(Done::new(Deed::Unsigned))
        })
    });
    let exit = exit.await?;
    blocking(move || folders.sync()).await?;
    Ok(exit)
}

pub(crate) async fn put(args: AttachEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let args = Arc::new(args);
    files::each(terminal, vec![args.file.clone()], |path| {
        let args = Arc::clone(&args);
        blocking(move || {
            let mut source = Source::open(&path)?;
            let (edited, from) = attached(&args, &mut source)?;
            let folders = Folders::default();
            replace(&path, source, &edited, &folders)?;
            folders.sync()?;
            Ok(Done::new(Deed::Signed).text(format!("with {}", from.display())))
        })
    })
    .await
}

/// The image with the signature, and the file that this is from.
fn attached<'a>(args: &'a AttachEfi, source: &mut Source) -> Result<(Edited, &'a Path), Failure> {
    let existing = if args.replace { Existing::Replace } else { Existing::Append };
    // One of the two is there, and the first one not alone: the parser asks for that.
    if let (Some(data), Some(bare), Some(cert)) = (&args.signed_data, &args.bare, &args.cert) {
        let mut chain = Vec::new();
        for file in &args.chain {
            chain.append(&mut certificates_of(file)?);
        }
        let certificate = certificate_of(cert)?;
        let apart = Apart { data: data.clone(), signature: bare.clone(), certificate, chain };
        let signed = apart.assemble(&args.file, source, existing)?;
        return Ok((signed.edited().clone(), bare));
    }
    let signature = args.signature.as_deref().unwrap_or(Path::new(""));
    let cms = small(signature)?;
    let (image, plain) = source.plain();
    let edited = attach(image, plain, &cms, existing).map_err(|error| not_good(signature, &error))?;
    Ok((edited, signature))
}

/// Puts the edited image in the place of the one that was read.
fn replace(path: &Path, source: Source, edited: &Edited, folders: &Folders) -> Result<(), Failure> {
    let replacement = Replacement::of(path, &source.file)?;
    source.write(edited, replacement.file())?;
    replacement.commit_in(folders)
}
