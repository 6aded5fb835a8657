//! Words of the command line, parsed at the door into types that cannot hold a bad value.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use chancery_formats::ssh::MessageHash;
use chancery_protocol::agent::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A parser for one of the words of the protocol or of a format, which help and completions list.
pub(super) fn words<T>(all: &'static [T], text: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + FromStr<Err: std::error::Error + Send + Sync> + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|&word| text(word))).try_map(|word| word.parse::<T>())
}

/// A parser for the hashes of messages in SSH signatures.
pub(super) fn message_hashes() -> impl TypedValueParser<Value = MessageHash> {
    let names = MessageHash::ALL.iter().map(|hash| hash.as_str());
    PossibleValuesParser::new(names).try_map(|word| {
        MessageHash::ALL.iter().copied().find(|hash| hash.as_str() == word).ok_or("it is no hash of messages")
    })
}

/// A build id that fits the wire.
pub(super) fn build_id(text: &str) -> Result<String, String> {
    if text.len() > Context::MAX_TEXT {
        return Err(format!("it is longer than {} bytes", Context::MAX_TEXT));
    }
    Ok(text.to_owned())
}

/// Who may use a key: `user:NAME`, `group:NAME` or `unit:GLOB`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allow(String);

impl FromStr for Allow {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("user" | "group" | "unit", name)) if !name.is_empty() => Ok(Self(text.to_owned())),
            _ => Err("say `user:NAME`, `group:NAME` or `unit:GLOB`"),
        }
    }
}

impl From<Allow> for String {
    fn from(allow: Allow) -> Self {
        allow.0
    }
}

/// Where data comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

impl From<OsString> for Input {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(text.into()) }
    }
}

/// Where data goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    File(PathBuf),
}

impl From<OsString> for Output {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::Stdout } else { Self::File(text.into()) }
    }
}

/// When a certificate expires.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expires {
    Never,
    /// So long from now.
    In(Span),
    /// With the end of this day, in UTC.
    After(Date),
}

impl Expires {
    /// The moment, in seconds since 1970; `None` for never, or for one that no calendar reaches.
    pub(crate) fn moment(self, now: Timestamp) -> Option<i64> {
        let moment = match self {
            Self::Never => return None,
            Self::In(span) => now.to_zoned_datetime(TimeZone::UTC).checked_add(span),
            Self::After(date) => date.tomorrow().and_then(|next| next.to_zoned_datetime(TimeZone::UTC)),
        };
        Some(moment.ok()?.timestamp().as_second())
    }
}

impl FromStr for Expires {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "say `2y`, `18mo`, `6w`, `90d`, a date like `2028-12-31`, or `never`";
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Ok(date) = text.parse() {
            return Ok(Self::After(date));
        }
        let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?;
        let (number, unit) = text.split_at(unit);
        let number: i64 = number.parse().map_err(|_| FORM)?;
        let span = match unit {
            "y" => Span::new().try_years(number),
            "mo" => Span::new().try_months(number),
            "w" => Span::new().try_weeks(number),
            "d" => Span::new().try_days(number),
            _ => return Err(FORM),
        };
        match span {
            Ok(span) if number > 0 => Ok(Self::In(span)),
            _ => Err(FORM),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_a_duration_a_day_or_never() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("never", None),
            ("2y", Some("2028-11-23T12:00:00Z")),
            ("18mo", Some("2028-05-23T12:00:00Z")),
            ("2w", Some("2026-12-07T12:00:00Z")),
            ("90d", Some("2027-02-21T12:00:00Z")),
            ("2028-12-31", Some("2029-01-01T00:00:00Z")),
        ] {
            let expected = moment.map(|moment| moment.parse::<Timestamp>().unwrap().as_second());
            assert_eq!(text.parse::<Expires>().unwrap().moment(now), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expiry_is_refused() {
        for text in ["", "0d", "-1d", "2", "2 y", "y", "2028-13-01", "99999999999999y", "tomorrow"] {
            assert!(text.parse::<Expires>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_names_its_kind() {
        for good in ["user:build", "group:farm", "unit:build@*.service"] {
            assert!(good.parse::<Allow>().is_ok(), "{good}");
        }
        for bad in ["build", "user:", "uid:7", ":x", ""] {
            assert!(bad.parse::<Allow>().is_err(), "{bad}");
        }
    }
}
