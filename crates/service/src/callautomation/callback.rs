//! What an application's leg is told, as an event to be delivered.

use std::sync::Arc;

use ::wire::acs::callautomation as wire;
use ::wire::event::InputSchema;
use domain::call::Call;
use domain::callback::Callback;
use domain::connection::{Address, Connection};
use domain::event::{Attempt, Delivery, Event};
use domain::id::ConnectionId;
use domain::time::Timestamp;
use store::Tx;

use crate::control::Communication;
use crate::events::{Routed, source_id};
use crate::{App, Error, Result};

impl App {
    /// The callbacks of an application's leg so far, in their order, and what became of each. A leg that is over is
    /// still known.
    pub async fn callbacks(
        &self,
        communication: &Communication,
        id: &str,
    ) -> Result<Vec<(Event, Delivery)>> {
        let connection = self.leg(communication, id).await?;
        let source = source_id(&place(&connection.id));
        Ok(self.store.deliveries_of(&source, MOST).await?)
    }

    /// The attempts at a callback that were logged: all but one that succeeded at once.
    pub async fn callback_attempts(
        &self,
        communication: &Communication,
        id: &str,
        event: &str,
    ) -> Result<Vec<Attempt>> {
        let callbacks = self.callbacks(communication, id).await?;
        let found = callbacks.iter().find(|(one, _)| one.id.as_str() == event);
        let (event, delivery) = found.ok_or_else(|| {
            Error::not_found("8522", format!("This leg has no callback '{event}'."))
        })?;
        let attempts = self.store.event_attempts(&event.id, &delivery.destination);
        Ok(attempts.await?)
    }

    /// Writes callbacks of these legs, each for the address it goes to.
    pub(crate) async fn write_callback_events(
        &self,
        tx: &mut Tx,
        call: &Call,
        callbacks: &[Callback],
        connections: &[Connection],
    ) -> Result<Routed> {
        let now = self.clock.now();
        let mut addressed = Vec::with_capacity(callbacks.len());
        for callback in callbacks {
            let leg = |one: &&Connection| one.id == callback.connection;
            let Some(connection) = connections.iter().find(leg) else {
                continue;
            };
            let address = match &callback.callback_uri {
                None => Address {
                    id: connection.id.as_str().to_owned(),
                    communication: connection.communication.clone(),
                    uri: connection.callback_uri.clone(),
                },
                Some(uri) => {
                    let address = Address {
                        id: self.random.uuid().to_string(),
                        communication: connection.communication.clone(),
                        uri: uri.clone(),
                    };
                    tx.insert_callback_address(&address, now).await?;
                    address
                }
            };
            addressed.push((Arc::new(address), self.callback_event(call, callback, now)));
        }
        self.record_callbacks(tx, addressed, now).await
    }

    /// The event of a callback.
    fn callback_event(&self, call: &Call, callback: &Callback, now: Timestamp) -> Event {
        let id = self.event_id(now);
        let place = place(&callback.connection);
        let event = wire::Callback {
            id: id.as_str(),
            time: &now.rfc3339_millis().replace('Z', "+00:00"),
            connection: callback.connection.as_str(),
            server_call_id: &self.server_call_id(call),
            correlation_id: call.id.as_str(),
            operation_context: callback.context.as_deref(),
            kind: &callback.kind,
            result: &callback.result,
        };
        Event {
            body: event.to_json().to_string(),
            id,
            source: source_id(&place),
            input: InputSchema::CloudEvent,
            kind: callback.kind.name().to_owned(),
            subject: place,
            published_at: now,
        }
    }
}

fn place(connection: &ConnectionId) -> String {
    format!("calling/callConnections/{connection}")
}

/// A leg has a few events; this is a limit, not a page.
const MOST: u32 = 10_000;
