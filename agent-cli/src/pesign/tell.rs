//! What pesign says of an image, line by line.

use std::fmt::Write;
use std::path::Path;

use chancery_formats::pe::{Signature, digest, signatures};
use chancery_protocol::Hash;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::efi::{Source, failure};
use crate::failure::Failure;

/// What stands between signatures.
const RULE: &str = "---------------------------------------------\n";

/// The Authenticode digest, as pesign 116 tells it.
pub(super) fn hash(path: &Path, hash: Hash) -> Result<String, Failure> {
    let mut source = Source::open(path)?;
    let (image, plain) = source.plain();
    let digest = digest(image, plain, hash).map_err(|error| failure(path, &error))?;
    Ok(format!("{} {}\n", hex::encode(digest.bytes()), path.display()))
}

/// Who signed.
pub(super) fn signers(path: &Path) -> Result<String, Failure> {
    let mut source = Source::open(path)?;
    let (image, plain) = source.plain();
    let all = signatures(image, plain).map_err(|error| failure(path, &error))?;
    let readable: Vec<_> = all.iter().flatten().collect();
    if readable.is_empty() {
        return Ok("No signatures found.\n".to_owned());
    }
    let mut text = readable.iter().fold(String::new(), |text, signature| text + RULE + &one(signature));
    text.push_str(RULE);
    Ok(text)
}

fn one(signature: &Signature) -> String {
    let mut text =
        "Content was not encrypted.\nContent is detached; signature cannot be verified.\n".to_owned();
    // Writing to a string cannot fail.
    let _ = match &signature.subject {
        Some(subject) => writeln!(text, "The signer's common name is {}", subject.common_name()),
        None => writeln!(text, "No signer common name."),
    };
    let _ = match signature.signing_time.and_then(day) {
        Some(day) => writeln!(text, "Signing time: {day}"),
        None => writeln!(text, "No signing time included."),
    };
    let none = if signature.certificates.is_empty() { " no" } else { "" };
    let _ = writeln!(text, "There were{none} certs or crls included.");
    text
}

fn day(seconds: u64) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(time.to_zoned_datetime(TimeZone::UTC).strftime("%a %b %d, %Y").to_string())
}
