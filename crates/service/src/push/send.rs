//! One push from its first attempt to its end.

use std::sync::Arc;
use std::time::Duration;

use domain::push::{Attempted, Lane as Kind, Outcome, Platform, Push};
use domain::time::Timestamp;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use wire::push::{Answer, Verdict, apns, fcm, retry_after};

use super::connection::{Lost, Raw, answered};
use super::fcm::Denied;
use super::lane::{Lane, NoSlot, Slot};
use super::retry;

/// Sends `push` until the provider has taken or refused it, or its deadline has come.
pub(super) async fn send(lane: &Arc<Lane>, push: &Push) -> Attempted {
    let mut journey = Journey {
        lane,
        push,
        so_far: Attempted {
            outcome: Outcome::Expired,
            status: 0,
            reason: None,
            provider_id: None,
            attempts: 0,
            written_at: None,
            ended_at: push.deadline,
        },
        avoid: None,
        renewed: false,
        moves: 0,
        failures: 0,
    };
    let outcome = loop {
        match journey.attempt().await {
            Step::Done(outcome) => break outcome,
            Step::Again => {}
            Step::Wait { after, otherwise } => {
                if !journey.pause(after).await {
                    break otherwise;
                }
            }
        }
    };
    Attempted {
        outcome,
        ended_at: lane.shared.clock.now(),
        ..journey.so_far
    }
}

struct Journey<'a> {
    lane: &'a Arc<Lane>,
    push: &'a Push,
    so_far: Attempted,
    /// The connection of the last attempt, if it failed.
    avoid: Option<u64>,
    /// Whether the token was renewed for this push already.
    renewed: bool,
    /// How often it was sent again at once, because nobody had processed it.
    moves: u32,
    /// How often the provider failed.
    failures: u32,
}

enum Step {
    Done(Outcome),
    /// At once, on another connection.
    Again,
    /// Later, if the deadline allows it; `otherwise` is the end.
    Wait {
        after: Option<Duration>,
        otherwise: Outcome,
    },
}

