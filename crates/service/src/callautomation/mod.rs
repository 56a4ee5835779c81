//! Call Automation: how a server application takes part in calls.
//!
//! An application's leg ([`domain::connection`]) speaks for one member of a call: for the caller of a call it placed
//! ([`place`]), for a called user it answered for ([`incoming`]), or for nobody else when it joined one
//! ([`place`], `connect`). What it does to the call is in [`leg`], [`participants`], [`transfer`] and [`moving`]; all of it are steps of the same
//! state machine that devices use ([`crate::calling`]). What it is told is in [`callback`].
//!
//! The answers are JSON here, because a repeated request gets the stored answer again ([`repeat`]).

mod callback;
mod incoming;
mod leg;
mod moving;
mod participants;
mod place;
mod repeat;
mod transfer;
mod trust;

use domain::call::Refusal;
use domain::id::CallId;
use serde_json::Value;

pub use repeat::Repeat;
pub(crate) use repeat::{KEPT, Reply};
pub(crate) use trust::CallbackKey;

use crate::calling::step::{Step, Stop};
use crate::{App, Error, Kind, Result};

impl App {
    /// Does a step of an application; its answer.
    async fn take_step(&self, call: &CallId, step: &Step) -> Result<Value> {
        let changed = self.change(call, step).await;
        changed.map(|(_, answer)| answer).map_err(refused)
    }
}

fn call_not_found() -> Error {
    Error::not_found("8522", "Call not found.")
}

fn busy() -> Error {
    let message = "Others keep changing this call. Try again.";
    Error::new(Kind::Conflict, "8519", message)
}

fn invalid(field: &str, message: impl Into<String>) -> Error {
    Error::invalid("8523", message).at(field)
}

/// Why a step was not done, in the numbers of Call Automation.
fn refused(stop: Stop) -> Error {
    let refusal = match stop {
        Stop::Failed(error) => return error,
        Stop::NoSuchCall => return call_not_found(),
        Stop::Refused(refusal) => refusal,
    };
    match refusal {
        Refusal::AcceptedElsewhere => Error::new(
            Kind::Conflict,
            "8519",
            "The call was accepted by somebody else.",
        ),
        Refusal::NotEstablished => Error::invalid("8501", "Call not established."),
        Refusal::TooManyRedirects => Error::invalid("8521", "The call was redirected too often."),
        Refusal::AlreadyIn => Error::new(
            Kind::Conflict,
            "8519",
            "The participant is in the call already, or rings.",
        ),
        Refusal::Full => Error::new(
            Kind::Conflict,
            "8519",
            "The call has as many participants as it can have.",
        ),
        Refusal::NotInCall | Refusal::NotCalled | Refusal::NotRinging | Refusal::Ended => {
            call_not_found()
        }
    }
}
