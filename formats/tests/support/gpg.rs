//! GnuPG with a home of its own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{run, try_run};

/// A private GnuPG home, short enough for its agent's socket. Its agent ends with it.
pub struct Gpg {
    home: TempDir,
}

impl Gpg {
    pub fn new() -> Self {
        Self {
            home: tempfile::Builder::new()
                .prefix("cg")
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in("/tmp")
                .unwrap(),
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(self.home()).args(["--batch", "--quiet", "--trust-model", "always"]);
        command
    }

    /// Makes a key and returns its certificate.
    pub fn generate(&self, algorithm: &str) -> Vec<u8> {
        run(self.command().args([
            "--passphrase",
            "",
            "--quick-gen-key",
            "gpg@example.org",
            algorithm,
            "sign",
            "never",
        ]));
        self.command().arg("--export").output().unwrap().stdout
    }

    /// The fingerprint of the first key.
    pub fn fingerprint(&self) -> String {
        let listed = run(self.command().args(["--with-colons", "--list-keys"]));
        let line = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
        line.trim_end_matches(':').to_owned()
    }

    pub fn import(&self, certificate: &Path) {
        run(self.command().arg("--import").arg(certificate));
    }

    /// Whether gpg finds the signature good, and what it says.
    pub fn verify(&self, files: &[&Path]) -> (bool, String) {
        try_run(self.command().args(["--status-fd", "1", "--verify"]).args(files))
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        _ = Command::new("gpgconf").arg("--homedir").arg(self.home()).args(["--kill", "all"]).status();
    }
}
