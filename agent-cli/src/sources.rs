//! What is signed, and where the signatures go.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::args::{Input, Output};
use crate::exit::Exit;
use crate::failure::Failure;

/// What is signed, and where to.
pub(crate) enum Sources {
    One(Input, Output),
    /// Each to a file beside it.
    Many(Vec<PathBuf>),
}

impl Sources {
    /// As the command line has it: without files, the standard input goes to the standard output.
    pub(crate) fn of(files: &[Input], output: Option<&Output>) -> Result<Self, Failure> {
        let wrong = |error: &str, hint: &str| Err(Failure::new(Exit::Usage, error).hint(hint));
        match (files, output) {
            ([] | [Input::Stdin], output) => {
                Ok(Self::One(Input::Stdin, output.cloned().unwrap_or(Output::Stdout)))
            }
            ([input], Some(output)) => Ok(Self::One(input.clone(), output.clone())),
            (_, Some(_)) => {
                wrong("`--output` is for one file", "leave it out: each signature goes beside its file")
            }
            (inputs, None) => {
                let paths = inputs.iter().map(|input| match input {
                    Input::File(path) => Some(path.clone()),
                    Input::Stdin => None,
                });
                match paths.collect() {
                    Some(paths) => Ok(Self::Many(paths)),
                    None => wrong("`-`, the standard input, cannot stand among files", "sign it on its own"),
                }
            }
        }
    }
}

impl Input {
    /// Opens it to be read; a directory is no input.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Stdin => Box::new(io::stdin().lock()),
            Self::File(path) => {
                let file = File::open(path)?;
                if file.metadata()?.is_dir() {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                Box::new(file)
            }
        })
    }

    /// Its name in messages and the audit trail.
    pub(crate) fn shown(&self) -> &Path {
        match self {
            Self::Stdin => Path::new("stdin"),
            Self::File(path) => path,
        }
    }
}

/// The place beside `path` whose name ends in `suffix` too.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}
