//! Timestamps that were given before, in a folder of the user: whoever makes the same signature again asks nobody again.
//!
//! What is read here is checked as if it came from a server. Without a folder nothing is kept, and nothing fails.

use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use chancery_formats::timestamp::{Imprint, MAX_LEN, Policy, Token};
use sha2::{Digest as _, Sha256};

use super::server::Address;

/// Most tokens that are kept; each has some thousand bytes.
const MOST: usize = 4096;
/// How long a token is kept, from when it was given.
const OLDEST: Duration = Duration::from_secs(90 * 86400);
/// After how many tokens old ones are looked for.
const BETWEEN_CLEANINGS: usize = 256;
/// What the files of tokens end in.
const SUFFIX: &str = "tst";

/// The name of a file for what these words name.
pub(super) fn name(words: &[&str]) -> String {
    hex::encode(Sha256::digest(words.join("\n")))
}

/// Tokens in a folder.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    folder: PathBuf,
    kept: Arc<AtomicUsize>,
}

impl Cache {
    pub(super) fn open(folder: &Path) -> Option<Self> {
        let folder = folder.join("tokens");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
        Some(Self { folder, kept: Arc::default() })
    }

    /// What was kept of a server's answer for this signature, unless it is too old; nobody has checked it.
    pub(super) fn token(
        &self,
        address: &Address,
        policy: Option<Policy>,
        imprint: &Imprint,
    ) -> Option<Vec<u8>> {
        let path = self.place(address, policy, imprint);
        let file = File::open(&path).ok()?;
        if is_old(&file.metadata().ok()?) {
            return None;
        }
        let mut token = Vec::new();
        file.take(MAX_LEN as u64 + 1).read_to_end(&mut token).ok()?;
        Some(token)
    }

    /// Keeps a token. That it cannot be kept is no failure: it is asked for again then.
    pub(super) fn keep(&self, address: &Address, policy: Option<Policy>, imprint: &Imprint, token: &Token) {
        if self.kept.fetch_add(1, Ordering::Relaxed).is_multiple_of(BETWEEN_CLEANINGS) {
            self.clean();
        }
        let written = tempfile::NamedTempFile::new_in(&self.folder).and_then(|mut file| {
            file.write_all(token.as_der())?;
            file.persist(self.place(address, policy, imprint)).map_err(|error| error.error)
        });
        drop(written);
    }

    fn place(&self, address: &Address, policy: Option<Policy>, imprint: &Imprint) -> PathBuf {
        let policy = policy.map(|policy| policy.to_string()).unwrap_or_default();
        let digest = imprint.digest();
        let words = [address.as_str(), &policy, digest.hash().as_str(), &hex::encode(digest.bytes())];
        self.folder.join(name(&words)).with_extension(SUFFIX)
    }

    /// Drops what is too old, and of what is left the oldest where it is too many.
    fn clean(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let files = entries.filter_map(|entry| Some((entry.metadata().ok()?, entry.path())));
        let (old, mut young): (Vec<_>, Vec<_>) = files.partition(|(metadata, _)| is_old(metadata));
        young.sort_by_key(|(metadata, _)| metadata.modified().ok());
        let surplus = young.len().saturating_sub(MOST - BETWEEN_CLEANINGS);
        for (_, path) in old.iter().chain(&young[..surplus]) {
            let _ = fs::remove_file(path);
        }
    }
}

fn is_old(metadata: &fs::Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|written| SystemTime::now().duration_since(written).ok());
    age.is_some_and(|age| age > OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_is_too_old_or_too_much_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let at = |age: Duration, name: &str| {
            let path = cache.folder.join(name);
            let file = File::create(&path).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
            path
        };
        let old = at(OLDEST + Duration::from_secs(60), "old.tst");
        let oldest = at(Duration::from_secs(89 * 86400), "oldest.tst");
        let young = at(Duration::ZERO, "young.tst");
        cache.clean();
        assert!(!old.exists() && oldest.exists() && young.exists());
        for number in 0..MOST - BETWEEN_CLEANINGS - 1 {
            at(Duration::from_secs(60), &number.to_string());
        }
        cache.clean();
        assert!(!oldest.exists() && young.exists());
        assert_eq!(files(&cache.folder), MOST - BETWEEN_CLEANINGS);
    }

    #[test]
    fn a_place_is_of_one_server_policy_and_signature_alone() {
        assert_ne!(name(&["http://a", "", "sha256", "00"]), name(&["http://a", "1.2.3", "sha256", "00"]));
        assert_ne!(name(&["http://a", "", "sha256", "00"]), name(&["http://b", "", "sha256", "00"]));
        assert_ne!(name(&["http://a", "", "sha256", "00"]), name(&["http://a", "", "sha256", "01"]));
    }
}
