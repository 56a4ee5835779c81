//! What an operator asks of a subscription: its deliveries and their attempts, why an event was not delivered, and to
//! have events again.

use std::sync::Arc;

use domain::event::{Attempt, Delivery, DeliveryState, Event, Listed};
use domain::filter::{Filter, Miss, View};
use domain::id::{EventId, SourceId};
use domain::resource::Actor;
use domain::subscription::{Subscription, setting};
use domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use wire::arm::ResourceId;

use super::document::{Step, SubscriptionSecrets, broken};
use super::ids::{destination_id, lower_bound, source_id};
use super::lane::Probation;
use super::signing::Signer;
use super::subscriptions::SubscriptionChange;
use crate::control::Precondition;
use crate::{App, Error, Kind, Result};

/// Which events a subscription is to have again.
#[derive(Clone, Debug)]
pub enum Again {
    /// These.
    Events(Vec<EventId>),
    /// Those that were given up.
    GivenUp,
    /// Those accepted in a time that a filter wants: its own, or another.
    Between {
        /// From this time on.
        from: Timestamp,
        /// Before this time.
        to: Timestamp,
        /// Another filter than the subscription's.
        filter: Option<Box<Filter>>,
    },
}

/// How many events a subscription has again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resent {
    /// So many were taken up.
    pub events: u64,
    /// There are more, after this event: a request does not take longer the more there are.
    pub after: Option<EventId>,
}

/// Why an event was or was not delivered.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The event.
    pub event: Event,
    /// The part of the filter that says no, in words.
    pub miss: Option<String>,
    /// Where its delivery stands, if there is one.
    pub delivery: Option<Delivery>,
}

