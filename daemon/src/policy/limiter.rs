//! How much each user has had: two buckets per rule and user, which empty by the signature and fill by the clock.
//!
//! They live in memory and outlive a reload; a restart fills them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chancery_protocol::KeyName;

use super::file::{Allowance, Rule};

/// A bucket of one allowance.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Signatures that may be made at `at`.
    level: f64,
    at: Instant,
}

impl Bucket {
    fn full(allowance: Allowance, now: Instant) -> Self {
        Self { level: f64::from(allowance.count), at: now }
    }

    /// The level at `now`; an allowance that a reload has lowered lowers it too.
    fn level(&self, allowance: Allowance, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let refilled = f64::from(allowance.count) * passed / allowance.per.as_secs_f64();
        (self.level + refilled).min(f64::from(allowance.count))
    }
}

/// What stands against more signatures now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Exhausted {
    /// There is room again after this long.
    For(Duration),
    /// One request asks for more than the allowance ever holds.
    Always,
}

/// The buckets of every rule and user that have been used.
#[derive(Debug, Default)]
pub struct Limiter {
    buckets: HashMap<(KeyName, usize, u32), [Option<Bucket>; 2]>,
}

impl Limiter {
    /// Takes `count` signatures for `uid` from the allowances of rule `index` of `key`, or says what stands against it
    /// and takes nothing.
    pub fn take(
        &mut self,
        key: &KeyName,
        index: usize,
        rule: &Rule,
        uid: u32,
        count: u32,
        now: Instant,
    ) -> Result<(), Exhausted> {
        if rule.rate.is_none() && rule.quota.is_none() {
            return Ok(());
        }
        let buckets = self.buckets.entry((key.clone(), index, uid)).or_default();
        let allowances = [rule.rate, rule.quota];
        let mut levels = [0.0; 2];
        for ((bucket, allowance), level) in buckets.iter_mut().zip(allowances).zip(&mut levels) {
            let Some(allowance) = allowance else { continue };
            if count > allowance.count {
                return Err(Exhausted::Always);
            }
            *level = bucket.get_or_insert_with(|| Bucket::full(allowance, now)).level(allowance, now);
            let missing = f64::from(count) - *level;
            if missing > 0.0 {
                let wait = missing / f64::from(allowance.count) * allowance.per.as_secs_f64();
                return Err(Exhausted::For(Duration::from_secs_f64(wait) + Duration::from_millis(1)));
            }
        }
        for ((bucket, allowance), level) in buckets.iter_mut().zip(allowances).zip(levels) {
            if allowance.is_some() {
                *bucket = Some(Bucket { level: level - f64::from(count), at: now });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(rate: Option<&str>, quota: Option<&str>) -> Rule {
        let allowance = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        Rule {
            who: vec![],
            formats: None,
            schemes: None,
            rate: allowance(rate),
            quota: allowance(quota),
            hours: None,
            days: None,
        }
    }

    #[test]
    fn a_rate_is_a_burst_and_then_a_trickle() {
        let (mut limiter, key, rule, start) =
            (Limiter::default(), "k".parse().unwrap(), rule(Some("10/s"), None), Instant::now());
        for _ in 0..10 {
            limiter.take(&key, 0, &rule, 1, 1, start).unwrap();
        }
        assert!(
            matches!(limiter.take(&key, 0, &rule, 1, 1, start), Err(Exhausted::For(wait)) if wait.as_millis() <= 101)
        );
        assert!(limiter.take(&key, 0, &rule, 2, 1, start).is_ok(), "another user has buckets of his own");
        assert!(limiter.take(&key, 1, &rule, 1, 1, start).is_ok(), "so has another rule");
        assert!(limiter.take(&key, 0, &rule, 1, 1, start + Duration::from_millis(110)).is_ok());
    }

    #[test]
    fn a_quota_holds_beside_a_rate_and_nothing_is_taken_in_part() {
        let (mut limiter, key, rule, start) =
            (Limiter::default(), "k".parse().unwrap(), rule(Some("100/s"), Some("3/h")), Instant::now());
        limiter.take(&key, 0, &rule, 1, 2, start).unwrap();
        assert!(limiter.take(&key, 0, &rule, 1, 2, start).is_err());
        limiter.take(&key, 0, &rule, 1, 1, start).unwrap();
        assert!(
            matches!(limiter.take(&key, 0, &rule, 1, 1, start), Err(Exhausted::For(wait)) if wait.as_secs() > 1000)
        );
    }

    #[test]
    fn a_batch_above_the_allowance_can_never_be_served() {
        let (mut limiter, key, rule) = (Limiter::default(), "k".parse().unwrap(), rule(Some("10/s"), None));
        assert_eq!(limiter.take(&key, 0, &rule, 1, 11, Instant::now()), Err(Exhausted::Always));
    }
}
