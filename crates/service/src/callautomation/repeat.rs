//! Repeated requests: executed once, answered alike each time.
//!
//! A client repeats a request whose answer it did not get, with the same `Repeatability-Request-ID`. The answer is
//! written in the transaction of what the request did, so there is never one without the other.

use std::time::Duration;

use domain::call::Call;
use domain::connection::Connection;
use domain::time::Timestamp;
use serde_json::Value;

use crate::control::Communication;
use crate::{App, Error, Kind, Result};

/// How long answers are kept.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// A request that may be repeated.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// `Repeatability-Request-ID`.
    pub id: String,
    /// Method and path.
    pub operation: String,
    /// `Repeatability-First-Sent`.
    pub first_sent: Option<Timestamp>,
}

/// What a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Nothing.
    Nothing,
    /// This.
    Is(Value),
    /// The application's leg, as the call stands then.
    Connection(Box<Connection>),
}

impl App {
    /// What this request was answered when it was executed, if it was.
    pub async fn executed(
        &self,
        communication: &Communication,
        repeat: Option<&Repeat>,
    ) -> Result<Option<Value>> {
        match repeat {
            Some(repeat) => self.executed_at(&communication.key, repeat).await,
            None => Ok(None),
        }
    }

    /// The same, of a communication resource by its key.
    pub(crate) async fn executed_at(&self, key: &str, repeat: &Repeat) -> Result<Option<Value>> {
        let refused = |message: &str, header: &str| {
            Error::new(Kind::PreconditionFailed, "8583", message).at(header)
        };
        if let Some(executed) = self.store.executed(key, &repeat.id).await? {
            if executed.operation == repeat.operation {
                return Ok(Some(executed.answer));
            }
            let message = "The Repeatability-Request-ID belongs to another request.";
            return Err(refused(message, "Repeatability-Request-ID"));
        }
        let forgotten = self.clock.now() - KEPT;
        if repeat.first_sent.is_some_and(|at| at < forgotten) {
            let message = "It was first sent more than a day ago: whether it was executed is not known any more.";
            return Err(refused(message, "Repeatability-First-Sent"));
        }
        Ok(None)
    }

    /// The answer.
    pub(crate) fn reply(&self, reply: &Reply, call: &Call) -> Value {
        match reply {
            Reply::Nothing => Value::Null,
            Reply::Is(answer) => answer.clone(),
            Reply::Connection(connection) => self.connection_view(connection, call),
        }
    }
}
