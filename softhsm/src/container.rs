//! A container in which systemd runs: the real unit files, their sandbox, journal, credentials and a SoftHSM token.
//!
//! The folder of the daemon's sockets is shared with the host, so that agents outside talk to the daemon inside. Peers
//! have their host's uid, and process id 0: the kernel gives no number for a process in another PID namespace.
//!
//! The engine and the image come from `softhsm/container/engine.sh` and `build-image.sh`; the image is Debian 12, so the
//! programs that are installed in it have to be built on Debian 12 or older.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chancery_protocol::Algorithm;
use tempfile::TempDir;
use testcontainers::core::{AccessMode, CgroupnsMode, ExecCommand, Mount};
use testcontainers::runners::SyncRunner as _;
use testcontainers::{GenericImage, ImageExt as _, TestcontainersError};

use crate::error::doing;
use crate::{Error, Token, companion};

/// An entry of the journal, as `journalctl -o json` writes it: field names and values.
pub type JournalEntry = serde_json::Map<String, serde_json::Value>;

/// What a command in the container did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; for a command that a signal ended, 128 and the signal's number.
    pub code: i64,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A running container with systemd as its first process; removed when dropped.
///
/// Its methods block and must not be called from within an async runtime.
#[derive(Debug)]
pub struct Container {
    // Dropped before the folders that are mounted in it.
    inner: testcontainers::Container<GenericImage>,
    home: TempDir,
    files: AtomicU32,
}

impl Container {
    /// Whether an engine answers and has the image; the error says how to get them.
    pub fn ready() -> Result<(), Error> {
        let output = Command::new("docker")
            .args(["image", "inspect", "--format", "{{.Id}}", &format!("{IMAGE}:{TAG}")])
            .output()
            .map_err(doing(|| "run docker (apt-get install docker.io)".to_owned()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::NoContainer { said })
    }

    /// Starts a container and waits until systemd has started everything in it.
    pub fn boot() -> Result<Self, Error> {
        Self::ready()?;
        let home = tempfile::Builder::new()
            .prefix("chancery-container-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .map_err(doing(|| "make a temporary folder".to_owned()))?;
        let [sockets, exchange] = [home.path().join(SOCKETS), home.path().join(EXCHANGE)];
        for folder in [&sockets, &exchange] {
            fs::create_dir(folder).map_err(doing(|| format!("make {}", folder.display())))?;
        }
        let mounted = |path: &Path, at: &str| Mount::bind_mount(path.display().to_string(), at);
        let inner = GenericImage::new(IMAGE, TAG)
            .with_cmd(["/lib/systemd/systemd"])
            .with_env_var("container", "docker")
            .with_network("none")
            // What systemd needs, and no more: `privileged` fails on hosts that themselves lack a capability.
            .with_cap_add("SYS_ADMIN")
            // So that a test may look into the daemon's processes, which let nobody else.
            .with_cap_add("SYS_PTRACE")
            .with_security_opt("seccomp=unconfined")
            .with_cgroupns_mode(CgroupnsMode::Host)
            .with_mount(mounted(Path::new("/sys/fs/cgroup"), "/sys/fs/cgroup"))
            .with_mount(Mount::tmpfs_mount("/run"))
            .with_mount(Mount::tmpfs_mount("/tmp"))
            .with_mount(mounted(&sockets, "/run/chancery"))
            .with_mount(mounted(&exchange, "/exchange").with_access_mode(AccessMode::ReadOnly))
            .start()
            .map_err(failed("start the container"))?;
        let container = Self { inner, home, files: AtomicU32::new(0) };
        container.wait_until_running()?;
        // Docker makes all mounts private, and systemd mounts a unit's credentials in a process of its own: without
        // this the unit would find their folder empty.
        container.succeed(&["mount", "--make-rshared", "/"])?;
        Ok(container)
    }

    /// Boots, and installs the programs, the unit files and an empty configuration; nothing of it is started.
    pub fn start(chanceryd: &Path, chancery: &Path) -> Result<Self, Error> {
        let container = Self::boot()?;
        container.install(chanceryd, "/usr/sbin/chanceryd")?;
        container.install(chancery, "/usr/bin/chancery")?;
        container.install_units()?;
        Ok(container)
    }

    /// Installs a program of the host's at `path`.
    pub fn install(&self, program: &Path, path: &str) -> Result<(), Error> {
        let inside = self.hand_over(|file| fs::copy(program, file).map(drop))?;
        self.succeed(&["install", "-D", "-m", "755", &inside, path]).map(drop)
    }

    /// Installs the unit files with `systemd/install.sh`, then makes their users and folders.
    pub fn install_units(&self) -> Result<(), Error> {
        let root = self.home.path().join(EXCHANGE).join("units");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/install.sh");
        let output = Command::new(&script)
            .arg(&root)
            .output()
            .map_err(doing(|| format!("run {}", script.display())))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Container { doing: format!("install with {}", script.display()), said });
        }
        self.succeed(&["cp", "--recursive", "/exchange/units/.", "/"])?;
        self.succeed(&["systemd-sysusers"])?;
        self.succeed(&["systemd-tmpfiles", "--create"])?;
        self.succeed(&["journalctl", "--update-catalog"])?;
        self.succeed(&["systemctl", "daemon-reload"]).map(drop)
    }

