//! Runs `softhsm-token inside`: the one place where a module is loaded, in a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use chancery_protocol::{Algorithm, KeyName};

use crate::error::doing;
use crate::{Error, Folder};

/// Makes the folder's token and generates `keys` in it.
pub(crate) fn initialize(folder: &Folder, keys: &[(KeyName, Algorithm)]) -> Result<(), Error> {
    let mut arguments = vec!["--initialize".to_owned()];
    for (name, algorithm) in keys {
        arguments.extend(["--key".to_owned(), format!("{name}={algorithm}")]);
    }
    run(folder, &arguments, || format!("make a token in {}", folder.folder().display())).map(drop)
}

/// Generates one key in the folder's token.
pub(crate) fn generate(folder: &Folder, name: &KeyName, algorithm: Algorithm) -> Result<(), Error> {
    let arguments = ["--key".to_owned(), format!("{name}={algorithm}")];
    run(folder, &arguments, || format!("generate `{name}` in {}", folder.folder().display())).map(drop)
}

/// Lets every key in the folder's token sign; returns what the companion says of each.
pub(crate) fn check(folder: &Folder) -> Result<String, Error> {
    run(folder, &["--check".to_owned()], || format!("check the keys in {}", folder.folder().display()))
}

/// The folder that holds the build's profiles, usually `target`.
pub(crate) fn build_folder() -> Result<PathBuf, Error> {
    let program = program()?;
    // `target/debug/softhsm-token`: a file in a folder in a folder. At a file system's top the folder itself will do.
    let profile = program.parent().unwrap_or(Path::new("/"));
    Ok(profile.parent().unwrap_or(profile).to_owned())
}

/// Runs the companion on a folder's token. The PIN goes over standard input: neither the arguments nor the environment
/// of a process are secret.
fn run(folder: &Folder, arguments: &[String], what: impl Fn() -> String) -> Result<String, Error> {
    let pin = folder.pin_file();
    let pin = File::open(pin).map_err(doing(|| format!("read {}", pin.display())))?;
    let output = Command::new(program()?)
        .args(["inside", "--label", folder.label(), "--module"])
        .arg(folder.module())
        .args(arguments)
        .envs(folder.environment().iter().map(|(name, value)| (name, value)))
        .stdin(pin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(doing(|| "run softhsm-token".to_owned()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: ").to_owned();
    let said = if said.is_empty() { format!("it ended with {}", output.status) } else { said };
    Err(Error::Companion { doing: what(), said })
}

/// The companion: this program itself, or what cargo built beside the running test, which stands in `deps/`.
pub(crate) fn program() -> Result<PathBuf, Error> {
    let program = place(&env::current_exe().map_err(doing(|| "find the running program".to_owned()))?)
        .map_err(doing(|| "find the running program's folder".to_owned()))?;
    if program.is_file() { Ok(program) } else { Err(Error::CompanionMissing { looked: program }) }
}

fn place(running: &Path) -> io::Result<PathBuf> {
    let mut folder = running.parent().ok_or(io::ErrorKind::NotFound)?;
    if let (Some("deps" | "examples"), Some(above)) =
        (folder.file_name().and_then(|name| name.to_str()), folder.parent())
    {
        folder = above;
    }
    Ok(folder.join(NAME))
}

const NAME: &str = "softhsm-token";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_companion_stands_beside_the_profile_of_whoever_runs() {
        for running in
            ["target/debug/softhsm-token", "target/debug/deps/softhsm-token-1f", "target/debug/examples/x"]
        {
            assert_eq!(
                place(Path::new(running)).unwrap(),
                Path::new("target/debug/softhsm-token"),
                "{running}"
            );
        }
        assert_eq!(place(Path::new("t/release/bench")).unwrap(), Path::new("t/release/softhsm-token"));
    }
}
