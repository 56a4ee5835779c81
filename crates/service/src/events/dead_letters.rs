//! Dead letters: what was given up, written as JSON files to the container that its subscription names.
//!
//! What cannot be written in four hours is dropped; it can still be listed and had again until it is swept.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::Reason;
use domain::event::{Delivery, DeliveryState, Event};
use domain::subscription::Subscription;
use domain::time::Timestamp;
use futures_util::stream::{self, StreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Map, Value};
use wire::event::subscription::DeadLetter;
use wire::event::{DeliverySchema, convert};

use super::drive::STOP_WITHIN;
use super::ids::destination_id;
use super::storage::failed;
use crate::http::Trust;
use crate::stop::given_up;
use crate::{App, Result};

impl App {
    /// Writes dead letters again and again, until the server stops.
    pub(crate) async fn write_dead_letters(self) {
        let after = self.settings.dead_letters.after;
        let every = after.clamp(SOONEST, EVERY);
        loop {
            let pause = self.clock.sleep(every);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            // What is being written when the server stops may end; storage that hangs does not hold up the stop.
            tokio::select! {
                () = self.write_dead_letters_now() => {}
                () = given_up(self.stopping.clone(), STOP_WITHIN) => return,
            }
        }
    }

    pub(super) async fn write_dead_letters_now(&self) {
        // One round at a time, so that no event stands in two files.
        let _one = self.deliveries.writing.lock().await;
        let snapshot = self.event_snapshot();
        let subscriptions = snapshot.subscriptions().filter_map(|subscription| {
            let dead_letter = subscription.dead_letter.as_ref()?;
            Some(self.write_all(subscription, dead_letter))
        });
        // Storage that hangs does not hold up what goes to another.
        stream::iter(subscriptions)
            .for_each_concurrent(AT_ONCE, |written| written)
            .await;
    }

    /// Writes what waits for a subscription's container, file by file.
    async fn write_all(&self, subscription: &Arc<Subscription>, dead_letter: &DeadLetter) {
        loop {
            match self.write_some(subscription, dead_letter).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(%error, subscription = subscription.key(), "dead letters could not be written; it is tried again");
                    break;
                }
            }
        }
    }

    /// Writes one file; whether there is more to write.
    async fn write_some(
        &self,
        subscription: &Arc<Subscription>,
        dead_letter: &DeadLetter,
    ) -> Result<bool> {
        let destination = destination_id(subscription.key());
        let now = self.clock.now();
        let given_up_by = now - self.settings.dead_letters.after;
        let dead = self
            .store
            .dead_events(&destination, given_up_by, FILE)
            .await?;
        if dead.is_empty() {
            return Ok(false);
        }
        let written = self.write_file(subscription, dead_letter, &dead, now).await;
        let mut tx = self.store.begin().await?;
        for (event, delivery) in &dead {
            let state = match &written {
                Ok(()) => DeliveryState::DeadLettered,
                // "If the container is unreachable for four hours, the event is dropped."
                Err(_) if given_up_by.since(delivery.due_at) >= UNREACHABLE => {
                    DeliveryState::Dropped
                }
                Err(_) => continue,
            };
            tx.bury_event(&event.id, &destination, state).await?;
        }
        tx.commit().await?;
        written.map(|()| dead.len() == FILE as usize)
    }

    async fn write_file(
        &self,
        subscription: &Subscription,
        dead_letter: &DeadLetter,
        dead: &[(Event, Delivery)],
        now: Timestamp,
    ) -> Result<()> {
        let letters: Vec<Value> = dead
            .iter()
            .map(|(event, delivery)| letter(subscription.schema, event, delivery))
            .collect();
        let path = Path::from(path(subscription, now, &self.random.uuid().to_string()));
        let trust = Trust::new(self.settings.webhooks.roots.clone());
        let container = self.settings.dead_letters.container(dead_letter, &trust)?;
        let body = Value::Array(letters).to_string();
        let put = container.put(&path, body.into()).await;
        put.map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// The event with why it is here: the names are in lower case in a cloud event, whose attributes are so.
fn letter(schema: DeliverySchema, event: &Event, delivery: &Delivery) -> Value {
    let cloud = schema == DeliverySchema::CloudEvent;
    let body = match cloud {
        true => convert(&event.body, event.input, schema).unwrap_or_default(),
        // A custom event stands in its Event Grid envelope.
        false => event.body.as_str().into(),
    };
    let mut letter: Map<String, Value> = serde_json::from_str(&body).unwrap_or_default();
    let mut set = |name: &str, value: Value| {
        let name = if cloud {
            name.to_lowercase()
        } else {
            name.to_owned()
        };
        letter.insert(name, value);
    };
    set(
        "deadLetterReason",
        delivery.reason.map(Reason::as_str).into(),
    );
    set("deliveryAttempts", delivery.attempts.into());
    set("publishTime", event.published_at.to_string().into());
    if let Some(last) = &delivery.last {
        set("lastDeliveryOutcome", last.outcome.as_str().into());
        set("lastDeliveryAttemptTime", last.at.to_string().into());
        if let Some(status) = last.status {
            set("lastHttpStatusCode", status.into());
        }
    }
    Value::Object(letter)
}

/// `TOPIC/SUBSCRIPTION/2026/11/24/4/{id}.json`
fn path(subscription: &Subscription, now: Timestamp, id: &str) -> String {
    let at = now.offset_date_time();
    format!(
        "{}/{}/{}/{}/{}/{}/{id}.json",
        subscription.source.name().to_uppercase(),
        subscription.name().to_uppercase(),
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
    )
}

/// How often it looks, unless they are wanted sooner.
const EVERY: Duration = Duration::from_secs(30);
/// How often at most.
const SOONEST: Duration = Duration::from_secs(1);
/// Subscriptions whose letters are written at once; each holds a file in memory.
const AT_ONCE: usize = 8;
/// Events in one file.
const FILE: u32 = 500;
/// How long a container may be out of reach.
pub const UNREACHABLE: Duration = Duration::from_secs(4 * 3_600);
