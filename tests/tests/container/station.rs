//! A container with the real units, a token and keys; agents run inside it and on the host.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use chancery_protocol::Algorithm;
use chancery_softhsm::Token;
use chancery_softhsm::container::{Container, JournalEntry};
use chancery_tests::{Output, capped, program, run};
use serde_json::Value;
use tempfile::TempDir;

pub const SERVICE: &str = "chanceryd.service";

/// A rule with which root, on the host and inside, may use a key for everything.
pub const ROOT_MAY: &str = "[[allow]]\nwho = [\"user:0\"]\n";

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// The container, and a folder on the host for what agents there sign.
pub struct Station {
    pub container: Container,
    folder: TempDir,
}

impl Station {
    /// Boots a container with a token that holds these keys; root may use them for everything. It has the users
    /// `builder`, and `oper` in the group chancery-admin, whose members are operators. The sockets listen, and the
    /// daemon has not been started.
    ///
    /// `None` where there is no engine; CHANCERY_CONTAINER=1 makes that a failure.
    #[track_caller]
    pub fn with_keys(keys: &[(&str, Algorithm)]) -> Option<Self> {
        if let Err(error) = Container::ready() {
            assert!(env::var_os("CHANCERY_CONTAINER").is_none(), "{error}");
            eprintln!("skipped: {error}");
            return None;
        }
        let container = Container::start(&program("chanceryd"), &program("chancery")).expect("a container");
        container.make_token(keys).expect("a token");
        let folder =
            tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().expect("a folder");
        let station = Self { container, folder };
        for user in [&["builder"][..], &["--groups=chancery-admin", "oper"]] {
            station.root(&[&["useradd", "--create-home"], user].concat());
        }
        let token = station.read("/etc/chancery/chanceryd.toml");
        station.configure(&format!("admins = [\"group:chancery-admin\"]\n{token}"));
        for (key, _) in keys {
            station.policy(key, ROOT_MAY);
        }
        station.root(&["systemctl", "start", "chanceryd.socket", "chanceryd-admin.socket"]);
        Some(station)
    }

    /// Writes chanceryd.toml.
    #[track_caller]
    pub fn configure(&self, text: &str) {
        self.write("/etc/chancery/chanceryd.toml", "root:root", text);
    }

    /// Writes a key's policy file: the key in the token, and these rules.
    #[track_caller]
    pub fn policy(&self, key: &str, rules: &str) {
        let label = Token::LABEL;
        let text = format!(
            "uri = \"pkcs11:token={label};object={key};type=private\"\ncreated = 2026-11-23T15:00:00Z\n\
             inputs = [\"digest\", \"message\"]\n{rules}"
        );
        self.write(&format!("/etc/chancery/keys.d/{key}.toml"), "chancery:chancery", &text);
    }

    /// Writes a drop-in for chanceryd.service.
    #[track_caller]
    pub fn drop_in(&self, text: &str) {
        self.write("/etc/systemd/system/chanceryd.service.d/test.conf", "root:root", text);
        self.root(&["systemctl", "daemon-reload"]);
    }

    #[track_caller]
    fn write(&self, path: &str, owner: &str, text: &str) {
        self.container.write(path, owner, 0o644, text).expect("a file in the container");
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        self.root(&["cat", path])
    }

    /// Runs a command inside as root, which has to succeed; its standard output.
    #[track_caller]
    pub fn root(&self, command: &[&str]) -> String {
        self.container.succeed(command).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs the agent inside, as a user there.
    #[track_caller]
    pub fn inside(&self, user: &str, args: &[&str]) -> Output {
        let command = [&["runuser", "-u", user, "--", "timeout", "120", "chancery"], args].concat();
        let output = self.container.exec(&command).expect("an agent in the container");
        Output { code: i32::try_from(output.code).ok(), stdout: output.stdout, stderr: output.stderr }
    }

    /// The agent's command line on the host, in the folder there.
    pub fn agent(&self) -> Command {
        let mut command = capped(120, program("chancery"));
        self.point(&mut command);
        command
    }

    /// The same as another user without supplementary groups. `groups` are those it gets instead.
    pub fn agent_as(&self, uid: u32, groups: &str) -> Command {
        // A checkout may lie in a folder that only its owner may enter.
        let copy = self.path("chancery");
        if !copy.exists() {
            fs::copy(program("chancery"), &copy).expect("a copy of the agent");
        }
        let mut command = capped(120, "setpriv");
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}"));
        command.arg(if groups.is_empty() {
            "--clear-groups".to_owned()
        } else {
            format!("--groups={groups}")
        });
        command.arg(copy);
        self.point(&mut command);
        command
    }

