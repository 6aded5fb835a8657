//! A daemon on a private token, with its configuration, policy, audit trail and sockets in a folder of its own.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chancery_protocol::admin::Admin;
use chancery_protocol::agent::Agent;
use chancery_protocol::client::Client;
use chancery_protocol::{Algorithm, Service};
use chancery_softhsm::Token;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::{Output, capped, link_stand_ins, program, run};

/// How long the harness waits for something that a daemon does at once.
pub const PIN_PATIENCE: Duration = Duration::from_secs(30);

/// Lines of the daemon's log that a failed test shows.
const LOG_LINES: usize = 60;

/// What a house will be.
#[derive(Default)]
pub struct Builder {
    keys: Vec<(String, Algorithm)>,
    policies: Vec<(String, String)>,
    config: String,
    token_settings: String,
    token: Option<String>,
}

impl Builder {
    /// A key in the token, which the user of the test may use for everything.
    #[must_use]
    pub fn key(mut self, name: &str, algorithm: Algorithm) -> Self {
        self.keys.push((name.to_owned(), algorithm));
        self
    }

    /// A policy file for a key, instead of the one that allows everything; `uri` and `created` are put before it.
    #[must_use]
    pub fn policy(mut self, key: &str, text: &str) -> Self {
        self.policies.push((key.to_owned(), text.to_owned()));
        self
    }

    /// Lines before the token's table in the configuration.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// Lines at the end of the token's table.
    #[must_use]
    pub fn token_setting(mut self, text: &str) -> Self {
        self.token_settings.push_str(text);
        self.token_settings.push('\n');
        self
    }

    /// Another token table than the private token's own.
    #[must_use]
    pub fn token_table(mut self, table: String) -> Self {
        self.token = Some(table);
        self
    }

    /// Writes everything, and starts nothing.
    #[track_caller]
    pub fn prepare(self) -> House {
        let keys: Vec<_> = self.keys.iter().map(|(name, algorithm)| (name.as_str(), *algorithm)).collect();
        let token = Token::with_keys(&keys).expect("a token");
        let folder = tempfile::Builder::new()
            .prefix("chancery-house-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        let house = House { folder, token, daemon: None };
        fs::create_dir(house.path("keys.d")).expect("keys.d");
        fs::create_dir(house.path("bin")).expect("bin");
        link_stand_ins(&program("chancery"), &house.path("bin"));
        let table = self.token.unwrap_or_else(|| house.token.config_toml("main"));
        let settings = self.token_settings;
        let limits =
            if self.config.contains("[limits]") { "" } else { "[limits]\nconnections-per-user = 2000\n" };
        let audit = if self.config.contains("[audit]") { "" } else { "[audit]\ndirectory = \"audit\"\n" };
        let config = format!("state = \"state\"\n{}{audit}{limits}{table}{settings}", self.config);
        house.write("chanceryd.toml", &config);
        for (name, _) in &self.keys {
            house.allow_all(name);
        }
        for (name, text) in &self.policies {
            house.write_policy(name, text);
        }
        house
    }

    /// Writes everything, starts the daemon and waits until it serves and its token is ready.
    #[track_caller]
    pub fn start(self) -> House {
        let mut house = self.prepare();
        house.start();
        house.wait_until("every worker of the token is ready", House::is_ready);
        house
    }
}

/// A daemon and what belongs to it; all of it goes when this does.
pub struct House {
    folder: TempDir,
    /// Its token.
    pub token: Token,
    daemon: Option<Child>,
}

impl House {
    /// A house that is not built yet.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A place in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in its folder.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// The agents' socket.
    pub fn socket(&self) -> PathBuf {
        self.path("chanceryd.sock")
    }

    /// The operator's socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.path("admin.sock")
    }

    /// Writes a key's policy file.
    pub fn write_policy(&self, key: &str, text: &str) -> PathBuf {
        let label = self.token.label();
        let head = format!(
            "uri = \"pkcs11:token={label};object={key};type=private\"\ncreated = 2026-11-23T15:00:00Z\n"
        );
        self.write(&format!("keys.d/{key}.toml"), format!("{head}{text}"))
    }

    /// Lets the user of the test use a key for everything.
    pub fn allow_all(&self, key: &str) {
        let uid = nix::unistd::geteuid();
        self.write_policy(
            key,
            &format!("inputs = [\"digest\", \"message\"]\n[[allow]]\nwho = [\"user:{uid}\"]\n"),
        );
    }

    /// The daemon's command line.
    pub fn command(&self) -> Command {
        // As systemd/examples/busy.conf has it (CPUSchedulingPolicy=batch).
        let mut command = Command::new("chrt");
        command.args(["--batch", "0"]).arg(program("chanceryd"));
        command.arg("--config").arg(self.path("chanceryd.toml"));
        command
    }

