//! `chancery key show`

use std::fmt::Write;

use chancery_formats::openpgp::{Certificate, Fingerprint};
use chancery_protocol::{CertificateKind, Format, Scheme};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::{Global, KeyShow};
use crate::daemon;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::key::{Key, pem};
use crate::terminal::Terminal;

pub(crate) async fn run(global: &Global, args: &KeyShow, terminal: &Terminal) -> Result<Exit, Failure> {
    let client = daemon::agent(global).await?;
    let key = Key::fetch(&client, &args.name).await?;
    if args.pem {
        terminal.product(pem("PUBLIC KEY", &key.spki)?.as_bytes())?;
        return Ok(Exit::Done);
    }
    if args.ssh {
        let line = format!("{}\n", key.ssh()?.line(key.name.as_str()));
        terminal.product(line.as_bytes())?;
        return Ok(Exit::Done);
    }
    let certificate = key.certificate(&client).await?;
    let fingerprint = key.openpgp(certificate.as_ref()).ok().map(|key| key.fingerprint());
    terminal.answer(
        text(&key, certificate.as_ref(), fingerprint.as_ref()),
        &json(&key, certificate.as_ref(), fingerprint.as_ref())?,
    );
    Ok(Exit::Done)
}

fn text(key: &Key, certificate: Option<&Certificate>, fingerprint: Option<&Fingerprint>) -> String {
    let mut lines = vec![("name", key.name.to_string())];
    if !key.description.is_empty() {
        lines.push(("description", key.description.clone()));
    }
    lines.push(("algorithm", key.algorithm.to_string()));
    lines.push(("schemes", list(&key.schemes, Scheme::as_str)));
    lines.push(("formats", list(&key.formats, Format::as_str)));
    if let Some(created) = key.created {
        lines.push(("created", moment(created.into())));
    }
    if let Some(not_after) = key.not_after {
        lines.push(("valid until", i64::try_from(not_after).map_or_else(|_| "for ever".into(), moment)));
    }
    if let Some(fingerprint) = fingerprint {
        lines.push(("OpenPGP fingerprint", fingerprint.to_string()));
    }
    for user_id in certificate.map(Certificate::user_ids).unwrap_or_default() {
        lines.push(("OpenPGP user id", user_id));
    }
    if let Some(expires) = certificate.and_then(Certificate::expires) {
        lines.push(("OpenPGP expiry", moment(expires.into())));
    }
    lines.push(("certificates", list(&key.certificates, CertificateKind::as_str)));
    if let Some(uri) = &key.uri {
        lines.push(("PKCS#11 URI", uri.clone()));
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    lines.iter().enumerate().fold(String::new(), |mut text, (number, (name, value))| {
        let newline = if number == 0 { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{newline}{name:width$}  {value}");
        text
    })
}

fn json(
    key: &Key,
    certificate: Option<&Certificate>,
    fingerprint: Option<&Fingerprint>,
) -> Result<Value, Failure> {
    Ok(json!({
        "name": key.name.as_str(),
        "description": key.description,
        "algorithm": key.algorithm.as_str(),
        "schemes": words(&key.schemes, Scheme::as_str),
        "formats": words(&key.formats, Format::as_str),
        "created": key.created,
        "not_after": key.not_after,
        "openpgp_fingerprint": fingerprint.map(ToString::to_string),
        "openpgp_user_ids": certificate.map(Certificate::user_ids),
        "openpgp_expires": certificate.and_then(Certificate::expires),
        "certificates": words(&key.certificates, CertificateKind::as_str),
        "uri": key.uri,
        "public_key": pem("PUBLIC KEY", &key.spki)?,
        "ssh_public_key": key.ssh()?.line(key.name.as_str()),
    }))
}

fn words<T: Copy>(words: &[T], text: fn(T) -> &'static str) -> Vec<&'static str> {
    words.iter().map(|&word| text(word)).collect()
}

fn list<T: Copy>(all: &[T], text: fn(T) -> &'static str) -> String {
    if all.is_empty() { "none".into() } else { words(all, text).join(", ") }
}

/// A time as people read it, in UTC.
fn moment(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
