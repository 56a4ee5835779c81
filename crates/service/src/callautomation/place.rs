//! Calls that an application places, or joins.

use ::wire::acs::calling::call_of_server_call_id;
use ::wire::acs::identifier::Identifier;
use domain::call::{Call, Leg, Refusal, Verb};
use domain::connection::{Connection, Invitation, Operation, Purpose, Role};
use domain::fanout::Reach;
use domain::id::{CallId, ConnectionId};
use domain::identity::UserId;
use serde_json::Value;
use store::Tx;
use wire::acs::callautomation as wire;

use super::{Repeat, Reply, busy, call_not_found, invalid, refused};
use crate::calling::place::Placing;
use crate::calling::step::{Step, Stop, Unwritten};
use crate::control::Communication;
use crate::{App, Error, Kind, Result};

/// A call that an application has placed.
pub(super) struct Outgoing {
    pub(super) call: Call,
    pub(super) begins: Begins,
}

/// What begins with a call.
pub(super) enum Begins {
    /// The application's leg.
    Leg(Connection),
    /// A transfer out of another call.
    Transfer(Invitation),
}

impl App {
    /// Places a call for an application. The answer is its leg.
    pub async fn create_call(
        &self,
        communication: &Communication,
        request: wire::CreateCall,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (call, connection) = self.called(communication, request).await?;
        let answer = self.connection_view(&connection, &call);
        let outgoing = Outgoing {
            call,
            begins: Begins::Leg(connection),
        };
        self.place(communication, outgoing, repeat, answer).await
    }

    /// Places a call with what begins with it. The answer, or that of the request which this one repeats.
    pub(super) async fn place(
        &self,
        communication: &Communication,
        outgoing: Outgoing,
        repeat: Option<Repeat>,
        answer: Value,
    ) -> Result<Value> {
        let reaches = self.reaches(&outgoing.call).await?;
        let call = self.give_up_early(communication, outgoing.call, &reaches)?;
        let mut tx = self.store.begin().await?;
        let placed = self
            .write_call(&mut tx, communication, &call, reaches)
            .await?;
        let begun = self.write_begins(&mut tx, &call, &outgoing.begins).await;
        let written = match begun {
            Ok(()) => {
                self.write_repeat(&mut tx, &communication.key, repeat.as_ref(), &answer)
                    .await
            }
            stopped => stopped,
        };
        match written {
            Ok(()) => tx.commit().await?,
            Err(Unwritten::Stop(stop)) => return Err(refused(stop)),
            Err(Unwritten::Outrun) => return Err(busy()),
            Err(Unwritten::Repeated) => {
                drop(tx);
                let answer = self.executed(communication, repeat.as_ref()).await?;
                return answer.ok_or_else(call_not_found);
            }
        }
        self.after_placing(&call, placed);
        Ok(answer)
    }

    async fn write_begins(
        &self,
        tx: &mut Tx,
        call: &Call,
        begins: &Begins,
    ) -> std::result::Result<(), Unwritten> {
        let invitation = match begins {
            Begins::Leg(connection) => return Ok(tx.insert_connection(connection).await?),
            Begins::Transfer(invitation) => invitation,
        };
        tx.insert_invitation(&call.id, invitation, call.created_at)
            .await?;
        if let Purpose::TransferOut { transferee, from } = &invitation.purpose {
            // Whoever leaves it at this moment waits for this, and finds the transfer.
            let read = tx.call(from).await?.ok_or(Stop::NoSuchCall)?;
            if !read.call.members().contains(transferee) {
                return Err(Stop::Refused(Refusal::NotInCall).into());
            }
        }
        Ok(())
    }

    /// Lets an application join a call that goes on, as somebody of its own.
    pub async fn connect_call(
        &self,
        communication: &Communication,
        request: wire::ConnectCall,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let call = CallId::new(self.located(&request.locator)?);
        let read = self.store.call(&call).await?;
        read.filter(|read| read.call.communication == communication.key)
            .ok_or_else(call_not_found)?;
        let member = UserId::of_resource(&communication.immutable_id, self.random.uuid());
        let by = member.clone();
        let connection = self.new_connection(
            communication,
            &call,
            member,
            Role::Connected,
            request.operation,
        )?;
        let step = Step {
            connection: Some(connection.clone()),
            reply: Reply::Connection(Box::new(connection)),
            repeat,
            ..Step::of(Verb::Join { by })
        };
        self.take_step(&call, &step).await
    }

    /// The id of the call that a locator names. A call is the group of its own id: `group.id` of its events.
    fn located(&self, locator: &wire::Locator) -> Result<String> {
        match locator {
            wire::Locator::ServerCall(id) => {
                call_of_server_call_id(&self.settings.base_url, id).ok_or_else(call_not_found)
            }
            wire::Locator::Group(id) => Ok(id.to_ascii_lowercase()),
            wire::Locator::Room(_) => {
                let message =
                    "There are no rooms here: name a call by its serverCallId or groupCallId.";
                Err(Error::new(Kind::MethodNotAllowed, "8520", message).at("callLocator"))
            }
        }
    }

