//! An application's leg: what it shows, and how it ends.

use std::time::Duration;

use ::wire::acs::identifier::Identifier;
use domain::call::{Call, Leg, Round, Shown, Verb};
use domain::callback::Cause;
use domain::connection::{Connection, Invitation};
use domain::fanout::Reach;
use domain::id::ConnectionId;
use domain::identity::UserId;
use secrecy::ExposeSecret;
use serde_json::Value;
use wire::acs::callautomation as wire;

use super::{Repeat, call_not_found};
use crate::calling::step::{Act, Step};
use crate::control::Communication;
use crate::{App, Result};

impl App {
    /// An application's leg, as the call stands.
    pub async fn call_connection(&self, communication: &Communication, id: &str) -> Result<Value> {
        let (connection, call) = self.open_leg(communication, id).await?;
        Ok(self.connection_view(&connection, &call))
    }

    /// The application leaves. A call between two is over with that.
    pub async fn leave_call(&self, communication: &Communication, id: &str) -> Result<()> {
        let (connection, call) = self.open_leg(communication, id).await?;
        let leave = Verb::HangUp {
            by: connection.member,
            endpoint: None,
        };
        let step = Step::by(Act::Verb(leave), Cause::HungUp(connection.id));
        self.take_step(&call.id, &step).await.map(drop)
    }

    /// The application ends the call for all.
    pub async fn terminate_call(
        &self,
        communication: &Communication,
        id: &str,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let (connection, call) = self.open_leg(communication, id).await?;
        let end = Verb::End {
            by: connection.member,
        };
        let step = Step {
            repeat,
            ..Step::by(Act::Verb(end), Cause::Terminated(connection.id))
        };
        self.take_step(&call.id, &step).await
    }

    /// A leg of this resource, over or not.
    pub(super) async fn leg(&self, communication: &Communication, id: &str) -> Result<Connection> {
        let connection = self.store.connection(&ConnectionId::new(id)).await?;
        connection
            .filter(|one| one.communication == communication.key)
            .ok_or_else(call_not_found)
    }

    /// A leg of this resource that is not over, and its call.
    pub(super) async fn open_leg(
        &self,
        communication: &Communication,
        id: &str,
    ) -> Result<(Connection, Call)> {
        let connection = self.leg(communication, id).await?;
        if connection.closed_at.is_some() {
            return Err(call_not_found());
        }
        let read = self.store.call(&connection.call).await?;
        let call = read.ok_or_else(call_not_found)?.call;
        Ok((connection, call))
    }

    /// A leg for `target` that rings so long.
    pub(super) fn next_leg(&self, target: &UserId, ring: Duration, hops: u32, shown: Shown) -> Leg {
        let now = self.clock.now();
        Leg::ringing(target.clone(), self.ringing(now, now + ring, hops, shown))
    }

    /// The ringing of a leg, and how the user's devices are reached. It is over at once if nobody hears of it.
    pub(super) async fn next_round(
        &self,
        communication: &Communication,
        call: &Call,
        leg: Leg,
    ) -> Result<(Round, Vec<Reach>)> {
        let reaches = self.reach(&leg.target).await?;
        let heard = self.is_heard(communication, call, &leg, &reaches)?;
        let mut round = leg.round;
        if !heard {
            round.deadline = round.since;
        }
        Ok((round, reaches))
    }

    /// The step that rings whom an invitation is for, in a call that goes on.
    pub(super) async fn invite(
        &self,
        communication: &Communication,
        call: &Call,
        invitation: Invitation,
        ring: Duration,
        shown: Shown,
    ) -> Result<Step> {
        let target = invitation.target.clone();
        let leg = self.next_leg(&target, ring, 0, shown);
        let (round, reaches) = self.next_round(communication, call, leg).await?;
        Ok(Step {
            invitation: Some(invitation),
            ringing: Some(reaches),
            ..Step::of(Verb::Invite { target, round })
        })
    }

    pub(super) fn connection_view(&self, connection: &Connection, call: &Call) -> Value {
        let user = |user: &UserId| Identifier::user(user.as_str());
        wire::Connection {
            id: connection.id.as_str(),
            server_call_id: &self.server_call_id(call),
            correlation_id: call.id.as_str(),
            state: connection.state(call),
            callback_uri: connection.callback_uri.expose_secret(),
            source: user(&call.from),
            source_display_name: &call.display_name,
            targets: call.legs.iter().map(|leg| user(&leg.target)).collect(),
            answered_by: connection.answered_by.as_deref(),
        }
        .to_json()
    }
}
