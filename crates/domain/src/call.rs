//! A call: its legs, its states, and what each verb does to them.
//!
//! [`Call::apply`] is the whole state machine. It changes the call and says what changed; who is told is the caller's
//! matter.

mod reason;

use std::time::Duration;

use serde_json::Value;

use crate::id::{CallId, RegistrationId};
use crate::identity::UserId;
use crate::time::Timestamp;

pub use reason::{EndReason, Refusal, StopReason};

/// A call from one user to one or more others.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its id, a UUID; also its correlation id.
    pub id: CallId,
    /// Lower-cased resource id of the communication resource it belongs to.
    pub communication: String,
    /// Who placed it.
    pub from: UserId,
    /// The caller's name to show.
    pub display_name: String,
    /// Whether the caller's camera is on.
    pub video: bool,
    /// The caller's offer, opaque.
    pub signal: Option<Value>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it stops ringing.
    pub ring_deadline: Timestamp,
    /// How it stands.
    pub state: State,
    /// When the caller left, if the others talk on.
    pub caller_left: Option<Timestamp>,
    /// One leg a called user.
    pub legs: Vec<Leg>,
}

/// How a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has answered yet.
    Ringing,
    /// Somebody answered.
    Connected {
        /// When.
        since: Timestamp,
    },
    /// It is over; that is final.
    Ended(Ended),
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: EndReason,
    /// Who ended it; nobody when the time ran out.
    pub by: Option<UserId>,
    /// Since when it was connected, if it was.
    pub connected_since: Option<Timestamp>,
}

/// A called user's part in a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// Who is called.
    pub target: UserId,
    /// How it stands.
    pub state: LegState,
    /// The answer of the device that accepted, opaque.
    pub signal: Option<Value>,
}

/// How a leg stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegState {
    /// The user's devices ring.
    Ringing,
    /// One of them accepted.
    Accepted(Accepted),
    /// The user declined.
    Declined,
    /// Nobody answered in time.
    TimedOut,
    /// The caller hung up first.
    Cancelled,
}

/// An accepted leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The device, if it named itself.
    pub endpoint: Option<RegistrationId>,
    /// When.
    pub at: Timestamp,
    /// When the user left again.
    pub left: Option<Timestamp>,
}

/// What somebody does to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// A called user takes it.
    Accept {
        /// Who.
        by: UserId,
        /// With which device, if it says so.
        endpoint: Option<RegistrationId>,
        /// The answer, opaque.
        signal: Option<Value>,
    },
    /// A called user declines it on all devices.
    Reject {
        /// Who.
        by: UserId,
        /// With which device, if it says so.
        endpoint: Option<RegistrationId>,
    },
    /// Anybody in it leaves.
    HangUp {
        /// Who.
        by: UserId,
        /// With which device, if it says so.
        endpoint: Option<RegistrationId>,
    },
    /// The ring deadline has come.
    TimeOut {
        /// Whether any device was rung at all.
        reach: Reached,
    },
}

/// Whether a call rang anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// A connection or a push service took the ring.
    Somebody,
    /// Nobody did.
    Nobody,
}

/// What a verb changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A called user joined.
    Joined(UserId),
    /// The devices of a user stop ringing, except the one that acted.
    Stopped {
        /// Whose.
        target: UserId,
        /// The device that needs no telling.
        except: Option<RegistrationId>,
        /// Why.
        why: StopReason,
    },
    /// Somebody who had joined left.
    Left(UserId),
    /// The call is over.
    Ended,
}

impl Call {
    /// Does `verb` to the call. A verb repeated by the same device changes nothing and is no error.
    pub fn apply(&mut self, verb: Verb, now: Timestamp) -> Result<Vec<Change>, Refusal> {
        match verb {
            Verb::Accept {
                by,
                endpoint,
                signal,
            } => self.accept(by, endpoint, signal, now),
            Verb::Reject { by, endpoint } => self.reject(by, endpoint, now),
            Verb::HangUp { by, endpoint } => self.hang_up(by, endpoint, now),
            Verb::TimeOut { reach } => Ok(self.time_out(reach, now)),
        }
    }

    /// Whether `user` placed it or is called by it.
    pub fn involves(&self, user: &UserId) -> bool {
        self.from == *user || self.leg(user).is_some()
    }

