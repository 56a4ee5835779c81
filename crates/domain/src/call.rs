//! A call: its legs, its states, and what each verb does to them.
//!
//! [`Call::apply`] is the whole state machine. It changes the call and says what changed; who is told is the caller's
//! matter.

mod leg;
mod reason;
mod roster;

use std::time::Duration;

use serde_json::Value;

use crate::id::{CallId, RegistrationId};
use crate::identity::UserId;
use crate::time::Timestamp;

pub use leg::{Accepted, Leg, LegState, Round, Shown};
pub use reason::{Decline, EndReason, Reached, Refusal, StopReason};
pub use roster::{MOST_LEGS, Standing};

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
    /// When it stops ringing for those it was placed to.
    pub ring_deadline: Timestamp,
    /// How it stands.
    pub state: State,
    /// When the caller left, if the others talk on.
    pub caller_left: Option<Timestamp>,
    /// One leg a called user.
    pub legs: Vec<Leg>,
    /// Whom the others do not hear.
    pub muted: Vec<UserId>,
    /// How often it changed who is in it.
    pub roster: u64,
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
        /// How.
        how: Decline,
    },
    /// Anybody in it leaves.
    HangUp {
        /// Who.
        by: UserId,
        /// With which device, if it says so.
        endpoint: Option<RegistrationId>,
    },
    /// Somebody in it ends it for all.
    End {
        /// Who.
        by: UserId,
    },
    /// Time has come: whoever's round is over is no longer rung.
    TimeOut {
        /// How far it got with those who were rung.
        reached: Vec<(UserId, Reached)>,
    },
    /// It is connected for as long as calls may be.
    Expire,
    /// One more user is rung.
    Invite {
        /// Who.
        target: UserId,
        /// The ringing.
        round: Round,
    },
    /// Another user is rung instead.
    Redirect {
        /// Instead of whom.
        from: UserId,
        /// Who.
        to: UserId,
        /// The ringing.
        round: Round,
    },
    /// The ringing of one user ends.
    Cancel {
        /// Whose.
        target: UserId,
    },
    /// Somebody is taken out: no longer rung, or no longer in it.
    Remove {
        /// Who.
        target: UserId,
    },
    /// Somebody joins without being rung.
    Join {
        /// Who.
        by: UserId,
    },
    /// Somebody is no longer heard.
    Mute {
        /// Who.
        targets: Vec<UserId>,
    },
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
    /// The devices of a user begin to ring.
    Invited(UserId),
    /// Somebody is no longer heard.
    Muted(UserId),
    /// The call is over.
    Ended,
}

impl Call {
    /// Does `verb` to the call. A verb repeated by the same device changes nothing and is no error.
    pub fn apply(&mut self, verb: Verb, now: Timestamp) -> Result<Vec<Change>, Refusal> {
        let changes = match verb {
            Verb::Accept {
                by,
                endpoint,
                signal,
            } => self.accept(by, endpoint, signal, now),
            Verb::Reject { by, endpoint, how } => self.reject(by, endpoint, how, now),
            Verb::HangUp { by, endpoint } => self.hang_up(by, endpoint, now),
            Verb::End { by } => self.end(by, now),
            Verb::TimeOut { reached } => Ok(self.time_out(&reached, now)),
            Verb::Expire => Ok(self.expire(now)),
            Verb::Invite { target, round } => self.invite(target, round),
            Verb::Redirect { from, to, round } => self.redirect(from, to, round),
            Verb::Cancel { target } => self.cancel(target, now),
            Verb::Remove { target } => self.remove(target, now),
            Verb::Join { by } => self.join(by, now),
            Verb::Mute { targets } => self.mute(targets),
        }?;
        self.count(&changes);
        Ok(changes)
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
        self.legs.iter().any(Leg::rings)
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
        how: Decline,
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
            why: StopReason::Declined(how),
        }];
        changes.extend(self.settle(Some(by), how.into(), now));
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
            LegState::Ringing => return self.reject(by, endpoint, Decline::Plain, now),
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

    fn end(&mut self, by: UserId, now: Timestamp) -> Result<Vec<Change>, Refusal> {
        if !self.involves(&by) {
            return Err(Refusal::NotInCall);
        }
        let (reason, connected_since) = match self.state {
            State::Ended(_) => return Ok(Vec::new()),
            State::Connected { since } => (EndReason::HungUp, Some(since)),
            State::Ringing => (EndReason::Cancelled, None),
        };
        let mut changes = self.stop_ringing(&LegState::Cancelled, StopReason::Cancelled);
        changes.extend(self.leave(&by, now).then(|| Change::Left(by.clone())));
        self.state = State::Ended(Ended {
            at: now,
            reason,
            by: Some(by),
            connected_since,
        });
        changes.push(Change::Ended);
        Ok(changes)
    }

    fn time_out(&mut self, reached: &[(UserId, Reached)], now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut farthest = Reached::Nobody;
        let due = |leg: &&mut Leg| leg.rings() && leg.round.deadline <= now;
        for leg in self.legs.iter_mut().filter(due) {
            leg.state = LegState::TimedOut;
            let named = reached.iter().find(|(user, _)| *user == leg.target);
            let reached = named.map_or(Reached::Nobody, |(_, reached)| *reached);
            farthest = farthest.max(reached);
            changes.push(Change::Stopped {
                target: leg.target.clone(),
                except: None,
                why: StopReason::TimedOut(reached),
            });
        }
        if !changes.is_empty() {
            changes.extend(self.settle(None, EndReason::Unanswered(farthest), now));
        }
        changes
    }

    fn expire(&mut self, now: Timestamp) -> Vec<Change> {
        let State::Connected { since } = self.state else {
            return Vec::new();
        };
        let mut changes = self.stop_ringing(&LegState::Cancelled, StopReason::Cancelled);
        self.state = State::Ended(Ended {
            at: now,
            reason: EndReason::TooLong,
            by: None,
            connected_since: Some(since),
        });
        changes.push(Change::Ended);
        changes
    }

    fn stop_ringing(&mut self, to: &LegState, why: StopReason) -> Vec<Change> {
        let mut changes = Vec::new();
        for leg in &mut self.legs {
            if leg.rings() {
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
