//! The supplementary groups of a Unix stream socket's peer, as the kernel took them at `connect(2)`: socket option
//! `SO_PEERGROUPS` (Linux 4.13, unix(7)).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Most groups that are read; a process may have 65,536, and whoever has more than this is not served by group.
const MAX_GROUPS: usize = 4096;

/// The supplementary group ids of the process that connected `socket`, in the kernel's order.
///
/// Fails with `ERANGE` for a peer of more than 4,096 groups.
#[allow(unsafe_code)]
pub fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let bytes = groups.len() * size_of::<libc::gid_t>();
        let mut length = libc::socklen_t::try_from(bytes).map_err(io::Error::other)?;
        // SAFETY: `groups` is an initialised allocation of `length` bytes that lives across the call, `length` is a
        // local that the kernel may write, and the descriptor is borrowed for the call.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result == 0 {
            groups.truncate(length as usize / size_of::<libc::gid_t>());
            return Ok(groups);
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ERANGE) && groups.len() < MAX_GROUPS => {
                groups.resize(MAX_GROUPS, 0);
            }
            error => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_pair_tells_this_process_own_groups() {
        let (one, _other) = UnixStream::pair().expect("a socket pair");
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).expect("a Groups line");
        let mut own: Vec<u32> = line.split_whitespace().map(|gid| gid.parse().expect("a number")).collect();
        let mut told = peer_groups(&one).expect("SO_PEERGROUPS");
        own.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, own);
    }

    #[test]
    fn a_file_has_no_peer() {
        assert!(peer_groups(std::fs::File::open("/dev/null").expect("/dev/null")).is_err());
    }
}
