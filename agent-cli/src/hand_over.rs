//! What is no signing goes to the real program, which takes this process over.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exit::Exit;
use crate::failure::{Failure, plain};

/// A program for which chancery stands in.
pub(crate) struct Real {
    /// Its names; the first is the one by which it is called.
    pub(crate) names: &'static [&'static str],
    /// The variable of the environment that says which programs were handed to already, as `device:inode` of each: a
    /// script of that name that calls us, or a copy of this program, is passed by when it comes back.
    pub(crate) handed_over: &'static str,
}

/// Where programs are if the PATH does not say.
const USUAL: &str = "/usr/bin";

impl Real {
    /// Becomes the program. It returns only if that cannot be: with nothing where none is installed.
    pub(crate) fn take_over(&self, words: &[OsString]) -> Option<Failure> {
        let mut tried = env::var(self.handed_over).unwrap_or_default();
        if let Some(own) = env::current_exe().ok().and_then(|own| fs::metadata(own).ok()) {
            add(&mut tried, &own);
        }
        let (program, metadata) = self.find(env::var_os("PATH").as_deref(), &tried)?;
        add(&mut tried, &metadata);
        let mut command = Command::new(&program);
        if let Some(name) = self.names.first() {
            command.arg0(name);
        }
        let error = command.args(words).env(self.handed_over, tried).exec();
        Some(Failure::new(Exit::Failed, format!("{}: cannot run: {}", program.display(), plain(&error))))
    }

    /// The first such program of the PATH that was not tried and is not this program by another name.
    fn find(&self, path: Option<&OsStr>, tried: &str) -> Option<(PathBuf, Metadata)> {
        let folders = env::split_paths(path.unwrap_or_default()).filter(|folder| folder.is_absolute());
        let folders = folders.chain([PathBuf::from(USUAL)]);
        let named = folders.flat_map(|folder| self.names.iter().map(move |name| folder.join(name)));
        let mut others = named.filter_map(|program| {
            let metadata = fs::metadata(&program).ok()?;
            let is_program = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
            let is_new = !tried.split(' ').any(|one| one == identity(&metadata));
            (is_program && is_new && !is_chancery(&program)).then_some((program, metadata))
        });
        others.next()
    }
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

    const GPG: Real = Real { names: &["gpg", "gpg2"], handed_over: "A_TEST_HANDED_OVER" };

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_real_program_is_found_behind_our_own_names() {
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
            let (gpg, metadata) = GPG.find(Some(&path), &tried).unwrap();
            assert_eq!(gpg, at(expected));
            add(&mut tried, &metadata);
        }
        // A relative folder is whatever the caller stands in.
        let found = GPG.find(Some(OsStr::new(":.:real")), "");
        assert!(found.is_none_or(|(gpg, _)| gpg.starts_with(USUAL)));
    }
}
