//! A token that lives as long as the test that made it.

use std::ops::Deref;

use chancery_protocol::{Algorithm, KeyName};
use tempfile::TempDir;

use crate::error::doing;
use crate::{Error, Folder, template};

/// A private token in a temporary folder, which goes when this does.
///
/// Everything that can be asked of its [`Folder`] can be asked of it.
#[derive(Debug)]
pub struct Token {
    folder: Folder,
    // Held for its Drop: it removes the folder.
    _home: TempDir,
}

impl Token {
    /// The label of tokens whose maker did not choose one.
    pub const LABEL: &str = "chancery";

    /// A token without keys, labelled [`Self::LABEL`].
    pub fn create() -> Result<Self, Error> {
        Self::with_keys(&[])
    }

    /// A token with these keys, labelled [`Self::LABEL`].
    ///
    /// The keys are those of a prepared token: two tokens of the same list hold the same keys and the same PIN.
    pub fn with_keys(keys: &[(&str, Algorithm)]) -> Result<Self, Error> {
        Self::labelled(Self::LABEL, keys)
    }

    /// A token with a label of its own, for a daemon that serves several.
    pub fn labelled(label: &str, keys: &[(&str, Algorithm)]) -> Result<Self, Error> {
        let keys = keys.iter().map(|&(name, algorithm)| Ok((name.parse()?, algorithm)));
        let keys = keys.collect::<Result<Vec<(KeyName, Algorithm)>, Error>>()?;
        let home = tempfile::Builder::new()
            .prefix("chancery-token-")
            .tempdir()
            .map_err(doing(|| "make a temporary folder".to_owned()))?;
        let folder = template::prepared(label, &keys)?.copy(home.path())?;
        Ok(Self { folder, _home: home })
    }
}

impl Deref for Token {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}
