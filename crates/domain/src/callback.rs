//! Which callback events an application's leg gets when a call changes, in the order it gets them.
//!
//! Specification: Call Automation, "Order and result codes". `CallDisconnected` is the last event of a leg: some
//! consumers forget the call when they see it.

use secrecy::SecretString;
use wire::acs::callautomation::{CallbackKind as Kind, Participant, ResultInformation};
use wire::acs::identifier::Identifier;

use crate::call::{Call, Change, EndReason, Standing, State, StopReason};
use crate::connection::{Connection, Invitation, Operation, Purpose, Role};
use crate::id::{CallId, ConnectionId, InvitationId};
use crate::identity::UserId;

/// One event for one leg.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The leg.
    pub connection: ConnectionId,
    /// What happened.
    pub kind: Kind,
    /// `operationContext`.
    pub context: Option<String>,
    /// How it went.
    pub result: ResultInformation,
    /// Where it goes, if not to the leg's own address.
    pub callback_uri: Option<SecretString>,
}

/// Who changed a call, where the events depend on it.
#[derive(Clone, Debug)]
pub enum Cause {
    /// A device, somebody who answers, or the clock.
    Member,
    /// An application left with its leg.
    HungUp(ConnectionId),
    /// An application ended it for all.
    Terminated(ConnectionId),
    /// An application takes an invitation back.
    CancelledAdd(Asked, InvitationId),
    /// An application takes somebody out.
    Removed(Asked, UserId),
    /// An application takes somebody in from another of its calls.
    MovedIn(Asked, UserId, ConnectionId),
    /// Somebody went over into another call.
    MovedOut(UserId),
    /// A transfer into a call of its own came out.
    Transferred(Box<Report>),
}

/// What came of a transfer into a call of its own, for the call that it leads out of.
#[derive(Clone, Debug)]
pub struct Report {
    /// The call that it leads out of.
    pub from: CallId,
    /// Who leaves it, if the target answered.
    pub transferee: UserId,
    /// Through which leg it was asked for.
    pub by: ConnectionId,
    /// What its event carries, and where it goes.
    pub operation: Operation,
    /// The event.
    pub kind: Kind,
    /// How it went.
    pub result: ResultInformation,
}

impl Cause {
    /// Whether the application that asked is told of a failure by an event.
    pub fn tells_failure(&self) -> bool {
        matches!(
            self,
            Self::CancelledAdd(..) | Self::Removed(..) | Self::MovedIn(..) | Self::Transferred(_)
        )
    }
}

/// By whom an operation was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Through which leg.
    pub by: ConnectionId,
    /// What its events carry, and where they go.
    pub operation: Operation,
}

/// A change of a call, as the applications in it are told.
pub struct Story<'a> {
    /// The call before.
    pub before: &'a Call,
    /// The call after.
    pub after: &'a Call,
    /// What changed.
    pub changes: &'a [Change],
    /// By whom.
    pub cause: &'a Cause,
    /// The legs of applications that are not over, with one that begins now.
    pub connections: &'a [Connection],
    /// What is still to come out.
    pub invitations: &'a [Invitation],
}

