//! The writer's inbox. Waking a thread costs more than writing a record, so the writer is woken for what somebody
//! waits for, and the rest comes along with the next group or after a while.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chancery_audit::{Event, Link};
use tokio::sync::oneshot;

use super::Written;
use crate::journal::Signed;

/// What the writer is told.
pub enum Message {
    /// Append this, and say when it is on disk.
    Urgent(Box<Event>, oneshot::Sender<Written>),
    /// Append this with what comes next, and then tell the journal.
    Lazy(Box<Event>, Option<Signed>),
    /// Where does the trail stand?
    Head(oneshot::Sender<Link>),
    /// The last record was sent.
    Close,
}

/// Messages on their way to the writer.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    /// Whether somebody waits for one of the messages.
    urgent: bool,
    wait: Wait,
    /// Whether the writer has ended; nothing is taken any more.
    ended: bool,
}

/// What the writer waits for.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Nothing; it is at work.
    #[default]
    Busy,
    /// Any message.
    Message,
    /// An urgent message, or its own time.
    Urgent,
    /// Its own time.
    Time,
}

/// How long a message that nobody waits for may stay here.
const LAZY: Duration = Duration::from_millis(100);

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panics here leaves the list whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in, and wakes the writer for it. After the writer's end it is dropped, and whoever waits for it
    /// hears that.
    pub fn put(&self, message: Message) {
        if self.put_down(message) {
            self.wake.notify_one();
        }
    }

    /// Puts a message in without waking the writer; whether it has to be woken.
    pub fn put_down(&self, message: Message) -> bool {
        let urgent = !matches!(message, Message::Lazy(..));
        let mut state = self.lock();
        if state.ended {
            return false;
        }
        state.messages.push(message);
        state.urgent |= urgent;
        match state.wait {
            Wait::Message => true,
            Wait::Urgent => urgent,
            Wait::Busy | Wait::Time => false,
        }
    }

    /// Wakes the writer.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Takes everything out: when somebody waits for some of it, but not before `due`; or when it has been here for a
    /// while. `more` says that lazy messages are expected, which then need not wake the writer; if none comes for a while,
    /// nothing is taken.
    pub fn take(&self, more: bool, due: Instant) -> Vec<Message> {
        let mut state = self.lock();
        while !state.urgent {
            if state.messages.is_empty() && !more {
                state.wait = Wait::Message;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.wait = Wait::Urgent;
            let (woken, time) = self.wake.wait_timeout(state, LAZY).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if time.timed_out() {
                break;
            }
        }
        if state.urgent {
            while let Some(rest) = due.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
                state.wait = Wait::Time;
                state = self.wake.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.wait = Wait::Busy;
        state.urgent = false;
        std::mem::take(&mut state.messages)
    }

    /// The writer has ended, in good order or not.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.messages.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn lazy() -> Message {
        Message::Lazy(Box::new(Event::Stopped {}), None)
    }

    #[test]
    fn what_somebody_waits_for_brings_the_rest_along() {
        let inbox = Inbox::default();
        inbox.put(lazy());
        inbox.put(Message::Close);
        inbox.put(lazy());
        assert_eq!(inbox.take(false, Instant::now()).len(), 3);
    }

    #[test]
    fn what_nobody_waits_for_comes_after_a_while() {
        let inbox = Arc::new(Inbox::default());
        let writer = {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || inbox.take(false, Instant::now()).len())
        };
        inbox.put(lazy());
        assert_eq!(writer.join().unwrap(), 1);
        inbox.put(lazy());
        assert_eq!(inbox.take(true, Instant::now()).len(), 1);
        assert!(inbox.take(true, Instant::now()).is_empty());
    }

    #[test]
    fn nothing_is_taken_before_it_is_due() {
        let inbox = Inbox::default();
        inbox.put(Message::Close);
        let due = Instant::now() + Duration::from_millis(30);
        inbox.take(false, due);
        assert!(Instant::now() >= due);
    }

    #[test]
    fn whoever_waits_hears_that_the_writer_has_ended() {
        let inbox = Inbox::default();
        let (reply, before) = oneshot::channel();
        inbox.put(Message::Head(reply));
        inbox.end();
        assert!(before.blocking_recv().is_err());
        let (reply, after) = oneshot::channel();
        inbox.put(Message::Head(reply));
        assert!(after.blocking_recv().is_err());
    }
}