    /// The application's leg for `member`.
    pub(super) fn new_connection(
        &self,
        communication: &Communication,
        call: &CallId,
        member: UserId,
        role: Role,
        operation: wire::Operation,
    ) -> Result<Connection> {
        let callback_uri = operation.callback_uri.unwrap_or_default();
        self.check_callback("callbackUri", &callback_uri)?;
        Ok(Connection {
            id: ConnectionId::new(self.random.uuid().to_string()),
            call: call.clone(),
            communication: communication.key.clone(),
            member,
            role,
            answered_by: None,
            context: operation.context,
            callback_uri: callback_uri.into(),
            created_at: self.clock.now(),
            closed_at: None,
        })
    }

    /// What the events of one operation carry, and where they go.
    pub(super) fn call_operation(&self, operation: wire::Operation) -> Result<Operation> {
        if let Some(uri) = &operation.callback_uri {
            self.check_callback("operationCallbackUri", uri)?;
        }
        Ok(Operation {
            context: operation.context,
            callback_uri: operation.callback_uri.map(Into::into),
        })
    }

    fn check_callback(&self, field: &str, uri: &str) -> Result<()> {
        self.webhooks.target(uri).map(drop).map_err(|error| {
            let mut name = field.to_owned();
            name[..1].make_ascii_uppercase();
            invalid(field, format!("The field {name} is invalid: {error}."))
        })
    }

    /// Somebody who can be called: a user of this resource.
    pub(super) async fn callee(
        &self,
        communication: &Communication,
        who: &Identifier,
        field: &str,
    ) -> Result<UserId> {
        let raw = who.raw_id();
        let Identifier::CommunicationUser { .. } = who else {
            let message = format!(
                "'{raw}' cannot be called: only communication users are, there is no telephone network here."
            );
            return Err(invalid(field, message));
        };
        if let Some(user) = UserId::parse(&raw)
            && self.is_user_of(&user, &communication.key).await?
        {
            return Ok(user);
        }
        Err(invalid(
            field,
            format!("This resource has no user '{raw}'."),
        ))
    }

    /// As whom an application speaks: a user of its own resource.
    pub(super) async fn own_identity(
        &self,
        communication: &Communication,
        raw: &str,
        field: &str,
    ) -> Result<UserId> {
        if let Some(user) = UserId::parse(raw)
            && self.is_user_of(&user, &communication.key).await?
        {
            return Ok(user);
        }
        let message = format!("The source identity '{raw}' is not of this resource.");
        Err(Error::new(Kind::Forbidden, "7507", message).at(field))
    }

    async fn called(
        &self,
        communication: &Communication,
        request: wire::CreateCall,
    ) -> Result<(Call, Connection)> {
        let from = match &request.source {
            Some(source) => self.own_identity(communication, source, "source").await?,
            // The application itself, which nobody can call back.
            None => UserId::of_resource(&communication.immutable_id, self.random.uuid()),
        };
        let mut targets = Vec::with_capacity(request.targets.len());
        for (index, target) in request.targets.iter().enumerate() {
            let field = format!("targets[{index}]");
            let user = self.callee(communication, target, &field).await?;
            if user == from {
                return Err(invalid(&field, "The source cannot be called by itself."));
            }
            targets.push(user);
        }
        let placing = Placing {
            from: from.clone(),
            targets,
            display_name: request.display_name,
            video: false,
            signal: None,
            custom: wire::CustomContext::default(),
            ring: self.settings.calls.ring,
        };
        let call = self.new_call(communication, placing);
        let connection = self.new_connection(
            communication,
            &call.id,
            from,
            Role::Created,
            request.operation,
        )?;
        Ok((call, connection))
    }

    /// Ends the ringing at once of whoever has nothing that could ring, unless an application hears of the call:
    /// "fail with 480/10037 instead of ringing into the void".
    fn give_up_early(
        &self,
        communication: &Communication,
        mut call: Call,
        reaches: &[Vec<Reach>],
    ) -> Result<Call> {
        for (place, reaches) in reaches.iter().enumerate() {
            let leg = &call.legs[place];
            if !self.is_heard(communication, &call, leg, reaches)? {
                call.legs[place].round.deadline = call.created_at;
            }
        }
        Ok(call)
    }

    /// Whether anybody hears of a ringing: a device, or an application whose subscription wants its `IncomingCall`.
    pub(super) fn is_heard(
        &self,
        communication: &Communication,
        call: &Call,
        leg: &Leg,
        reaches: &[Reach],
    ) -> Result<bool> {
        if self.rings_any(communication, reaches) {
            return Ok(true);
        }
        let now = self.clock.now();
        let event = self.incoming_call(call, communication, leg, now)?;
        Ok(self.is_wanted(&communication.key, &event))
    }
}
