//! Repeated requests: executed once, answered alike each time.
//!
//! A client repeats a request whose answer it did not get, with the same `Repeatability-Request-ID`. The answer is
//! written in the transaction of what the request did, so there is never one without the other.

use std::time::Duration;

use domain::call::Call;
use domain::connection::Connection;
use serde_json::Value;

use crate::{App, Error, Kind, Result};

/// How long answers are kept.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How often old ones are forgotten.
const ROUND: Duration = Duration::from_secs(3_600);

/// A request that may be repeated.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// `Repeatability-Request-ID`.
    pub id: String,
    /// Method and path.
    pub operation: String,
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
    pub(crate) async fn repeated(
        &self,
        communication: &str,
        repeat: Option<&Repeat>,
    ) -> Result<Option<Value>> {
        let Some(repeat) = repeat else {
            return Ok(None);
        };
        let Some(executed) = self.store.executed(communication, &repeat.id).await? else {
            return Ok(None);
        };
        if executed.operation == repeat.operation {
            return Ok(Some(executed.answer));
        }
        let message = "The Repeatability-Request-ID belongs to another request.";
        Err(Error::new(Kind::PreconditionFailed, "8583", message).at("Repeatability-Request-ID"))
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

/// Forgets old answers, until the server stops.
pub(crate) async fn sweep(app: App) {
    loop {
        let pause = app.clock.sleep(ROUND);
        if app.stopping.run_until_cancelled(pause).await.is_none() {
            return;
        }
        if let Err(error) = forget(&app).await {
            tracing::warn!(%error, "old answers to repeatable requests could not be forgotten");
        }
    }
}

async fn forget(app: &App) -> Result<()> {
    let mut tx = app.store.begin().await?;
    tx.sweep_executed(app.clock.now() - KEPT).await?;
    tx.commit().await?;
    Ok(())
}
