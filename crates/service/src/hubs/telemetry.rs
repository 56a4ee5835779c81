//! What became of a message: counts in the words of Notification Hubs, and every delivery by itself.

use std::collections::BTreeMap;

use domain::hub::Hub;
use domain::id::{CallId, NotificationId};
use domain::notification::{Delivery, DeliveryState, Notification, NotificationHub};
use domain::push::{Attempted, Outcome, Platform};
use domain::time::Timestamp;
use wire::hub::outcome::{DeviceResult, NotificationOutcome};
use wire::hub::telemetry::{NotificationDetails, State};

use crate::{App, Error, Result};

/// Some deliveries of a notification, in the order of its targets.
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// From which target the next page goes on, if there is one.
    pub next: Option<u32>,
}

impl App {
    /// A message's telemetry, known from the moment it is accepted. `location` is its own address.
    pub async fn telemetry(
        &self,
        hub: &Hub,
        id: &NotificationId,
        location: String,
    ) -> Result<NotificationDetails> {
        let notification = self.notification_of(hub, id).await?;
        let deliveries = self.store.deliveries(id, 0, u32::MAX).await?;
        Ok(details(notification, &deliveries, location))
    }

    /// Deliveries of a message, from the target `from` on.
    pub async fn deliveries(
        &self,
        hub: &Hub,
        id: &NotificationId,
        from: u32,
        limit: u32,
    ) -> Result<DeliveryPage> {
        self.notification_of(hub, id).await?;
        let mut deliveries = self.store.deliveries(id, from, limit + 1).await?;
        let next = deliveries.get(limit as usize).map(|next| next.ordinal);
        deliveries.truncate(limit as usize);
        Ok(DeliveryPage { deliveries, next })
    }

    /// The outcome of a message as a test send answers it.
    pub async fn notification_outcome(&self, id: &NotificationId) -> Result<NotificationOutcome> {
        let deliveries = self.store.deliveries(id, 0, u32::MAX).await?;
        let results = deliveries.iter().map(device_result).collect();
        Ok(NotificationOutcome { results })
    }

    /// Every delivery of what was sent for a call, oldest first.
    pub async fn deliveries_of_call(&self, call: &CallId) -> Result<Vec<Delivery>> {
        Ok(self.store.deliveries_of_call(call).await?)
    }

    async fn notification_of(&self, hub: &Hub, id: &NotificationId) -> Result<Notification> {
        self.store
            .notification(id)
            .await?
            .filter(|found| matches!(&found.hub, NotificationHub::Own(key) if *key == hub.key))
            .ok_or_else(|| {
                let message = format!("The hub '{}' has no message of this id.", hub.name);
                Error::not_found("ResourceNotFound", message)
            })
    }
}

/// The platform's name on the wire.
pub(super) fn format(platform: Platform) -> &'static str {
    match platform {
        Platform::Apns => "apple",
        Platform::Fcm => "fcmv1",
    }
}

fn details(
    notification: Notification,
    deliveries: &[Delivery],
    location: String,
) -> NotificationDetails {
    let ended: Vec<&Attempted> = deliveries.iter().filter_map(settled).collect();
    let mut counts = BTreeMap::new();
    for attempted in &ended {
        let name = domain::outcome::name(notification.platform, attempted);
        *counts.entry(name).or_insert(0) += 1;
    }
    let state = state(deliveries.len(), &ended);
    let started = ended
        .iter()
        .filter_map(|attempted| attempted.written_at)
        .min();
    let last = ended.iter().map(|attempted| attempted.ended_at).max();
    NotificationDetails {
        id: notification.id.into_string(),
        location,
        state,
        enqueued: notification.created_at.rfc3339_secs(),
        started: started.map(Timestamp::rfc3339_secs),
        ended: last
            .filter(|_| matches!(state, State::Completed | State::Abandoned))
            .map(Timestamp::rfc3339_secs),
        body: String::from_utf8_lossy(&notification.body).into_owned(),
        tags: notification.tag,
        platform: format(notification.platform),
        counts,
    }
}

/// "Deadline passed before acceptance: State Abandoned."
fn state(deliveries: usize, ended: &[&Attempted]) -> State {
    let in_vain = |attempted: &&Attempted| {
        matches!(
            attempted.outcome,
            Outcome::Expired | Outcome::Unavailable | Outcome::RetryAfter(_)
        )
    };
    if ended.is_empty() {
        State::Enqueued
    } else if ended.len() < deliveries {
        State::Processing
    } else if ended.iter().all(in_vain) {
        State::Abandoned
    } else {
        State::Completed
    }
}

fn device_result(delivery: &Delivery) -> DeviceResult {
    let attempted = settled(delivery);
    DeviceResult {
        platform: format(delivery.platform),
        handle: delivery.target.handle.clone(),
        registration: format!("{}-{}", delivery.notification, delivery.ordinal),
        outcome: attempted.map(|attempted| domain::outcome::name(delivery.platform, attempted)),
        reason: attempted
            .filter(|attempted| attempted.outcome != Outcome::Accepted)
            .and_then(|attempted| attempted.reason.clone()),
    }
}

fn settled(delivery: &Delivery) -> Option<&Attempted> {
    match &delivery.state {
        DeliveryState::Pending => None,
        DeliveryState::Settled(attempted) => Some(attempted),
    }
}
