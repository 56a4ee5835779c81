//! Who is in a call: who is invited, joins without being rung, is taken out, is muted.

use super::{Accepted, Call, Change, Leg, LegState, Refusal, Round, Shown, State, StopReason};
use crate::identity::UserId;
use crate::time::Timestamp;

/// How many users one call may have called.
pub const MOST_LEGS: usize = 350;

/// How a user stands in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In no way: never called, declined, left, or the call is over.
    Outside,
    /// Called and not answering yet, or waiting for somebody to answer.
    Waiting,
    /// In it.
    Present,
}

impl Call {
    /// How a user stands in it.
    pub fn standing(&self, user: &UserId) -> Standing {
        match (&self.state, self.leg(user)) {
            (State::Ended(_), _) => Standing::Outside,
            (State::Ringing, None) if self.is_caller(user) => Standing::Waiting,
            (State::Connected { .. }, None) if self.is_caller(user) => Standing::Present,
            (_, Some(leg)) if leg.is_joined() => Standing::Present,
            (_, Some(leg)) if leg.rings() => Standing::Waiting,
            _ => Standing::Outside,
        }
    }

    /// Who is in it, the caller first; of an ended call, who was in it at the end.
    pub fn present(&self) -> Vec<UserId> {
        let connected = match &self.state {
            State::Ringing => false,
            State::Connected { .. } => true,
            State::Ended(ended) => ended.connected_since.is_some(),
        };
        let caller = (connected && self.caller_left.is_none()).then(|| self.from.clone());
        let joined = self.legs.iter().filter(|leg| leg.is_joined());
        caller
            .into_iter()
            .chain(joined.map(|leg| leg.target.clone()))
            .collect()
    }

    /// Who is in it: nobody, once it has ended.
    pub fn members(&self) -> Vec<UserId> {
        match self.state {
            State::Ended(_) => Vec::new(),
            _ => self.present(),
        }
    }

    /// The caller's name as the user of this leg is shown it.
    pub fn name_for<'a>(&'a self, leg: &'a Leg) -> &'a str {
        let shown = leg.round.shown.display_name.as_deref();
        shown.unwrap_or(&self.display_name)
    }

    /// The name to show of somebody in it: only the caller's is known.
    pub fn name_of(&self, user: &UserId) -> &str {
        if self.from == *user {
            &self.display_name
        } else {
            ""
        }
    }

    /// Whether it was placed to one user, and nobody was added.
    pub fn is_two_party(&self) -> bool {
        self.legs.iter().filter(|leg| leg.round.hops == 0).count() <= 1
    }

