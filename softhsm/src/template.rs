//! Prepared tokens: each list of keys is generated once per build folder and then only copied.

use std::fs::{self, File};
use std::path::Path;

use chancery_protocol::{Algorithm, KeyName};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest as _, Sha256};

use crate::error::doing;
use crate::{Error, Folder, Module, companion};

/// The prepared token with this label and these keys; made now if it is not there.
///
/// It is made under a lock, in a folder of another name that is renamed when it is whole, so that neither two test
/// processes at once nor one that is killed can leave half a token to be found.
pub(crate) fn prepared(label: &str, keys: &[(KeyName, Algorithm)]) -> Result<Folder, Error> {
    let shelf = companion::build_folder()?.join("softhsm-templates");
    let name = name(&Module::find()?, label, keys);
    let path = shelf.join(&name);
    if path.is_dir() {
        return Folder::open(&path);
    }
    fs::create_dir_all(&shelf).map_err(doing(|| format!("make {}", shelf.display())))?;
    let lock = shelf.join(format!("{name}.lock"));
    let file = File::create(&lock).map_err(doing(|| format!("open {}", lock.display())))?;
    let _held = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| errno)
        .map_err(doing(|| format!("lock {}", lock.display())))?;
    if !path.is_dir() {
        make(&shelf.join(format!("{name}.making")), &path, label, keys)?;
    }
    Folder::open(&path)
}

/// Makes the token in `making`, which only the lock's holder touches, and renames it.
fn make(making: &Path, path: &Path, label: &str, keys: &[(KeyName, Algorithm)]) -> Result<(), Error> {
    if making.exists() {
        // A run that was killed left it.
        fs::remove_dir_all(making).map_err(doing(|| format!("remove {}", making.display())))?;
    }
    // `token.toml` and the module's configuration go on naming `making`; Folder::open and Folder::copy take the
    // paths from where the folder stands, and nothing uses a prepared token in place.
    Folder::create(making, label, keys)?;
    fs::rename(making, path).map_err(doing(|| format!("rename {}", making.display())))
}

/// Names a prepared token after all that decides what is in it, the code that generates keys included.
fn name(module: &Module, label: &str, keys: &[(KeyName, Algorithm)]) -> String {
    let mut hash = Sha256::new();
    let keys = keys.iter().map(|(name, algorithm)| format!("{name}={algorithm}"));
    let parts = [module.path().display().to_string(), label.to_owned(), GENERATOR.to_owned()];
    for part in parts.into_iter().chain(keys) {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..10])
}

const GENERATOR: &str = include_str!("bin/softhsm-token/keys.rs");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_swept_away() {
        let shelf = tempfile::tempdir().unwrap();
        let (making, path) = (shelf.path().join("x.making"), shelf.path().join("x"));
        fs::create_dir(&making).unwrap();
        fs::write(making.join("softhsm2.conf"), "hal").unwrap();
        make(&making, &path, "chancery", &[("key".parse().unwrap(), Algorithm::P256)]).unwrap();
        assert!(!making.exists());
        let copy = Folder::open(&path).unwrap().copy(&shelf.path().join("copy")).unwrap();
        assert_eq!(copy.check().unwrap().lines().count(), 1);
    }

    #[test]
    fn a_prepared_token_is_named_after_module_label_and_keys() {
        let module = Module::SoftHsm("/usr/lib/softhsm/libsofthsm2.so".into());
        let key = |name: &str, algorithm| vec![(name.parse::<KeyName>().unwrap(), algorithm)];
        let names = [
            name(&module, "a", &[]),
            name(&module, "b", &[]),
            name(&module, "a", &key("k", Algorithm::P256)),
            name(&module, "a", &key("k", Algorithm::P384)),
            name(&Module::Kryoptic("/x/libkryoptic_pkcs11.so".into()), "a", &[]),
        ];
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    }
}