    /// Makes a SoftHSM token of user chancery with these keys, its PIN the credential that chanceryd.service loads, and
    /// an `/etc/chancery/chanceryd.toml` with it as `[token.main]`. Needs [`Self::install_units`] first.
    pub fn make_token(&self, keys: &[(&str, Algorithm)]) -> Result<(), Error> {
        self.install(&companion::program()?, "/usr/bin/softhsm-token")?;
        self.succeed(&["install", "-d", "-o", "chancery", "-g", "chancery", "-m", "700", STATE])?;
        let keys: Vec<_> = keys.iter().map(|(name, algorithm)| format!("--key={name}={algorithm}")).collect();
        let mut create = vec!["runuser", "-u", "chancery", "--", "softhsm-token", "create", TOKEN];
        create.extend(["--label", Token::LABEL]);
        create.extend(keys.iter().map(String::as_str));
        self.succeed(&create)?;
        self.succeed(&["install", "-D", "-m", "600", &format!("{TOKEN}/pin"), "/etc/chancery/pin"])?;
        let table = self.succeed(&["cat", &format!("{TOKEN}/token.toml")])?;
        let lines = table.lines().map(|line| if line.starts_with("pin = ") { CREDENTIAL } else { line });
        self.write(
            "/etc/chancery/chanceryd.toml",
            "root:root",
            0o644,
            &(lines.collect::<Vec<_>>().join("\n") + "\n"),
        )
    }

    /// Writes a file in the container; `owner` is `USER:GROUP`, known there.
    pub fn write(&self, path: &str, owner: &str, mode: u32, text: &str) -> Result<(), Error> {
        let inside = self.hand_over(|file| fs::write(file, text))?;
        let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
        let mode = format!("{mode:o}");
        self.succeed(&["install", "-D", "-o", user, "-g", group, "-m", &mode, &inside, path]).map(drop)
    }

    /// Runs a command as root and waits for its end.
    pub fn exec(&self, command: &[&str]) -> Result<Output, Error> {
        let said = |error| failed(&format!("run `{}`", command.join(" ")))(error);
        let mut running = self.inner.exec(ExecCommand::new(command.iter().copied())).map_err(said)?;
        let stdout = running.stdout_to_vec().map_err(said)?;
        let stderr = running.stderr_to_vec().map_err(said)?;
        // The engine closes the streams a moment before it knows the exit code.
        let code = patiently(|| running.exit_code().map_err(said), || "the end of a command".to_owned())?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { code, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Runs a command as root; its standard output if it succeeds, an error with all it wrote if not.
    pub fn succeed(&self, command: &[&str]) -> Result<String, Error> {
        let output = self.exec(command)?;
        if output.code == 0 {
            return Ok(output.stdout);
        }
        let said = format!("exit code {}: {}{}", output.code, output.stdout, output.stderr);
        Err(Error::Container { doing: format!("run `{}`", command.join(" ")), said })
    }

    /// The journal's entries that match, such as `["-u", "chanceryd"]` or `["MESSAGE_ID=…"]`, the oldest first.
    pub fn journal(&self, matches: &[&str]) -> Result<Vec<JournalEntry>, Error> {
        // What was logged before this call is to be seen by it.
        self.succeed(&["journalctl", "--sync"])?;
        let text =
            self.succeed(&[&["journalctl", "--output=json", "--no-pager", "--all"][..], matches].concat())?;
        let entries = text.lines().map(|line| {
            serde_json::from_str(line).map_err(|error| Error::Container {
                doing: "read a journal entry".to_owned(),
                said: format!("{error}: {line}"),
            })
        });
        entries.collect()
    }

    /// The host's folder that is `/run/chancery` inside: `chanceryd.sock` and `admin.sock` appear there.
    pub fn sockets(&self) -> PathBuf {
        self.home.path().join(SOCKETS)
    }

    /// Until systemd is far enough to be asked, asking fails; from then on it answers once it has started everything.
    fn wait_until_running(&self) -> Result<(), Error> {
        let mut last = String::new();
        let result = patiently(
            || {
                let output = self.exec(&["systemctl", "is-system-running", "--wait"])?;
                last = format!("{}{}", output.stdout.trim(), output.stderr.trim());
                Ok((output.stdout.trim() == "running" || output.stdout.trim() == "degraded").then_some(()))
            },
            || "systemd to be running".to_owned(),
        );
        if result.is_ok() && last == "running" {
            return Ok(());
        }
        let failed = self.exec(&["systemctl", "--failed", "--no-pager"])?.stdout;
        Err(Error::Container { doing: "boot systemd".to_owned(), said: format!("{last}\n{failed}") })
    }

    /// Puts a file where the container can read it; returns its path there.
    fn hand_over(&self, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<String, Error> {
        let name = self.files.fetch_add(1, Ordering::Relaxed).to_string();
        let file = self.home.path().join(EXCHANGE).join(&name);
        write(&file).map_err(doing(|| format!("write {}", file.display())))?;
        Ok(format!("/exchange/{name}"))
    }
}

/// Asks again and again for what neither engine nor systemd announces.
fn patiently<T>(
    mut ask: impl FnMut() -> Result<Option<T>, Error>,
    what: impl Fn() -> String,
) -> Result<T, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            let said = format!("it did not come in {} seconds", PATIENCE.as_secs());
            return Err(Error::Container { doing: format!("wait for {}", what()), said });
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn failed(what: &str) -> impl FnOnce(TestcontainersError) -> Error {
    move |error| Error::Container { doing: what.to_owned(), said: error.to_string() }
}

const IMAGE: &str = "chancery-systemd";
const TAG: &str = "test";
/// Far more than the second or two that booting takes.
const PATIENCE: Duration = Duration::from_secs(60);
const SOCKETS: &str = "sockets";
const EXCHANGE: &str = "exchange";
const STATE: &str = "/var/lib/chancery";
const TOKEN: &str = "/var/lib/chancery/token";
const CREDENTIAL: &str = "pin = { credential = \"pin\" }";
