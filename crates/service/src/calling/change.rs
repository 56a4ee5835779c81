//! One change of a call, in one transaction: the call, its events, the callbacks of applications, the pushes.

use domain::call::{Call, Change, Refusal, Verb};
use domain::callback::{Callback, Cause, Story};
use domain::connection::{Connection, Invitation, Purpose};
use domain::id::CallId;
use domain::notification::Notification;
use domain::time::Timestamp;
use serde_json::Value;
use store::{Executed, Tx};
use wire::acs::callautomation::CallbackKind;

use super::ring::{Missed, Rung, Told};
use super::step::{Act, Step, Stop, Unwritten};
use crate::callautomation::Repeat;
use crate::control::Communication;
use crate::events::Routed;
use crate::{App, Error, Kind};

type Result<T, E = Error> = std::result::Result<T, E>;

/// How often a change is tried again that somebody else was faster at.
const ATTEMPTS: usize = 16;

/// A change that is written and not committed yet.
pub(crate) struct Written {
    call: Call,
    answer: Value,
    changes: Vec<Change>,
    pushes: Pushes,
    routed: Routed,
    /// Until when somebody is rung from now on.
    deadline: Option<Timestamp>,
    /// What followed in other calls.
    elsewhere: Vec<Written>,
}

/// The pushes of a change.
#[derive(Default)]
struct Pushes {
    stops: Vec<Notification>,
    rings: Vec<Notification>,
}

impl App {
    /// Does a step, again if somebody else was faster; the call after it, and the answer.
    pub(crate) async fn change(&self, id: &CallId, step: &Step) -> Result<(Call, Value), Stop> {
        for _ in 0..ATTEMPTS {
            // Before the transaction: inside it, this would need a second connection.
            let missed = self.missed(id).await?;
            let mut tx = self.store.begin().await?;
            match self.write_step(&mut tx, id, step, &missed).await {
                Ok(written) => {
                    tx.commit().await?;
                    let done = (written.call.clone(), written.answer.clone());
                    self.after_change(written);
                    return Ok(done);
                }
                Err(Unwritten::Outrun) => {}
                Err(Unwritten::Repeated) => {
                    drop(tx);
                    let call = self.store.call(id).await?.ok_or(Stop::NoSuchCall)?.call;
                    let answer = match &step.repeat {
                        Some(repeat) => self.executed_at(&call.communication, repeat).await?,
                        None => None,
                    };
                    return Ok((call, answer.unwrap_or_default()));
                }
                Err(Unwritten::Stop(stop)) => return Err(stop),
            }
        }
        Err(busy().into())
    }

    /// Writes a step, and what follows from it in calls that transfers lead to or come from.
    pub(crate) async fn write_step(
        &self,
        tx: &mut Tx,
        id: &CallId,
        step: &Step,
        missed: &[Missed],
    ) -> Result<Written, Unwritten> {
        let (mut written, mut next) = self.write_one_step(tx, id, step, missed).await?;
        while let Some((call, step)) = next.pop() {
            // Nobody rings there whose push could have missed, or it is told to stop once too often.
            let (one, more) = self.write_one_step(tx, &call, &step, &[]).await?;
            next.extend(more);
            written.elsewhere.push(one);
        }
        Ok(written)
    }

