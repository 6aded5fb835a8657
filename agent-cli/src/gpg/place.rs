//! Where a signature goes, and what becomes of a file that is there already.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use super::Stop;
use super::request::{Existing, Request};
use super::status::Code;
use crate::args::{Input, Output};
use crate::exit::Exit;
use crate::failure::{Failure, plain};
use crate::output::Replacement;

/// The place of a signature that is to be made.
pub(super) enum Target {
    Stdout,
    /// A file that does not exist, or may be replaced.
    File(PathBuf),
    /// A device or a fifo.
    Special(PathBuf),
}

/// The place, ready to be written to.
pub(super) enum Place {
    Stdout,
    File(Box<Replacement>),
    Special(PathBuf, File),
}

impl Target {
    /// The place that is asked for, or follows from the input, once it is clear that it may be written to.
    pub(super) fn of(request: &Request) -> Result<Self, Stop> {
        let path = match (&request.output, &request.input) {
            (Some(Output::Stdout), _) | (None, Input::Stdin) => return Ok(Self::Stdout),
            (Some(Output::File(path)), _) => path.clone(),
            (None, Input::File(path)) => {
                let mut path = path.clone().into_os_string();
                path.push(request.shape.suffix());
                path.into()
            }
        };
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder(&path).is_dir() => {
                return Err(Stop::new(Failure::file("write", &path, &error), Code::NOT_FOUND));
            }
            // A new file; whatever else is wrong with its place, writing will tell.
            Err(_) => return Ok(Self::File(path)),
        };
        if path != Path::new("/dev/null") {
            may_replace(&path, request.existing)?;
        }
        Ok(if metadata.is_file() { Self::File(path) } else { Self::Special(path) })
    }

    /// Opens it.
    pub(super) fn open(self) -> Result<Place, Failure> {
        Ok(match self {
            Self::Stdout => Place::Stdout,
            Self::File(path) => Place::File(Box::new(Replacement::at(&path)?)),
            Self::Special(path) => {
                let file = OpenOptions::new().write(true).open(&path);
                let file = file.map_err(|error| Failure::file("write", &path, &error))?;
                Place::Special(path, file)
            }
        })
    }
}

impl Place {
    /// Writes the product. As with gpg, nothing waits for the disk: rpmsign reads the file and removes it.
    pub(super) fn deliver(self, mut product: impl Read) -> Result<(), Failure> {
        let mut write = |output: &mut dyn Write, path: &Path| {
            let written = io::copy(&mut product, output).and_then(|_| output.flush());
            written.map_err(|error| Failure::file("write", path, &error))
        };
        match self {
            Self::Stdout => write(&mut io::stdout().lock(), Path::new("the standard output")),
            Self::Special(path, mut file) => write(&mut file, &path),
            Self::File(replacement) => {
                write(&mut replacement.file(), replacement.path())?;
                replacement.place()
            }
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

fn may_replace(path: &Path, existing: Existing) -> Result<(), Stop> {
    let exists = |failure: Failure| Stop::new(failure, Code::EXISTS);
    let refused = || Failure::new(Exit::Failed, format!("{}: file exists", path.display()));
    match existing {
        Existing::Replace => Ok(()),
        Existing::Keep => Err(exists(refused().hint("`--yes` overwrites it"))),
        Existing::Ask => {
            match ask(path) {
                Ok(true) => Ok(()),
                Ok(false) => Err(exists(refused())),
                Err(error) => Err(exists(refused().hint(format!(
                    "`--yes` overwrites it; there is no terminal to ask on: {}",
                    plain(&error)
                )))),
            }
        }
    }
}

/// Asks the person at the terminal, wherever standard input and output go.
fn ask(path: &Path) -> io::Result<bool> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let name = path.display().to_string().escape_debug().to_string();
    write!(&terminal, "File '{name}' exists. Overwrite? (y/N) ")?;
    let mut answer = String::new();
    BufReader::new(terminal).take(64).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpg::request::{Work, understand};

    fn target(folder: &Path, line: &str) -> Result<String, Code> {
        let words: Vec<_> = line.replace('@', folder.to_str().unwrap()).split(' ').map(Into::into).collect();
        let Ok(Work::Sign(request)) = understand(&words).1 else { panic!("{line}") };
        let name = |path: PathBuf| path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        match Target::of(&request) {
            Ok(Target::Stdout) => Ok("stdout".into()),
            Ok(Target::File(path)) => Ok(name(path)),
            Ok(Target::Special(path)) => Ok(format!("special {}", name(path))),
            Err(stop) => Err(stop.code),
        }
    }

    #[test]
    fn the_place_follows_from_input_and_shape_and_nothing_is_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.sig"), "old").unwrap();
        for (line, expected) in [
            ("-b", Ok("stdout")),
            ("-b -o - @/f", Ok("stdout")),
            ("-b @/f", Ok("f.sig")),
            ("-ba @/f", Ok("f.asc")),
            ("--clearsign @/f", Ok("f.asc")),
            ("-s @/f", Ok("f.gpg")),
            ("-b -o @/out -", Ok("out")),
            ("-b -o /dev/null --batch @/f", Ok("special /dev/null")),
            ("-b --batch @/old", Err(Code::EXISTS)),
            ("-b --no @/old", Err(Code::EXISTS)),
            ("-b --batch --yes @/old", Ok("old.sig")),
            ("-b --batch -o @ -", Err(Code::EXISTS)),
            ("-b -o @/nowhere/f.sig -", Err(Code::NOT_FOUND)),
        ] {
            assert_eq!(target(folder.path(), line), expected.map(str::to_owned), "{line}");
        }
    }
}
