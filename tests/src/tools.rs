//! The foreign tools that judge.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Output, capped, run};

/// Whether every one of these programs is there; if not, says which, and fails where nothing may be skipped.
pub fn have(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !found(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "missing here: {missing:?}; `make test` installs them");
    eprintln!("skipped: missing here: {missing:?}");
    false
}

fn found(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether this test runs as root; if not, says so, and fails where nothing may be skipped.
pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "this test needs root, to run agents as other users");
    if !root {
        eprintln!("skipped: this test needs root, to run agents as other users");
    }
    root
}

/// rpm with a database of its own that trusts one certificate.
pub struct Rpm {
    database: TempDir,
}

impl Rpm {
    /// Imports a certificate into an empty database.
    #[track_caller]
    pub fn trusting(certificate: &Path) -> Self {
        let rpm = Self { database: tempfile::tempdir().expect("a folder") };
        run(rpm.command().arg("--import").arg(certificate)).succeeded();
        rpm
    }

    fn command(&self) -> Command {
        let mut command = capped(120, "rpm");
        command.arg("--dbpath").arg(self.database.path());
        command
    }

    /// `rpm -Kv`.
    pub fn check(&self, package: &Path) -> Output {
        run(self.command().arg("-Kv").arg(package))
    }
}

/// gpg with a home of its own.
pub struct Gpg {
    home: TempDir,
}

impl Gpg {
    /// Imports a certificate into an empty home. The path is short: gpg's sockets lie in it.
    #[track_caller]
    pub fn trusting(certificate: &Path) -> Self {
        let gpg = Self { home: tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").expect("a folder") };
        run(gpg.command().arg("--import").arg(certificate)).succeeded();
        gpg
    }

    fn command(&self) -> Command {
        let mut command = capped(120, "gpg");
        command.arg("--homedir").arg(self.home.path()).args(["--batch", "--no-tty"]);
        command
    }

    /// `gpg --verify FILE...`.
    pub fn verify(&self, files: &[&Path]) -> Output {
        run(self.command().arg("--verify").args(files))
    }

    /// The certificates as gpgv wants them.
    pub fn keyring(&self) -> PathBuf {
        let path = self.home.path().join("exported.gpg");
        if !path.exists() {
            run(self.command().arg("--output").arg(&path).arg("--export")).succeeded();
        }
        path
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let _ = run(Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]));
    }
}

/// How a package is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// For this machine's architecture.
    Binary,
    /// For every architecture.
    Noarch,
    /// The source package.
    Source,
}

/// Builds a package with rpmbuild, reserving so many bytes for signatures.
#[track_caller]
pub fn build_package(folder: &Path, name: &str, kind: Package, reserved: u32) -> PathBuf {
    let top = folder.join(format!("rpmbuild-{name}"));
    std::fs::create_dir_all(&top).expect("a folder");
    let spec = top.join(format!("{name}.spec"));
    let arch = if kind == Package::Noarch { "BuildArch: noarch\n" } else { "" };
    let text = format!(
        "Name: {name}\nVersion: 1.0\nRelease: 1\nSummary: A package\nLicense: MIT\n{arch}%description\nA package.\n\
         %install\nmkdir -p %{{buildroot}}/usr/share/{name}\necho {name} > %{{buildroot}}/usr/share/{name}/file\n\
         %files\n/usr/share/{name}/file\n"
    );
    std::fs::write(&spec, text).expect("a spec file");
    let mut command = capped(120, "rpmbuild");
    command.arg(if kind == Package::Source { "-bs" } else { "-bb" });
    command.args(["--define", &format!("_topdir {}", top.display()), "--define", "debug_package %{nil}"]);
    command.args(["--define", &format!("__gpg_reserved_space {reserved}")]).arg(&spec);
    run(&mut command).succeeded();
    find_rpm(&top).unwrap_or_else(|| panic!("no package under {}", top.display()))
}

fn find_rpm(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() { find_rpm(&path) } else { path.extension().is_some_and(|e| e == "rpm").then_some(path) }
    })
}
