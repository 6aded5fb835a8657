//! Who is on the other end of a connection, as the kernel says; nothing that a client says of itself is believed.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use chancery_audit::Caller;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};

/// The process that connected, at the time when it connected.
#[derive(Debug)]
pub struct Peer {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    pid: i32,
    exe: Option<String>,
    unit: Option<String>,
}

/// Longest path of an executable that is recorded, in bytes.
const MAX_EXE: usize = 512;

impl Peer {
    /// Asks the kernel about the peer of `socket`.
    ///
    /// User and groups are those of `connect(2)` (SO_PEERCRED, SO_PEERGROUPS). Unit and executable are read from
    /// `/proc`, where a process id may have been given to somebody else in between; a unit is therefore believed only
    /// where the kernel hands out a pidfd for the very peer (SO_PEERPIDFD, Linux 6.5) and that process still lives
    /// after the reading. Without one, rules for units match nobody.
    pub fn of(socket: &impl AsFd) -> io::Result<Self> {
        let credentials = getsockopt(socket, sockopt::PeerCredentials)?;
        let groups = chancery_linux::peer_groups(socket)?;
        let pid = credentials.pid();
        let pidfd = getsockopt(socket, sockopt::PeerPidfd).ok();
        let unit = pidfd.as_ref().and_then(|pidfd| {
            let unit = unit_in(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?);
            lives(pidfd).then_some(unit)?
        });
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok().map(|path| {
            let text = path.to_string_lossy();
            text.chars().take(MAX_EXE).collect()
        });
        Ok(Self { uid: credentials.uid(), gid: credentials.gid(), groups, pid, exe, unit })
    }

    /// Effective user id at connect.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Effective group id at connect.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Supplementary groups at connect.
    pub fn groups(&self) -> &[u32] {
        &self.groups
    }

    /// Process id; 0 if it lives in a PID namespace that is not seen from here.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The unit of the system's service manager in which it runs.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// As audit records name it.
    pub fn caller(&self) -> Caller {
        Caller {
            uid: self.uid,
            gid: self.gid,
            groups: self.groups.clone(),
            pid: self.pid,
            exe: self.exe.clone(),
            unit: self.unit.clone(),
        }
    }

    /// A peer for the tests of policy.
    #[cfg(test)]
    pub fn invented(uid: u32, gid: u32, groups: &[u32], unit: Option<&str>) -> Self {
        Self { uid, gid, groups: groups.to_vec(), pid: 1, exe: None, unit: unit.map(str::to_owned) }
    }
}

/// Whether the process behind a pidfd still lives: it becomes readable at the exit (pidfd_open(2)).
fn lives(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0))
}

/// The system unit in a `/proc/PID/cgroup`: the first component that is a service or scope. Deeper ones belong to
/// whoever was delegated that part of the tree, such as a user's own service manager, and may bear any name.
fn unit_in(cgroup: &str) -> Option<String> {
    let path = cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        (controllers.is_empty() || controllers == "name=systemd").then_some(path)
    })?;
    let is_unit = |part: &&str| {
        [".service", ".scope"]
            .iter()
            .any(|suffix| part.strip_suffix(suffix).is_some_and(|stem| !stem.is_empty()))
    };
    path.split('/').find(is_unit).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one).unwrap();
        assert_eq!(peer.uid(), nix::unistd::geteuid().as_raw());
        assert_eq!(peer.gid(), nix::unistd::getegid().as_raw());
        assert_eq!(u32::try_from(peer.pid()).unwrap(), std::process::id());
        let exe = std::env::current_exe().unwrap();
        assert_eq!(peer.caller().exe.as_deref(), exe.to_str());
    }

    #[test]
    fn the_unit_is_the_system_manager_s() {
        for (cgroup, unit) in [
            ("0::/system.slice/build@el9.service\n", Some("build@el9.service")),
            ("0::/system.slice/system-build.slice/build@el9.service/payload\n", Some("build@el9.service")),
            ("12:memory:/x.service\n1:name=systemd:/system.slice/ssh.service\n", Some("ssh.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/build@el9.service\n",
                Some("user@1000.service"),
            ),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", Some("session-3.scope")),
            ("0::/\n", None),
            ("0::/a.slice/.service\n", None),
            ("", None),
        ] {
            assert_eq!(unit_in(cgroup).as_deref(), unit, "{cgroup}");
        }
    }
}
