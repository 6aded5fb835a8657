//! The settings of `keys.d/NAME.toml`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chancery_protocol::{Format, Scheme};
use jiff::{Timestamp, ZonedDateTime};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::principal::Principal;
use super::window::{Day, Hours};
use crate::setting::{BadSettings, parse_duration};
use crate::token::uri::Uri;

/// A key and who may use it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KeyFile {
    /// The private key object in its token.
    pub uri: Uri,
    /// The operator's words about the key.
    #[serde(default)]
    pub description: String,
    /// When the key was made: OpenPGP's creation time, part of the fingerprint, never to be changed.
    #[serde(default, deserialize_with = "timestamp")]
    pub created: Option<Timestamp>,
    /// The key signs nothing before this time.
    #[serde(default, deserialize_with = "timestamp")]
    pub not_before: Option<Timestamp>,
    /// The key signs nothing from this time on.
    #[serde(default, deserialize_with = "timestamp")]
    pub not_after: Option<Timestamp>,
    /// Which kinds of input the key accepts.
    #[serde(default = "digests_only")]
    pub inputs: Vec<Input>,
    /// Whether those who may use the key are told its URI.
    #[serde(default)]
    pub uri_is: Visibility,
    /// Who may use it, and how. Without a rule nobody may.
    #[serde(default)]
    pub allow: Vec<Rule>,
}

/// What is handed in to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// A digest, made by the agent.
    Digest,
    /// A message, hashed here or by the scheme.
    Message,
}

impl Input {
    /// Its word in policy files and audit records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Message => "message",
        }
    }
}

/// Who may know something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Visibility {
    /// The operator alone.
    #[default]
    Private,
    /// Whoever may use the key.
    Shown,
}

/// One `[[allow]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rule {
    /// Whom it is for: any of these.
    pub who: Vec<Principal>,
    /// For which formats; every format unless said otherwise.
    #[serde(default, deserialize_with = "words")]
    pub formats: Option<Vec<Format>>,
    /// With which schemes; every one that fits the key unless said otherwise.
    #[serde(default, deserialize_with = "words")]
    pub schemes: Option<Vec<Scheme>>,
    /// How many signatures each user gets in a time, refilled evenly: `"100/s"`.
    pub rate: Option<Allowance>,
    /// How many signatures each user gets in a longer time: `"10000/d"`.
    pub quota: Option<Allowance>,
    /// At which hours of the day, in the machine's time zone: `"08:00-18:00"`.
    pub hours: Option<Hours>,
    /// On which days: `["mon", "fri"]`.
    pub days: Option<Vec<Day>>,
}

/// A number of signatures in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(count, per)| {
            let per = if per.starts_with(|c: char| c.is_ascii_digit()) {
                per.to_owned()
            } else {
                format!("1{per}")
            };
            Some(Self { count: count.parse().ok()?, per: parse_duration(&per)? })
        });
        parsed
            .filter(|allowance| allowance.count > 0 && !allowance.per.is_zero())
            .ok_or_else(|| format!("`{text}` is not an allowance such as `100/s` or `5000/12h`"))
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} s", self.count, self.per.as_secs_f64())
    }
}

impl<'de> Deserialize<'de> for Allowance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Rule {
    /// Whether it holds at `now`.
    pub fn holds_at(&self, now: &ZonedDateTime) -> bool {
        self.hours.is_none_or(|hours| hours.contain(now))
            && self.days.as_ref().is_none_or(|days| days.contains(&Day::of(now)))
    }
}

impl KeyFile {
    /// What no single setting shows: refuses a file whose settings contradict each other.
    pub fn check(&self, path: &Path, text: &str) -> Result<(), BadSettings> {
        let wrong = |setting: &str, message: &str| {
            let line =
                text.lines().position(|line| line.trim_start().starts_with(setting)).map_or(0, |at| at + 1);
            Err(BadSettings::Wrong {
                path: path.to_owned(),
                line,
                message: message.to_owned(),
                suggestion: None,
            })
        };
        if !self.uri.names_an_object() {
            return wrong("uri", "`uri` names no object; add `object=LABEL` or `id=%..`");
        }
        if let (Some(from), Some(until)) = (self.not_before, self.not_after)
            && from >= until
        {
            return wrong("not-after", "`not-after` is not later than `not-before`");
        }
        if self.inputs.is_empty() {
            return wrong("inputs", "`inputs` is empty; write `inputs = [\"digest\"]` or leave it out");
        }
        if self.allow.iter().any(|rule| rule.who.is_empty()) {
            return wrong("who", "`who` is empty; name somebody or leave the rule out");
        }
        Ok(())
    }
}

fn digests_only() -> Vec<Input> {
    vec![Input::Digest]
}

/// Words such as formats, with their own errors.
fn words<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = chancery_protocol::UnknownWord>,
{
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect::<Result<_, _>>().map(Some)
}

/// A TOML date-time with an offset, or the same in quotes.
fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Toml(toml::value::Datetime),
        Text(String),
    }
    let text = match Either::deserialize(deserializer)? {
        Either::Toml(datetime) => datetime.to_string(),
        Either::Text(text) => text,
    };
    text.parse()
        .map(Some)
        .map_err(|_| D::Error::custom(format!("`{text}` is not a time such as `2026-11-23T15:00:00Z`")))
}

/// Compile-time proof that a policy file can be read on its own.
const _: fn() = || {
    fn owned<T: DeserializeOwned>() {}
    owned::<KeyFile>();
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting;

    fn read(text: &str) -> Result<KeyFile, BadSettings> {
        let path = Path::new("k.toml");
        let file: KeyFile = setting::parse(path, text)?;
        file.check(path, text)?;
        Ok(file)
    }

    const URI: &str = "uri = \"pkcs11:token=t;object=k\"\n";

    #[test]
    fn a_full_file_is_read() {
        let file = read(&format!(
            "{URI}created = 2026-11-23T15:00:00Z\nnot-after = \"2030-01-01T00:00:00Z\"\ninputs = [\"digest\", \"message\"]\n\
             [[allow]]\nwho = [\"user:root\"]\nformats = [\"rpm\"]\nschemes = [\"rsa-pkcs1-sha256\"]\nrate = \"10/s\"\n\
             quota = \"5/12h\"\nhours = \"08:00-18:00\"\ndays = [\"mon\"]\n"
        ))
        .unwrap();
        assert_eq!(file.allow[0].rate, Some(Allowance { count: 10, per: Duration::from_secs(1) }));
        assert_eq!(file.allow[0].quota, Some(Allowance { count: 5, per: Duration::from_secs(43_200) }));
        assert_eq!(file.created.unwrap().as_second(), 1_795_446_000);
    }

    #[test]
    fn every_bad_file_is_refused_with_its_line() {
        for (text, expected) in [
            ("uri = \"pkcs11:token=t\"\n".to_owned(), "k.toml:1: `uri` names no object"),
            (format!("{URI}[[allow]]\nwho = []\n"), "k.toml:3: `who` is empty"),
            (
                format!("{URI}[[allow]]\nwho = [\"user:root\"]\nformats = [\"rmp\"]\n"),
                "k.toml:4: format `rmp` is not known",
            ),
            (format!("{URI}[[alow]]\n"), "did you mean `allow`"),
            (
                format!("{URI}not-before = 2030-01-01T00:00:00Z\nnot-after = 2029-01-01T00:00:00Z\n"),
                "k.toml:3: `not-after`",
            ),
            (format!("{URI}[[allow]]\nwho = [\"user:nobody-of-that-name\"]\n"), "there is no user"),
            ("description = \"no uri\"\n".to_owned(), "missing field `uri`"),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }
}
