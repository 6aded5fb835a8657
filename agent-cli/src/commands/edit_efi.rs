//! `chancery unsign efi` and `chancery attach efi`

use std::path::Path;
use std::sync::Arc;

use chancery_formats::pe::{Edited, Existing, attach, remove};

use crate::args::{AttachEfi, UnsignEfi};
use crate::efi::{Source, failure, not_good};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::module::small;
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
    let existing = if args.replace { Existing::Replace } else { Existing::Append };
    let signature = Arc::new(args.signature);
    files::each(terminal, vec![args.file], |path| {
        let signature = Arc::clone(&signature);
        blocking(move || {
            let cms = small(&signature)?;
            let mut source = Source::open(&path)?;
            let (image, plain) = source.plain();
            let edited = attach(image, plain, &cms, existing);
            let edited = edited.map_err(|error| not_good(&signature, &error))?;
            let folders = Folders::default();
            replace(&path, source, &edited, &folders)?;
            folders.sync()?;
            Ok(Done::new(Deed::Signed).text(format!("with {}", signature.display())))
        })
    })
    .await
}

/// Puts the edited image in the place of the one that was read.
fn replace(path: &Path, source: Source, edited: &Edited, folders: &Folders) -> Result<(), Failure> {
    let replacement = Replacement::of(path, &source.file)?;
    source.write(edited, replacement.file())?;
    replacement.commit_in(folders)
}