    async fn write_one_step(
        &self,
        tx: &mut Tx,
        id: &CallId,
        step: &Step,
        missed: &[Missed],
    ) -> Result<(Written, Vec<(CallId, Step)>), Unwritten> {
        let now = self.clock.now();
        let mut read = tx.call(id).await?.ok_or(Stop::NoSuchCall)?;
        if let Some((user, round)) = &step.guard {
            let leg = read.call.leg(user).filter(|leg| leg.round.id == *round);
            leg.ok_or(Stop::Refused(Refusal::NotRinging))?;
        }
        let before = read.call.clone();
        let mut connections = tx.open_connections(id).await?;
        let invitations = tx.invitations_of(id).await?;
        let changes = apply(&mut read.call, step, &connections, &invitations, now)?;
        if !changes.is_empty() && !tx.update_call(&read).await? {
            return Err(Unwritten::Outrun);
        }
        let call = read.call;
        let communication = self.communication(&call.communication);
        let (mut pushes, mut events) = (Pushes::default(), Routed::default());
        if let (Some(communication), false) = (&communication, changes.is_empty()) {
            (pushes, events) = self
                .write_rings(tx, communication, (&before, &call), &changes, step, missed)
                .await?;
        }
        if let Some(connection) = &step.connection {
            tx.insert_connection(connection).await?;
            connections.push(connection.clone());
        }
        if let Some(invitation) = &step.invitation {
            tx.insert_invitation(id, invitation, now).await?;
        }
        if let Act::Verb(Verb::Redirect { from, to, .. }) = &step.act {
            tx.redirect_invitations(id, from, to).await?;
        }
        let story = Story {
            before: &before,
            after: &call,
            changes: &changes,
            cause: &step.cause,
            connections: &connections,
            invitations: &invitations,
        };
        for settled in story.settled() {
            tx.settle_invitation(&settled.id).await?;
        }
        let next = self.next_steps(tx, &story).await?;
        let callbacks = self
            .write_callbacks(tx, &call, &story.callbacks(), &connections)
            .await?;
        let answer = self.reply(&step.reply, &call);
        self.write_repeat(tx, &call.communication, step.repeat.as_ref(), &answer)
            .await?;
        let written = Written {
            deadline: step.ringing.as_ref().and_then(|_| call.next_deadline()),
            routed: events.then(callbacks),
            elsewhere: Vec::new(),
            changes,
            call,
            answer,
            pushes,
        };
        Ok((written, next))
    }

    /// What is to be done in other calls: the call that a transfer led out of learns what came of it; and whoever is no
    /// longer there to be transferred hangs up where it rings.
    async fn next_steps(&self, tx: &mut Tx, story: &Story<'_>) -> Result<Vec<(CallId, Step)>> {
        let mut steps = Vec::new();
        for report in story.reports() {
            let from = report.from.clone();
            let act = match &report.kind {
                CallbackKind::CallTransferAccepted { .. } => Act::Verb(Verb::Remove {
                    target: report.transferee.clone(),
                }),
                _ => Act::Nothing,
            };
            steps.push((from, Step::by(act, Cause::Transferred(Box::new(report)))));
        }
        let members = story.after.members();
        if story
            .before
            .members()
            .iter()
            .all(|one| members.contains(one))
        {
            return Ok(steps);
        }
        for (call, by) in tx.transfers_out_of(&story.after.id).await? {
            if !members.contains(&by) {
                steps.push((call, Step::of(Verb::HangUp { by, endpoint: None })));
            }
        }
        Ok(steps)
    }

    /// The pushes that stop and ring, and the events of Event Grid.
    async fn write_rings(
        &self,
        tx: &mut Tx,
        communication: &Communication,
        (before, call): (&Call, &Call),
        changes: &[Change],
        step: &Step,
        missed: &[Missed],
    ) -> Result<(Pushes, Routed)> {
        let now = self.clock.now();
        let rings = tx.rings_of(&call.id).await?;
        let rung = Rung {
            rings: &rings,
            missed,
        };
        let stops = self.stops(communication, call, changes, &rung, now);
        let mut told = Told {
            next_place: rings.iter().map(|ring| ring.place + 1).max().unwrap_or(0),
            ..Told::default()
        };
        let mut events = self.events_of(before, call, now);
        for change in changes {
            let Change::Invited(user) = change else {
                continue;
            };
            let (Some(leg), Some(reaches)) = (call.leg(user), &step.ringing) else {
                continue;
            };
            self.ring(communication, call, leg, reaches.clone(), &mut told);
            events.push(self.incoming_call(call, communication, leg, now)?);
        }
        let routed = self.record_events(tx, &communication.key, events).await?;
        for told in [&stops, &told] {
            tx.insert_notifications(&self.settings.node, &told.notifications)
                .await?;
            tx.insert_rings(&call.id, &told.rings).await?;
        }
        let pushes = Pushes {
            stops: stops.notifications,
            rings: told.notifications,
        };
        Ok((pushes, routed))
    }

