//! What is no signing goes to the real gpg, which takes this process over.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exit::Exit;
use crate::failure::{Failure, plain};

/// Which programs were handed to already, as `device:inode` of each: a script named gpg that calls us, or a copy of this
/// program, is passed by when it comes back.
const HANDED_OVER: &str = "CHANCERY_GPG_HANDED_OVER";
/// gpg's names.
const NAMES: [&str; 2] = ["gpg", "gpg2"];
/// Where gpg is if the PATH does not say.
const USUAL: &str = "/usr/bin";

/// Becomes the real gpg. It returns only if that cannot be.
pub(super) fn to_gpg(words: &[OsString]) -> Failure {
    let mut tried = env::var(HANDED_OVER).unwrap_or_default();
    if let Some(own) = env::current_exe().ok().and_then(|own| fs::metadata(own).ok()) {
        add(&mut tried, &own);
    }
    let Some((gpg, metadata)) = find(env::var_os("PATH").as_deref(), &tried) else {
        let asked = words.iter().map(|word| word.to_string_lossy()).find(|word| word.starts_with('-'));
        let not_ours = match asked {
            Some(option) => format!("`{option}` does not sign"),
            None => "there is no command to sign".to_owned(),
        };
        return Failure::new(
            Exit::Usage,
            format!("{not_ours}, and no gpg is installed that it could be handed to"),
        )
        .hint("install gpg, or use `chancery verify openpgp` and `chancery key cert NAME --openpgp`");
    };
    add(&mut tried, &metadata);
    let error = Command::new(&gpg).arg0("gpg").args(words).env(HANDED_OVER, tried).exec();
    Failure::new(Exit::Failed, format!("{}: cannot run: {}", gpg.display(), plain(&error)))
}

/// The first gpg of the PATH that was not tried and is not this program by another name.
fn find(path: Option<&OsStr>, tried: &str) -> Option<(PathBuf, Metadata)> {
    let folders = env::split_paths(path.unwrap_or_default()).filter(|folder| folder.is_absolute());
    let folders = folders.chain([PathBuf::from(USUAL)]);
    let mut others = folders.flat_map(|folder| NAMES.map(|name| folder.join(name))).filter_map(|gpg| {
        let metadata = fs::metadata(&gpg).ok()?;
        let is_program = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
        let is_new = !tried.split(' ').any(|one| one == identity(&metadata));
        (is_program && is_new && !is_chancery(&gpg)).then_some((gpg, metadata))
    });
    others.next()
}

/// Whether a link leads to a copy of chancery, of whatever version.
fn is_chancery(path: &Path) -> bool {
    let real = fs::canonicalize(path).unwrap_or_default();
    real.file_name().is_some_and(|name| name.to_string_lossy().starts_with("chancery"))
}

fn add(tried: &mut String, program: &Metadata) {
    if !tried.is_empty() {
        tried.push(' ');
    }
    tried.push_str(&identity(program));
}

fn identity(program: &Metadata) -> String {
    format!("{}:{}", program.dev(), program.ino())
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
        for folder in ["linked", "linked-twice", "copied", "hard", "not-executable", "folder/gpg"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        symlink(&own, at("own/chancery-gpg")).unwrap();
        symlink(&own, at("linked/gpg")).unwrap();
        symlink(at("own/chancery-gpg"), at("linked-twice/gpg")).unwrap();
        symlink(at("copy/chancery"), at("copied/gpg2")).unwrap();
        fs::hard_link(&own, at("hard/gpg")).unwrap();
        fs::write(at("not-executable/gpg"), "").unwrap();
        for name in ["script/gpg", "real/gpg", "real/gpg2"] {
            program(&at(name));
        }

        let folders = [
            "linked",
            "linked-twice",
            "copied",
            "hard",
            "not-executable",
            "folder",
            "missing",
            "script",
            "real",
        ];
        let path = env::join_paths(folders.map(at)).unwrap();
        let mut tried = String::new();
        add(&mut tried, &fs::metadata(&own).unwrap());
        // Each that comes back is passed by, until the one that does not.
        for expected in ["script/gpg", "real/gpg", "real/gpg2"] {
            let (gpg, metadata) = find(Some(&path), &tried).unwrap();
            assert_eq!(gpg, at(expected));
            add(&mut tried, &metadata);
        }
        // A relative folder is whatever the caller stands in.
        let found = find(Some(OsStr::new(":.:real")), "");
        assert!(found.is_none_or(|(gpg, _)| gpg.starts_with(USUAL)));
    }
}
