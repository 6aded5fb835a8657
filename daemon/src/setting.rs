//! Reading a settings file: what is unknown is refused, with file, line and the word that was probably meant.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

/// Largest settings file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A settings file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than any settings file.
    #[error("{}: is larger than {MAX_FILE} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file's text is wrong somewhere.
    #[error("{}:{line}: {message}{}", path.display(), suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; 0 if the whole file is meant.
        line: usize,
        /// What is wrong there.
        message: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
}

/// Reads `path` as `T`.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, String), BadSettings> {
    let unreadable = |source| BadSettings::Unreadable { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE {
        return Err(BadSettings::TooLarge { path: path.to_owned() });
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let value = parse(path, &text)?;
    Ok((value, text))
}

/// Reads `text`, which came from `path`, as `T`.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, BadSettings> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].split(|&byte| byte == b'\n').count();
        let message = error.message().replace('\n', " ");
        let suggestion = meant(&message);
        BadSettings::Wrong { path: path.to_owned(), line, message, suggestion }
    })
}

/// From a message like "unknown field `formts`, expected one of `formats`, `hours`": the nearest of the words behind
/// the first.
fn meant(message: &str) -> Option<String> {
    let mut words = message.split('`').skip(1).step_by(2);
    let found = words.next()?;
    message.contains("unknown").then_some(())?;
    let nearest = words.map(|word| (strsim::damerau_levenshtein(found, word), word)).min()?;
    (nearest.0 <= 3).then(|| nearest.1.to_owned())
}

/// A duration such as `10s`, `250ms`, `5m`, `2h`, `1d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => return Some(Duration::from_millis(count)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    Some(Duration::from_secs(count.checked_mul(unit)?))
}

/// Reads a duration in a settings file.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match parse_duration(&text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(D::Error::custom(format!("`{text}` is not a duration such as `10s`, `250ms`, `5m`, `2h`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code)]
    struct Sample {
        formats: Option<String>,
        hours: Option<u32>,
    }

    #[test]
    fn an_unknown_setting_is_named_with_its_line_and_a_suggestion() {
        let error = parse::<Sample>(Path::new("x.toml"), "\n\nformts = \"rpm\"\n").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("x.toml:3: unknown field `formts`"), "{text}");
        assert!(text.ends_with("did you mean `formats`?"), "{text}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_its_line() {
        let error = parse::<Sample>(Path::new("x.toml"), "hours = \"late\"").unwrap_err();
        assert!(error.to_string().starts_with("x.toml:1: invalid type"), "{error}");
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2h"), Some(Duration::from_secs(7200)));
        for bad in ["", "10", "s", "1.5s", "-1s", "1y", "99999999999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
