//! Who is in an application's call: shown, added, taken out, muted, handed over, moved.

use ::wire::acs::identifier::Identifier;
use domain::call::{Call, Refusal, Shown, Standing, Verb};
use domain::callback::{Asked, Cause};
use domain::connection::{Connection, Invitation, Operation, Purpose};
use domain::id::InvitationId;
use domain::identity::UserId;
use serde_json::{Value, json};
use wire::acs::callautomation as wire;

use super::{Repeat, Reply, invalid, refused};
use crate::calling::step::{Act, Step, Stop};
use crate::control::Communication;
use crate::{App, Error, Result};

impl App {
    /// Everybody in the call.
    pub async fn call_participants(
        &self,
        communication: &Communication,
        id: &str,
    ) -> Result<Value> {
        let (_, call) = self.open_leg(communication, id).await?;
        Ok(wire::participants(&participants(&call)))
    }

    /// One of them.
    pub async fn call_participant(
        &self,
        communication: &Communication,
        id: &str,
        raw_id: &str,
    ) -> Result<Value> {
        let (_, call) = self.open_leg(communication, id).await?;
        let wanted = Identifier::from_raw_id(raw_id);
        let all = participants(&call);
        let found = all.iter().find(|one| one.identifier == wanted);
        found.map(wire::Participant::to_json).ok_or_else(|| {
            Error::not_found(
                "8522",
                format!("There is no participant '{raw_id}' in the call."),
            )
        })
    }

    /// Rings one more user. What comes of it is told by an event.
    pub async fn add_participant(
        &self,
        communication: &Communication,
        id: &str,
        request: wire::AddParticipant,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (connection, call) = self.established(communication, id).await?;
        let field = "participantToAdd";
        let target = self
            .callee(communication, &request.participant, field)
            .await?;
        let ring = self.settings.calls.ring_for(request.timeout_secs);
        let shown = Shown {
            display_name: request.display_name,
            custom: request.custom_context,
        };
        let operation = self.call_operation(request.operation)?;
        let invitation = self.invitation(&connection, Purpose::Add, &target, operation);
        let answer = json!({
            "participant": view(&call, &target).to_json(),
            "operationContext": invitation.operation.context,
            "invitationId": invitation.id,
        });
        let invite = self.invite(communication, &call, invitation, ring, shown);
        let step = Step {
            reply: Reply::Is(without_null(answer)),
            repeat,
            ..invite.await?
        };
        self.take_step(&call.id, &step).await
    }

    /// Takes an invitation back.
    pub async fn cancel_add(
        &self,
        communication: &Communication,
        id: &str,
        request: wire::CancelAdd,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (connection, call) = self.open_leg(communication, id).await?;
        let invitation = InvitationId::new(request.invitation_id);
        let asked = self.asked(&connection, request.operation)?;
        let answer = json!({
            "invitationId": invitation,
            "operationContext": asked.operation.context,
        });
        let step = Step {
            reply: Reply::Is(without_null(answer)),
            repeat,
            ..Step::by(
                Act::CancelInvitation(invitation.clone()),
                Cause::CancelledAdd(asked, invitation),
            )
        };
        self.take_step(&call.id, &step).await
    }

    /// Takes somebody out.
    pub async fn remove_participant(
        &self,
        communication: &Communication,
        id: &str,
        request: wire::RemoveParticipant,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (connection, call) = self.established(communication, id).await?;
        let target = UserId::new(request.participant.raw_id());
        let asked = self.asked(&connection, request.operation)?;
        let reply = Reply::Is(context_alone(&asked.operation));
        let remove = Verb::Remove {
            target: target.clone(),
        };
        let step = Step {
            reply,
            repeat,
            ..Step::by(Act::Verb(remove), Cause::Removed(asked, target))
        };
        self.take_step(&call.id, &step).await
    }

    /// Mutes somebody: noted and told, for there is no media here.
    pub async fn mute_participants(
        &self,
        communication: &Communication,
        id: &str,
        request: wire::Mute,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (_, call) = self.established(communication, id).await?;
        let targets: Vec<_> = request
            .participants
            .iter()
            .map(|who| UserId::new(who.raw_id()))
            .collect();
        let operation = self.call_operation(request.operation)?;
        let step = Step {
            reply: Reply::Is(context_alone(&operation)),
            repeat,
            ..Step::of(Verb::Mute { targets })
        };
        let changed = self.change(&call.id, &step).await;
        changed
            .map(|(_, answer)| answer)
            .map_err(|stop| match stop {
                Stop::Refused(Refusal::NotInCall) => invalid(
                    "targetParticipants",
                    "Not every one of them is in the call.",
                ),
                stop => refused(stop),
            })
    }

    /// A leg whose call is established.
    pub(super) async fn established(
        &self,
        communication: &Communication,
        id: &str,
    ) -> Result<(Connection, Call)> {
        let (connection, call) = self.open_leg(communication, id).await?;
        if call.standing(&connection.member) == Standing::Present {
            return Ok((connection, call));
        }
        Err(refused(Stop::Refused(Refusal::NotEstablished)))
    }

    pub(super) fn invitation(
        &self,
        connection: &Connection,
        purpose: Purpose,
        target: &UserId,
        operation: Operation,
    ) -> Invitation {
        Invitation {
            id: InvitationId::new(self.random.uuid().to_string()),
            connection: connection.id.clone(),
            purpose,
            participant: target.clone(),
            target: target.clone(),
            operation,
        }
    }

    pub(super) fn asked(
        &self,
        connection: &Connection,
        operation: wire::Operation,
    ) -> Result<Asked> {
        Ok(Asked {
            by: connection.id.clone(),
            operation: self.call_operation(operation)?,
        })
    }
}

fn participants(call: &Call) -> Vec<wire::Participant> {
    let present = call.present();
    present.iter().map(|user| view(call, user)).collect()
}

pub(super) fn view(call: &Call, user: &UserId) -> wire::Participant {
    wire::Participant {
        identifier: Identifier::user(user.as_str()),
        muted: call.muted.contains(user),
    }
}

pub(super) fn context_alone(operation: &Operation) -> Value {
    without_null(json!({ "operationContext": operation.context }))
}

/// Members that are not there are left out.
pub(super) fn without_null(mut answer: Value) -> Value {
    if let Value::Object(members) = &mut answer {
        members.retain(|_, value| !value.is_null());
    }
    answer
}
