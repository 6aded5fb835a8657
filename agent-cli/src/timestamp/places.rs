//! Where settings and cache lie (XDG Base Directory Specification).

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

/// The settings of all users.
const SYSTEM: &str = "/etc/chancery/timestamp.toml";

/// The files of settings, the user's own before the system's; only the first one that is there is read.
pub(super) fn settings() -> Vec<PathBuf> {
    let own = base("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("chancery/timestamp.toml"));
    own.into_iter().chain([PathBuf::from(SYSTEM)]).collect()
}

/// The folder for what is kept about timestamps, made where there is none. Where that cannot be, nothing is kept.
pub(super) fn cache() -> Option<PathBuf> {
    let folder = base("XDG_CACHE_HOME", ".cache")?.join("chancery/timestamps");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    Some(folder)
}

/// The folder that a variable of the environment names, or else this one in the user's home.
fn base(variable: &str, otherwise: &str) -> Option<PathBuf> {
    // What is relative is to be passed by.
    let place = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    place(variable).or_else(|| place("HOME").map(|home| home.join(otherwise)))
}