    fn point(&self, command: &mut Command) {
        let sockets = self.container.sockets();
        command.env("CHANCERY_SOCKET", sockets.join("chanceryd.sock"));
        command.env("CHANCERY_ADMIN_SOCKET", sockets.join("admin.sock"));
        command.current_dir(self.folder.path());
    }

    /// Runs the agent on the host.
    #[track_caller]
    pub fn chancery(&self, args: &[&str]) -> Output {
        run(self.agent().args(args))
    }

    /// A place in the host's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the host's folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    /// Makes a key's OpenPGP certificate; its file on the host.
    #[track_caller]
    pub fn certificate(&self, key: &str) -> PathBuf {
        let name = format!("{key}.asc");
        self.chancery(&["openpgp", "make-cert", key, "--user-id", key, "-o", &name]).succeeded();
        self.path(&name)
    }

    /// One property of chanceryd.service.
    #[track_caller]
    pub fn show(&self, property: &str) -> String {
        self.root(&["systemctl", "show", &format!("--property={property}"), "--value", SERVICE])
            .trim()
            .to_owned()
    }

    /// The daemon's process id inside.
    #[track_caller]
    pub fn daemon(&self) -> String {
        let pid = self.show("MainPID");
        assert_ne!(pid, "0", "the daemon does not run");
        pid
    }

    /// Sends the daemon, and not its workers, a signal.
    #[track_caller]
    pub fn kill(&self, signal: &str) {
        self.root(&["systemctl", "kill", "--kill-whom=main", &format!("--signal={signal}"), SERVICE]);
    }

    /// The worker processes' ids inside.
    #[track_caller]
    pub fn workers(&self) -> Vec<String> {
        let children = format!("cat /proc/{}/task/*/children", self.daemon());
        self.root(&["sh", "-c", &children]).split_whitespace().map(str::to_owned).collect()
    }

    /// Waits until something is so that happens by itself; each look is a command in the container, which is pause
    /// enough.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < PATIENCE, "still not so: {what}");
        }
    }

    /// Waits until the daemon's status line, which systemd shows, has this in it.
    #[track_caller]
    pub fn wait_for_status(&self, text: &str) {
        self.wait_until(text, |station| station.show("StatusText") == text);
    }

    /// The journal's entries with this message id, the oldest first.
    #[track_caller]
    pub fn journal(&self, message_id: &str) -> Vec<JournalEntry> {
        self.container.journal(&[&format!("MESSAGE_ID={message_id}")]).expect("the journal")
    }

    /// The audit trail's records, the oldest first.
    #[track_caller]
    pub fn trail(&self) -> Vec<Value> {
        let text = self.root(&["sh", "-c", "cat /var/log/chancery/*.jsonl"]);
        text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    }

    /// Checks the audit trail with the agent inside; what it tells.
    #[track_caller]
    pub fn verify_trail(&self) -> Value {
        let said = self.inside("root", &["audit", "verify", "--json", "/var/log/chancery"]).succeeded();
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = self.container.succeed(&["journalctl", "--no-pager", "--lines=60"])
        {
            eprintln!("the end of the container's journal:\n{log}");
        }
    }
}

/// The records of one kind.
pub fn of_kind<'a>(trail: &'a [Value], event: &str) -> Vec<&'a Value> {
    trail.iter().filter(|record| record["event"] == event).collect()
}
