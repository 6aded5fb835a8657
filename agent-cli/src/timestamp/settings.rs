//! `timestamp.toml`: the servers, in the order in which they are asked.

use std::path::{Path, PathBuf};

use chancery_formats::timestamp::Policy;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::server::{Address, Server};
use super::{places, trust};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::module::small;

/// The slowest and the fastest pace, in requests a second.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// The servers.
    #[serde(default)]
    server: Vec<Table>,
}

/// A server's table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    /// Where it is.
    url: Address,
    /// Requests a second at most.
    #[serde(default, deserialize_with = "rate")]
    rate: Option<f64>,
    /// The policy that is asked for, and that its timestamps must have.
    #[serde(default, deserialize_with = "policy")]
    policy: Option<Policy>,
    /// Certificates that vouch for it.
    trust: Option<PathBuf>,
}

/// The servers of the user's own file, or else of the system's.
pub(super) fn read() -> Result<Vec<Server>, Failure> {
    let places = places::settings();
    let Some(place) = places.iter().find(|place| place.exists()) else {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        let told = format!("no timestamp server is known: there is no {}", places.join(" and no "));
        return Err(Failure::new(Exit::Usage, told).hint(
            "write `[[server]]` and `url = \"http://...\"` there, or name a server with `--timestamp-url URL`",
        ));
    };
    let text = String::from_utf8(small(place)?);
    let text = text.map_err(|_| Failure::new(Exit::Failed, format!("{}: is not text", place.display())))?;
    of(place, &text)
}

/// The servers of a file's text.
fn of(path: &Path, text: &str) -> Result<Vec<Server>, Failure> {
    let settings: Settings = toml::from_str(text).map_err(|error| wrong(path, text, &error))?;
    if settings.server.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("{}: names no server", path.display()))
            .hint("write `[[server]]` and `url = \"http://...\"`"));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let servers = settings.server.into_iter().map(|table| {
        let mut server = Server::new(table.url);
        server.policy = table.policy;
        if let Some(rate) = table.rate {
            server.pace = server.pace.of(rate);
        }
        if let Some(file) = table.trust {
            server.trust = trust(&folder.join(file))?;
        }
        Ok(server)
    });
    servers.collect()
}

fn wrong(path: &Path, text: &str, error: &toml::de::Error) -> Failure {
    let begin = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..begin].split(|&byte| byte == b'\n').count();
    let message = error.message().replace('\n', " ");
    Failure::new(Exit::Failed, format!("{}:{line}: {message}", path.display()))
        .hint("`chancery integrate timestamps` shows the settings")
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let rate = f64::deserialize(deserializer)?;
    if RATES.contains(&rate) {
        return Ok(Some(rate));
    }
    let (slowest, fastest) = (RATES.start(), RATES.end());
    Err(D::Error::custom(format!("{rate} requests a second are not between {slowest} and {fastest}")))
}

fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Policy>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Server>, Failure> {
        of(Path::new("/etc/x.toml"), text)
    }

    #[test]
    fn servers_are_read_in_their_order_with_what_is_asked_of_them() {
        let text = "[[server]]\nurl = \"http://a.example.org\"\nrate = 4\npolicy = \"1.2.3.4\"\n\
            [[server]]\nurl = \"https://b.example.org/tsr\"\nrate = 0.5\n";
        let servers = read(text).unwrap();
        let urls: Vec<_> = servers.iter().map(|server| server.address.as_str()).collect();
        assert_eq!(urls, ["http://a.example.org", "https://b.example.org/tsr"]);
        assert_eq!(servers[0].policy.unwrap().to_string(), "1.2.3.4");
        assert_eq!(servers[1].policy, None);
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_line() {
        for (text, told) in [
            ("", "/etc/x.toml: names no server"),
            ("\n[[server]]\nurls = \"http://a\"\n", "/etc/x.toml:3: unknown field `urls`"),
            ("server = 1", "/etc/x.toml:1: invalid type"),
            ("[[server]]\nrate = 1\n", "/etc/x.toml:1: missing field `url`"),
            ("[[server]]\nurl = \"tsa\"\n", "/etc/x.toml:2: `tsa` is no URL"),
            ("[[server]]\nurl = \"http://a\"\nrate = 0\n", "/etc/x.toml:3: 0 requests a second"),
            ("[[server]]\nurl = \"http://a\"\npolicy = \"1.2.x\"\n", "/etc/x.toml:3: `1.2.x` is no policy"),
            ("[[server]]\nurl = \"http://a\"\ntrust = \"no-such.pem\"\n", "/etc/no-such.pem: cannot read"),
        ] {
            let failure = read(text).err().unwrap_or_else(|| panic!("taken: {text}"));
            assert!(failure.error.starts_with(told), "{text}: {}", failure.error);
        }
    }
}
