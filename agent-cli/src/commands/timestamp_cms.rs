//! `chancery timestamp cms`: timestamps for signatures over files that were made without one.

use std::fs::File;
use std::io::{BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_formats::cms::file::{Content, Opened, Signature, enclose, of_text, open, to_text};
use chancery_formats::cms::{Form, VerifyError};
use chancery_formats::timestamp::{Kind, attach, is_stamped};

use super::timestamp_efi::with;
use crate::args::{Global, TimestampCms};
use crate::cms::{failure, not_good};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Deed, Done, blocking};
use crate::module::small;
use crate::output::Replacement;
use crate::terminal::Terminal;
use crate::timestamp::{Timestamper, unstampable};

/// A signature in a file of its own, or around the file that it is over.
struct Source {
    path: PathBuf,
    file: File,
    opened: Opened,
    /// How its text was written, if it is text.
    text: Option<Form>,
}

pub(crate) async fn run(global: &Global, args: TimestampCms, terminal: &Terminal) -> Result<Exit, Failure> {
    let stamper = Arc::new(Timestamper::new(&args.servers, global)?);
    files::each(terminal, args.files, |path| stamp(Arc::clone(&stamper), path)).await
}

async fn stamp(stamper: Arc<Timestamper>, path: PathBuf) -> Result<Done, Failure> {
    let read = blocking({
        let path = path.clone();
        move || Source::open(path)
    });
    let source = read.await?;
    let cms = &source.opened.cms;
    if is_stamped(cms, Kind::Cms).map_err(|error| unstampable(&path, &error))? {
        return Ok(Done::new(Deed::AlreadyStamped));
    }
    let token = stamper.token(&path, cms).await?;
    let complete = attach(cms, &token, Kind::Cms).map_err(|error| unstampable(&path, &error))?;
    // Held here and not on the thread that fills it, so that it goes at once if the run is interrupted.
    let replacement = Replacement::of(&path, &source.file)?;
    let output = replacement.writer()?;
    blocking(move || {
        source.write(&complete, &output)?;
        replacement.commit()
    })
    .await?;
    Ok(with(Done::new(Deed::Stamped), &token))
}

impl Source {
    fn open(path: PathBuf) -> Result<Self, Failure> {
        let mut file = File::open(&path).map_err(|error| Failure::file("read", &path, &error))?;
        let text = of_text(&small(&path)?);
        let opened = match &text {
            Some((cms, _)) => open(&mut Cursor::new(cms)),
            None => open(&mut file),
        };
        let opened = opened.map_err(|error| not_good(&path, &error))?;
        let text = text.map(|(_, form)| form);
        if text.is_some() && opened.content.is_some() {
            let error = VerifyError::Malformed("holds its file as text, which is not written here");
            return Err(not_good(&path, &error));
        }
        Ok(Self { path, file, opened, text })
    }

    /// Writes it with another signature in the place of its own.
    fn write(mut self, cms: &[u8], mut output: &File) -> Result<(), Failure> {
        let path: &Path = &self.path;
        let unwritten = |error: std::io::Error| Failure::file("write the signature of", path, &error);
        let unreadable = |error: std::io::Error| Failure::file("read", path, &error);
        let failed = |error| failure(path, &error);
        let Some(place) = &self.opened.content else {
            return match self.text {
                Some(form) => output.write_all(to_text(cms, form).map_err(failed)?.as_bytes()),
                None => output.write_all(cms),
            }
            .map_err(unwritten);
        };
        let hash = Signature::decode(cms).map_err(|error| not_good(path, &error))?.hash();
        let inside = |file: &mut File| {
            file.seek(SeekFrom::Start(place.start)).map_err(unreadable)?;
            Ok::<_, Failure>(file.try_clone().map_err(unreadable)?.take(place.end - place.start))
        };
        let content = Content::read(hash, inside(&mut self.file)?).map_err(failed)?;
        enclose(cms, &content, inside(&mut self.file)?, BufWriter::new(output)).map_err(failed)
    }
}
