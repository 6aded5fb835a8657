//! `chancery show efi`

use std::fmt::Write;

use chancery_formats::pe::{Pages, Signature, VerifyError, digest, signatures};
use chancery_formats::x509::Subject;
use chancery_protocol::{Digest, Hash};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::ShowEfi;
use crate::efi::{Source, failure};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::terminal::Terminal;
use crate::timestamp::told;

pub(crate) fn run(args: &ShowEfi, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut source = Source::open(&args.file)?;
    let (image, plain) = source.plain();
    let failed = |error| failure(&args.file, &error);
    let digest = digest(image, plain, Hash::Sha256).map_err(failed)?;
    let all = signatures(image, plain).map_err(failed)?;
    let object = json!({
        "file": args.file.to_string_lossy(),
        "sha256": hex::encode(digest.bytes()),
        "signatures": all.iter().map(json).collect::<Vec<_>>(),
    });
    terminal.answer(text(&digest, &all), &object);
    Ok(Exit::Done)
}

fn text(digest: &Digest, all: &[Result<Signature, VerifyError>]) -> String {
    let mut text = format!("Authenticode SHA-256  {}\n", hex::encode(digest.bytes()));
    if all.is_empty() {
        return text + "not signed";
    }
    for (number, signature) in (1..).zip(all) {
        let _ = match signature {
            Ok(signature) => write!(text, "signature {number}\n{}", one(signature)),
            Err(error) => writeln!(text, "signature {number}\n  not readable      {}", chain(error)),
        };
    }
    text.trim_end().to_owned()
}

fn one(signature: &Signature) -> String {
    let matches = if signature.matches { "over this image" } else { "over another image" };
    let mut lines = vec![
        ("says to be by", signature.signer.clone()),
        ("subject", shown(signature.subject.as_ref())),
        ("hash", format!("{}, {matches}", signature.digest.hash())),
    ];
    if let Some((text, _)) = pages(signature.pages) {
        lines.push(("page hashes", text.to_owned()));
    }
    if let Some(time) = time(signature) {
        lines.push(("signing time", time));
    }
    match &signature.timestamp {
        Some(Ok(token)) => lines.push(("timestamp", format!("{} by {}", told(token), token.tsa()))),
        Some(Err(why)) => lines.push(("timestamp", format!("not good: {why}"))),
        None => {}
    }
    for certificate in &signature.certificates {
        lines.push(("holds", shown(certificate.as_ref())));
    }
    lines.iter().fold(String::new(), |text, (name, value)| text + &format!("  {name:<18}{value}\n"))
}

fn shown(subject: Option<&Subject>) -> String {
    subject.map_or_else(|| "a certificate that cannot be read".to_owned(), ToString::to_string)
}

/// Of the hashes of pages, for people and for `--json`.
const fn pages(pages: Pages) -> Option<(&'static str, &'static str)> {
    match pages {
        Pages::None => None,
        Pages::Match => Some(("sha256, of this image's pages", "match")),
        Pages::Differ => Some(("sha256, of other pages", "differ")),
        Pages::NotChecked => Some(("not by sha256, and not checked", "not-checked")),
    }
}

fn time(signature: &Signature) -> Option<String> {
    let seconds = i64::try_from(signature.signing_time?).ok()?;
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

fn json(signature: &Result<Signature, VerifyError>) -> Value {
    match signature {
        Ok(signature) => json!({
            "signer": signature.signer,
            "subject": signature.subject.as_ref().map(ToString::to_string),
            "hash": signature.digest.hash().as_str(),
            "digest": hex::encode(signature.digest.bytes()),
            "matches": signature.matches,
            "page_hashes": pages(signature.pages).map(|(_, word)| word),
            "signing_time": time(signature),
            "timestamp": signature.timestamp.as_ref().map(|timestamp| match timestamp {
                Ok(token) => json!({ "time": told(token), "tsa": token.tsa().to_string() }),
                Err(why) => json!({ "error": why }),
            }),
            "certificates": signature.certificates.iter()
                .map(|subject| subject.as_ref().map(ToString::to_string)).collect::<Vec<_>>(),
        }),
        Err(error) => json!({ "error": chain(error) }),
    }
}
