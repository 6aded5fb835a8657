//! What is no signing goes to the real gpg, which takes this process over.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::NAME;
use crate::exit::Exit;
use crate::failure::{Failure, plain};

/// Set for the program that is handed to: a script named gpg that calls us is not called again and again.
const HANDED_OVER: &str = "CHANCERY_GPG_HANDED_OVER";
/// gpg's names.
const NAMES: [&str; 2] = ["gpg", "gpg2"];
/// Where gpg is if the PATH does not say.
const USUAL: &str = "/usr/bin";

/// Becomes the real gpg. It returns only if that cannot be.
pub(super) fn to_gpg(words: &[OsString]) -> Failure {
    let asked = words.iter().map(|word| word.to_string_lossy()).find(|word| word.starts_with('-'));
    let not_ours = match asked {
        Some(option) => format!("`{option}` does not sign, and"),
        None => "no command to sign was given, and".to_owned(),
    };
    if env::var_os(HANDED_OVER).is_some() {
        return Failure::new(
            Exit::Usage,
            format!("{not_ours} the gpg that it was handed to is {NAME} again"),
        )
        .hint("let the PATH lead to the real gpg");
    }
    let own = env::current_exe().ok();
    match find(env::var_os("PATH").as_deref(), own.as_deref()) {
        Some(gpg) => {
            let error = Command::new(&gpg).arg0("gpg").args(words).env(HANDED_OVER, "1").exec();
            Failure::new(Exit::Failed, format!("{}: cannot run: {}", gpg.display(), plain(&error)))
        }
        None => Failure::new(Exit::Usage, format!("{not_ours} there is no gpg to hand it to"))
            .hint("install gpg, or use `chancery verify openpgp` and `chancery key cert NAME --openpgp`"),
    }
}

/// The first gpg of the PATH that is not this program by another name or through links.
fn find(path: Option<&OsStr>, own: Option<&Path>) -> Option<PathBuf> {
    let folders = env::split_paths(path.unwrap_or_default()).filter(|folder| folder.is_absolute());
    let candidates =
        folders.chain([PathBuf::from(USUAL)]).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    let own = own.and_then(|own| fs::metadata(own).ok());
    let mut others = candidates.filter(|gpg| is_another_program(gpg, own.as_ref()));
    others.next()
}

fn is_another_program(path: &Path, own: Option<&Metadata>) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return false };
    let is_program = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    let is_own = own.is_some_and(|own| (own.dev(), own.ino()) == (metadata.dev(), metadata.ino()));
    // Another copy of chancery.
    let real = fs::canonicalize(path).unwrap_or_default();
    let is_chancery = real.file_name().is_some_and(|name| name.to_string_lossy().starts_with("chancery"));
    is_program && !is_own && !is_chancery
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_real_gpg_is_found_behind_our_own_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let own = at("own/chancery");
        program(&own);
        program(&at("copy/chancery"));
        for folder in ["linked", "linked-twice", "copied", "hard", "not-executable", "folder/gpg", "real"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(&own, at("own/chancery-gpg")).unwrap();
        symlink(&own, at("linked/gpg")).unwrap();
        symlink(at("own/chancery-gpg"), at("linked-twice/gpg")).unwrap();
        symlink(at("copy/chancery"), at("copied/gpg2")).unwrap();
        fs::hard_link(&own, at("hard/gpg")).unwrap();
        fs::write(at("not-executable/gpg"), "").unwrap();
        program(&at("real/gpg2"));

        let folders =
            ["linked", "linked-twice", "copied", "hard", "not-executable", "folder", "missing", "real"];
        let path = env::join_paths(folders.map(at)).unwrap();
        assert_eq!(find(Some(&path), Some(&own)), Some(at("real/gpg2")));
        program(&at("real/gpg"));
        assert_eq!(find(Some(&path), Some(&own)), Some(at("real/gpg")));
        // A relative folder is whatever the caller stands in.
        assert_ne!(find(Some(OsStr::new(":.:real")), Some(&own)), Some(PathBuf::from("real/gpg")));
    }
}
