//! Who is in an application's call: shown, added, taken out, muted, handed over, moved.

use ::wire::acs::identifier::Identifier;
use domain::call::{Call, Refusal, Standing, Verb};
use domain::callback::{Asked, Cause};
use domain::connection::{Connection, Invitation, Operation, Purpose};
use domain::id::{ConnectionId, InvitationId};
use domain::identity::UserId;
use serde_json::{Value, json};
use wire::acs::callautomation as wire;

use super::place::{Begins, Outgoing};
use super::{Repeat, Reply, busy, call_not_found, invalid, refused};
use crate::calling::change::{Act, Step, Stop, Unwritten};
use crate::calling::events::Shown;
use crate::calling::place::Placing;
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
        let (round, reaches) = self
            .next_round(
                communication,
                &call,
                self.next_leg(&target, ring, 0),
                &shown,
            )
            .await?;
        let step = Step {
            invitation: Some(invitation),
            ringing: Some((reaches, shown)),
            reply: Reply::Is(without_null(answer)),
            repeat,
            ..Step::of(Verb::Invite { target, round })
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

    /// Rings somebody whom a participant shall talk to instead. In a call of two that is in the same call, and the
    /// application leaves it once that one has answered; "transferring a participant in a group call removes the
    /// endpoint being transferred from the call".
    pub async fn transfer_call(
        &self,
        communication: &Communication,
        id: &str,
        request: wire::Transfer,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (connection, call) = self.established(communication, id).await?;
        let (transferee, others) = transferee(&call, &connection, request.transferee.as_ref())?;
        let field = "targetParticipant";
        let target = self.callee(communication, &request.target, field).await?;
        let shown = Shown {
            display_name: None,
            custom: request.custom_context,
        };
        let operation = self.call_operation(request.operation)?;
        let answer = context_alone(&operation);
        let ring = self.settings.calls.ring;
        if others > 1 {
            if target == transferee {
                return Err(invalid(
                    field,
                    "The transferee cannot be transferred to itself.",
                ));
            }
            let placing = Placing {
                from: transferee.clone(),
                targets: vec![target.clone()],
                display_name: call.name_of(&transferee).to_owned(),
                video: false,
                signal: None,
                ring,
            };
            let purpose = Purpose::TransferOut {
                transferee,
                from: call.id,
            };
            let outgoing = Outgoing {
                call: self.new_call(communication, placing),
                shown,
                begins: Begins::Transfer(self.invitation(&connection, purpose, &target, operation)),
            };
            return self.place(communication, outgoing, repeat, answer).await;
        }
        let purpose = Purpose::Transfer(transferee);
        let invitation = self.invitation(&connection, purpose, &target, operation);
        let (round, reaches) = self
            .next_round(
                communication,
                &call,
                self.next_leg(&target, ring, 0),
                &shown,
            )
            .await?;
        let step = Step {
            reply: Reply::Is(answer),
            invitation: Some(invitation),
            ringing: Some((reaches, shown)),
            repeat,
            ..Step::of(Verb::Invite { target, round })
        };
        self.take_step(&call.id, &step).await
    }

    /// Takes participants over from another call of the application's, in one transaction.
    pub async fn move_participants(
        &self,
        communication: &Communication,
        id: &str,
        request: wire::Move,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (connection, call) = self.established(communication, id).await?;
        let (from, there) = self.open_leg(communication, &request.from_call).await?;
        if there.id == call.id {
            return Err(invalid("fromCall", "It is the same call."));
        }
        let asked = self.asked(&connection, request.operation)?;
        let users: Vec<UserId> = request
            .participants
            .iter()
            .map(|who| UserId::new(who.raw_id()))
            .collect();
        let shown = users.iter().map(|user| view(&call, user).to_json());
        let answer = without_null(json!({
            "participants": shown.collect::<Vec<_>>(),
            "operationContext": asked.operation.context,
            "fromCall": from.id,
        }));
        for _ in 0..ATTEMPTS {
            let moving = Moving {
                here: &call,
                there: &there,
                from: &from.id,
                asked: &asked,
                users: &users,
                answer: &answer,
                repeat: repeat.as_ref(),
            };
            match self.try_move(&moving).await {
                Ok(()) => return Ok(answer),
                Err(Unwritten::Outrun) => {}
                Err(Unwritten::Repeated) => {
                    let answer = self.executed(communication, repeat.as_ref()).await?;
                    return answer.ok_or_else(call_not_found);
                }
                Err(Unwritten::Stop(stop)) => return Err(refused(stop)),
            }
        }
        Err(busy())
    }

    async fn try_move(&self, moving: &Moving<'_>) -> std::result::Result<(), Unwritten> {
        let (here, there) = (&moving.here.id, &moving.there.id);
        let (missed_here, missed_there) = (self.missed(here).await?, self.missed(there).await?);
        let mut tx = self.store.begin().await?;
        // Always in the same order: two moves to and fro do not wait for each other.
        for id in if here < there {
            [here, there]
        } else {
            [there, here]
        } {
            tx.call(id).await?.ok_or(Stop::NoSuchCall)?;
        }
        let mut all = Vec::new();
        for user in moving.users {
            let read = tx.call(there).await?.ok_or(Stop::NoSuchCall)?;
            let present = read.call.standing(user) == Standing::Present;
            let cause = Cause::MovedIn(moving.asked.clone(), user.clone(), moving.from.clone());
            let mut join = Step::by(Act::Nothing, cause);
            if present {
                join.act = Act::Verb(Verb::Join { by: user.clone() });
            }
            let joined = self.write_step(&mut tx, here, &join, &missed_here).await?;
            if joined.is_change() {
                let remove = Verb::Remove {
                    target: user.clone(),
                };
                let leave = Step::by(Act::Verb(remove), Cause::MovedOut(user.clone()));
                all.push(
                    self.write_step(&mut tx, there, &leave, &missed_there)
                        .await?,
                );
            }
            all.push(joined);
        }
        let communication = &moving.here.communication;
        self.write_repeat(&mut tx, communication, moving.repeat, moving.answer)
            .await?;
        tx.commit().await?;
        for written in all {
            self.after_change(written);
        }
        Ok(())
    }

    /// A leg whose call is established.
    async fn established(
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

    fn invitation(
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

    fn asked(&self, connection: &Connection, operation: wire::Operation) -> Result<Asked> {
        Ok(Asked {
            by: connection.id.clone(),
            operation: self.call_operation(operation)?,
        })
    }
}

/// How often a move is tried again that somebody else was faster at.
const ATTEMPTS: usize = 16;

/// Who is moved from where to where.
struct Moving<'a> {
    here: &'a Call,
    there: &'a Call,
    from: &'a ConnectionId,
    asked: &'a Asked,
    users: &'a [UserId],
    answer: &'a Value,
    repeat: Option<&'a Repeat>,
}

/// Who is handed over: who is named, or the other one of two; and how many others than the application there are.
fn transferee(
    call: &Call,
    connection: &Connection,
    named: Option<&Identifier>,
) -> Result<(UserId, usize)> {
    let field = "transferee";
    let mut others = call.present();
    others.retain(|user| *user != connection.member);
    let transferee = match (named, others.as_slice()) {
        (Some(named), _) => {
            let named = named.raw_id();
            let found = others.iter().find(|user| user.as_str() == named);
            found.ok_or_else(|| {
                invalid(
                    field,
                    "The transferee is not in the call, or is the application itself.",
                )
            })?
        }
        (None, [other]) => other,
        (None, []) => {
            return Err(invalid(
                field,
                "There is nobody in the call to be transferred.",
            ));
        }
        (None, _) => {
            let message = "There are several in the call: name the one who is transferred.";
            return Err(invalid(field, message));
        }
    };
    Ok((transferee.clone(), others.len()))
}

fn participants(call: &Call) -> Vec<wire::Participant> {
    let present = call.present();
    present.iter().map(|user| view(call, user)).collect()
}

fn view(call: &Call, user: &UserId) -> wire::Participant {
    wire::Participant {
        identifier: Identifier::user(user.as_str()),
        muted: call.muted.contains(user),
    }
}

fn context_alone(operation: &Operation) -> Value {
    without_null(json!({ "operationContext": operation.context }))
}

/// Members that are not there are left out.
fn without_null(mut answer: Value) -> Value {
    if let Value::Object(members) = &mut answer {
        members.retain(|_, value| !value.is_null());
    }
    answer
}