    /// Writes the callbacks, and notes the legs that got their last one.
    async fn write_callbacks(
        &self,
        tx: &mut Tx,
        call: &Call,
        callbacks: &[Callback],
        connections: &[Connection],
    ) -> Result<Routed> {
        let routed = self
            .write_callback_events(tx, call, callbacks, connections)
            .await?;
        for callback in callbacks {
            if callback.kind == CallbackKind::CallDisconnected {
                let now = self.clock.now();
                tx.close_connection(&callback.connection, now).await?;
            }
        }
        Ok(routed)
    }

    /// Writes down that a request was executed.
    pub(crate) async fn write_repeat(
        &self,
        tx: &mut Tx,
        communication: &str,
        repeat: Option<&Repeat>,
        answer: &Value,
    ) -> Result<(), Unwritten> {
        let Some(repeat) = repeat else { return Ok(()) };
        let executed = Executed {
            operation: repeat.operation.clone(),
            answer: answer.clone(),
        };
        let now = self.clock.now();
        let first = tx.insert_executed(communication, &repeat.id, &executed, now);
        if first.await? {
            Ok(())
        } else {
            Err(Unwritten::Repeated)
        }
    }

    /// What follows from a change that is on disk.
    pub(crate) fn after_change(&self, written: Written) {
        let call = written.call;
        for change in &written.changes {
            if let Change::Stopped { target, .. } = change
                && !call.rings_for(target)
            {
                self.cancel_rings(&call.id, target);
            }
        }
        for other in written.elsewhere {
            self.after_change(other);
        }
        self.deliver_events(written.routed);
        self.deliver(written.pushes.stops);
        self.deliver_rings(written.pushes.rings);
        if let Some(deadline) = written.deadline {
            self.watch_deadline(call.id, deadline);
        }
    }
}

impl Written {
    /// Whether anything changed.
    pub(crate) fn is_change(&self) -> bool {
        !self.changes.is_empty()
    }
}

/// Applies the act, and what follows from it for an application that hands the call over.
fn apply(
    call: &mut Call,
    step: &Step,
    connections: &[Connection],
    invitations: &[Invitation],
    now: Timestamp,
) -> Result<Vec<Change>, Stop> {
    let verb = match &step.act {
        Act::Verb(verb) => verb.clone(),
        Act::CancelInvitation(id) => match invitations.iter().find(|one| one.id == *id) {
            Some(invitation) => Verb::Cancel {
                target: invitation.target.clone(),
            },
            None => return Ok(Vec::new()),
        },
        Act::Nothing => return Ok(Vec::new()),
    };
    let mut changes = match call.apply(verb, now) {
        Err(_) if step.cause.tells_failure() => Vec::new(),
        applied => applied.map_err(Stop::Refused)?,
    };
    for invitation in invitations {
        let handed_over = matches!(invitation.purpose, Purpose::Transfer(_))
            && changes.contains(&Change::Joined(invitation.target.clone()));
        let connection = connections
            .iter()
            .find(|connection| connection.id == invitation.connection);
        if let (true, Some(connection)) = (handed_over, connection) {
            let leave = Verb::HangUp {
                by: connection.member.clone(),
                endpoint: None,
            };
            changes.extend(call.apply(leave, now).map_err(Stop::Refused)?);
        }
    }
    Ok(changes)
}

fn busy() -> Error {
    let message = "Others keep changing this call. Try again.";
    Error::new(Kind::Conflict, "CallBusy", message)
}
