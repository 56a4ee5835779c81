//! How often somebody may do something: one bucket each, in bounded memory.
//!
//! A bucket is one time, at which it will be full again (the generic cell rate algorithm). A full one is forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::time::Timestamp;

/// So often within a time: all at once, or evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// How often; not zero.
    pub(crate) times: u32,
    /// The time in which an empty bucket is full again.
    pub(crate) within: Duration,
}

/// The buckets of everybody who did it lately.
pub(crate) struct Throttle<K> {
    full_at: Mutex<HashMap<Option<K>, Timestamp>>,
}

/// Buckets that are kept at once. In such a crowd, newcomers share one.
const MOST: usize = 10_000;

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self {
            full_at: Mutex::default(),
        }
    }
}

impl<K: Hash + Eq> Throttle<K> {
    /// Whether `who` may do it now; else after how long.
    pub(crate) fn allows(&self, who: K, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let who = place(&mut buckets, who, now);
        after(buckets.get(&who), rate, now).map(drop)
    }

    /// Notes that `who` does it now, if that is allowed; else after how long it is.
    pub(crate) fn take(&self, who: K, rate: Rate, now: Timestamp) -> Result<(), Duration> {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let who = place(&mut buckets, who, now);
        let full_at = after(buckets.get(&who), rate, now)?;
        buckets.insert(who, full_at);
        Ok(())
    }
}

/// Where the bucket of `who` is kept.
fn place<K: Hash + Eq>(
    buckets: &mut HashMap<Option<K>, Timestamp>,
    who: K,
    now: Timestamp,
) -> Option<K> {
    let who = Some(who);
    if buckets.len() >= MOST && !buckets.contains_key(&who) {
        buckets.retain(|_, full_at| *full_at > now);
        if buckets.len() >= MOST {
            return None;
        }
    }
    who
}

/// When the bucket is full again once one more is taken from it, or how long it is empty.
fn after(full_at: Option<&Timestamp>, rate: Rate, now: Timestamp) -> Result<Timestamp, Duration> {
    let full_at = full_at.map_or(now, |full_at| now.max(*full_at)) + rate.within / rate.times;
    match full_at.since(now).checked_sub(rate.within) {
        None | Some(Duration::ZERO) => Ok(full_at),
        Some(wait) => Err(wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);
    const RATE: Rate = Rate {
        times: 10,
        within: Duration::from_secs(60),
    };

    #[test]
    fn a_bucket_empties_at_once_and_fills_evenly() {
        let throttle = Throttle::default();
        for _ in 0..10 {
            assert_eq!(throttle.allows("a", RATE, NOW), Ok(()));
            assert_eq!(throttle.take("a", RATE, NOW), Ok(()));
        }
        let wait = Err(Duration::from_secs(6));
        assert_eq!(throttle.take("a", RATE, NOW), wait);
        assert_eq!(throttle.take("a", RATE, NOW), wait, "asking is free");
        assert_eq!(throttle.take("b", RATE, NOW), Ok(()));
        let later = NOW + Duration::from_secs(6);
        assert_eq!(throttle.take("a", RATE, later), Ok(()));
        assert_eq!(throttle.allows("a", RATE, later), wait);
        let rested = later + Duration::from_secs(60);
        let taken = (0..20).filter(|_| throttle.take("a", RATE, rested).is_ok());
        assert_eq!(taken.count(), 10);
    }

    #[test]
    fn a_crowd_shares_one_bucket_and_nobody_escapes_by_it() {
        let throttle = Throttle::default();
        for n in 0..MOST {
            assert_eq!(throttle.take(n, RATE, NOW), Ok(()));
        }
        let newcomers = (MOST..2 * MOST).filter(|n| throttle.take(*n, RATE, NOW).is_ok());
        assert_eq!(newcomers.count(), 10);
        assert_eq!(throttle.full_at.lock().unwrap().len(), MOST + 1);
        assert_eq!(throttle.take(0, RATE, NOW), Ok(()), "who was there first");
        let rested = NOW + RATE.within;
        assert_eq!(throttle.take(MOST, RATE, rested), Ok(()));
        assert_eq!(throttle.full_at.lock().unwrap().len(), 1);
    }
}
