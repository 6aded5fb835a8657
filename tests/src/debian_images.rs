//! Images of Debian's kernels and of its shim, which `tests/images/fetch.sh` fetches.

use std::path::{Path, PathBuf};

/// The fetched image of this name. If it is not there, says so, and fails where nothing may be skipped.
#[track_caller]
pub fn fetched(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("CHANCERY_IMAGES").map(|folder| Path::new(&folder).join(name));
    let path = path.filter(|path| path.is_file());
    let hint = "`tests/images/fetch.sh FOLDER` fetches it, for CHANCERY_IMAGES=FOLDER; `make test` does both";
    assert!(path.is_some() || std::env::var_os("CI").is_none(), "missing here: {name}; {hint}");
    if path.is_none() {
        eprintln!("skipped: missing here: {name}; {hint}");
    }
    path
}
