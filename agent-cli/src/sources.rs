//! What is signed, and where the signatures go.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use crate::args::{Input, Output};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::{self, Done, blocking};
use crate::output::Replacement;
use crate::terminal::Terminal;

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

impl Sources {
    /// Keeps the standard output free of all else, if that is where the product goes.
    pub(crate) fn reserve_stdout(&self, terminal: &Terminal) {
        if let Self::One(_, Output::Stdout) = self {
            terminal.keep_stdout_for_product();
        }
    }

    /// Makes a file of each source, in one step: beside it, with `suffix` behind its name, or where it was told to. `make`
    /// writes the file and says what it did. Nothing is written to the standard output unless all went well.
    pub(crate) async fn make_each<W, F>(
        self,
        terminal: &Terminal,
        suffix: &str,
        make: W,
    ) -> Result<Exit, Failure>
    where
        W: Fn(Input, File) -> F,
        F: Future<Output = Result<Done, Failure>> + Send + 'static,
    {
        let into = |input, output: PathBuf| {
            let begun = Replacement::at(&output).and_then(|new| Ok((new.writer()?, new)));
            place(begun.map(|(writer, new)| (make(input, writer), new)), output)
        };
        match self {
            Self::One(input, Output::Stdout) => {
                let spooled = |error: &io::Error| Failure::file("write in", &std::env::temp_dir(), error);
                let mut spool = tempfile::tempfile().map_err(|error| spooled(&error))?;
                make(input, spool.try_clone().map_err(|error| spooled(&error))?).await?;
                spool.rewind().map_err(|error| spooled(&error))?;
                terminal.product(spool)?;
                Ok(Exit::Done)
            }
            Self::One(input, Output::File(output)) => {
                // Told of by the name of what was signed, where it has one.
                let named = match &input {
                    Input::File(path) => path.clone(),
                    Input::Stdin => output.clone(),
                };
                files::each(terminal, vec![named], |_| into(input.clone(), output.clone())).await
            }
            Self::Many(paths) => {
                files::each(terminal, paths, |path| {
                    let output = beside(&path, suffix);
                    into(Input::File(path), output)
                })
                .await
            }
        }
    }
}

/// Puts what is made in its place.
async fn place(
    made: Result<(impl Future<Output = Result<Done, Failure>>, Replacement), Failure>,
    output: PathBuf,
) -> Result<Done, Failure> {
    let (made, replacement) = made?;
    let done = made.await?;
    blocking(move || replacement.commit()).await?;
    let output = output.to_string_lossy().into_owned();
    Ok(done.text(format!("to {output}")).detail("output", output))
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
