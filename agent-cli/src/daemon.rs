//! The way to chanceryd, and its refusals in words.

use std::io;
use std::path::Path;
use std::time::Duration;

use chancery_protocol::admin::Admin;
use chancery_protocol::agent::Agent;
use chancery_protocol::client::{Client, ClientError};
use chancery_protocol::{KeyName, Reason, Refusal, Service};

use crate::args::Global;
use crate::exit::Exit;
use crate::failure::{Failure, plain};

/// Connects to the agents' socket.
pub(crate) async fn agent(global: &Global) -> Result<Client<Agent>, Failure> {
    connect(&global.socket, global).await
}

/// Connects to the operators' socket.
pub(crate) async fn admin(global: &Global) -> Result<Client<Admin>, Failure> {
    connect(&global.admin_socket, global).await
}

async fn connect<S: Service>(path: &Path, global: &Global) -> Result<Client<S>, Failure> {
    let patience = Duration::from_secs(global.wait.into());
    Client::connect(path, patience).await.map_err(|error| failure(error, &Asked::of::<S>(None)))
}

/// What was asked when the daemon refused; it decides what helps.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    door: Door,
    key: Option<&'a KeyName>,
}

/// Through which socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Agent,
    Admin,
}

impl<'a> Asked<'a> {
    fn of<S: Service>(key: Option<&'a KeyName>) -> Self {
        let door = if S::MAGIC == Admin::MAGIC { Door::Admin } else { Door::Agent };
        Self { door, key }
    }

    /// Something of the agents' socket, about no key.
    pub(crate) fn agent() -> Self {
        Self { door: Door::Agent, key: None }
    }

    /// Something of the agents' socket about a key.
    pub(crate) fn about(key: &'a KeyName) -> Self {
        Self { door: Door::Agent, key: Some(key) }
    }

    /// Something of the operators' socket, about no key.
    pub(crate) fn admin() -> Self {
        Self { door: Door::Admin, key: None }
    }

    /// Something of the operators' socket about a key.
    pub(crate) fn admin_about(key: &'a KeyName) -> Self {
        Self { door: Door::Admin, key: Some(key) }
    }

    /// The systemd unit that makes the socket.
    fn unit(&self) -> &'static str {
        match self.door {
            Door::Agent => "chanceryd.socket",
            Door::Admin => "chanceryd-admin.socket",
        }
    }

    fn option(&self) -> &'static str {
        match self.door {
            Door::Agent => "--socket",
            Door::Admin => "--admin-socket",
        }
    }
}

/// Says why the daemon did not serve, and what to do.
pub(crate) fn failure(error: ClientError, asked: &Asked<'_>) -> Failure {
    match error {
        ClientError::Connect { path, source } => unreachable(&path, &source, asked),
        ClientError::Refused(refusal) => refused(&refusal, asked),
        error @ ClientError::NoAnswer { .. } => Failure::new(Exit::Unavailable, error.to_string())
            .hint("`chancery status` tells how the daemon is; `--wait SECONDS` waits longer"),
        error @ ClientError::Unknown { .. } => Failure::new(Exit::Unavailable, error.to_string())
            .hint("look with `chancery status` and `chancery keys` before trying again"),
        ClientError::Protocol { path, what } => Failure::new(
            Exit::Unavailable,
            format!("{} does not speak chancery's protocol: {what}", path.display()),
        )
        .hint(format!("is {} the right socket, and chanceryd of a fitting version?", asked.option())),
        ClientError::TooLong(error) => Failure::new(Exit::Failed, error.to_string()),
    }
}

