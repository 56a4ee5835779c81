//! How a destination is spared while its endpoint fails.
//!
//! Azure puts a subscription that keeps failing into probation and lets it out after a while, with everything at once.
//! Here one probe goes first, and a `Retry-After` is a rest of its own.

use std::time::Duration;

use crate::delivery::Answer;
use crate::time::Timestamp;

/// The health of one endpoint, as its answers show it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Failures in a row.
    failures: u32,
    rest: Option<Rest>,
}

/// The endpoint is spared.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Timestamp,
    /// Whether one request is under way that decides how it goes on.
    probing: bool,
}

/// Whether something may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// As much as there is.
    Free,
    /// One event, to see how the endpoint is.
    Probe,
    /// Nothing before this time.
    NotBefore(Timestamp),
    /// Nothing until the probe has been answered.
    AwaitProbe,
}

impl Health {
    /// Whether something may be sent now.
    pub fn leave(&self, now: Timestamp) -> Leave {
        match self.rest {
            None => Leave::Free,
            Some(rest) if rest.probing => Leave::AwaitProbe,
            Some(rest) if rest.until <= now => Leave::Probe,
            Some(rest) => Leave::NotBefore(rest.until),
        }
    }

    /// Until when the endpoint is spared, if it is.
    pub fn resting_until(&self) -> Option<Timestamp> {
        self.rest.map(|rest| rest.until)
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The probe is on its way.
    pub fn probe(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.probing = true;
        }
    }

    /// The probe is over, whatever came of it.
    pub fn probed(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.probing = false;
        }
    }

    /// The endpoint answered, or did not.
    pub fn judge(&mut self, answer: &Answer, was_probe: bool, now: Timestamp) {
        let Some(spare) = self.spared_for(answer, was_probe) else {
            return;
        };
        if spare.is_zero() {
            self.rest = None;
            return;
        }
        let rest = self.rest.get_or_insert(Rest {
            until: now,
            probing: false,
        });
        rest.until = rest.until.max(now + spare);
    }

    /// How long the endpoint is spared after `answer`: not at all if it works, and `None` leaves things as they are.
    fn spared_for(&mut self, answer: &Answer, was_probe: bool) -> Option<Duration> {
        if answer.shows_life() {
            self.failures = 0;
            return Some(Duration::ZERO);
        }
        self.failures = self.failures.saturating_add(1);
        if let Some(asked) = answer.asks_for_rest() {
            return Some(asked);
        }
        (was_probe || self.failures >= FAILURES).then(|| answer.probation())
    }
}

/// "For example, if the first 10 events published to an endpoint fail": so many failures in a row begin a rest.
const FAILURES: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

    fn status(code: u16) -> Answer {
        Answer::Status {
            code,
            retry_after: None,
        }
    }

    fn after(secs: u64) -> Timestamp {
        NOW + Duration::from_secs(secs)
    }

    fn failing() -> Health {
        let mut health = Health::default();
        for _ in 0..FAILURES {
            assert_eq!(health.leave(NOW), Leave::Free);
            health.judge(&Answer::SocketError, false, NOW);
        }
        health
    }

    #[test]
    fn an_endpoint_that_keeps_failing_rests_and_is_probed_with_one_event() {
        let mut health = failing();
        assert_eq!(health.leave(NOW), Leave::NotBefore(after(30)));
        assert_eq!(health.leave(after(30)), Leave::Probe);
        health.probe();
        assert_eq!(health.leave(after(31)), Leave::AwaitProbe);
        health.judge(&status(500), true, after(31));
        health.probed();
        assert_eq!(health.leave(after(31)), Leave::NotBefore(after(41)));
        health.probe();
        health.judge(&status(200), true, after(41));
        assert_eq!(health.leave(after(41)), Leave::Free);
    }

    #[test]
    fn a_late_answer_of_before_the_rest_does_not_end_the_probe() {
        let mut health = failing();
        health.probe();
        health.judge(&Answer::TimedOut, false, after(31));
        assert_eq!(health.leave(after(31)), Leave::AwaitProbe);
        health.judge(&status(202), false, after(32));
        assert_eq!(health.leave(after(32)), Leave::Free);
    }

    #[test]
    fn an_event_that_is_refused_says_nothing_against_the_endpoint() {
        let mut health = Health::default();
        for _ in 0..3 * FAILURES {
            health.judge(&status(400), false, NOW);
            health.judge(&status(413), false, NOW);
        }
        assert_eq!(health.leave(NOW), Leave::Free);
    }

    #[test]
    fn an_endpoint_that_asks_for_a_rest_gets_it_at_once() {
        let mut health = Health::default();
        let asked = |secs| Answer::Status {
            code: 429,
            retry_after: Some(Duration::from_secs(secs)),
        };
        health.judge(&asked(20), false, NOW);
        assert_eq!(health.leave(NOW), Leave::NotBefore(after(20)));
        // Another answer that was under way does not shorten it.
        health.judge(&asked(5), false, NOW);
        assert_eq!(health.leave(after(6)), Leave::NotBefore(after(20)));
        health.judge(&asked(1_000_000), true, after(20));
        assert_eq!(health.resting_until(), Some(after(20 + 3_600)));
    }
}
