//! `chanceryd.toml`: tokens, limits and places. Who may use which key stands in `keys.d/` (see `policy`).

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chancery_protocol::KeyName;
use serde::Deserialize;

use crate::policy::Principal;
use crate::setting;
use crate::token::uri::Uri;

/// The whole configuration.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The folder of policy files; `keys.d` beside the configuration unless said otherwise.
    #[serde(default)]
    pub keys: PathBuf,
    /// Where certificates are kept; systemd's state directory unless said otherwise.
    #[serde(default = "default_state")]
    pub state: PathBuf,
    /// Who may use the operator's socket besides root and the daemon's own user.
    #[serde(default)]
    pub admins: Vec<Principal>,
    /// Whether the daemon and its workers stay awake for a moment where a lone client is about to be served.
    #[serde(default = "default_vigil")]
    pub vigil: bool,
    /// The audit trail.
    #[serde(default)]
    pub audit: Audit,
    /// What one user may take.
    #[serde(default)]
    pub limits: Limits,
    /// The tokens, by name.
    #[serde(default)]
    pub token: BTreeMap<String, Token>,
}

/// The audit trail.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Audit {
    /// Its folder; systemd's logs directory unless said otherwise.
    #[serde(default = "default_audit")]
    pub directory: PathBuf,
    /// A file that has grown past this many MiB is followed by a new one.
    #[serde(default = "default_file_mib")]
    pub max_file_mib: u32,
    /// The key that signs checkpoints; none are made without one.
    pub checkpoint_key: Option<KeyName>,
    /// How often a checkpoint is made while records are written.
    #[serde(default = "default_checkpoint", deserialize_with = "setting::duration")]
    pub checkpoint_every: Duration,
}

/// What one user may take.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections of one user.
    pub connections_per_user: u32,
    /// Unanswered requests of one connection.
    pub in_flight_per_connection: u16,
    /// MiB of requests of one user that are unanswered.
    pub in_flight_mib_per_user: u32,
    /// Requests of one user that wait for a token.
    pub queued_per_user: u32,
    /// How long a request may wait for a token before it is refused.
    #[serde(deserialize_with = "setting::duration")]
    pub request_timeout: Duration,
}

/// A token.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Token {
    /// The PKCS#11 module: a shared object.
    pub module: PathBuf,
    /// Which of the module's tokens: a PKCS#11 URI with `token`, `serial`, `manufacturer` or `model`.
    pub uri: Uri,
    /// Where the PIN is.
    pub pin: Pin,
    /// Worker processes; as many as processors unless said otherwise.
    #[serde(default)]
    pub workers: Workers,
    /// Sessions, and threads that sign, in each worker.
    #[serde(default = "default_sessions")]
    pub sessions: u16,
    /// Whether sessions are opened read-only or read-write.
    #[serde(default)]
    pub session_mode: SessionMode,
    /// How long the token may take for one signature before its worker is killed.
    #[serde(default = "default_timeout", deserialize_with = "setting::duration")]
    pub timeout: Duration,
    /// How long a worker may take to load the module and log in.
    #[serde(default = "default_start_timeout", deserialize_with = "setting::duration")]
    pub start_timeout: Duration,
    /// Environment of the workers, which otherwise have none.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The daemon's [`Config::vigil`], for the workers.
    #[serde(skip)]
    pub vigil: bool,
}

/// Where a PIN is. It is never in a configuration itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pin {
    /// A systemd credential of this name (`LoadCredential=`).
    Credential(String),
    /// A file that only its owner may read.
    File(PathBuf),
}

/// How many worker processes.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(untagged)]
pub enum Workers {
    /// As many as processors, at least one and at most [`Workers::MOST_AUTO`].
    #[default]
    #[serde(skip)]
    Processors,
    /// This many.
    Count(u16),
    /// `"auto"`, in words.
    Word(Auto),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// The number is the daemon's choice.
    Auto,
}

impl Workers {
    /// Most workers that are started unasked.
    const MOST_AUTO: usize = 8;

    /// The number of processes.
    pub fn count(self) -> usize {
        match self {
            Self::Count(count) => usize::from(count).max(1),
            Self::Processors | Self::Word(Auto::Auto) => {
                std::thread::available_parallelism().map_or(1, usize::from).min(Self::MOST_AUTO)
            }
        }
    }
}

/// How sessions are opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionMode {
    /// Read-write: what AWS CloudHSM requires, and what making keys needs.
    #[default]
    ReadWrite,
    /// Read-only.
    ReadOnly,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            directory: default_audit(),
            max_file_mib: default_file_mib(),
            checkpoint_key: None,
            checkpoint_every: default_checkpoint(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_user: 256,
            in_flight_per_connection: 256,
            in_flight_mib_per_user: 16,
            queued_per_user: 16_384,
            request_timeout: Duration::from_secs(30),
        }
    }
}

