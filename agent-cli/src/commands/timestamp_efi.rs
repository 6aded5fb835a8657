//! `chancery timestamp efi`, and what `sign efi` shares with it: timestamps for signatures that an image carries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::pe::{Entry, Image, stamp, unstamped};
use chancery_formats::timestamp::{Kind, Token, is_stamped};

use crate::args::{Global, TimestampEfi};
use crate::efi::{Source, failure};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::output::{Folders, Replacement};
use crate::terminal::Terminal;
use crate::timestamp::{Timestamper, told};

pub(crate) async fn run(global: &Global, args: TimestampEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let stamper = Arc::new(Timestamper::new(&args.servers, global)?);
    let folders = Arc::new(Folders::default());
    let exit = files::each(terminal, args.files, |path| {
        let (stamper, folders) = (Arc::clone(&stamper), Arc::clone(&folders));
        async move {
            let source = blocking({
                let path = path.clone();
                move || Source::open(&path)
            });
            let source = source.await?;
            let signatures = signatures(&source.image, None);
            if signatures.is_empty() {
                return already(&path, &source.image);
            }
            add(&stamper, &folders, path, source, signatures).await
        }
    });
    let exit = exit.await?;
    blocking(move || folders.sync()).await?;
    Ok(exit)
}

/// What is told of an image without a signature that lacks a timestamp.
fn already(path: &Path, image: &Image) -> Result<Done, Failure> {
    let told = |why| Failure::new(Exit::Failed, format!("{}: {why}", path.display()));
    let stamped = |entry: Entry<'_>| match entry {
        Entry::SignedData(cms) => is_stamped(cms, Kind::Authenticode).unwrap_or(false),
        Entry::Other(_) => false,
    };
    if image.entries().next().is_none() {
        return Err(told("the image is not signed")
            .hint("`chancery sign efi --key NAME --timestamp FILE` signs it, with a timestamp"));
    }
    if !image.entries().any(stamped) {
        return Err(told("none of its signatures can be read")
            .hint(format!("`chancery show efi {}` tells what is wrong with each", path.display())));
    }
    Ok(Done::new(Deed::AlreadyStamped))
}

/// The signatures of an image that have no timestamp, or the one at `place` alone: CMS, by their places.
pub(super) fn signatures(image: &Image, place: Option<usize>) -> BTreeMap<usize, Vec<u8>> {
    let chosen = unstamped(image).filter(|(at, _)| place.is_none_or(|place| place == *at));
    chosen.map(|(at, cms)| (at, cms.to_vec())).collect()
}

/// Gets timestamps for these signatures of an image, and puts the image with them into its place.
pub(super) async fn add(
    stamper: &Timestamper,
    folders: &Arc<Folders>,
    path: PathBuf,
    mut source: Source,
    signatures: BTreeMap<usize, Vec<u8>>,
) -> Result<Done, Failure> {
    let mut tokens = BTreeMap::new();
    for (place, cms) in signatures {
        tokens.insert(place, stamper.token(&path, &cms).await?);
    }
    let Some(token) = tokens.values().next().cloned() else {
        return Ok(Done::new(Deed::AlreadyStamped));
    };
    // Held here and not on the thread that fills it, so that it goes at once if the run is interrupted.
    let replacement = Replacement::of(&path, &source.file)?;
    let output = replacement.writer()?;
    let folders = Arc::clone(folders);
    blocking(move || {
        let (image, plain) = source.plain();
        let edited = stamp(image, plain, &tokens).map_err(|error| failure(&path, &error))?;
        source.write(&edited, &output)?;
        replacement.commit_in(&folders)
    })
    .await?;
    Ok(with(Done::new(Deed::Stamped), &token))
}

/// Tells of a timestamp.
pub(super) fn with(done: Done, token: &Token) -> Done {
    let text = match done.deed {
        Deed::Stamped => format!("by `{}`", token.tsa()),
        _ => format!("{} with a timestamp by `{}`", done.text, token.tsa()).trim_start().to_owned(),
    };
    done.text(text).detail("timestamp", told(token)).detail("tsa", token.tsa().to_string())
}
