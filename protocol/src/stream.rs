//! A Unix stream socket that is quiet: it wakes its task for bytes to read, and for room to write only while a write
//! waits for room.
//!
//! Whoever reads from a Unix socket makes room, and the kernel then wakes everyone on the other side who watches for room
//! (`unix_write_space`). An ordinary asynchronous socket always watches. Each message, once read, so wakes its sender
//! again, for nothing; where a processor sleeps in between, that costs as much as the message itself.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use bytes::{Buf, BytesMut};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Bytes read at a time; messages that wait are read together.
const READ: usize = 16 * 1024;

/// A connected stream, read and written by one task.
pub struct Stream(AsyncFd<UnixStream>);

impl Stream {
    /// Takes a connection over, from the runtime that it was accepted or made in, or from elsewhere.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(watch(stream, Interest::READABLE)?))
    }

    /// Waits for bytes and appends them to `input`: how many, or 0 at the end. Nothing is lost if the future is dropped.
    pub async fn read(&self, input: &mut BytesMut) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            let mut chunk = [0; READ];
            let Ok(count) = ready.try_io(|stream| stream.get_ref().read(&mut chunk)) else { continue };
            let count = count?;
            if (1..READ).contains(&count) {
                // That was all; the next bytes are a new event.
                ready.clear_ready();
            }
            input.extend_from_slice(&chunk[..count]);
            return Ok(count);
        }
    }

    /// Writes of `output` what there is room for, and takes it off its front.
    pub fn write(&self, output: &mut BytesMut) -> io::Result<()> {
        while !output.is_empty() {
            match self.0.get_ref().write(output) {
                Ok(written) => output.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for room to write. This is rare, so it watches by a descriptor of its own, for as long as it waits.
    pub async fn room(&self) -> io::Result<()> {
        watch(self.0.get_ref().try_clone()?, Interest::WRITABLE)?.writable().await?.retain_ready();
        Ok(())
    }

    /// Writes all of `output`.
    pub async fn write_all(&self, mut output: BytesMut) -> io::Result<()> {
        loop {
            self.write(&mut output)?;
            if output.is_empty() {
                return Ok(());
            }
            self.room().await?;
        }
    }
}

/// Has the runtime watch a descriptor for one kind of event.
#[expect(
    deprecated,
    reason = "its successor is an unsafe function, whose condition (the descriptor that is watched stays \
                               open and the same) a UnixStream that is owned here keeps"
)]
fn watch(stream: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(stream, interest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    #[tokio::test]
    async fn what_does_not_fit_is_written_when_there_is_room() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (Stream::new(one).unwrap(), Stream::new(other).unwrap());
        let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let writing = async {
            one.write_all(BytesMut::from(&sent[..])).await.unwrap();
            drop(one);
        };
        let reading = async {
            let mut received = BytesMut::new();
            while other.read(&mut received).await.unwrap() > 0 {}
            received
        };
        let ((), received) = tokio::join!(writing, reading);
        assert!(received == sent);
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets the runtime take the events that are there.
    async fn events() {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_peer_that_reads_wakes_nobody() {
        let (one, mut other) = UnixStream::pair().unwrap();
        let one = Stream::new(one).unwrap();
        let counted = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&counted));
        let mut input = BytesMut::new();
        let mut read = Box::pin(one.read(&mut input));
        assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        for _ in 0..20 {
            one.write(&mut BytesMut::from(&b"question"[..])).unwrap();
            other.read_exact(&mut [0; 8]).unwrap();
            events().await;
        }
        assert_eq!(counted.0.load(Ordering::Relaxed), 0);
        other.write_all(b"answer").unwrap();
        events().await;
        assert_eq!(counted.0.load(Ordering::Relaxed), 1);
        assert_eq!(read.await.unwrap(), 6);
    }
}
