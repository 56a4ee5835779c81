//! What an operator asks of a subscription: its deliveries and their attempts, why an event was not delivered, and to
//! have events again.

use std::sync::Arc;

use domain::event::{Attempt, Delivery, DeliveryState, Event};
use domain::filter::{Filter, Miss, View};
use domain::id::EventId;
use domain::resource::Actor;
use domain::subscription::{Subscription, setting};
use domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use wire::arm::ResourceId;

use super::ids::{destination_id, lower_bound, source_id};
use super::lane::Probation;
use super::signing::Signer;
use super::subscriptions::SubscriptionChange;
use crate::control::Precondition;
use crate::{App, Error, Result};

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
    ) -> Result<Vec<Delivery>> {
        let subscription = self.live_subscription(key)?;
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
        let subscription = self.live_subscription(key)?;
        let (destination, _) = ids(&subscription);
        Ok(self.store.event_attempts(event, &destination).await?)
    }

    /// Whether a subscription wants an event, and what became of it.
    pub async fn explain_delivery(&self, key: &str, id: &EventId) -> Result<Explanation> {
        let subscription = self.live_subscription(key)?;
        let (destination, source) = ids(&subscription);
        let event = self.store.event(id).await?;
        let event = event
            .filter(|event| event.source == source)
            .ok_or_else(|| {
                let message = format!("The source of this subscription has no event '{id}'.");
                Error::not_found("EventNotFound", message)
            })?;
        let miss = check(&subscription.filter, &event).err();
        Ok(Explanation {
            miss: miss.map(|miss| in_words(&miss)),
            delivery: self.store.event_delivery(id, &destination).await?,
            event,
        })
    }

    /// Delivers events again that are not pending; says how many.
    pub async fn redeliver(&self, key: &str, again: &Again) -> Result<u64> {
        let subscription = self.live_subscription(key)?;
        match again {
            Again::Events(ids) => {
                let mut known = Vec::with_capacity(ids.len());
                for id in ids {
                    let event = self.store.event(id).await?;
                    let source = source_id(subscription.source.key());
                    known.extend(event.filter(|event| event.source == source));
                }
                let known: Vec<_> = known.iter().map(|event| &event.id).collect();
                self.begin_again(&subscription, &known).await
            }
            Again::GivenUp => self.redeliver_given_up(&subscription).await,
            Again::Between { from, to, filter } => {
                let filter = filter.as_deref().unwrap_or(&subscription.filter);
                self.replay(&subscription, *from, *to, filter).await
            }
        }
    }

    /// The secrets that receivers check signatures with, the newest first.
    pub fn signing_secrets(&self, key: &str) -> Result<Vec<SecretString>> {
        let subscription = self.live_subscription(key)?;
        Ok(Signer::of(&subscription, &self.token_secret).secrets())
    }

    /// Gives a subscription another secret, which signs beside the one before it from now on; its secrets.
    pub async fn rotate_signing_secret(
        &self,
        id: &ResourceId,
        actor: &Actor,
    ) -> Result<Vec<SecretString>> {
        let subscription = self.live_subscription(id.key())?;
        let is_other = |label: &&String| setting(std::slice::from_ref(*label), "sign").is_none();
        let mut labels: Vec<_> = subscription.labels.iter().filter(is_other).collect();
        let next = Signer::next_label(&subscription);
        labels.push(&next);
        let labels = Map::from_iter([("labels".to_owned(), json!(labels))]);
        let any = Precondition::default();
        self.patch_event_subscription(SubscriptionChange::new(id, &labels, &any, actor))
            .await?;
        self.signing_secrets(id.key())
    }

    async fn redeliver_given_up(&self, subscription: &Arc<Subscription>) -> Result<u64> {
        let (destination, source) = ids(subscription);
        let mut again = 0;
        for state in [
            DeliveryState::Dead,
            DeliveryState::DeadLettered,
            DeliveryState::Dropped,
        ] {
            let mut after = String::new();
            loop {
                let page = self
                    .store
                    .event_deliveries(&destination, &source, &after, Some(state), PAGE)
                    .await?;
                let Some(last) = page.last() else { break };
                after = last.event.as_str().to_owned();
                let ids: Vec<_> = page.iter().map(|delivery| &delivery.event).collect();
                again += self.begin_again(subscription, &ids).await?;
            }
        }
        Ok(again)
    }

    async fn replay(
        &self,
        subscription: &Arc<Subscription>,
        from: Timestamp,
        to: Timestamp,
        filter: &Filter,
    ) -> Result<u64> {
        let source = source_id(subscription.source.key());
        let (mut from, to) = (lower_bound(from).into_string(), lower_bound(to));
        let mut again = 0;
        loop {
            let page = self
                .store
                .events_of(&source, &from, to.as_str(), PAGE)
                .await?;
            let Some(last) = page.last() else {
                return Ok(again);
            };
            // Greater than this id and less than the next: ids have one length. PostgreSQL knows no NUL.
            from = format!("{}0", last.id);
            let wanted: Vec<_> = page
                .iter()
                .filter(|event| check(filter, event).is_ok())
                .map(|event| &event.id)
                .collect();
            again += self.begin_again(subscription, &wanted).await?;
        }
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

    fn live_subscription(&self, key: &str) -> Result<Arc<Subscription>> {
        let snapshot = self.event_snapshot();
        snapshot.subscription(key).cloned().ok_or_else(|| {
            let message = format!("There is no event subscription '{key}' in effect.");
            Error::not_found("ResourceNotFound", message)
        })
    }
}

fn ids(subscription: &Subscription) -> (domain::id::DestinationId, domain::id::SourceId) {
    let source = source_id(subscription.source.key());
    (destination_id(subscription.key()), source)
}

fn check(filter: &Filter, event: &Event) -> std::result::Result<(), Miss> {
    let envelope: Value = serde_json::from_str(&event.body).unwrap_or_default();
    filter.check(&View {
        event_type: &event.kind,
        subject: &event.subject,
        envelope: &envelope,
    })
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

/// Events in one transaction.
const PAGE: u32 = 500;