impl App {
    /// Up to `limit` deliveries of a subscription after an event, in the order of acceptance.
    pub async fn subscription_deliveries(
        &self,
        key: &str,
        after: &str,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<Listed>> {
        let subscription = self.live_subscription(key).await?;
        let (destination, source) = ids(&subscription);
        Ok(self
            .store
            .event_deliveries(&destination, &source, after, state, limit)
            .await?)
    }

    /// Whether this node spares the endpoint of a subscription.
    pub fn probation(&self, key: &str) -> Option<Probation> {
        self.deliveries.lanes.get(key)?.probation()
    }

    /// The attempts at an event that were logged: all but one that succeeded at once.
    pub async fn delivery_attempts(&self, key: &str, event: &EventId) -> Result<Vec<Attempt>> {
        let subscription = self.live_subscription(key).await?;
        let (destination, source) = ids(&subscription);
        let event = self.event_meant(&source, event).await?.id;
        Ok(self.store.event_attempts(&event, &destination).await?)
    }

    /// Whether a subscription wants an event, and what became of it.
    pub async fn explain_delivery(&self, key: &str, id: &EventId) -> Result<Explanation> {
        let subscription = self.live_subscription(key).await?;
        let (destination, source) = ids(&subscription);
        let event = self.event_meant(&source, id).await?;
        let miss = check(&subscription.filter, &event).err();
        Ok(Explanation {
            miss: miss.map(|miss| in_words(&miss)),
            delivery: self.store.event_delivery(&event.id, &destination).await?,
            event,
        })
    }

    /// Up to `limit` deliveries that were given up after an event, in the order of acceptance, whether or not they are
    /// written to the dead letters yet.
    pub async fn given_up_deliveries(
        &self,
        key: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Listed>> {
        let mut all = Vec::new();
        for state in GIVEN_UP {
            let some = self.subscription_deliveries(key, after, Some(state), limit);
            all.extend(some.await?);
        }
        all.sort_by(|a, b| a.delivery.event.cmp(&b.delivery.event));
        all.truncate(limit as usize);
        Ok(all)
    }

    /// Delivers events again that are not pending: those after `after`, which is "" or where the last request ended.
    pub async fn redeliver(&self, key: &str, again: &Again, after: &str) -> Result<Resent> {
        let subscription = self.live_subscription(key).await?;
        match again {
            Again::Events(ids) => {
                let mut known = Vec::with_capacity(ids.len());
                for id in ids {
                    let event = self.store.event(id).await?;
                    let source = source_id(subscription.source.key());
                    known.extend(event.filter(|event| event.source == source));
                }
                let known: Vec<_> = known.iter().map(|event| &event.id).collect();
                let events = self.begin_again(&subscription, &known).await?;
                Ok(Resent {
                    events,
                    after: None,
                })
            }
            Again::GivenUp => self.redeliver_given_up(&subscription, after).await,
            Again::Between { from, to, filter } => {
                let filter = filter.as_deref().unwrap_or(&subscription.filter);
                // Greater than this id and less than the next: ids have one length. PostgreSQL knows no NUL.
                let next = format!("{after}0");
                let from = lower_bound(*from).into_string().max(next);
                let to = lower_bound(*to);
                self.replay(&subscription, from, to.as_str(), filter).await
            }
        }
    }

    /// The secrets that receivers check signatures with, the newest first.
    pub async fn signing_secrets(&self, key: &str) -> Result<Vec<SecretString>> {
        let subscription = self.live_subscription(key).await?;
        Ok(Signer::of(&subscription, &self.token_secret).secrets())
    }

    /// Gives a subscription another secret, which signs beside the one before it from now on; its secrets.
    pub async fn rotate_signing_secret(
        &self,
        id: &ResourceId,
        actor: &Actor,
    ) -> Result<Vec<SecretString>> {
        let subscription = self.live_subscription(id.key()).await?;
        let is_other = |label: &&String| setting(std::slice::from_ref(*label), "sign").is_none();
        let mut labels: Vec<_> = subscription.labels.iter().filter(is_other).collect();
        let next = Signer::next_label(&subscription);
        labels.push(&next);
        let labels = Map::from_iter([("labels".to_owned(), json!(labels))]);
        let any = Precondition::default();
        self.patch_event_subscription(SubscriptionChange::new(id, &labels, &any, actor))
            .await?;
        self.signing_secrets(id.key()).await
    }

    async fn redeliver_given_up(
        &self,
        subscription: &Arc<Subscription>,
        after: &str,
    ) -> Result<Resent> {
        let (mut events, mut after) = (0, EventId::new(after));
        for _ in 0..PAGES {
            let page = self
                .given_up_deliveries(subscription.key(), after.as_str(), PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(Resent {
                    events,
                    after: None,
                });
            };
            after = last.delivery.event.clone();
            let ids: Vec<_> = page.iter().map(|one| &one.delivery.event).collect();
            events += self.begin_again(subscription, &ids).await?;
        }
        let after = Some(after);
        Ok(Resent { events, after })
    }

    async fn replay(
        &self,
        subscription: &Arc<Subscription>,
        mut from: String,
        to: &str,
        filter: &Filter,
    ) -> Result<Resent> {
        let source = source_id(subscription.source.key());
        let (mut events, mut after) = (0, None);
        for _ in 0..PAGES {
            let page = self.store.events_of(&source, &from, to, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(Resent {
                    events,
                    after: None,
                });
            };
            from = format!("{}0", last.id);
            after = Some(last.id.clone());
            let wanted: Vec<_> = page
                .iter()
                .filter(|event| check(filter, event).is_ok())
                .map(|event| &event.id)
                .collect();
            events += self.begin_again(subscription, &wanted).await?;
        }
        Ok(Resent { events, after })
    }

    async fn begin_again(
        &self,
        subscription: &Arc<Subscription>,
        events: &[&EventId],
    ) -> Result<u64> {
        let now = self.clock.now();
        let lane = self.lane_of(subscription);
        let mut tx = self.store.begin().await?;
        let urgent = lane.destination().is_urgent();
        let again = tx.redeliver(&lane.id, events, urgent, now).await?;
        tx.commit().await?;
        lane.note(now);
        self.drive(lane);
        Ok(again)
    }

    /// The event of a source that this id means: the server's own, which receivers get as aeg-output-event-id, or the
    /// publisher's, who knows no other of an event that nobody wanted.
    async fn event_meant(&self, source: &SourceId, id: &EventId) -> Result<Event> {
        let known = self.store.event(id).await?;
        if let Some(event) = known.filter(|event| event.source == *source) {
            return Ok(event);
        }
        let published = self.store.event_published_as(source, id.as_str()).await?;
        published.ok_or_else(|| {
            let message = format!(
                "The source of this subscription has no event '{id}'. An event is named by what its receiver got as \
                 aeg-output-event-id and the list of deliveries begins with; one of the last 10,000 also by the id that \
                 its publisher gave it."
            );
            Error::not_found("EventNotFound", message)
        })
    }

    /// The subscription with this key, if it is in effect, or why it is not.
    async fn live_subscription(&self, key: &str) -> Result<Arc<Subscription>> {
        if let Some(live) = self.event_snapshot().subscription(key) {
            return Ok(Arc::clone(live));
        }
        let resource = self
            .resource(&ResourceId::parse(key).map_err(broken)?)
            .await?;
        let handshake = SubscriptionSecrets::of(&resource)?.handshake;
        let why = match handshake.map(|handshake| handshake.step) {
            Some(Step::Asking) => "Its webhook is being asked whether it wants events.",
            Some(Step::Awaiting) => {
                "Its webhook did not say whether it wants events: visit the validation URL that it got."
            }
            Some(Step::Failed { message, .. }) => &message.clone(),
            Some(Step::Succeeded { .. }) | None => "It has just been made.",
        };
        let message = format!(
            "The event subscription '{}' is not in effect. {why}",
            resource.id.name()
        );
        Err(Error::new(Kind::Conflict, "NotInEffect", message))
    }
}

fn ids(subscription: &Subscription) -> (domain::id::DestinationId, SourceId) {
    let source = source_id(subscription.source.key());
    (destination_id(subscription.key()), source)
}

fn check(filter: &Filter, event: &Event) -> std::result::Result<(), Miss> {
    let envelope: Value = serde_json::from_str(&event.body).unwrap_or_default();
    filter.check(&View::of(event, &envelope))
}

fn in_words(miss: &Miss) -> String {
    match miss {
        Miss::EventType => "filter.includedEventTypes does not name its type".to_owned(),
        Miss::SubjectBegins => {
            "its subject does not begin with filter.subjectBeginsWith".to_owned()
        }
        Miss::SubjectEnds => "its subject does not end with filter.subjectEndsWith".to_owned(),
        Miss::Advanced(index) => format!("filter.advancedFilters[{index}] does not hold"),
    }
}

/// What can be had again although nothing is to be done about it any more.
const GIVEN_UP: [DeliveryState; 3] = [
    DeliveryState::Dead,
    DeliveryState::DeadLettered,
    DeliveryState::Dropped,
];
/// Events in one transaction.
const PAGE: u32 = 500;
/// Transactions of one request.
const PAGES: usize = 20;
