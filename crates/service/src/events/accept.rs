//! From an event to durable rows: it is matched with the subscriptions in memory, and written with one delivery for each
//! that wants it. What finds a place in a lane need never be read back.

use std::sync::Arc;
use std::time::Duration;

use domain::event::Event;
use domain::filter::View;
use domain::subscription::Subscription;
use domain::time::Timestamp;
use domain::topic::Topic;
use serde_json::Value;
use serde_json::value::RawValue;
use store::Tx;
use store::event_deliveries::NewDelivery;
use store::events::{Publication, Recorded};
use wire::arm::ResourceId;
use wire::event::{InputSchema, Published, eventgrid};

use super::directory::Snapshot;
use super::ids::source_id;
use super::lane::Seat;
use super::meters;
use super::request::is_urgent_kind;
use crate::control::VERSION;
use crate::{App, Error, Kind, Result};

/// Deliveries of events that are written in a transaction, to be begun after its commit.
#[must_use = "the deliveries begin with App::deliver_events"]
#[derive(Default)]
pub struct Routed(Vec<Seat>);

impl App {
    /// Accepts a publication. When this returns, each of its events is on disk, and its deliveries have begun.
    pub async fn publish_events(&self, topic: &Topic, published: Vec<Published>) -> Result<()> {
        let now = self.clock.now();
        let source = source_id(topic.key());
        let events = published.into_iter().map(|published| {
            Arc::new(Event {
                id: self.event_id(now),
                source: source.clone(),
                input: topic.input,
                kind: published.kind,
                subject: published.subject,
                body: published.body,
                published_at: now,
            })
        });
        let events: Vec<_> = events.collect();
        for _ in 0..ATTEMPTS {
            let snapshot = self.event_snapshot();
            let routed = self.route(&snapshot, topic.key(), &events, now);
            let publication = Publication {
                version: snapshot.version().map(str::to_owned),
                deliveries: routed.deliveries(now),
                events: events.clone(),
            };
            match self.deliveries.writer.publish(publication).await? {
                Recorded::Durable => {
                    self.deliver_events(routed);
                    return Ok(());
                }
                Recorded::Outdated => self.refresh_events().await?,
            }
        }
        let message = "Subscriptions keep changing. Try again.";
        let kind = Kind::Throttled(Duration::from_secs(1));
        Err(Error::new(kind, "ServerBusy", message))
    }

    /// Writes events that happened at a resource with this lower-cased id, in the transaction of what caused them.
    pub(crate) async fn record_events(
        &self,
        tx: &mut Tx,
        source: &str,
        events: Vec<Event>,
    ) -> Result<Routed> {
        if events.is_empty() {
            return Ok(Routed::default());
        }
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        // This transaction holds what a change of subscriptions needs, or sees it: one look is enough.
        let current = tx.meta(VERSION).await?;
        if self.event_snapshot().version() != current.as_deref() {
            self.refresh_events().await?;
        }
        let now = self.clock.now();
        let routed = self.route(&self.event_snapshot(), source, &events, now);
        tx.insert_events(&events).await?;
        let deliveries = routed.deliveries(now);
        tx.insert_event_deliveries(&deliveries, &self.settings.node)
            .await?;
        Ok(routed)
    }

    /// Something that happened at a resource of this server: in the Event Grid schema, with `dataVersion` 1.0.
    pub(crate) fn event_at(
        &self,
        resource: &ResourceId,
        kind: &str,
        subject: String,
        data: &Value,
        now: Timestamp,
    ) -> Event {
        let id = self.event_id(now);
        // A JSON value always has a text, and that text is JSON.
        let data = RawValue::from_string(data.to_string()).ok();
        let delivered = eventgrid::Delivered {
            id: id.as_str().into(),
            topic: resource.as_str().into(),
            subject: subject.as_str().into(),
            event_type: kind.into(),
            event_time: now.rfc3339_millis().into(),
            data: data.as_deref(),
            data_version: "1.0".into(),
            metadata_version: "1".into(),
        };
        Event {
            body: delivered.to_json(),
            id,
            source: source_id(resource.key()),
            input: InputSchema::EventGrid,
            kind: kind.to_owned(),
            subject,
            published_at: now,
        }
    }

    /// Up to `limit` events after the one with the id `id`, in the order of acceptance.
    pub async fn events_after(&self, id: &str, limit: u32) -> Result<Vec<Event>> {
        Ok(self.store.events_after(id, limit).await?)
    }

    /// Begins the deliveries of events whose transaction is committed.
    pub(crate) fn deliver_events(&self, routed: Routed) {
        let now = self.clock.now();
        for seat in routed.0 {
            self.drive(seat.take(now));
        }
    }

    /// A place for each event at each subscription that wants it.
    fn route(
        &self,
        snapshot: &Snapshot,
        source: &str,
        events: &[Arc<Event>],
        now: Timestamp,
    ) -> Routed {
        let Some(subscriptions) = snapshot.subscriptions_of(source) else {
            meters::matched(source, 0, events.len(), 0);
            return Routed::default();
        };
        let looks_inside = subscriptions.iter().any(|one| one.filter.looks_inside());
        let mut seats = Vec::with_capacity(events.len());
        let (mut unmatched, mut evaluated) = (0, 0);
        for event in events {
            let envelope: Value = match looks_inside {
                true => serde_json::from_str(&event.body).unwrap_or_default(),
                false => Value::Null,
            };
            let view = View::of(event, &envelope);
            let urgent = is_urgent_kind(event);
            let before = seats.len();
            for subscription in subscriptions.of_type(view.event_type, now) {
                let verdict = subscription.filter.check(&view);
                evaluated += subscription.filter.evaluated(&verdict);
                if verdict.is_ok() {
                    seats.push(self.lane_of(subscription).seat(event, urgent));
                }
            }
            unmatched += usize::from(seats.len() == before);
        }
        meters::matched(source, seats.len(), unmatched, evaluated);
        Routed(seats)
    }

    /// Lanes take up what has changed of their subscriptions. One whose subscription is not in effect any more keeps
    /// nothing in memory: what it held waits in the store, until it is in effect again or deleted for good.
    pub(super) fn follow_subscriptions(&self) {
        let snapshot = self.event_snapshot();
        for lane in self.deliveries.lanes.all() {
            let Some(followed) = lane.destination().subscription.clone() else {
                continue;
            };
            match snapshot.subscription(&lane.key) {
                Some(same) if Arc::ptr_eq(same, &followed) => {}
                Some(changed) => lane.follow(self.destination(changed)),
                None => self.retire(&lane),
            }
        }
    }

    pub(super) fn lane_of(&self, subscription: &Arc<Subscription>) -> Arc<super::lane::Lane> {
        let make = || self.destination(subscription);
        self.deliveries.lanes.lane(subscription.key(), make)
    }
}

impl Routed {
    pub(super) fn of(seats: Vec<Seat>) -> Self {
        Self(seats)
    }

    /// These, and then those.
    pub(crate) fn then(mut self, those: Self) -> Self {
        self.0.extend(those.0);
        self
    }

    pub(super) fn deliveries(&self, now: Timestamp) -> Vec<NewDelivery> {
        let new = |seat: &Seat| NewDelivery {
            event: Arc::clone(&seat.event),
            destination: Arc::clone(&seat.lane.id),
            urgent: seat.urgent,
            held: seat.held,
            due_at: now,
        };
        self.0.iter().map(new).collect()
    }
}

/// How often a publication is matched again because subscriptions changed meanwhile.
const ATTEMPTS: usize = 16;