fn default_state() -> PathBuf {
    env::var_os("STATE_DIRECTORY").map_or_else(|| PathBuf::from("/var/lib/chancery"), PathBuf::from)
}

fn default_audit() -> PathBuf {
    env::var_os("LOGS_DIRECTORY").map_or_else(|| PathBuf::from("/var/log/chancery"), PathBuf::from)
}

const fn default_vigil() -> bool {
    true
}

const fn default_file_mib() -> u32 {
    64
}

const fn default_checkpoint() -> Duration {
    Duration::from_secs(60)
}

const fn default_sessions() -> u16 {
    1
}

const fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn default_start_timeout() -> Duration {
    Duration::from_secs(30)
}

impl Config {
    /// Reads the configuration at `path`. Relative places in it are relative to its folder.
    pub fn read(path: &Path) -> Result<Self> {
        let (mut config, _) = setting::read::<Self>(path)?;
        // Absolute, because workers have another working directory.
        let path = &std::path::absolute(path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        if config.keys.as_os_str().is_empty() {
            config.keys = PathBuf::from("keys.d");
        }
        for place in [&mut config.keys, &mut config.state, &mut config.audit.directory] {
            *place = folder.join(&place);
        }
        for (name, token) in &mut config.token {
            token.module = folder.join(&token.module);
            token.vigil = config.vigil;
            if let Pin::File(file) = &mut token.pin {
                *file = folder.join(&file);
            }
            if !token.uri.names_a_token() {
                bail!(
                    "{}: token `{name}`: its uri names no token; write for example \
                       `uri = \"pkcs11:token=LABEL\"`",
                    path.display()
                );
            }
        }
        Ok(config)
    }
}

impl Pin {
    /// Opens the PIN's file for a worker to read. The daemon itself never reads it.
    pub fn open(&self) -> Result<std::fs::File> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let path = match self {
            Self::Credential(name) => {
                let folder = env::var_os("CREDENTIALS_DIRECTORY").with_context(|| {
                    format!(
                        "the PIN is the systemd credential `{name}`, but systemd gave none; \
                             add `LoadCredential={name}:FILE` to the service"
                    )
                })?;
                Path::new(&folder).join(name)
            }
            Self::File(path) => path.clone(),
        };
        let file = std::fs::File::open(&path).with_context(|| format!("the PIN file {}", path.display()))?;
        let metadata = file.metadata()?;
        let mode = metadata.permissions().mode() & 0o777;
        // systemd grants a service user its credentials by ACL, which shows as group bits of a root-owned file.
        if mode & 0o077 != 0 && matches!(self, Self::File(_)) {
            bail!(
                "the PIN file {} may be read by others (mode {mode:04o}); run `chmod 600 {}`",
                path.display(),
                path.display()
            );
        }
        let own = nix::unistd::geteuid().as_raw();
        if metadata.uid() != own && metadata.uid() != 0 {
            bail!(
                "the PIN file {} belongs to user {}, neither root nor the daemon's user",
                path.display(),
                metadata.uid()
            );
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chanceryd.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    const TOKEN: &str =
        "[token.main]\nmodule = \"m.so\"\nuri = \"pkcs11:token=t\"\npin = { file = \"pin\" }\n";

    #[test]
    fn an_empty_configuration_is_good_and_denies() {
        let config = read("").unwrap();
        assert!(config.token.is_empty() && config.admins.is_empty());
    }

    #[test]
    fn places_are_relative_to_the_configuration() {
        let config = read(TOKEN).unwrap();
        assert!(config.keys.ends_with("keys.d") && config.keys.is_absolute());
        assert!(config.token["main"].module.is_absolute());
    }

    #[test]
    fn workers_are_a_number_or_auto() {
        assert_eq!(read(&format!("{TOKEN}workers = 3\n")).unwrap().token["main"].workers.count(), 3);
        assert!(read(&format!("{TOKEN}workers = \"auto\"\n")).unwrap().token["main"].workers.count() >= 1);
        assert!(read(&format!("{TOKEN}workers = \"many\"\n")).is_err());
    }

    #[test]
    fn a_token_uri_must_name_a_token() {
        let error = read(&TOKEN.replace("pkcs11:token=t", "pkcs11:object=o")).unwrap_err();
        assert!(error.to_string().contains("names no token"), "{error}");
    }

    #[test]
    fn a_pin_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        std::fs::write(&path, "1234").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Pin::File(path.clone()).open().unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Pin::File(path).open().is_ok());
    }
}
