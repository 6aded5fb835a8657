//! A worker's ear: messages from the daemon, one after another.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use serde::de::DeserializeOwned;

use super::wire;

/// How long a worker looks for the next message before it sleeps, if the one before came as soon.
///
/// Why it does: see the daemon's `vigil`. A client that sends one request after another comes back within this time, also
/// where an answer waits for the disk; whoever comes later pays the sleep.
const LINGER: Duration = Duration::from_micros(600);

/// The reading half of a worker's socket.
pub struct Inbox {
    socket: UnixStream,
    buffer: BytesMut,
    /// Whether it may look for the next message for a moment before it sleeps.
    pub lingers: bool,
    /// Whether the last message came so soon that this pays.
    soon: bool,
}

impl Inbox {
    /// The messages that come by `socket`.
    pub fn of(socket: UnixStream) -> Self {
        Self { socket, buffer: BytesMut::new(), lingers: false, soon: false }
    }

    /// The next message; `None` at the end of the stream.
    pub fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = wire::take(&mut self.buffer)? {
                return Ok(Some(message));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Whether two whole messages are here already.
    pub fn holds_two(&self) -> bool {
        wire::holds_two(&self.buffer)
    }

    /// Reads what comes next; `false` at the end.
    fn read(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let begin = Instant::now();
        let count = loop {
            match recv(self.socket.as_raw_fd(), &mut chunk, MsgFlags::MSG_DONTWAIT) {
                Ok(count) => break count,
                Err(Errno::EINTR) => {}
                // Others that want this processor have it.
                Err(Errno::EAGAIN) if self.lingers && self.soon && begin.elapsed() < LINGER => {
                    thread::yield_now();
                }
                Err(Errno::EAGAIN) => self.sleep()?,
                Err(error) => return Err(error.into()),
            }
        };
        self.soon = begin.elapsed() < LINGER;
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    /// Sleeps until there is something to read. A blocking read would also be woken when the daemon takes an answer.
    fn sleep(&self) -> io::Result<()> {
        match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
