//! What an application's leg is told, as an event to be delivered.

use ::wire::acs::callautomation as wire;
use domain::call::Call;
use domain::callback::Callback;
use domain::event::Event;
use domain::id::EventId;
use domain::time::Timestamp;
use serde_json::Value;

use crate::{App, Result};

impl App {
    /// The callbacks of an application's leg so far, in their order.
    pub async fn callbacks_of(&self, connection: &str) -> Result<Vec<Value>> {
        let topic = format!("calling/callConnections/{connection}");
        let mut events = self
            .store
            .events_after(Timestamp::from_secs(0), "", 10_000)
            .await?;
        events.retain(|event| event.topic == topic);
        Ok(events.into_iter().map(|event| event.data).collect())
    }

    /// The event of a callback.
    pub(crate) fn callback_event(&self, call: &Call, callback: &Callback, now: Timestamp) -> Event {
        let id = self.random.uuid().to_string();
        let event = wire::Callback {
            id: &id,
            time: &now.rfc3339_millis().replace('Z', "+00:00"),
            connection: callback.connection.as_str(),
            server_call_id: &self.server_call_id(call),
            correlation_id: call.id.as_str(),
            operation_context: callback.context.as_deref(),
            kind: &callback.kind,
            result: &callback.result,
        };
        Event {
            topic: format!("calling/callConnections/{}", callback.connection),
            kind: callback.kind.name().to_owned(),
            subject: format!("calling/callConnections/{}", callback.connection),
            data: event.to_json(),
            at: self.callback_key.moment(now),
            id: EventId::new(id),
        }
    }
}
