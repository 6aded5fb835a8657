//! The sockets: from systemd, which made them with the right owner and mode; or, for development, made here.

use std::env;
use std::fs;
use std::io;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::sys::stat::{Mode, umask};

use crate::args::Serve;

/// The listening sockets, before there is an event loop.
pub struct Sockets {
    /// For agents.
    pub agents: StdUnixListener,
    /// For operators.
    pub admin: Option<StdUnixListener>,
    /// Those that were made here.
    pub made: Made,
}

/// Sockets in the file system that are removed at the end, however it comes.
#[derive(Default)]
pub struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// The names of the sockets in systemd's units (`FileDescriptorName=`).
const AGENTS: &str = "agents";
const ADMIN: &str = "admin";

impl Sockets {
    /// Takes or makes them.
    pub fn open(args: &Serve) -> Result<Self> {
        let sockets = match &args.socket {
            Some(path) => {
                // Everybody may connect; what they may do is policy's. Operators are root or this user.
                let mut made = Made::default();
                let agents = make(path, Mode::from_bits_truncate(0o111), &mut made)?;
                let admin = args.admin_socket.as_deref();
                let admin = admin.map(|path| make(path, Mode::from_bits_truncate(0o177), &mut made));
                Self { agents, admin: admin.transpose()?, made }
            }
            None => Self::from_systemd()?,
        };
        sockets.agents.set_nonblocking(true)?;
        if let Some(admin) = &sockets.admin {
            admin.set_nonblocking(true)?;
        }
        Ok(sockets)
    }

    fn from_systemd() -> Result<Self> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut fds = listenfd::ListenFd::from_env();
        let (mut agents, mut admin) = (None, None);
        for (index, name) in names.split(':').enumerate().take(fds.len()) {
            let place = match name {
                ADMIN => &mut admin,
                AGENTS => &mut agents,
                other => bail!("systemd handed over a socket named `{other}`; it is `{AGENTS}` or `{ADMIN}`"),
            };
            *place =
                fds.take_unix_listener(index).with_context(|| format!("the socket `{name}` from systemd"))?;
        }
        let agents = agents.context(
            "no socket: systemd handed none over; start chanceryd.socket, or give --socket PATH for development",
        )?;
        Ok(Self { agents, admin, made: Made::default() })
    }
}

/// Binds a socket with the mode that `mask` leaves of 0777. Called before any thread is started, so that nobody else
/// meets the changed mask.
fn make(path: &Path, mask: Mode, made: &mut Made) -> Result<StdUnixListener> {
    match StdUnixStream::connect(path) {
        Ok(_) => bail!("{}: another daemon listens there", path.display()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("the left-over socket {}", path.display()))?;
        }
        Err(_) => {}
    }
    let before = umask(mask);
    let listener = StdUnixListener::bind(path).with_context(|| format!("the socket {}", path.display()));
    umask(before);
    let listener = listener?;
    made.0.push(path.to_owned());
    Ok(listener)
}