impl Journey<'_> {
    /// One attempt: a slot, a token, a request, its answer.
    async fn attempt(&mut self) -> Step {
        let deadline = self.push.deadline;
        let mut slot = match self.lane.slot(deadline, self.avoid).await {
            Ok(slot) => slot,
            Err(none) => return self.no_slot(none),
        };
        let clock = &self.lane.shared.clock;
        let token = match self.lane.auth.header(clock.now(), deadline).await {
            Ok(token) => token,
            Err(denied) => return self.denied(denied, &mut slot),
        };
        let first = slot.connection.first();
        let request = self
            .lane
            .auth
            .request(&self.lane.target, self.push, &token, first);
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                self.so_far.reason = Some(error.to_string());
                return Step::Done(Outcome::RequestRefused);
            }
        };
        // A call push that comes late is worse than none: looked at last before it is written.
        let written = clock.now();
        if written >= deadline {
            return Step::Done(Outcome::Expired);
        }
        let started = slot.connection.start(request, self.push.body.clone());
        let answer = match started {
            Ok(answer) => answer,
            Err(lost) => return self.lost(lost, &mut slot),
        };
        self.so_far.attempts += 1;
        self.lane.meters.attempted();
        self.so_far.written_at = Some(written);
        let until = deadline.min(written + answer_within(self.push.lane));
        match clock.timeout_at(until, answered(answer)).await {
            Some(Ok(raw)) => {
                self.lane.meters.answered(clock.now().since(written));
                let answer = self.parse(&raw);
                self.so_far.status = raw.status;
                self.so_far.reason = answer.reason;
                self.so_far.provider_id = answer.provider_id;
                self.judge(answer.verdict, &token, &mut slot)
            }
            Some(Err(lost)) => self.lost(lost, &mut slot),
            None => {
                self.so_far.reason = Some("no answer in time".into());
                if clock.now() >= deadline {
                    return Step::Done(Outcome::Expired);
                }
                // Nothing more goes where nothing comes back.
                slot.retire();
                self.failed(&mut slot, None)
            }
        }
    }

    fn parse(&self, raw: &Raw) -> Answer {
        let header = |name: &str| raw.headers.get(name)?.to_str().ok();
        match self.lane.credential.platform() {
            Platform::Apns => apns::answer(raw.status, header("apns-id"), &raw.body),
            Platform::Fcm => {
                let now = self.lane.shared.clock.now().secs();
                let after = header(RETRY_AFTER.as_str()).and_then(|text| retry_after(text, now));
                fcm::answer(raw.status, after, &raw.body)
            }
        }
    }

    /// What an answer means for this push, its connection and its lane.
    fn judge(&mut self, verdict: Verdict, token: &HeaderValue, slot: &mut Slot) -> Step {
        let now = self.lane.shared.clock.now();
        match verdict {
            Verdict::Accepted => {
                self.lane.auth.accepted(token);
                slot.served();
                Step::Done(Outcome::Accepted)
            }
            Verdict::DeadToken { since_millis } => {
                slot.served();
                let since = since_millis.map(Timestamp::from_millis);
                Step::Done(Outcome::DeadToken { since })
            }
            Verdict::SuspectToken => {
                slot.served();
                Step::Done(Outcome::SuspectToken)
            }
            Verdict::RequestRefused => {
                slot.served();
                Step::Done(Outcome::RequestRefused)
            }
            // Other devices of this credential are served, so its lane goes on.
            Verdict::PartnerRefused => {
                slot.served();
                Step::Done(Outcome::CredentialRefused)
            }
            Verdict::CredentialRefused => self.refused(slot),
            Verdict::RenewToken => {
                if self.renewed || !self.lane.auth.renew(token, now) {
                    return self.refused(slot);
                }
                self.renewed = true;
                Step::Again
            }
            Verdict::KeepOldToken => {
                self.lane.auth.keep_old(token, now);
                slot.retire();
                self.wait(slot, None)
            }
            Verdict::Reconnect => {
                slot.retire();
                self.moved(slot)
            }
            Verdict::Throttled { after } => {
                slot.served();
                self.failures += 1;
                let otherwise = Outcome::RetryAfter(after);
                // A call does not wait for a documented default, only for what the provider itself asked.
                let quick = self.push.lane == Kind::Call
                    && self.lane.credential.platform() == Platform::Apns;
                let after = (!quick).then_some(after);
                Step::Wait { after, otherwise }
            }
            Verdict::Unavailable { after } => self.failed(slot, after),
        }
    }

    fn refused(&mut self, slot: &mut Slot) -> Step {
        slot.refused(self.so_far.reason.as_deref().unwrap_or_default());
        Step::Done(Outcome::CredentialRefused)
    }

    /// The provider failed: it may be an outage.
    fn failed(&mut self, slot: &mut Slot, after: Option<Duration>) -> Step {
        slot.failed();
        self.wait(slot, after)
    }

    fn wait(&mut self, slot: &Slot, after: Option<Duration>) -> Step {
        self.failures += 1;
        self.avoid = Some(slot.connection.id);
        Step::Wait {
            after,
            otherwise: Outcome::Unavailable,
        }
    }

    /// Nobody processed the request: it goes to another connection at once, unless that happens all the time.
    fn moved(&mut self, slot: &mut Slot) -> Step {
        self.moves += 1;
        self.avoid = Some(slot.connection.id);
        if self.moves.is_multiple_of(MOVES) {
            return self.failed(slot, None);
        }
        Step::Again
    }

    fn lost(&mut self, lost: Lost, slot: &mut Slot) -> Step {
        match lost {
            Lost::Unprocessed(why) => {
                self.so_far.reason = Some(why);
                self.moved(slot)
            }
            // It may have been delivered; the same `apns-id` says that it is one push.
            Lost::Unknown(why) => {
                self.so_far.reason = Some(why);
                slot.retire();
                self.failed(slot, None)
            }
        }
    }

    fn denied(&mut self, denied: Denied, slot: &mut Slot) -> Step {
        match denied {
            Denied::Refused(why) => {
                self.so_far.reason = Some(why);
                self.refused(slot)
            }
            Denied::Unavailable(why) => {
                self.so_far.reason = Some(why);
                self.failed(slot, None)
            }
            Denied::Late => {
                self.so_far.reason = Some("no access token in time".into());
                Step::Done(Outcome::Expired)
            }
        }
    }

    fn no_slot(&mut self, none: NoSlot) -> Step {
        let (outcome, reason) = match none {
            NoSlot::Late(why) => (Outcome::Expired, why),
            NoSlot::Refused(why) => (Outcome::CredentialRefused, Some(why.to_string())),
            NoSlot::Full => (
                Outcome::RetryAfter(Duration::from_secs(1)),
                Some("too many pushes wait for this credential".into()),
            ),
            NoSlot::Stopping => (Outcome::Unavailable, Some("the server stops".into())),
        };
        // What the provider said last is worth more than that the time ran out.
        if self.so_far.reason.is_none() {
            self.so_far.reason = reason;
        }
        Step::Done(outcome)
    }

    /// Waits before the next attempt; false if the deadline or the end of the server comes first.
    async fn pause(&self, after: Option<Duration>) -> bool {
        let shared = &self.lane.shared;
        let platform = self.lane.credential.platform();
        let fraction = shared.random.fraction();
        let wait = retry::wait(platform, self.push.lane, self.failures, after, fraction);
        let until = shared.clock.now() + wait;
        if until >= self.push.deadline {
            return false;
        }
        tokio::select! {
            () = shared.clock.sleep_until(until) => true,
            () = shared.stopping.cancelled() => false,
        }
    }
}

/// How long an answer may take before the push is sent again elsewhere.
fn answer_within(lane: Kind) -> Duration {
    match lane {
        Kind::Call => Duration::from_secs(4),
        // Answers that took minutes were seen; they are given up in favour of another connection.
        Kind::Bulk => Duration::from_secs(20),
    }
}

/// So many moves in a row are treated as a failure.
const MOVES: u32 = 4;
