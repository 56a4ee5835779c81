//! What an application's leg is told, as an event to be delivered.

use std::sync::Arc;

use ::wire::acs::callautomation as wire;
use ::wire::event::InputSchema;
use domain::call::Call;
use domain::callback::Callback;
use domain::connection::{Address, Connection};
use domain::event::Event;
use domain::id::ConnectionId;
use domain::time::Timestamp;
use serde_json::Value;
use store::Tx;

use crate::events::{Routed, source_id};
use crate::{App, Result};

impl App {
    /// The callbacks of an application's leg so far, in their order.
    pub async fn callbacks_of(&self, connection: &str) -> Result<Vec<Value>> {
        let source = source_id(&place(&ConnectionId::new(connection)));
        let events = self.store.events_of(&source, "", "~", MOST).await?;
        let bodies = events.iter().map(|event| serde_json::from_str(&event.body));
        Ok(bodies.flatten().collect())
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
