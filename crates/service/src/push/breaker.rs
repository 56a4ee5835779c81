//! When a lane stops sending, and when it tries again.

use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;

/// Lets everything through, nothing, or one push that finds out.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    longest: Duration,
}

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Paused {
        cause: Cause,
        rounds: u32,
        until: Timestamp,
        probing: bool,
    },
}

/// Why a lane pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The credential was refused, for this reason.
    Refused(Arc<str>),
    /// The provider fails whatever it is sent.
    Failing,
}

/// What may pass now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Everything.
    Open,
    /// One push, which must be judged as a probe.
    Probe,
    /// Nothing yet.
    Wait,
    /// Nothing, and waiting is of no use: the credential was refused more than once.
    Refuse(Arc<str>),
}

impl Breaker {
    /// A breaker that pauses a failing provider's lane for `longest` at most.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            state: State::Closed { failures: 0 },
            longest,
        }
    }

    /// What may pass at `now`. The caller that is told [`Gate::Probe`] is the probe when it calls [`Breaker::probe`].
    pub(super) fn gate(&self, now: Timestamp) -> Gate {
        match &self.state {
            State::Closed { .. } => Gate::Open,
            State::Paused { until, probing, .. } if now >= *until && !probing => Gate::Probe,
            // A first refusal may be a hiccup: those who wait are spared until a probe confirms it.
            State::Paused {
                cause: Cause::Refused(reason),
                rounds: 2..,
                ..
            } => Gate::Refuse(reason.clone()),
            State::Paused { .. } => Gate::Wait,
        }
    }

    /// A push goes out as the probe.
    pub(super) fn probe(&mut self) {
        if let State::Paused { probing, .. } = &mut self.state {
            *probing = true;
        }
    }

    /// The probe ended without an answer that says anything.
    pub(super) fn probe_lost(&mut self) {
        if let State::Paused { probing, .. } = &mut self.state {
            *probing = false;
        }
    }

    /// The provider served a push. Answers to what was sent before a pause say nothing about now.
    pub(super) fn served(&mut self, probe: bool) {
        if probe || matches!(self.state, State::Closed { .. }) {
            self.state = State::Closed { failures: 0 };
        }
    }

    /// The credential was refused. Returns when to try again, if this began a pause.
    pub(super) fn refused(
        &mut self,
        reason: &str,
        probe: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.pause(Cause::Refused(reason.into()), probe, now, REFUSED_LONGEST)
    }

    /// The provider failed. Returns when to try again, if this began a pause.
    pub(super) fn failed(&mut self, probe: bool, now: Timestamp) -> Option<Timestamp> {
        if let State::Closed { failures } = &mut self.state {
            *failures += 1;
            if *failures < FAILURES {
                return None;
            }
        }
        self.pause(Cause::Failing, probe, now, self.longest)
    }

    fn pause(
        &mut self,
        cause: Cause,
        probe: bool,
        now: Timestamp,
        longest: Duration,
    ) -> Option<Timestamp> {
        let rounds = match &self.state {
            State::Closed { .. } => 1,
            State::Paused { rounds, .. } if probe => rounds.saturating_add(1),
            State::Paused { .. } => return None,
        };
        let wait = FIRST_PAUSE.saturating_mul(1 << (rounds - 1).min(16));
        let until = now + wait.min(longest);
        self.state = State::Paused {
            cause,
            rounds,
            until,
            probing: false,
        };
        Some(until)
    }

    /// Whether and why the lane pauses.
    pub(super) fn cause(&self) -> Option<&Cause> {
        match &self.state {
            State::Closed { .. } => None,
            State::Paused { cause, .. } => Some(cause),
        }
    }
}

/// So many failures in a row are an outage and not bad luck.
const FAILURES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const REFUSED_LONGEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn breaker() -> Breaker {
        Breaker::new(Duration::from_secs(3))
    }

    #[test]
    fn a_refusal_pauses_and_a_confirmed_one_refuses() {
        let mut breaker = breaker();
        assert_eq!(
            breaker.refused("InvalidProviderToken", false, at(0)),
            Some(at(1))
        );
        assert_eq!(breaker.gate(at(0)), Gate::Wait);
        // What was in flight when the key was revoked does not count again.
        assert_eq!(breaker.refused("InvalidProviderToken", false, at(0)), None);
        assert_eq!(breaker.gate(at(1)), Gate::Probe);
        breaker.probe();
        assert_eq!(breaker.gate(at(1)), Gate::Wait);
        assert_eq!(
            breaker.refused("InvalidProviderToken", true, at(1)),
            Some(at(3))
        );
        assert_eq!(
            breaker.gate(at(2)),
            Gate::Refuse("InvalidProviderToken".into())
        );
        assert_eq!(breaker.gate(at(3)), Gate::Probe);
    }

    #[test]
    fn a_served_probe_opens_and_a_lost_one_lets_the_next_try() {
        let mut breaker = breaker();
        breaker.refused("x", false, at(0));
        breaker.probe();
        breaker.probe_lost();
        assert_eq!(breaker.gate(at(1)), Gate::Probe);
        breaker.probe();
        breaker.served(false);
        assert_eq!(
            breaker.gate(at(1)),
            Gate::Wait,
            "an old answer proves nothing"
        );
        breaker.served(true);
        assert_eq!(breaker.gate(at(1)), Gate::Open);
        assert_eq!(breaker.cause(), None);
    }

    #[test]
    fn ten_failures_in_a_row_pause_for_a_bounded_time() {
        let mut breaker = breaker();
        for _ in 0..9 {
            assert_eq!(breaker.failed(false, at(0)), None);
        }
        breaker.served(false);
        for _ in 0..9 {
            assert_eq!(breaker.failed(false, at(0)), None);
        }
        assert_eq!(breaker.failed(false, at(0)), Some(at(1)));
        let mut now = at(0);
        for _ in 0..40 {
            let until = breaker.failed(true, now).unwrap();
            assert!(until.since(now) <= Duration::from_secs(3));
            now = until;
        }
        assert_eq!(breaker.gate(now), Gate::Probe);
    }
}
