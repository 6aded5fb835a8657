//! Programs that are run: ours from the target folder, foreign ones from the PATH.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a program did.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Output {
    /// The same, if the exit code is 0; a failed test if not.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use)]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The same, if it failed with this exit code.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use)]
    pub fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output and error together.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// One of the workspace's programs, built beside this test.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test");
    let path = own.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.is_file());
    path.unwrap_or_else(|| {
        panic!("no program {name} beside {}; run `cargo build --workspace --bins`", own.display())
    })
}

/// Puts links to `chancery` into `folder`, under the names of the tools for which it stands in, as `make install` does.
pub(crate) fn link_stand_ins(chancery: &Path, folder: &Path) {
    for name in STAND_INS {
        let made = std::os::unix::fs::symlink(chancery, folder.join(name));
        made.unwrap_or_else(|error| panic!("{name} in {}: {error}", folder.display()));
    }
}

/// The names under which `chancery` stands in for other tools.
pub const STAND_INS: [&str; 6] = [
    "chancery-gpg",
    "chancery-pesign",
    "chancery-sbsign",
    "chancery-sign-file",
    "chancery-ssh-keygen",
    "chancery-systemd-sbsign",
];

/// Runs a command to its end, without a standard input.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().to_string_lossy()));
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A command under `timeout`, so that what hangs fails.
pub fn capped(seconds: u32, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg("--kill-after=5").arg(seconds.to_string()).arg(program);
    command
}
