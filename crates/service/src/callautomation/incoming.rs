//! Calls that ring, and what an application that heard of one can do: answer, reject, redirect.

use ::wire::acs::incoming_context::IncomingContext;
use domain::call::{Call, Decline, Refusal, Verb};
use domain::callback::Cause;
use domain::connection::Role;
use domain::id::{CallId, RoundId};
use domain::identity::UserId;
use serde_json::Value;
use wire::acs::callautomation as wire;

use super::{Repeat, Reply, call_not_found, invalid, refused};
use crate::calling::step::{Act, Step, Stop};
use crate::control::Communication;
use crate::{App, Result};

/// The ringing that a context is good for.
struct Incoming {
    call: CallId,
    target: UserId,
    round: RoundId,
}

impl App {
    /// Takes a ringing call for its called user. The answer is the application's leg.
    pub async fn answer_call(
        &self,
        communication: &Communication,
        request: wire::AnswerCall,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let incoming = self.incoming(communication, &request.incoming_call_context)?;
        if let Some(id) = &request.answered_by {
            self.own_identity(communication, id, "answeredBy").await?;
        }
        let by = incoming.target.clone();
        let mut connection = self.new_connection(
            communication,
            &incoming.call,
            by.clone(),
            Role::Answered,
            request.operation,
        )?;
        connection.answered_by = request.answered_by;
        let accept = Verb::Accept {
            by,
            endpoint: None,
            signal: None,
        };
        let step = Step {
            guard: Some((incoming.target, incoming.round)),
            connection: Some(connection.clone()),
            reply: Reply::Connection(Box::new(connection)),
            repeat,
            ..Step::of(accept)
        };
        self.take_step(&incoming.call, &step).await
    }

    /// Declines a ringing call for its called user, on all devices.
    pub async fn reject_call(
        &self,
        communication: &Communication,
        request: wire::RejectCall,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let incoming = self.incoming(communication, &request.incoming_call_context)?;
        let reject = Verb::Reject {
            by: incoming.target.clone(),
            endpoint: None,
            how: match request.reason {
                wire::RejectReason::None => Decline::Plain,
                wire::RejectReason::Busy => Decline::Busy,
                wire::RejectReason::Forbidden => Decline::Forbidden,
            },
        };
        // Declining again what was declined is no error of the state machine, but the context is used up.
        self.still_ringing(&incoming).await?;
        let step = Step {
            guard: Some((incoming.target, incoming.round)),
            repeat,
            ..Step::of(reject)
        };
        self.take_step(&incoming.call, &step).await
    }

    /// Lets a ringing call ring for somebody else instead, with a context of its own.
    pub async fn redirect_call(
        &self,
        communication: &Communication,
        request: wire::RedirectCall,
        repeat: Option<Repeat>,
    ) -> Result<Value> {
        let incoming = self.incoming(communication, &request.incoming_call_context)?;
        let call = self.still_ringing(&incoming).await?;
        let leg = call.leg(&incoming.target).ok_or_else(call_not_found)?;
        let hops = leg.round.hops.saturating_add(1);
        if hops > self.settings.calls.redirects {
            return Err(refused(Stop::Refused(Refusal::TooManyRedirects)));
        }
        let to = self
            .callee(communication, &request.target, "target")
            .await?;
        let ring = self.settings.calls.ring;
        let next = self.next_leg(&to, ring, hops, leg.round.shown.clone());
        let (round, reaches) = self.next_round(communication, &call, next).await?;
        let redirect = Verb::Redirect {
            from: incoming.target.clone(),
            to,
            round,
        };
        let step = Step {
            guard: Some((incoming.target, incoming.round)),
            ringing: Some(reaches),
            repeat,
            ..Step::by(Act::Verb(redirect), Cause::Member)
        };
        self.take_step(&incoming.call, &step).await
    }

    /// What a context says, if it was signed here for this resource and its time has not passed.
    fn incoming(&self, communication: &Communication, context: &str) -> Result<Incoming> {
        let key = self.token_secret.context_key();
        let read = IncomingContext::verify(context, key.as_ref());
        let read = read
            .ok()
            .filter(|read| read.resource == communication.immutable_id);
        let context = read.ok_or_else(|| {
            let message = "The incomingCallContext is not one of this resource's calls.";
            invalid("incomingCallContext", message)
        })?;
        if self.clock.now().secs() > context.expires_at {
            return Err(call_not_found());
        }
        Ok(Incoming {
            call: CallId::new(context.call_id),
            target: UserId::new(context.recipient),
            round: RoundId::new(context.invitation),
        })
    }

    async fn still_ringing(&self, incoming: &Incoming) -> Result<Call> {
        let read = self.store.call(&incoming.call).await?;
        let call = read.map(|read| read.call).filter(|call| {
            let leg = call.leg(&incoming.target);
            leg.is_some_and(|leg| leg.rings() && leg.round.id == incoming.round)
        });
        call.ok_or_else(call_not_found)
    }
}
