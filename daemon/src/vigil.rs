//! The vigil: while a single request is under way, the daemon does not sleep when its answer is near.
//!
//! A processor that has gone to sleep takes tens of microseconds to wake, in a virtual machine a hundred and more, and what
//! it runs then finds cold caches. A lone client would pay that for each signature. With more requests than one, the
//! daemon is woken all the time anyway, and the processors have better to do: then there is no vigil. Whoever else wants
//! the processor during a vigil has it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::together::Together;

/// Requests that take longer are not watched for: their clients do not notice the difference.
const LONGEST: Duration = Duration::from_millis(10);
/// How much later than usual an answer may come and still be watched for, besides a quarter of its usual time.
const LATE: Duration = Duration::from_micros(200);
/// After so many requests in a row that met no other, there is a lone client.
const ALONE: u32 = 16;

/// Watches for the answer of a lone request.
#[derive(Default)]
pub struct Vigil {
    state: Mutex<State>,
    called: Notify,
}

#[derive(Default)]
struct State {
    under_way: u32,
    /// How many requests in a row met no other.
    alone: u32,
    /// When the last request began.
    since: Option<Instant>,
    /// What the last requests took, evened out.
    pace: Duration,
    /// Where the daemon's threads are, if the vigil is kept.
    together: Option<Together>,
}

/// A request that is under way, until this is dropped.
pub struct Watch<'a> {
    vigil: &'a Vigil,
    begin: Instant,
}

impl Vigil {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins.
    pub fn begin(&self) -> Watch<'_> {
        let begin = Instant::now();
        let mut state = self.lock();
        state.under_way += 1;
        state.alone = if state.under_way == 1 { state.alone.saturating_add(1) } else { 0 };
        state.since = Some(begin);
        if state.under_way == 1 && state.pace <= LONGEST {
            self.called.notify_one();
        }
        let (alone, quick) = (state.alone, state.pace <= LONGEST);
        if let Some(together) = &mut state.together {
            match alone {
                0 => together.part(),
                ALONE.. if quick => together.gather(),
                _ => {}
            }
        }
        Watch { vigil: self, begin }
    }

    /// Keeps the vigil, for ever.
    pub async fn keep(&self) {
        self.lock().together = Some(Together::default());
        loop {
            self.called.notified().await;
            let Some((begin, end)) = self.window() else { continue };
            if begin > Instant::now() {
                sleep_until(begin).await;
            }
            // Each turn looks once for events; the sockets' tasks do the rest.
            while self.window().is_some() && Instant::now() < end {
                thread::yield_now();
                yield_now().await;
            }
        }
    }

    /// From when until when the answer of the lone request is expected; `None` if there is no such request.
    fn window(&self) -> Option<(Instant, Instant)> {
        let state = self.lock();
        let since = state.since.filter(|_| state.under_way == 1 && state.pace <= LONGEST)?;
        // The runtime's clock knows whole milliseconds only, and is late by up to one.
        let begin = since + Duration::from_millis((state.pace * 3 / 4).as_millis().try_into().unwrap_or(0));
        Some((begin, since + state.pace * 5 / 4 + LATE))
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut state = self.vigil.lock();
        state.under_way -= 1;
        state.pace = (state.pace * 7 + self.begin.elapsed()) / 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn only_a_lone_request_that_is_usually_quick_is_watched_for() {
        let vigil = Vigil::default();
        assert!(vigil.window().is_none());
        let one = vigil.begin();
        let (begin, end) = vigil.window().unwrap();
        assert!(begin < end && end <= one.begin + LONGEST * 5 / 4 + LATE);
        let two = vigil.begin();
        assert!(vigil.window().is_none());
        drop((one, two));
        assert!(vigil.window().is_none());
        vigil.lock().pace = LONGEST + Duration::from_micros(1);
        let _slow = vigil.begin();
        assert!(vigil.window().is_none());
    }

    #[tokio::test]
    async fn a_vigil_is_kept_while_its_request_is_under_way_and_no_longer() {
        let vigil = Arc::new(Vigil::default());
        let turns = Arc::new(AtomicUsize::new(0));
        tokio::spawn({
            let (vigil, turns) = (Arc::clone(&vigil), Arc::clone(&turns));
            async move {
                let mut keep = std::pin::pin!(vigil.keep());
                std::future::poll_fn(|context| {
                    turns.fetch_add(1, Ordering::Relaxed);
                    keep.as_mut().poll(context)
                })
                .await;
            }
        });
        let some_turns = async || {
            let before = turns.load(Ordering::Relaxed);
            for _ in 0..10 {
                yield_now().await;
            }
            turns.load(Ordering::Relaxed) - before
        };
        some_turns().await;
        let mut most = 0;
        // A machine that is busy elsewhere may let a request's whole time pass between two turns, but not of each.
        for _ in 0..100 {
            vigil.lock().pace = Duration::from_millis(1);
            let watch = vigil.begin();
            most = most.max(some_turns().await);
            drop(watch);
            some_turns().await;
            assert_eq!(some_turns().await, 0, "nothing is under way");
        }
        assert!(most > 2, "{most} turns while a request was under way");
    }
}