impl Story<'_> {
    /// The events, leg by leg.
    pub fn callbacks(&self) -> Vec<Callback> {
        let mut all = Vec::new();
        for connection in self.connections {
            if self.is_opened(connection) {
                let context = connection.context.clone();
                all.push(of(
                    connection,
                    Kind::CallConnected,
                    context,
                    ResultInformation::ok(),
                ));
            }
            all.extend(self.outcomes(connection));
            if self.is_told_the_roster(connection) {
                all.push(of(connection, self.roster(), None, ResultInformation::ok()));
            }
            if self.after.standing(&connection.member) == Standing::Outside {
                self.close(connection, &mut all);
            }
        }
        all
    }

    /// The invitations whose outcome this change is.
    pub fn settled(&self) -> impl Iterator<Item = &Invitation> {
        self.invitations
            .iter()
            .filter(|invitation| self.outcome(invitation).is_some())
    }

    /// What the calls are told that transfers into this one lead out of.
    pub fn reports(&self) -> impl Iterator<Item = Report> {
        self.invitations.iter().filter_map(|invitation| {
            let Purpose::TransferOut { transferee, from } = &invitation.purpose else {
                return None;
            };
            let (kind, result) = self.outcome(invitation)?;
            Some(Report {
                from: from.clone(),
                transferee: transferee.clone(),
                by: invitation.connection.clone(),
                operation: invitation.operation.clone(),
                kind: kind?,
                result,
            })
        })
    }

    fn is_opened(&self, connection: &Connection) -> bool {
        match connection.role {
            Role::Created => {
                self.before.state == State::Ringing
                    && matches!(self.after.state, State::Connected { .. })
            }
            Role::Answered | Role::Connected => self
                .changes
                .contains(&Change::Joined(connection.member.clone())),
        }
    }

    fn is_told_the_roster(&self, connection: &Connection) -> bool {
        let over = matches!(self.after.state, State::Ended(_));
        // Who took the last one out is still told that it worked.
        let removed = matches!(self.cause, Cause::Removed(asked, _) if asked.by == connection.id);
        self.after.roster != self.before.roster
            && self.after.present().contains(&connection.member)
            && (!over || removed)
    }

    fn roster(&self) -> Kind {
        let participants = self.after.present().into_iter().map(|user| Participant {
            identifier: raw(&user),
            muted: self.after.muted.contains(&user),
        });
        Kind::ParticipantsUpdated {
            participants: participants.collect(),
            sequence: self.after.roster,
        }
    }

    /// What came of the operations that were asked for through this leg.
    fn outcomes(&self, connection: &Connection) -> Vec<Callback> {
        let own = self
            .invitations
            .iter()
            .filter(|one| one.connection == connection.id);
        let mut outcomes: Vec<_> = own
            .filter_map(|invitation| {
                let (kind, result) = self.outcome(invitation)?;
                Some(asked(connection, &invitation.operation, kind?, result))
            })
            .collect();
        let (by, operation, (kind, result)) = match self.cause {
            Cause::CancelledAdd(request, id) => {
                let known = self.settled().any(|invitation| invitation.id == *id);
                let id = id.as_str().to_owned();
                let told = if known {
                    Kind::CancelAddParticipantSucceeded(id)
                } else {
                    Kind::CancelAddParticipantFailed(id)
                };
                (&request.by, &request.operation, found(known, told))
            }
            Cause::Removed(request, user) => {
                let removed = !self.changes.is_empty();
                let told = if removed {
                    Kind::RemoveParticipantSucceeded(raw(user))
                } else {
                    Kind::RemoveParticipantFailed(raw(user))
                };
                (&request.by, &request.operation, found(removed, told))
            }
            Cause::MovedIn(request, user, from) => {
                let moved = self.changes.contains(&Change::Joined(user.clone()));
                let from = from.as_str().to_owned();
                let told = if moved {
                    Kind::MoveParticipantSucceeded(raw(user), from)
                } else {
                    Kind::MoveParticipantFailed(raw(user), from)
                };
                (&request.by, &request.operation, found(moved, told))
            }
            Cause::Transferred(report) => {
                let told = (report.kind.clone(), report.result.clone());
                (&report.by, &report.operation, told)
            }
            Cause::Member | Cause::HungUp(_) | Cause::Terminated(_) | Cause::MovedOut(_) => {
                return outcomes;
            }
        };
        if *by == connection.id {
            outcomes.push(asked(connection, operation, kind, result));
        }
        outcomes
    }

    /// What came of an invitation, if something did. One that was taken back says so with the event of taking it back.
    fn outcome(&self, invitation: &Invitation) -> Option<(Option<Kind>, ResultInformation)> {
        let who = raw(&invitation.participant);
        let joined = Change::Joined(invitation.target.clone());
        if self.changes.contains(&joined) {
            let kind = match &invitation.purpose {
                Purpose::Add => Kind::AddParticipantSucceeded(who),
                Purpose::Transfer(transferee) | Purpose::TransferOut { transferee, .. } => {
                    Kind::CallTransferAccepted {
                        target: who,
                        transferee: raw(transferee),
                    }
                }
            };
            return Some((Some(kind), ResultInformation::ok()));
        }
        let why = self.changes.iter().find_map(|change| match change {
            Change::Stopped { target, why, .. } if *target == invitation.target => Some(*why),
            _ => None,
        })?;
        let reason = match why {
            StopReason::Redirected | StopReason::AcceptedElsewhere => return None,
            StopReason::Declined(how) => how.into(),
            StopReason::Cancelled => EndReason::Cancelled,
            StopReason::TimedOut(reached) => EndReason::Unanswered(reached),
        };
        let taken_back = matches!(self.cause, Cause::CancelledAdd(_, id) if *id == invitation.id);
        let kind = match invitation.purpose {
            _ if taken_back => None,
            Purpose::Add => Some(Kind::AddParticipantFailed(who)),
            Purpose::Transfer(_) | Purpose::TransferOut { .. } => Some(Kind::CallTransferFailed),
        };
        Some((kind, unanswered(reason)))
    }

    fn close(&self, connection: &Connection, all: &mut Vec<Callback>) {
        let result = self.ending(connection);
        let never_connected = matches!(
            &self.after.state,
            State::Ended(ended) if ended.connected_since.is_none() && ended.reason != EndReason::Cancelled
        );
        if connection.role == Role::Created && never_connected {
            // "no operationContext in the recording".
            all.push(of(connection, Kind::CreateCallFailed, None, result.clone()));
        }
        let context = connection.context.clone();
        all.push(of(connection, Kind::CallDisconnected, context, result));
    }

    /// Why this leg is over.
    fn ending(&self, connection: &Connection) -> ResultInformation {
        if let State::Ended(ended) = &self.after.state
            && ended.connected_since.is_none()
        {
            return unanswered(ended.reason);
        }
        let (sub_code, sentence) = match self.cause {
            Cause::HungUp(by) | Cause::Terminated(by) if *by == connection.id => {
                (7000, BY_APPLICATION)
            }
            Cause::Terminated(_) => (5001, ENDED_FOR_ALL),
            Cause::Removed(_, user) | Cause::MovedOut(user) if *user == connection.member => {
                (5300, ENDED)
            }
            Cause::Transferred(report) if report.transferee == connection.member => {
                (7015, TRANSFERRED)
            }
            _ if self.is_transferred(connection) => (7015, TRANSFERRED),
            // The last one left.
            _ => (5002, ENDED),
        };
        ResultInformation::new(200, sub_code, sentence)
    }

    fn is_transferred(&self, connection: &Connection) -> bool {
        self.invitations.iter().any(|invitation| {
            invitation.connection == connection.id
                && matches!(invitation.purpose, Purpose::Transfer(_))
                && self
                    .changes
                    .contains(&Change::Joined(invitation.target.clone()))
        })
    }
}