    /// Starts the daemon, and returns when it says that it is ready.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.daemon.is_none(), "the daemon runs");
        let notify = self.path("notify.sock");
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("a notify socket");
        ready.set_read_timeout(Some(PIN_PATIENCE)).expect("a timeout");
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        let mut command = self.command();
        command.arg("--socket").arg(self.socket()).arg("--admin-socket").arg(self.admin_socket());
        command.env("NOTIFY_SOCKET", &notify).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().expect("chanceryd"));
        let mut state = [0; 512];
        let length = ready
            .recv(&mut state)
            .unwrap_or_else(|error| panic!("no READY ({error}); its log:\n{}", self.log()));
        let state = String::from_utf8_lossy(&state[..length]);
        assert!(state.contains("READY=1"), "{state}");
    }

    /// Rewrites the configuration.
    #[track_caller]
    pub fn edit_config(&self, edit: impl FnOnce(&str) -> String) {
        let path = self.path("chanceryd.toml");
        let before = fs::read_to_string(path).expect("the configuration");
        let after = edit(&before);
        assert_ne!(before, after, "the edit changes nothing");
        self.write("chanceryd.toml", after);
    }

    /// Starts the daemon where it must fail; what it said.
    #[track_caller]
    pub fn fails_to_start(&self) -> Output {
        let daemon = self.command();
        let mut command = capped(30, daemon.get_program());
        command.args(daemon.get_args()).arg("--socket").arg(self.socket());
        run(&mut command).failed(1)
    }

    /// The daemon's process id.
    pub fn pid(&self) -> Pid {
        let child = self.daemon.as_ref().expect("the daemon runs");
        Pid::from_raw(i32::try_from(child.id()).expect("a pid"))
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a signal to the daemon");
    }

    /// Stops the daemon in good order.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let mut child = self.daemon.take().expect("the daemon runs");
        let status = child.wait().expect("its end");
        assert!(status.success(), "chanceryd: {status}; its log:\n{}", self.log());
    }

    /// Kills the daemon where it stands.
    pub fn crash(&mut self) {
        let mut child = self.daemon.take().expect("the daemon runs");
        child.kill().and_then(|()| child.wait()).expect("its end");
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The worker processes, in order of their start.
    pub fn workers(&self) -> Vec<Pid> {
        let pid = self.pid();
        let mut workers: Vec<i32> = fs::read_dir(format!("/proc/{pid}/task"))
            .expect("the daemon's threads")
            .flat_map(|task| {
                fs::read_to_string(task.expect("a thread").path().join("children"))
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(|pid| pid.parse().expect("a pid"))
                    .collect::<Vec<i32>>()
            })
            .collect();
        workers.sort_unstable();
        workers.into_iter().map(Pid::from_raw).collect()
    }

    /// The agent's command line, talking to this daemon.
    pub fn agent(&self) -> Command {
        let mut command = capped(120, program("chancery"));
        self.point(&mut command);
        command
    }

    /// Points a command that will run agents to this daemon.
    pub fn point(&self, command: &mut Command) {
        command.env("CHANCERY_SOCKET", self.socket()).env("CHANCERY_ADMIN_SOCKET", self.admin_socket());
    }

    /// Runs the agent in the house's folder.
    #[track_caller]
    pub fn chancery(&self, args: &[&str]) -> Output {
        run(self.agent().current_dir(self.folder.path()).args(args))
    }

    /// Runs the agent as another user and group without further groups: a real uid, by `setpriv`.
    #[track_caller]
    pub fn chancery_as(&self, uid: u32, gid: u32, groups: &[u32], args: &[&str]) -> Output {
        run(self.as_user(uid, gid, groups).arg(self.program_for_all("chancery")).args(args))
    }

    /// Runs a line of shell as another user, where `chancery` means the agent talking to this daemon.
    #[track_caller]
    pub fn shell_as(&self, uid: u32, gid: u32, groups: &[u32], line: &str) -> Output {
        let mut command = self.as_user(uid, gid, groups);
        let programs = self.program_for_all("chancery").parent().expect("a folder").to_owned();
        command.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
        run(command.args(["sh", "-c", line]))
    }

    /// Runs `chanceryd check` as another user.
    #[track_caller]
    pub fn check_as(&self, uid: u32) -> Output {
        let mut command = self.as_user(uid, uid, &[]);
        run(command
            .arg(self.program_for_all("chanceryd"))
            .arg("check")
            .arg("--config")
            .arg(self.path("chanceryd.toml")))
    }

    /// A copy of a program where every user can run it: a checkout may lie in a folder that only its owner may enter.
    fn program_for_all(&self, name: &str) -> PathBuf {
        let folder = self.path("programs");
        let copy = folder.join(name);
        if !copy.exists() {
            let made = fs::create_dir_all(&folder).and_then(|()| fs::copy(program(name), &copy));
            made.unwrap_or_else(|error| panic!("{}: {error}", copy.display()));
            for path in [&folder, &copy] {
                fs::set_permissions(path, Permissions::from_mode(0o755)).expect("its mode");
            }
            if name == "chancery" {
                link_stand_ins(Path::new(name), &folder);
            }
        }
        copy
    }

    fn as_user(&self, uid: u32, gid: u32, groups: &[u32]) -> Command {
        let mut command = capped(120, "setpriv");
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}"));
        if groups.is_empty() {
            command.arg("--clear-groups");
        } else {
            let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
            command.arg(format!("--groups={}", groups.join(",")));
        }
        self.point(&mut command);
        command.current_dir(self.folder.path());
        command
    }

    /// Runs a line of shell in the house's folder, where `chancery` and its stand-ins (`chancery-gpg` and others, in the
    /// house's `bin`) talk to this daemon.
    #[track_caller]
    pub fn shell(&self, line: &str) -> Output {
        let mut command = capped(120, "bash");
        self.point(&mut command);
        let programs = program("chancery").parent().expect("a folder").to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = [self.path("bin"), programs];
        let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path)));
        command.env("PATH", path.expect("a search path")).current_dir(self.folder.path());
        run(command.args(["-o", "pipefail", "-c", line]))
    }

    /// What `chancery status --json` says.
    #[track_caller]
    pub fn status_json(&self) -> serde_json::Value {
        let said = self.chancery(&["status", "--json"]).text();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// Whether the daemon has not ended.
    pub fn runs(&mut self) -> bool {
        self.daemon.as_mut().is_some_and(|child| child.try_wait().expect("its state").is_none())
    }

    /// Whether every worker of the token is ready.
    pub fn is_ready(&self) -> bool {
        let status = self.status();
        let Some((_, workers)) =
            status.split_once(": ready").and_then(|(_, rest)| rest.split_once("workers "))
        else {
            return false;
        };
        let mut words = workers.split([' ', ',']);
        let (ready, all) = (words.next(), words.nth(1));
        ready == all
    }

    /// What `chancery status` says.
    pub fn status(&self) -> String {
        self.chancery(&["status"]).text()
    }

    /// Waits until something is so. The wait is for another process, whose doing has no event here; it looks again
    /// every few milliseconds and fails after half a minute.
    #[track_caller]
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(
                begin.elapsed() < PIN_PATIENCE,
                "still not so: {what}; the daemon's log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A client on the agents' socket.
    pub async fn client(&self) -> Client<Agent> {
        Self::connect(&self.socket()).await
    }

    /// A client on the operator's socket.
    pub async fn operator(&self) -> Client<Admin> {
        Self::connect(&self.admin_socket()).await
    }

    async fn connect<S: Service>(path: &Path) -> Client<S> {
        Client::connect(path, Duration::from_secs(60)).await.expect("a connection")
    }

    /// Makes a key's OpenPGP certificate and returns its file.
    #[track_caller]
    pub fn certificate(&self, key: &str) -> PathBuf {
        let name = format!("{key}.asc");
        let user_id = format!("{key} <{key}@example.org>");
        self.chancery(&["openpgp", "make-cert", key, "--user-id", &user_id, "-o", &name]).succeeded();
        self.path(&name)
    }

    /// Makes a key's X.509 certificate and returns its file, in PEM.
    #[track_caller]
    pub fn x509(&self, key: &str, profile: &str) -> PathBuf {
        let name = format!("{key}.pem");
        let subject = format!("CN={key} of a test, O=Example");
        let arguments = ["x509", "self-sign", key, "--subject", &subject, "--profile", profile, "-o", &name];
        self.chancery(&arguments).succeeded();
        self.path(&name)
    }

    /// Puts a private key in PEM (PKCS#8) into the SoftHSM token under this name, and lets the user of the test use it.
    #[track_caller]
    pub fn import(&self, name: &str, key: &Path) {
        let pin = fs::read_to_string(self.token.pin_file()).expect("the PIN");
        let mut command = capped(60, "softhsm2-util");
        command.envs(self.token.environment().iter().map(|(name, value)| (name, value)));
        command.arg("--import").arg(key).args([
            "--token",
            self.token.label(),
            "--label",
            name,
            "--id",
            // One for each key: softhsm2-util takes none twice.
            &hex::encode(name),
        ]);
        run(command.args(["--pin", &pin])).succeeded();
        self.allow_all(name);
    }

    /// Everything in the audit trail, a record a line.
    pub fn audit_trail(&self) -> Vec<serde_json::Value> {
        let mut files: Vec<_> = fs::read_dir(self.path("audit"))
            .expect("the audit folder")
            .map(|entry| entry.expect("a file").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect();
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).expect("a trail")).collect();
        // A line that the daemon is writing now is not a record yet.
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect("a record")).collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            // The workers end with their daemon (PR_SET_PDEATHSIG).
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("the end of the daemon's log:\n{}", last.join("\n"));
        }
    }
}
