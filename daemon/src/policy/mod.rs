//! Who may do what: one file per key, read whole, replaced whole.

mod file;
mod grant;
mod limiter;
mod principal;
mod window;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chancery_protocol::KeyName;
use sha2::{Digest, Sha256};

pub use file::{Input, KeyFile, Rule, Visibility};
pub use grant::{Denied, Grant, decide, permitted};
pub use limiter::Limiter;
pub use principal::Principal;

use crate::setting::{self, BadSettings};

/// The policy in force: every key file of the folder.
#[derive(Debug, Default)]
pub struct Policy {
    keys: BTreeMap<KeyName, Arc<Key>>,
    sha256: String,
}

/// A key's policy, and where it stands.
#[derive(Debug)]
pub struct Key {
    /// Its name: the file's stem.
    pub name: KeyName,
    /// What the file says.
    pub file: KeyFile,
}

/// A folder of policy files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPolicy {
    /// The folder cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file in it is wrong.
    #[error(transparent)]
    File(#[from] BadSettings),
    /// A file in it has a name that no key can have.
    #[error("{}: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with its stem.
        source: chancery_protocol::BadKeyName,
    },
}

impl Policy {
    /// Reads every `NAME.toml` in `folder`. One bad file makes the whole folder bad, so that a typing error never takes
    /// effect in part.
    pub fn read(folder: &Path) -> Result<Self, BadPolicy> {
        let unreadable = |source| BadPolicy::Folder { path: folder.to_owned(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
                paths.push(path);
            }
        }
        paths.sort();
        let mut hash = Sha256::new();
        let mut keys = BTreeMap::new();
        for path in paths {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let name =
                KeyName::try_from(stem).map_err(|source| BadPolicy::Name { path: path.clone(), source })?;
            let (file, text) = setting::read::<KeyFile>(&path)?;
            file.check(&path, &text)?;
            hash.update(name.as_str());
            hash.update([0]);
            hash.update(Sha256::digest(&text));
            keys.insert(name.clone(), Arc::new(Key { name, file }));
        }
        Ok(Self { keys, sha256: hex::encode(hash.finalize()) })
    }

    /// The policy of one key.
    pub fn key(&self, name: &KeyName) -> Option<&Arc<Key>> {
        self.keys.get(name)
    }

    /// Every key, in order of name.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.values()
    }

    /// How many keys it names.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// SHA-256 over names and files, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}
