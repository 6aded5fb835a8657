//! Why something was not done: what happened, the next step, and the exit code.

use std::error::Error;
use std::io;
use std::path::Path;

use crate::exit::Exit;

/// A failure in words for a person, lower case and without a full stop, with the next step where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How the run ends if this is all that happened.
    pub(crate) exit: Exit,
    /// What happened to what, and why.
    pub(crate) error: String,
    /// The next step.
    pub(crate) hint: Option<String>,
    /// The daemon's word for its refusal, for `--json`.
    pub(crate) refusal: Option<&'static str>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<String>) -> Self {
        Self { exit, error: error.into(), hint: None, refusal: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn refusal(mut self, refusal: &'static str) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// A file that could not be opened, read or written: `what` is done with it, such as `read`.
    pub(crate) fn file(what: &str, path: &Path, error: &io::Error) -> Self {
        let failure = Self::new(Exit::Failed, format!("{}: cannot {what}: {}", path.display(), plain(error)));
        match error.kind() {
            io::ErrorKind::PermissionDenied => {
                failure.hint(format!("`ls -l {}` shows who may", path.display()))
            }
            io::ErrorKind::NotFound => failure.hint("check the spelling of the path"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                failure.hint("make room and run the same command again; what was there is unchanged")
            }
            _ => failure,
        }
    }
}

/// What the system said, without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // A word, and no abbreviation such as EOF.
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

/// An error with all its causes: `what: why: why`.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let part = error.downcast_ref().map_or_else(|| error.to_string(), plain);
        // Some libraries repeat their cause in their own words.
        if !text.ends_with(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_are_told_in_lower_case_without_their_number() {
        let error = io::Error::from_raw_os_error(13);
        assert_eq!(plain(&error), "permission denied");
        assert_eq!(plain(&io::Error::other("EOF")), "EOF");
    }

    #[test]
    fn a_missing_file_is_told_with_its_path() {
        let failure = Failure::file("read", Path::new("a.rpm"), &io::Error::from_raw_os_error(2));
        assert_eq!(failure.error, "a.rpm: cannot read: no such file or directory");
        assert!(failure.hint.is_some());
    }
}
