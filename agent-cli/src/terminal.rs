//! The terminal: the only file that prints.
//!
//! Answers and news go to the standard output, errors and hints to the standard error. With `--json` everything is one
//! object a line on the standard output. Where the standard output carries the product itself (a signature, a
//! certificate), the rest goes to the standard error.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::args::Global;
use crate::exit::Exit;
use crate::failure::{Failure, plain};

/// Longest answer to a question, in bytes.
const MAX_ANSWER: u64 = 1024;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voice {
    /// Everything, in text.
    Plain,
    /// Answers and errors, in text.
    Quiet,
    /// Everything, one JSON object a line.
    Json,
    /// Answers and errors, one JSON object a line.
    QuietJson,
}

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

/// Everything that this run says.
pub(crate) struct Terminal {
    voice: Voice,
    lines: Cell<Stream>,
    bar: RefCell<Option<ProgressBar>>,
}

impl Terminal {
    pub(crate) fn new(global: &Global) -> Self {
        let voice = match (global.json, global.quiet) {
            (false, false) => Voice::Plain,
            (false, true) => Voice::Quiet,
            (true, false) => Voice::Json,
            (true, true) => Voice::QuietJson,
        };
        Self::with(voice)
    }

    /// A terminal that was told nothing of how to speak.
    pub(crate) fn plain() -> Self {
        Self::with(Voice::Plain)
    }

    fn with(voice: Voice) -> Self {
        Self { voice, lines: Cell::new(Stream::Stdout), bar: RefCell::new(None) }
    }

    /// What a stand-in for another tool says: errors and hints alone.
    pub(crate) fn of_stand_in() -> Self {
        Self { voice: Voice::Quiet, lines: Cell::new(Stream::Stderr), bar: RefCell::new(None) }
    }

    /// Says what was asked for.
    pub(crate) fn answer(&self, text: impl Display, json: &Value) {
        match self.voice {
            Voice::Plain | Voice::Quiet => self.line(self.lines.get(), &clean(&text.to_string())),
            Voice::Json | Voice::QuietJson => self.line(self.lines.get(), &json.to_string()),
        }
    }

    /// Says what was done.
    pub(crate) fn news(&self, text: impl Display, json: &Value) {
        if matches!(self.voice, Voice::Plain | Voice::Json) {
            self.answer(text, json);
        }
    }

    /// Says what was done, unless the progress bar shows it.
    pub(crate) fn progress_news(&self, text: impl Display, json: &Value) {
        if self.bar.borrow().is_none() {
            self.news(text, json);
        }
    }

    /// Says something beside the matter, to people only.
    pub(crate) fn note(&self, text: impl Display) {
        if self.voice == Voice::Plain {
            self.line(Stream::Stderr, &clean(&text.to_string()));
        }
    }

    /// Says the next step, to people only.
    pub(crate) fn hint(&self, text: impl Display) {
        self.note(format_args!("hint: {text}"));
    }

    /// Says why the run ends.
    pub(crate) fn fail(&self, failure: &Failure) -> Exit {
        self.failure(failure, Map::new());
        failure.exit
    }

    /// Says why a file was not done; the run goes on.
    pub(crate) fn fail_file(&self, file: &Path, failure: &Failure) {
        let mut object = Map::new();
        object.insert("file".into(), json!(file.to_string_lossy()));
        object.insert("result".into(), json!("failed"));
        self.failure(failure, object);
    }

    fn failure(&self, failure: &Failure, mut object: Map<String, Value>) {
        match self.voice {
            Voice::Plain | Voice::Quiet => {
                self.line(Stream::Stderr, &format!("error: {}", clean(&failure.error)));
                if let Some(hint) = &failure.hint {
                    self.line(Stream::Stderr, &format!("hint: {}", clean(hint)));
                }
            }
            Voice::Json | Voice::QuietJson => {
                object.insert("error".into(), json!(failure.error));
                object.insert("hint".into(), json!(failure.hint));
                object.insert("refusal".into(), json!(failure.refusal));
                object.insert("exit".into(), json!(failure.exit.code()));
                self.line(self.lines.get(), &Value::Object(object).to_string());
            }
        }
    }

    /// From now on the standard output is kept for the product.
    pub(crate) fn keep_stdout_for_product(&self) {
        self.lines.set(Stream::Stderr);
    }

    /// Writes the product, whole, to the standard output.
    pub(crate) fn product(&self, mut bytes: impl Read) -> Result<(), Failure> {
        self.keep_stdout_for_product();
        let mut stdout = io::stdout().lock();
        let written = io::copy(&mut bytes, &mut stdout).and_then(|_| stdout.flush());
        written.map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot write to the standard output: {}", plain(&error)))
        })
    }

    /// Shows a bar of `total` files if there is a person to see it.
    pub(crate) fn start_bar(&self, total: usize) {
        if self.voice != Voice::Plain || total < 2 || !io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.bar.borrow_mut() = Some(bar);
    }

    /// Moves the bar by the file that is done.
    pub(crate) fn advance_bar(&self, file: &Path) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.set_message(clean(&file.display().to_string()));
            bar.inc(1);
        }
    }

    /// Takes the bar away.
    pub(crate) fn end_bar(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }

    /// A line; a reader that went away is no reason to fail.
    fn line(&self, stream: Stream, text: &str) {
        let write = || {
            let _ = match stream {
                Stream::Stdout => writeln!(io::stdout(), "{text}"),
                Stream::Stderr => writeln!(io::stderr(), "{text}"),
            };
        };
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// Says what is wrong with the command line, or shows the help that it asks for.
pub(crate) fn usage(error: &clap::Error) -> Exit {
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// Says why a program that stands in for another ends. Its own name begins each line: these stand among the caller's.
pub(crate) fn stand_in_fails(program: &str, failure: &Failure) {
    let _ = writeln!(io::stderr(), "{program}: error: {}", clean(&failure.error));
    if let Some(hint) = &failure.hint {
        let _ = writeln!(io::stderr(), "{program}: hint: {}", clean(hint));
    }
}

/// Says what a program that stands in for another is.
pub(crate) fn stand_in_says(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Says how a stand-in's command line has to be.
pub(crate) fn misused(usage: &str) -> Exit {
    let _ = write!(io::stderr(), "{usage}");
    Exit::Usage
}

/// Asks in ssh-keygen's words whether the file at `place` may be replaced; the end of the input is a no.
pub(crate) fn confirms_overwriting(place: &Path) -> Result<bool, Failure> {
    let mut answer = String::new();
    let asked =
        write!(io::stdout(), "{} already exists.\nOverwrite (y/n)? ", clean(&place.display().to_string()))
            .and_then(|()| io::stdout().flush())
            .and_then(|()| io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer));
    asked.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("{}: cannot ask whether to replace it: {}", place.display(), plain(&error)),
        )
    })?;
    Ok(answer.starts_with(['y', 'Y']))
}

/// File names and other people's words cannot steer the terminal: control characters are shown by their number.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb.rpm\r"), "a\\u{1b}[2Jb.rpm\\u{d}");
    }
}
