//! Transfers: a participant shall talk to somebody else.

use ::wire::acs::identifier::Identifier;
use domain::call::{Call, Shown};
use domain::connection::{Connection, Purpose};
use domain::identity::UserId;
use serde_json::Value;
use wire::acs::callautomation as wire;

use super::participants::context_alone;
use super::place::{Begins, Outgoing};
use super::{Repeat, Reply, invalid};
use crate::calling::place::Placing;
use crate::calling::step::Step;
use crate::control::Communication;
use crate::{App, Result};

impl App {
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
                custom: request.custom_context,
                ring,
            };
            let purpose = Purpose::TransferOut {
                transferee,
                from: call.id,
            };
            let outgoing = Outgoing {
                call: self.new_call(communication, placing),
                begins: Begins::Transfer(self.invitation(&connection, purpose, &target, operation)),
            };
            return self.place(communication, outgoing, repeat, answer).await;
        }
        let shown = Shown {
            display_name: None,
            custom: request.custom_context,
        };
        let purpose = Purpose::Transfer(transferee);
        let invitation = self.invitation(&connection, purpose, &target, operation);
        let invite = self.invite(communication, &call, invitation, ring, shown);
        let step = Step {
            reply: Reply::Is(answer),
            repeat,
            ..invite.await?
        };
        self.take_step(&call.id, &step).await
    }
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
