//! Calls from clients: place, accept, reject, hang up, and who is rung how.
//!
//! Placing a call is one transaction: the call, its events, the pushes to be sent, and how each device is rung. Each
//! verb is another: what the state machine changed ([`domain::call`]), its events, and the pushes that stop the
//! ringing. Pushes leave after the commit.

mod deadline;
mod deliveries;
mod events;
mod place;
mod ring;

use domain::call::{Call, Change, Refusal, Verb};
use domain::id::CallId;
use domain::identity::{TokenUser, UserId};
use domain::notification::Notification;
use wire::acs::calling::Signal;
use wire::acs::identifier::Identifier;

pub use deliveries::{RingDelivery, RingState};

use crate::{App, Error, Kind, Result};

/// How often a change is tried again that somebody else was faster at.
const ATTEMPTS: usize = 16;

impl App {
    /// The call with this id, for somebody who is in it.
    pub async fn call(&self, user: &TokenUser, id: &str) -> Result<Call> {
        let read = self.store.call(&CallId::new(id)).await?;
        read.map(|read| read.call)
            .filter(|call| call.involves(&user.id))
            .ok_or_else(|| no_such_call(id))
    }

    /// Does `verb` to a call, and tells whom it concerns.
    pub async fn change_call(&self, id: &str, verb: Verb) -> Result<Call> {
        let id = CallId::new(id);
        for _ in 0..ATTEMPTS {
            if let Some(call) = self.try_change(&id, verb.clone()).await? {
                return Ok(call);
            }
        }
        let message = "Others keep changing this call. Try again.";
        Err(Error::new(Kind::Conflict, "CallBusy", message))
    }

    /// Carries a signal to the others of a call over their live connections.
    pub async fn signal_call(&self, user: &TokenUser, id: &str, signal: &Signal) -> Result<()> {
        let call = self.call(user, id).await?;
        let Some(to) = &signal.to else { return Ok(()) };
        let known = matches!(to, Identifier::CommunicationUser { id } if call.involves(&UserId::new(id.as_str())));
        if known {
            return Ok(());
        }
        let message = "'to' is not in this call.";
        Err(Error::invalid("ParticipantNotFound", message).at("to"))
    }

    /// One try; nothing if somebody else changed the call in between.
    async fn try_change(&self, id: &CallId, verb: Verb) -> Result<Option<Call>> {
        let now = self.clock.now();
        // Before the transaction: inside it, this would need a second connection.
        let missed = self.missed(id).await?;
        let mut tx = self.store.begin().await?;
        let Some(mut read) = tx.call(id).await? else {
            return Err(no_such_call(id.as_str()));
        };
        let changes = read.call.apply(verb, now).map_err(|why| refused(id, why))?;
        if changes.is_empty() {
            return Ok(Some(read.call));
        }
        let stops = self
            .stops(&mut tx, &read.call, &changes, &missed, now)
            .await?;
        if !tx.update_call(&read).await? {
            return Ok(None);
        }
        let call = read.call;
        let events = self.events_of(&call, &changes, now);
        let source = self.communication(&call.communication);
        let source = source.map(|resource| resource.key.clone());
        let routed = self
            .record_events(&mut tx, &source.unwrap_or_default(), events)
            .await?;
        tx.insert_notifications(&self.settings.node, &stops.notifications)
            .await?;
        tx.insert_rings(&call.id, &stops.rings).await?;
        tx.commit().await?;
        self.deliver_events(routed);
        self.after_change(&call, &changes, stops.notifications);
        Ok(Some(call))
    }

    fn after_change(&self, call: &Call, changes: &[Change], stops: Vec<Notification>) {
        for change in changes {
            if let Change::Stopped { target, .. } = change
                && !call.rings_for(target)
            {
                self.cancel_rings(&call.id, target);
            }
        }
        self.deliver(stops);
    }
}

fn no_such_call(id: &str) -> Error {
    let message = format!("You are in no call '{id}'.");
    Error::not_found("CallNotFound", message)
}

fn refused(id: &CallId, refusal: Refusal) -> Error {
    let (kind, code) = match refusal {
        // Who is not in a call does not learn that there is one.
        Refusal::NotInCall => return no_such_call(id.as_str()),
        Refusal::NotCalled => (Kind::Forbidden, "NotCalled"),
        Refusal::AcceptedElsewhere => (Kind::Conflict, "CallAcceptedElsewhere"),
        Refusal::NotRinging => (Kind::Conflict, "CallNotRinging"),
        Refusal::Ended => (Kind::Conflict, "CallEnded"),
    };
    let sentence = refusal.to_string();
    let (first, rest) = sentence.split_at(1);
    Error::new(kind, code, format!("{}{rest}.", first.to_uppercase()))
}
