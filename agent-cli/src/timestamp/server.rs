//! A timestamp server: where it is, what is asked of it, and how often.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chancery_formats::timestamp::{Policy, Trust};
use serde::Deserialize;
use ureq::http::Uri;

use super::pace::Pace;

/// How long a server that failed is asked after all others, in this run.
const REST: Duration = Duration::from_secs(60);

/// A server, and what this run knows of it.
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) policy: Option<Policy>,
    pub(super) trust: Trust,
    pub(super) pace: Pace,
    failed: Mutex<Option<Instant>>,
}

impl Server {
    /// A server of which only the address is told.
    pub(super) fn new(address: Address) -> Self {
        let pace = Pace::usual(&address);
        Self { address, policy: None, trust: Trust::Anyone, pace, failed: Mutex::new(None) }
    }

    /// What is asked of it, and whom it is taken from.
    pub(super) fn asked(&self) -> (Address, Option<Policy>, Trust) {
        (self.address.clone(), self.policy, self.trust.clone())
    }

    /// Asks it after all others for a while.
    pub(super) fn rest(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it is asked after all others.
    pub(super) fn rests(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|failed| failed.elapsed() < REST)
    }
}

/// The URL of a server, by http or https.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Address(String);

impl Address {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is asked by https.
    pub(super) fn is_https(&self) -> bool {
        self.0.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Result<Uri, _> = text.parse();
        match uri {
            Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(format!("`{text}` is no URL such as http://timestamp.example.org")),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_http_and_has_a_host() {
        for good in ["http://tsa.example.org", "https://tsa.example.org:8443/tsr?x=1", "http://[::1]:3161/"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in ["", "tsa.example.org", "/tsr", "ftp://tsa.example.org", "http://", "http:// a"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
