//! `chancery show efi-variable`

use std::path::Path;

use chancery_formats::variable::{Guid, Known, SignatureList, SignedUpdate};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::ShowVariable;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::module::small;
use crate::terminal::Terminal;

pub(crate) fn run(args: &ShowVariable, terminal: &Terminal) -> Result<Exit, Failure> {
    let update = read(&args.file)?;
    let entries: Vec<_> = update.lists().iter().flat_map(entries).collect();
    let object = json!({
        "file": args.file.to_string_lossy(),
        "time": time(&update),
        "signer": update.signer(),
        "hash": update.hash().as_str(),
        "certificates": update.certificates().iter().map(|(subject, _)| subject.to_string()).collect::<Vec<_>>(),
        "entries": entries.iter().map(Entry::json).collect::<Vec<_>>(),
    });
    terminal.answer(text(&update, &entries), &object);
    Ok(Exit::Done)
}

/// Reads a signed update.
pub(crate) fn read(path: &Path) -> Result<SignedUpdate, Failure> {
    SignedUpdate::decode(&small(path)?).map_err(|error| {
        Failure::new(Exit::BadArtifact, format!("{}: {}", path.display(), chain(&error)))
            .hint("`chancery sign efi-variable` writes such files, and so does efitools' sign-efi-sig-list")
    })
}

/// When an update was made.
pub(crate) fn time(update: &SignedUpdate) -> String {
    let time = i64::try_from(update.time()).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "at no time".to_owned(), |time| time.to_string())
}

fn text(update: &SignedUpdate, entries: &[Entry]) -> String {
    let mut lines =
        vec![("made", time(update)), ("says to be by", update.signer()), ("hash", update.hash().to_string())];
    for (subject, is_signer) in update.certificates() {
        lines.push((if is_signer { "subject" } else { "holds" }, subject.to_string()));
    }
    if entries.is_empty() {
        lines.push(("entries", "none: it removes the variable".to_owned()));
    }
    for entry in entries {
        lines.push((entry.kind, entry.text.clone()));
        if let Some(fingerprint) = &entry.fingerprint {
            lines.push(("  fingerprint", format!("sha256 {fingerprint}")));
        }
        lines.push(("  owner", entry.owner.to_string()));
    }
    lines.iter().map(|(name, value)| format!("{name:<18}{value}")).collect::<Vec<_>>().join("\n")
}

/// An entry of the variable, in words.
struct Entry {
    kind: &'static str,
    /// A subject, a digest, or what cannot be read.
    text: String,
    /// SHA-256 of a certificate's DER, as openssl and firmware's menus show it.
    fingerprint: Option<String>,
    owner: Guid,
}

impl Entry {
    fn json(&self) -> Value {
        json!({
            "kind": self.kind, "value": self.text, "fingerprint": self.fingerprint, "owner": self.owner.to_string(),
        })
    }
}

fn entries(list: &SignatureList) -> impl Iterator<Item = Entry> {
    list.entries.iter().map(|(owner, data)| {
        let (kind, text, fingerprint) = match list.known(data) {
            Some(Known::Certificate { subject, fingerprint }) => {
                ("certificate", subject.to_string(), Some(hex::encode(fingerprint)))
            }
            Some(Known::Image(hash)) => (hash.as_str(), hex::encode(data), None),
            None => ("unknown", format!("{} bytes of type {}", data.len(), list.kind), None),
        };
        Entry { kind, text, fingerprint, owner: *owner }
    })
}