    /// The leg of a called user.
    pub fn leg(&self, user: &UserId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.target == *user)
    }

    /// Whether any leg rings.
    pub fn rings(&self) -> bool {
        self.legs.iter().any(|leg| leg.state == LegState::Ringing)
    }

    /// Whether any leg of `user` rings.
    pub fn rings_for(&self, user: &UserId) -> bool {
        let mut legs = self.legs.iter();
        legs.any(|leg| leg.target == *user && leg.state == LegState::Ringing)
    }

    fn accept(
        &mut self,
        by: UserId,
        endpoint: Option<RegistrationId>,
        signal: Option<Value>,
        now: Timestamp,
    ) -> Result<Vec<Change>, Refusal> {
        let over = matches!(self.state, State::Ended(_));
        let leg = self.called_leg(&by)?;
        match &leg.state {
            LegState::Accepted(accepted) if accepted.left.is_none() && !over => {
                let again = endpoint.is_some() && accepted.endpoint == endpoint;
                return if again {
                    Ok(Vec::new())
                } else {
                    Err(Refusal::AcceptedElsewhere)
                };
            }
            LegState::Ringing => {}
            _ if over => return Err(Refusal::Ended),
            _ => return Err(Refusal::NotRinging),
        }
        leg.state = LegState::Accepted(Accepted {
            endpoint: endpoint.clone(),
            at: now,
            left: None,
        });
        leg.signal = signal;
        if self.state == State::Ringing {
            self.state = State::Connected { since: now };
        }
        let stopped = Change::Stopped {
            target: by.clone(),
            except: endpoint,
            why: StopReason::AcceptedElsewhere,
        };
        Ok(vec![Change::Joined(by), stopped])
    }

    fn reject(
        &mut self,
        by: UserId,
        endpoint: Option<RegistrationId>,
        now: Timestamp,
    ) -> Result<Vec<Change>, Refusal> {
        let over = matches!(self.state, State::Ended(_));
        let leg = self.called_leg(&by)?;
        match &leg.state {
            LegState::Ringing => {}
            LegState::Declined => return Ok(Vec::new()),
            LegState::Accepted(_) if !over => return Err(Refusal::AcceptedElsewhere),
            _ if over => return Err(Refusal::Ended),
            _ => return Err(Refusal::NotRinging),
        }
        leg.state = LegState::Declined;
        let mut changes = vec![Change::Stopped {
            target: by.clone(),
            except: endpoint,
            why: StopReason::Declined,
        }];
        changes.extend(self.settle(Some(by), EndReason::Declined, now));
        Ok(changes)
    }

    fn hang_up(
        &mut self,
        by: UserId,
        endpoint: Option<RegistrationId>,
        now: Timestamp,
    ) -> Result<Vec<Change>, Refusal> {
        if !self.involves(&by) {
            return Err(Refusal::NotInCall);
        }
        if matches!(self.state, State::Ended(_)) {
            return Ok(Vec::new());
        }
        if self.from == by {
            return Ok(self.caller_hangs_up(by, now));
        }
        let leg = self.called_leg(&by)?;
        match &mut leg.state {
            LegState::Ringing => return self.reject(by, endpoint, now),
            LegState::Accepted(accepted) if accepted.left.is_none() => accepted.left = Some(now),
            _ => return Ok(Vec::new()),
        }
        let mut changes = vec![Change::Left(by.clone())];
        changes.extend(self.settle(Some(by), EndReason::HungUp, now));
        Ok(changes)
    }

    fn caller_hangs_up(&mut self, by: UserId, now: Timestamp) -> Vec<Change> {
        if self.caller_left.is_some() {
            return Vec::new();
        }
        self.caller_left = Some(now);
        let mut changes = self.stop_ringing(&LegState::Cancelled, StopReason::Cancelled);
        if matches!(self.state, State::Connected { .. }) {
            changes.push(Change::Left(by.clone()));
        }
        changes.extend(self.settle(Some(by), EndReason::Cancelled, now));
        changes
    }

    fn time_out(&mut self, reach: Reached, now: Timestamp) -> Vec<Change> {
        let mut changes = self.stop_ringing(&LegState::TimedOut, StopReason::TimedOut);
        if !changes.is_empty() {
            let reason = match reach {
                Reached::Somebody => EndReason::NoAnswer,
                Reached::Nobody => EndReason::Unreachable,
            };
            changes.extend(self.settle(None, reason, now));
        }
        changes
    }

    fn stop_ringing(&mut self, to: &LegState, why: StopReason) -> Vec<Change> {
        let mut changes = Vec::new();
        for leg in &mut self.legs {
            if leg.state == LegState::Ringing {
                leg.state = to.clone();
                changes.push(Change::Stopped {
                    target: leg.target.clone(),
                    except: None,
                    why,
                });
            }
        }
        changes
    }

    /// Ends the call once nothing rings and fewer than two are left in it.
    fn settle(
        &mut self,
        by: Option<UserId>,
        unanswered: EndReason,
        now: Timestamp,
    ) -> Option<Change> {
        let joined = self.legs.iter().filter(|leg| leg.is_joined()).count();
        let present = joined + usize::from(self.caller_left.is_none());
        if self.rings() || present >= 2 {
            return None;
        }
        let (reason, connected_since) = match self.state {
            State::Ended(_) => return None,
            State::Connected { since } => (EndReason::HungUp, Some(since)),
            State::Ringing => (unanswered, None),
        };
        self.state = State::Ended(Ended {
            at: now,
            reason,
            by,
            connected_since,
        });
        Some(Change::Ended)
    }

    fn called_leg(&mut self, by: &UserId) -> Result<&mut Leg, Refusal> {
        let refusal = if self.from == *by {
            Refusal::NotCalled
        } else {
            Refusal::NotInCall
        };
        self.legs
            .iter_mut()
            .find(|leg| leg.target == *by)
            .ok_or(refusal)
    }
}

impl Leg {
    /// A leg that begins to ring.
    pub fn ringing(target: UserId) -> Self {
        Self {
            target,
            state: LegState::Ringing,
            signal: None,
        }
    }

    fn is_joined(&self) -> bool {
        matches!(&self.state, LegState::Accepted(accepted) if accepted.left.is_none())
    }
}

impl LegState {
    /// As the API and the store write it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Accepted(_) => "accepted",
            Self::Declined => "declined",
            Self::TimedOut => "timedOut",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Ended {
    /// How long the call was connected.
    pub fn duration(&self) -> Duration {
        self.connected_since
            .map_or(Duration::ZERO, |since| self.at.since(since))
    }
}

#[cfg(test)]
#[path = "call/tests.rs"]
mod tests;