fn unreachable(path: &Path, source: &io::Error, asked: &Asked<'_>) -> Failure {
    let path = path.display();
    let (option, unit) = (asked.option(), asked.unit());
    match source.kind() {
        io::ErrorKind::NotFound => Failure::new(Exit::Unavailable, format!("there is no socket at {path}"))
            .hint(format!(
                "is chanceryd running? see `systemctl status {unit}`, or name another socket with {option}"
            )),
        io::ErrorKind::ConnectionRefused => {
            Failure::new(Exit::Unavailable, format!("nobody serves the socket {path}")).hint(format!(
                "start it with `systemctl start {unit}`; `journalctl -u chanceryd` says why it stopped"
            ))
        }
        io::ErrorKind::PermissionDenied => {
            let failure = Failure::new(Exit::Refused, format!("{} may not open the socket {path}", user()));
            match asked.door {
                Door::Agent => failure
                    .hint(format!("`ls -l {path}` shows which group may; ask the operator to add you to it")),
                Door::Admin => failure.hint("this is for operators: run it as root, or ask the operator"),
            }
        }
        _ => Failure::new(Exit::Unavailable, format!("no connection to {path}: {}", plain(source)))
            .hint("`systemctl status chanceryd` and `journalctl -u chanceryd` tell more"),
    }
}

fn refused(refusal: &Refusal, asked: &Asked<'_>) -> Failure {
    let said = refusal.message();
    let key = asked.key.map(|key| format!("key `{key}`"));
    let key = key.as_deref().unwrap_or("the key");
    let or_said = |text: &str| if said.is_empty() { text.to_owned() } else { said.to_owned() };
    let later = "the command can be repeated; what was signed already is left alone";
    let failure = match (refusal.reason(), asked.door) {
        (Reason::NotPermitted, Door::Agent) => {
            Failure::new(Exit::Refused, or_said(&format!("{key} does not exist, or you may not use it"))).hint(format!(
                "`chancery keys` lists yours; otherwise ask the operator for an [[allow]] rule for {}",
                user()
            ))
        }
        (Reason::NotPermitted, Door::Admin) => Failure::new(Exit::Refused, or_said("this is not yours to ask"))
            .hint("this is for operators: run it as root, or ask the operator"),
        (Reason::BadRequest, Door::Admin) => Failure::new(Exit::Failed, or_said("the request is wrong")),
        (Reason::BadRequest, Door::Agent) => {
            Failure::new(Exit::Failed, format!("the daemon calls the request wrong: {said}"))
        }
        (Reason::Unsupported, _) => Failure::new(Exit::Refused, or_said(&format!("{key} cannot be used so")))
            .hint("`chancery key show NAME` lists what a key can do"),
        (Reason::NotNow, _) => Failure::new(Exit::Refused, or_said(&format!("{key} may not be used now")))
            .hint("its policy sets a validity or hours; `chancery key show NAME` tells the end, the operator the rest"),
        (Reason::RateLimited, _) => {
            Failure::new(Exit::Refused, or_said(&format!("your rate or quota of {key} is used up")))
                .hint("`--wait SECONDS` waits longer; the operator can raise the limit in the key's policy")
        }
        (Reason::Busy, _) => Failure::new(Exit::Unavailable, or_said("the daemon has too many requests of yours waiting"))
            .hint("fewer agents at a time, or more patience with `--wait SECONDS`"),
        (Reason::TokenUnavailable, _) => {
            Failure::new(Exit::Unavailable, or_said("the token cannot sign now"))
                .hint(format!("`chancery status` tells how the token is; {later}"))
        }
        (Reason::AuditUnavailable, _) => {
            Failure::new(Exit::Unavailable, "the audit trail cannot be written, so nothing may be signed")
                .hint(format!("ask the operator (`chancery status`; is its disk full?); {later}"))
        }
        (Reason::Stopping, _) => Failure::new(Exit::Unavailable, or_said("the daemon is stopping")).hint(later),
        (Reason::Exists, _) => Failure::new(Exit::Failed, or_said(&format!("{key} exists already")))
            .hint("choose another name, or `chancery key show NAME` to see what is there"),
        (Reason::Misconfigured, Door::Admin) => Failure::new(Exit::Failed, or_said("the daemon's configuration is at fault"))
            .hint("`chanceryd check` says whether a change is good; `journalctl -u chanceryd` tells more"),
        (Reason::Misconfigured, Door::Agent) => Failure::new(Exit::Unavailable, or_said("the daemon's configuration is at fault"))
            .hint("the operator has to act: `chancery status` and `journalctl -u chanceryd` tell more"),
        // Internal, and reasons from the future.
        _ => Failure::new(Exit::Unavailable, format!("the daemon failed: {}", or_said("it does not say how")))
            .hint("the operator finds more in `journalctl -u chanceryd`"),
    };
    failure.refusal(refusal.reason().as_str())
}

