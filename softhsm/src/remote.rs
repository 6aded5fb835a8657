//! A token behind a socket, which can go away and come back: `p11-kit server` and p11-kit's client module.

use std::fs;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::error::doing;
use crate::folder::table;
use crate::module::first_of;
use crate::{Error, Folder};

/// A token that `p11-kit server` serves. It lives in another process, as a network HSM lives in another machine.
///
/// Ed25519 does not pass: p11-kit 0.24 carries 24 mechanisms, and EdDSA is not among them.
#[derive(Debug)]
pub struct Remote {
    folder: Folder,
    socket: PathBuf,
    client: PathBuf,
    environment: Vec<(String, String)>,
    server: Option<Child>,
}

impl Remote {
    /// Serves the folder's token at `socket`; returns once it accepts connections.
    pub fn serve(folder: &Folder, socket: &Path) -> Result<Self, Error> {
        let client = first_of(CLIENTS, "p11-kit client module", "p11-kit p11-kit-modules")?;
        let address = format!("unix:path={}", socket.display());
        let environment = vec![("P11_KIT_SERVER_ADDRESS".to_owned(), address)];
        let mut remote =
            Self { folder: folder.clone(), socket: socket.to_owned(), client, environment, server: None };
        remote.start()?;
        Ok(remote)
    }

    /// Takes the token away: the server and the processes that it made for its clients are killed.
    pub fn stop(&mut self) -> Result<(), Error> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        // A child's id always fits: pid_t is an i32.
        let group = Pid::from_raw(i32::try_from(server.id()).unwrap_or(i32::MAX));
        killpg(group, Signal::SIGKILL).map_err(doing(|| format!("stop p11-kit server {group}")))?;
        server.wait().map_err(doing(|| format!("wait for p11-kit server {group}")))?;
        // The processes for its clients hold the listening socket too, until the kernel is done with them. Without
        // the name nobody reaches it meanwhile.
        fs::remove_file(&self.socket)
            .or_else(absent)
            .map_err(doing(|| format!("remove {}", self.socket.display())))
    }

    /// Brings the token back at the same socket; returns once it accepts connections.
    pub fn start(&mut self) -> Result<(), Error> {
        if self.server.is_some() {
            return Ok(());
        }
        let mut complaints = tempfile::tempfile().map_err(doing(|| "make a temporary file".to_owned()))?;
        let stderr = complaints.try_clone().map_err(doing(|| "share a temporary file".to_owned()))?;
        // A test that is killed cannot end its server; the time limit does.
        let mut server = Command::new("timeout")
            .args([LONGEST, "p11-kit", "server", "--foreground", "--sh", "--name"])
            .arg(&self.socket)
            .arg("--provider")
            .arg(self.folder.module())
            .arg(self.folder.uri())
            .envs(self.folder.environment().iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // It makes a process for each client; in a group of their own they can be ended together.
            .process_group(0)
            .spawn()
            .map_err(doing(|| "run timeout (apt-get install coreutils)".to_owned()))?;
        // It listens first, then prints its address and its process id. A line that fails to come is its failure.
        let lines = server.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        let listening = lines.map_while(Result::ok).any(|line| line.starts_with("P11_KIT_SERVER_PID="));
        self.server = Some(server);
        if listening {
            return Ok(());
        }
        self.stop()?;
        let mut said = String::new();
        let read = complaints.rewind().and_then(|()| complaints.read_to_string(&mut said));
        read.map_err(doing(|| "read what p11-kit server said".to_owned()))?;
        Err(Error::NotServed { socket: self.socket.clone(), said: said.trim().to_owned() })
    }

    /// The client module, which is what the daemon loads.
    pub fn module(&self) -> &Path {
        &self.client
    }

    /// What the client module needs to find in the environment of the process that loads it.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The token, as it is seen through the socket, as the table `[token.NAME]` of chanceryd.toml.
    pub fn config_toml(&self, name: &str) -> String {
        table(name, self.module(), &self.folder.uri(), self.folder.pin_file(), &self.environment)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.stop();
    }
}

fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// More seconds than any test lasts.
const LONGEST: &str = "900";
/// Where distributions put p11-kit's client module: Debian, Fedora and RHEL, Arch.
const CLIENTS: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
    "/usr/lib/pkcs11/p11-kit-client.so",
];
