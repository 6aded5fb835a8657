//! The ssh-keygen that is installed.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exit::Exit;
use crate::failure::{Failure, plain};

const REAL: &str = "ssh-keygen";
/// Set for the program that is called, so that two that call each other notice.
const MARK: &str = "CHANCERY_SSH_KEYGEN_GAVE_ON";

/// Becomes the real ssh-keygen; comes back only where that fails.
pub(super) fn become_ssh_keygen(arguments: &[OsString]) -> Failure {
    if env::var_os(MARK).is_some() {
        return Failure::new(Exit::Failed, "ssh-keygen in PATH calls chancery-ssh-keygen, which calls it")
            .hint("the real one has to come first in PATH, or call it by its path");
    }
    let Some(program) = real() else {
        return Failure::new(Exit::Failed, "there is no ssh-keygen in PATH, which does all but `-Y sign`")
            .hint("on Debian: apt-get install openssh-client");
    };
    let error = Command::new(&program).arg0(REAL).args(arguments).env(MARK, "1").exec();
    Failure::new(Exit::Failed, format!("{}: cannot be run: {}", program.display(), plain(&error)))
}

/// The first ssh-keygen in PATH that is not this program under that name.
fn real() -> Option<PathBuf> {
    let own = env::current_exe().and_then(fs::canonicalize).ok();
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(REAL))
        .find(|program| is_program(program) && fs::canonicalize(program).ok() != own)
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