    /// The earliest deadline of those that ring.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let ringing = self.legs.iter().filter(|leg| leg.rings());
        ringing.map(|leg| leg.round.deadline).min()
    }

    pub(super) fn invite(&mut self, target: UserId, round: Round) -> Result<Vec<Change>, Refusal> {
        self.ring(target.clone(), round)?;
        Ok(vec![Change::Invited(target)])
    }

    pub(super) fn redirect(
        &mut self,
        from: UserId,
        to: UserId,
        round: Round,
    ) -> Result<Vec<Change>, Refusal> {
        if !self.leg(&from).is_some_and(Leg::rings) {
            return Err(Refusal::NotRinging);
        }
        self.ring(to.clone(), round)?;
        if let Some(leg) = self.leg_mut(&from) {
            leg.state = LegState::Cancelled;
        }
        let stopped = Change::Stopped {
            target: from,
            except: None,
            why: StopReason::Redirected,
        };
        Ok(vec![stopped, Change::Invited(to)])
    }

    pub(super) fn cancel(
        &mut self,
        target: UserId,
        now: Timestamp,
    ) -> Result<Vec<Change>, Refusal> {
        let leg = self.leg_mut(&target).filter(|leg| leg.rings());
        leg.ok_or(Refusal::NotRinging)?.state = LegState::Cancelled;
        let mut changes = vec![Change::Stopped {
            target,
            except: None,
            why: StopReason::Cancelled,
        }];
        changes.extend(self.settle(None, super::EndReason::Cancelled, now));
        Ok(changes)
    }

    pub(super) fn remove(
        &mut self,
        target: UserId,
        now: Timestamp,
    ) -> Result<Vec<Change>, Refusal> {
        match self.standing(&target) {
            Standing::Present => self.hang_up(target, None, now),
            Standing::Waiting if self.from != target => self.cancel(target, now),
            _ => Err(Refusal::NotInCall),
        }
    }

    pub(super) fn join(&mut self, by: UserId, now: Timestamp) -> Result<Vec<Change>, Refusal> {
        match self.state {
            State::Ended(_) => return Err(Refusal::Ended),
            State::Ringing => return Err(Refusal::NotEstablished),
            State::Connected { .. } => {}
        }
        if self.leg(&by).is_some_and(Leg::rings) {
            return self.accept(by, None, None, now);
        }
        // A round of no length: nobody is rung.
        let round = Round {
            id: crate::id::RoundId::new(""),
            since: now,
            deadline: now,
            hops: 0,
            shown: Shown::default(),
        };
        self.ring(by.clone(), round)?;
        if let Some(leg) = self.leg_mut(&by) {
            leg.state = LegState::Accepted(Accepted {
                endpoint: None,
                at: now,
                left: None,
            });
        }
        Ok(vec![Change::Joined(by)])
    }

    pub(super) fn mute(&mut self, targets: Vec<UserId>) -> Result<Vec<Change>, Refusal> {
        let present = self.present();
        if matches!(self.state, State::Ended(_)) {
            return Err(Refusal::Ended);
        }
        if !targets.iter().all(|target| present.contains(target)) {
            return Err(Refusal::NotInCall);
        }
        let mut changes = Vec::new();
        for target in targets {
            if !self.muted.contains(&target) {
                self.muted.push(target.clone());
                changes.push(Change::Muted(target));
            }
        }
        Ok(changes)
    }

    /// Notes that somebody leaves; whether that somebody was in it.
    pub(super) fn leave(&mut self, user: &UserId, now: Timestamp) -> bool {
        if self.standing(user) != Standing::Present {
            return false;
        }
        match self.leg_mut(user).map(|leg| &mut leg.state) {
            Some(LegState::Accepted(accepted)) => accepted.left = Some(now),
            _ => self.caller_left = Some(now),
        }
        true
    }

    /// Counts a change of who is in it. Who comes back is heard again.
    pub(super) fn count(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Left(user) = change {
                self.muted.retain(|muted| muted != user);
            }
        }
        let moved = |change: &Change| {
            matches!(
                change,
                Change::Joined(_) | Change::Left(_) | Change::Muted(_)
            )
        };
        self.roster += u64::from(changes.iter().any(moved));
    }

    /// A leg that rings, the user's own if there is one.
    fn ring(&mut self, target: UserId, round: Round) -> Result<(), Refusal> {
        if matches!(self.state, State::Ended(_)) {
            return Err(Refusal::Ended);
        }
        // The caller cannot be called into the own call, even after leaving it.
        if self.from == target {
            return Err(Refusal::AlreadyIn);
        }
        let full = self.legs.len() >= MOST_LEGS;
        match self.leg_mut(&target) {
            Some(leg) if leg.rings() || leg.is_joined() => return Err(Refusal::AlreadyIn),
            Some(leg) => *leg = Leg::ringing(target, round),
            None if full => return Err(Refusal::Full),
            None => self.legs.push(Leg::ringing(target, round)),
        }
        Ok(())
    }

    fn is_caller(&self, user: &UserId) -> bool {
        self.from == *user && self.caller_left.is_none()
    }

    fn leg_mut(&mut self, user: &UserId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.target == *user)
    }
}
