//! Who a rule is for: a user, a group or a systemd unit.

use std::fmt;
use std::str::FromStr;

use nix::unistd::{Group, User};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::peer::Peer;

/// One of a rule's `who`. Names are looked up when the file is read, so that no request waits for a name service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// `user:NAME` or `user:UID`.
    User {
        /// As written.
        name: String,
        /// The user's id.
        uid: u32,
    },
    /// `group:NAME` or `group:GID`, the peer's own or supplementary group.
    Group {
        /// As written.
        name: String,
        /// The group's id.
        gid: u32,
    },
    /// `unit:GLOB`: a unit of the system's service manager; `*` stands for any characters.
    Unit {
        /// The pattern.
        glob: String,
    },
}

/// A text that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPrincipal {
    /// Not of the form `kind:name`.
    #[error("`{0}` is not `user:NAME`, `group:NAME` or `unit:GLOB`")]
    Form(String),
    /// No such user or group on this machine.
    #[error("there is no {kind} `{name}` on this machine")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
}

impl Principal {
    /// Whether `peer` is meant.
    pub fn is(&self, peer: &Peer) -> bool {
        match self {
            Self::User { uid, .. } => *uid == peer.uid(),
            Self::Group { gid, .. } => *gid == peer.gid() || peer.groups().contains(gid),
            Self::Unit { glob } => peer.unit().is_some_and(|unit| matches(glob, unit)),
        }
    }
}

/// Whether `text` matches `glob`, in which `*` stands for any characters.
fn matches(glob: &str, text: &str) -> bool {
    match glob.split_once('*') {
        None => glob == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).filter(|&at| rest.is_char_boundary(at)).any(|at| matches(tail, &rest[at..]))
        }),
    }
}

impl FromStr for Principal {
    type Err = BadPrincipal;

    fn from_str(text: &str) -> Result<Self, BadPrincipal> {
        let form = || BadPrincipal::Form(text.to_owned());
        let (kind, name) = text.split_once(':').filter(|(_, name)| !name.is_empty()).ok_or_else(form)?;
        let name = name.to_owned();
        let number = name.parse::<u32>().ok();
        match kind {
            "user" => {
                let found = || User::from_name(&name).ok().flatten().map(|user| user.uid.as_raw());
                let uid = number.or_else(found);
                uid.map(|uid| Self::User { name: name.clone(), uid })
                    .ok_or(BadPrincipal::Unknown { kind: "user", name })
            }
            "group" => {
                let found = || Group::from_name(&name).ok().flatten().map(|group| group.gid.as_raw());
                let gid = number.or_else(found);
                gid.map(|gid| Self::Group { name: name.clone(), gid })
                    .ok_or(BadPrincipal::Unknown { kind: "group", name })
            }
            // Two stars are enough for template and instance; more would only make matching slow.
            "unit" if name.matches('*').count() <= 4 => Ok(Self::Unit { glob: name }),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, .. } => write!(f, "user:{name}"),
            Self::Group { name, .. } => write!(f, "group:{name}"),
            Self::Unit { glob } => write!(f, "unit:{glob}"),
        }
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (glob, text, expected) in [
            ("build@*.service", "build@el9.service", true),
            ("build@*.service", "build@.service", true),
            ("build@*.service", "rebuild@el9.service", false),
            ("build@*.service", "build@el9.service.evil", false),
            ("*", "anything", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXc", false),
            ("x.service", "x.service", true),
        ] {
            assert_eq!(matches(glob, text), expected, "{glob} {text}");
        }
    }

    #[test]
    fn names_are_looked_up_and_unknown_ones_refused() {
        assert_eq!("user:root".parse(), Ok(Principal::User { name: "root".into(), uid: 0 }));
        assert_eq!("group:0".parse(), Ok(Principal::Group { name: "0".into(), gid: 0 }));
        for bad in ["root", "user:", "user:no-such-user-here", "group:no-such-group-here", "pid:1", ":x"] {
            assert!(bad.parse::<Principal>().is_err(), "{bad}");
        }
    }
}
