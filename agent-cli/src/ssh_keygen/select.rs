//! Which key of the daemon stands behind `-f`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use chancery_formats::ssh::PublicKeyLine;
use chancery_protocol::KeyName;
use chancery_protocol::agent::Agent;
use chancery_protocol::client::Client;

use crate::daemon::{self, Asked};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::key::Key;

/// Largest file that is read as a public key, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The key that `given` means: a file with its public key, that line itself, or the key's name.
pub(super) async fn key(client: &Client<Agent>, given: &OsStr) -> Result<Key, Failure> {
    let path = Path::new(given);
    // A folder may have the name of a key; it holds none.
    if path.is_file() {
        return of_line(client, &line(path)?).await;
    }
    let Some(text) = given.to_str() else { return Err(missing(path)) };
    if let Ok(name) = text.parse::<KeyName>() {
        return Key::fetch(client, &name).await;
    }
    match text.parse::<PublicKeyLine>() {
        Ok(line) => of_line(client, &line).await,
        Err(_) => Err(missing(path)),
    }
}

fn line(path: &Path) -> Result<PublicKeyLine, Failure> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
    read.map_err(|error| Failure::file("read", path, &error))?;
    String::from_utf8_lossy(&text).parse().map_err(|error| {
        Failure::new(Exit::BadArtifact, format!("{}: {}", path.display(), chain(&error)))
            .hint("`chancery key show NAME --ssh` writes the public key of one of chanceryd's keys")
    })
}

/// The key with this public key. Its comment is the key's name, where nobody has changed it; otherwise every key that
/// this user may use is looked at.
async fn of_line(client: &Client<Agent>, line: &PublicKeyLine) -> Result<Key, Failure> {
    let is_it = |found: Result<Key, Failure>| match found {
        Ok(key) => Ok(key.ssh().is_ok_and(|ssh| ssh.blob() == line.blob).then_some(key)),
        Err(failure) if failure.exit == Exit::Unavailable => Err(failure),
        // Not ours any more, or of a kind from the future; another may be it.
        Err(_) => Ok(None),
    };
    let named = line.comment.parse::<KeyName>().ok();
    if let Some(name) = &named
        && let Some(key) = is_it(Key::fetch(client, name).await)?
    {
        return Ok(key);
    }
    let keys = client.keys().await.map_err(|error| daemon::failure(error, &Asked::agent()))?;
    for summary in keys.iter().filter(|summary| Some(&summary.name) != named.as_ref()) {
        if let Some(key) = is_it(Key::fetch(client, &summary.name).await)? {
            return Ok(key);
        }
    }
    let fingerprint = line.fingerprint().unwrap_or_default();
    let failure = Failure::new(
        Exit::Refused,
        format!("no key of chanceryd that you may use has the public key {fingerprint} {}", line.comment),
    );
    Err(failure.hint("`chancery keys` lists yours; `chancery key show NAME --ssh` writes a public key"))
}

fn missing(path: &Path) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("{}: is neither a file with a public key nor the name of a key", path.display()),
    )
    .hint("`chancery keys` lists yours; `chancery key show NAME --ssh` writes a public key")
}
