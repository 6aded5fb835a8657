//! How fast a token is, and so how many requests a worker is given ahead.

use std::time::Duration;

/// Requests at a worker for each of its sessions, at least: one that is signed, one that waits so that the session never
/// idles.
pub const LEAST_DEPTH: u32 = 2;
/// The same, at most, for tokens that sign fast.
const MOST_DEPTH: u32 = 16;
/// A worker is given as many requests as keep it busy for this long: until a daemon that has to share its processors
/// with the workers is sure to be back.
const AHEAD: Duration = Duration::from_millis(4);

/// What a session took for each of its last requests, evened out.
pub struct Pace(Duration);

impl Default for Pace {
    fn default() -> Self {
        Self(AHEAD)
    }
}

impl Pace {
    /// A request took so long. Answers that come together count as one that took long and others that took nothing.
    pub fn note(&mut self, took: Duration) {
        self.0 = (self.0 * 15 + took) / 16;
    }

    /// Requests that a session is given ahead: more of fast ones.
    pub fn depth(&self) -> usize {
        let each = self.0.max(Duration::from_micros(1));
        let depth = u32::try_from(AHEAD.as_nanos() / each.as_nanos()).unwrap_or(MOST_DEPTH);
        depth.clamp(LEAST_DEPTH, MOST_DEPTH) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_token_is_given_two_requests_and_a_fast_one_more() {
        let mut pace = Pace::default();
        (0..100).for_each(|_| pace.note(Duration::from_millis(50)));
        assert_eq!(pace.depth(), 2);
        (0..200).for_each(|_| pace.note(Duration::from_micros(500)));
        assert_eq!(pace.depth(), 7);
        (0..200).for_each(|_| pace.note(Duration::ZERO));
        assert_eq!(pace.depth(), 16);
    }
}