/// The user's name as policy files spell it.
pub(crate) fn user() -> String {
    let uid = nix::unistd::geteuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => format!("user `{}`", user.name),
        _ => format!("the user with number {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> KeyName {
        "release".parse().unwrap()
    }

    #[test]
    fn a_forbidden_key_and_an_unknown_one_read_the_same_and_name_the_rule_to_ask_for() {
        let refusal = Refusal::new(Reason::NotPermitted, "");
        let failure = failure(ClientError::Refused(refusal), &Asked::about(&name()));
        assert_eq!(failure.error, "key `release` does not exist, or you may not use it");
        assert!(failure.hint.unwrap().contains("[[allow]] rule for user `"));
        assert_eq!((failure.exit, failure.refusal), (Exit::Refused, Some("not-permitted")));
    }

    #[test]
    fn every_refusal_says_what_happened_and_ends_with_its_code() {
        for (reason, exit) in [
            (Reason::NotPermitted, Exit::Refused),
            (Reason::BadRequest, Exit::Failed),
            (Reason::Unsupported, Exit::Refused),
            (Reason::NotNow, Exit::Refused),
            (Reason::RateLimited, Exit::Refused),
            (Reason::Busy, Exit::Unavailable),
            (Reason::TokenUnavailable, Exit::Unavailable),
            (Reason::AuditUnavailable, Exit::Unavailable),
            (Reason::Stopping, Exit::Unavailable),
            (Reason::Internal, Exit::Unavailable),
            (Reason::Exists, Exit::Failed),
            (Reason::Misconfigured, Exit::Unavailable),
        ] {
            for asked in [Asked::about(&name()), Asked::admin()] {
                let failure = refused(&Refusal::new(reason, ""), &asked);
                let exit = if (reason, asked.door) == (Reason::Misconfigured, Door::Admin) {
                    Exit::Failed
                } else {
                    exit
                };
                assert_eq!(failure.exit, exit, "{reason:?}");
                assert!(!failure.error.is_empty() && !failure.error.ends_with('.'), "{reason:?}");
                assert!(!failure.error.starts_with(char::is_uppercase), "{reason:?}");
                assert!(failure.hint.is_some() || reason == Reason::BadRequest, "{reason:?}");
            }
        }
    }

    #[test]
    fn each_way_not_to_reach_the_socket_has_its_own_next_step() {
        let say = |kind: io::ErrorKind| {
            let error = ClientError::Connect { path: "/run/s".into(), source: kind.into() };
            let failure = failure(error, &Asked::agent());
            (failure.exit, failure.error, failure.hint.unwrap())
        };
        let (exit, error, hint) = say(io::ErrorKind::NotFound);
        assert_eq!((exit, error.as_str()), (Exit::Unavailable, "there is no socket at /run/s"));
        assert!(hint.contains("systemctl status chanceryd.socket") && hint.contains("--socket"));
        let (exit, error, _) = say(io::ErrorKind::ConnectionRefused);
        assert_eq!((exit, error.as_str()), (Exit::Unavailable, "nobody serves the socket /run/s"));
        let (exit, error, hint) = say(io::ErrorKind::PermissionDenied);
        assert_eq!(exit, Exit::Refused);
        assert!(error.ends_with("may not open the socket /run/s") && hint.contains("group"));
    }
}
