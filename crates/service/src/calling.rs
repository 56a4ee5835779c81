//! Calls from clients: place, accept, reject, hang up, and who is rung how.
//!
//! Placing a call is one transaction: the call, its events, the pushes to be sent, and how each device is rung. Each
//! verb is another ([`change`]): what the state machine changed ([`domain::call`]), its events, the callbacks of
//! applications, and the pushes that ring and stop. Pushes leave after the commit.

pub(crate) mod change;
mod config;
mod deadline;
mod deliveries;
pub(crate) mod events;
pub(crate) mod place;
pub(crate) mod ring;
pub(crate) mod step;
mod sweep;

use domain::call::{Call, Refusal, Verb};
use domain::id::CallId;
use domain::identity::{TokenUser, UserId};
use wire::acs::calling::Signal;
use wire::acs::identifier::Identifier;

pub use config::CallsConfig;
pub use deliveries::{RingDelivery, RingState};

use self::step::{Step, Stop};
use crate::{App, Error, Kind, Result};

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
        let changed = self.change(&id, &Step::of(verb)).await;
        changed.map(|(call, _)| call).map_err(|stop| match stop {
            Stop::Refused(refusal) => refused(&id, refusal),
            Stop::NoSuchCall => no_such_call(id.as_str()),
            Stop::Failed(error) => error,
        })
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
        Refusal::NotEstablished => (Kind::Conflict, "CallNotEstablished"),
        Refusal::AlreadyIn => (Kind::Conflict, "AlreadyInCall"),
        Refusal::TooManyRedirects => (Kind::Conflict, "TooManyRedirects"),
        Refusal::Full => (Kind::Conflict, "CallFull"),
    };
    let sentence = refusal.to_string();
    let (first, rest) = sentence.split_at(1);
    Error::new(kind, code, format!("{}{rest}.", first.to_uppercase()))
}
