//! What the receiver of a subscription is told when there is no more of it.

use std::sync::Arc;

use domain::subscription::Subscription;
use http::Method;
use wire::event::subscription::Endpoint;
use wire::event::{DeliverySchema, handshake};

use super::handshake::{DEADLINE, envelope, static_attributes};
use crate::App;
use crate::webhook::Request;

impl App {
    /// Tells the receivers of subscriptions that are no more. They are told once, and need not listen.
    pub(crate) fn bid_farewell(&self, gone: Vec<Arc<Subscription>>) {
        for subscription in gone {
            // Its form is one of the Event Grid schema.
            if subscription.schema == DeliverySchema::CloudEvent {
                continue;
            }
            let endpoint = &subscription.destination.endpoint;
            let Ok(target) = self.event_target(endpoint) else {
                continue;
            };
            let kind = match endpoint {
                Endpoint::Webhook { .. } => "SubscriptionDeletion",
                // By which name a Functions host knows it.
                Endpoint::Function(_) => "Unsubscribe",
            };
            let mut headers = static_attributes(&subscription.destination);
            envelope(&mut headers, kind, &subscription.id);
            let body = handshake::deletion(
                &self.random.uuid().to_string(),
                subscription.source.as_str(),
                subscription.id.as_str(),
                &self.clock.now().rfc3339_millis(),
            );
            let request = Request {
                method: Method::POST,
                target,
                headers,
                body: body.into(),
                deadline: DEADLINE,
                urgent: false,
            };
            let app = self.clone();
            self.tasks.spawn(async move {
                let sent = app.webhooks.send(request);
                app.stopping.run_until_cancelled(sent).await;
            });
        }
    }
}
