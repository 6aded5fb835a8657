//! Requests by HTTP (RFC 3161, section 3.4).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chancery_formats::timestamp::MAX_LEN;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

use super::server::{Address, Server};
use super::trouble::{Passing, Trouble};
use crate::failure::plain;

/// Media types of request and answer (RFC 3161, section 3.4).
const QUERY: &str = "application/timestamp-query";
const REPLY: &str = "application/timestamp-reply";

/// Asks servers by http and https. Proxies are those of the environment, as curl takes them.
#[derive(Clone)]
pub(super) struct Http {
    agent: Agent,
    answer_within: Duration,
}

impl Http {
    /// Servers have this long for an answer.
    pub(super) fn new(answer_within: Duration, servers: &[Server]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots(servers))))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(answer_within))
            // A server that has moved is told to whoever wrote its address down.
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
            .accept(REPLY)
            .build();
        Self { agent: config.new_agent(), answer_within }
    }

    /// Sends a request and gives the answer's body.
    pub(super) fn ask(&self, address: &Address, request: &[u8]) -> Result<Vec<u8>, Trouble> {
        let told = |error: Error| self.trouble(error);
        let sent = self.agent.post(address.as_str()).header(header::CONTENT_TYPE, QUERY).send(request);
        let mut answer = sent.map_err(told)?;
        if answer.status() != StatusCode::OK {
            return Err(refused(&answer));
        }
        let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(REPLY) {
            let why = format!("its answer is of type `{}`, and not {REPLY}", short(kind));
            return Err(Trouble::new(Passing::No, why));
        }
        answer.body_mut().with_config().limit(MAX_LEN as u64).read_to_vec().map_err(told)
    }

    fn trouble(&self, error: Error) -> Trouble {
        let seconds = self.answer_within.as_secs();
        match error {
            Error::Timeout(_) => Trouble::new(Passing::Yes, format!("no answer within {seconds} s")),
            Error::HostNotFound => Trouble::new(Passing::Yes, "the host is not known"),
            Error::ConnectionFailed => Trouble::new(Passing::Yes, "cannot connect"),
            Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                Trouble::new(Passing::No, plain(&error))
            }
            Error::Io(error) => Trouble::new(Passing::Yes, plain(&error)),
            Error::BodyExceedsLimit(limit) => {
                Trouble::new(Passing::No, format!("its answer is larger than {limit} bytes"))
            }
            other => Trouble::new(Passing::No, other.to_string()),
        }
    }
}

/// The system's roots, or those of `SSL_CERT_FILE`; read only where a server is asked by https. What cannot be read
/// vouches for nobody.
fn roots(servers: &[Server]) -> Vec<Certificate<'static>> {
    if !servers.iter().any(|server| server.address.is_https()) {
        return Vec::new();
    }
    let found = rustls_native_certs::load_native_certs().certs;
    found.iter().map(|root| Certificate::from_der(root).to_owned()).collect()
}

/// An answer that is none.
fn refused(answer: &Response<Body>) -> Trouble {
    let status = answer.status();
    let passing = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => later(answer),
        _ if status.is_server_error() => later(answer),
        _ => Passing::No,
    };
    let told = format!("HTTP status {status}").to_lowercase().replacen("http", "HTTP", 1);
    match (answer.headers().get(header::LOCATION), passing) {
        (Some(to), _) => {
            let to = short(&String::from_utf8_lossy(to.as_bytes()));
            Trouble::new(passing, format!("{told}, which points to `{to}`"))
        }
        (None, Passing::After(wait)) => {
            Trouble::new(passing, format!("{told}, to be asked again in {} s", wait.as_secs()))
        }
        (None, _) => Trouble::new(passing, told),
    }
}

/// When to ask again: Retry-After is a number of seconds or a date (RFC 9110, section 10.2.3).
fn later(answer: &Response<Body>) -> Passing {
    let said = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    said.and_then(|said| after(said.trim(), Timestamp::now())).map_or(Passing::Yes, Passing::After)
}

fn after(said: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::parse(said).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// What a server says, as much as is worth telling.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_in_seconds_or_by_a_date_when_to_come_back() {
        let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
        let seconds = |said| after(said, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Thu, 26 Nov 2026 12:00:30 GMT"), Some(30));
        assert_eq!(seconds("Thu, 26 Nov 2026 11:00:00 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
    }
}