fn of(
    connection: &Connection,
    kind: Kind,
    context: Option<String>,
    result: ResultInformation,
) -> Callback {
    Callback {
        connection: connection.id.clone(),
        kind,
        context,
        result,
        callback_uri: None,
    }
}

fn asked(
    connection: &Connection,
    operation: &Operation,
    kind: Kind,
    result: ResultInformation,
) -> Callback {
    Callback {
        callback_uri: operation.callback_uri.clone(),
        ..of(connection, kind, operation.context.clone(), result)
    }
}

fn raw(user: &UserId) -> Identifier {
    Identifier::user(user.as_str())
}

/// With what an event goes that says whether somebody or something was still there.
fn found(found: bool, kind: Kind) -> (Kind, ResultInformation) {
    let result = if found {
        ResultInformation::ok()
    } else {
        ResultInformation::new(404, 8522, "Not found.")
    };
    (kind, result)
}

/// How a call, or an invitation, that nobody took came out.
fn unanswered(reason: EndReason) -> ResultInformation {
    let (code, sub_code, phrase) = reason.codes();
    ResultInformation::new(code, sub_code, &format!("{phrase}."))
}

const BY_APPLICATION: &str =
    "Call was ended by Azure Communication Service Call Automation API or a server bot.";
const ENDED_FOR_ALL: &str = "This conversation has ended..";
const ENDED: &str = "The conversation has ended.";
const TRANSFERRED: &str = "The call was transferred.";

#[cfg(test)]
#[path = "callback/tests.rs"]
mod tests;
