//! Every topic and event subscription of this server, in memory: where an event goes, without a query.
//!
//! A snapshot is rebuilt with every change of the control plane on this node, before the change is answered, and when
//! `control.version` shows that another node made one. Whoever writes events compares that version in their
//! transaction with [`Snapshot::version`], so that a subscription made elsewhere misses no event accepted after it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use domain::event::Event;
use domain::filter::View;
use domain::resource::Resource;
use domain::subscription::{Subscription, Subscriptions};
use domain::time::Timestamp;
use domain::topic::Topic;
use store::ResourceQuery;
use tokio::sync::Mutex;
use uuid::Uuid;
use wire::arm::ResourceId;
use wire::event::InputSchema;

use super::document::{
    self, EVENT_SUBSCRIPTIONS, Handshake, SYSTEM_TOPIC_SUBSCRIPTIONS, SYSTEM_TOPICS, Step,
    SubscriptionSecrets, TOPICS,
};
use super::handshake::Running;
use crate::control::VERSION;
use crate::{App, Result};

/// The long-lived object of this subject.
#[derive(Default)]
pub struct Directory {
    snapshot: ArcSwap<Snapshot>,
    /// One rebuild at a time, so that an older one never replaces a newer one.
    rebuilding: Mutex<()>,
    /// The webhooks that this node is asking whether they want events.
    pub(super) running: Running,
}

/// The topics and event subscriptions as they are at one moment.
#[derive(Default)]
pub struct Snapshot {
    version: Option<String>,
    /// By lower-cased resource id.
    topics: HashMap<String, Arc<Topic>>,
    /// By lower-cased name.
    named: HashMap<String, Arc<Topic>>,
    /// By the lower-cased id of the resource whose events they want.
    by_source: HashMap<String, Arc<Subscriptions>>,
    /// By lower-cased resource id.
    subscriptions: HashMap<String, Arc<Subscription>>,
    /// The last handshake of each subscription that had one, by its id.
    handshakes: HashMap<Uuid, (ResourceId, Handshake)>,
    /// Subscriptions whose webhook is being asked.
    asking: Vec<Resource>,
}

impl Snapshot {
    /// The value of `control.version` it was read at.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The topic with this resource id, or this name, in any case.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        let name = name.to_lowercase();
        self.topics.get(&name).or_else(|| self.named.get(&name))
    }

    /// The subscriptions to the events of the resource with this lower-cased id.
    pub fn subscriptions_of(&self, source: &str) -> Option<&Arc<Subscriptions>> {
        self.by_source.get(source)
    }

    /// The subscription with this lower-cased resource id, if it is in effect.
    pub fn subscription(&self, key: &str) -> Option<&Arc<Subscription>> {
        self.subscriptions.get(key)
    }

    /// Every subscription in effect.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.subscriptions.values()
    }

    /// The subscription that a handshake is about, and how far it is.
    pub(super) fn handshake(&self, id: Uuid) -> Option<&(ResourceId, Handshake)> {
        self.handshakes.get(&id)
    }

    /// Handshakes that should be over by `now`.
    pub(super) fn overdue(&self, now: Timestamp) -> impl Iterator<Item = &(ResourceId, Handshake)> {
        let all = self.handshakes.values();
        all.filter(move |(_, handshake)| handshake.is_pending() && handshake.until <= now)
    }

    /// Subscriptions whose webhook is being asked.
    pub(super) fn asking(&self) -> &[Resource] {
        &self.asking
    }

    /// The subscriptions that are, or are inside, the resource with this id.
    pub(crate) fn inside(&self, id: &ResourceId) -> Vec<Arc<Subscription>> {
        let inside = format!("{}/", id.key());
        let all = self.subscriptions.values();
        let inside = all.filter(|one| one.id == *id || one.key().starts_with(&inside));
        inside.cloned().collect()
    }

    fn add_topic(&mut self, topic: Topic) {
        let topic = Arc::new(topic);
        self.topics
            .insert(topic.key().to_owned(), Arc::clone(&topic));
        self.named.insert(topic.name().to_lowercase(), topic);
    }

    /// Adds a subscription to `source`, if it is in effect.
    fn add(&mut self, resource: &Resource, source: &ResourceId) -> Result<()> {
        let topic = self.topics.get(source.key());
        let secrets = SubscriptionSecrets::of(resource)?;
        if secrets.pending().is_some_and(|it| it.step == Step::Asking) {
            self.asking.push(resource.clone());
        }
        if let Some(handshake) = &secrets.handshake {
            let about = (resource.id.clone(), handshake.clone());
            self.handshakes.insert(handshake.id, about);
        }
        // Azure's own resources publish in the Event Grid schema.
        let input = topic.map_or(InputSchema::EventGrid, |topic| topic.input);
        if let Some(subscription) = document::subscription(resource, &secrets, source, input)? {
            let subscription = Arc::new(subscription);
            let of = self.by_source.entry(source.key().to_owned()).or_default();
            Arc::make_mut(of).add(Arc::clone(&subscription));
            self.subscriptions
                .insert(subscription.key().to_owned(), subscription);
        }
        Ok(())
    }
}

impl App {
    /// The topic with this resource id, or this name, in any case.
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.events.snapshot.load().topic(name).cloned()
    }

    /// The subscriptions to the events of the resource with this lower-cased id.
    pub fn subscriptions_of(&self, source: &str) -> Arc<Subscriptions> {
        let snapshot = self.events.snapshot.load();
        let found = snapshot.subscriptions_of(source);
        found.cloned().unwrap_or_default()
    }

    /// Whether anybody wants this event of the resource with this lower-cased id.
    pub(crate) fn is_wanted(&self, source: &str, event: &Event) -> bool {
        let envelope = serde_json::from_str(&event.body).unwrap_or_default();
        let view = View::of(event, &envelope);
        self.subscriptions_of(source).want(&view, self.clock.now())
    }

    /// The topics and subscriptions as they are now.
    pub fn event_snapshot(&self) -> Arc<Snapshot> {
        self.events.snapshot.load_full()
    }

    /// Reads topics and subscriptions again: after a change of this node, or where a version shows one of another.
    pub(crate) async fn refresh_events(&self) -> Result<()> {
        let _one = self.events.rebuilding.lock().await;
        // The version first: a change between the reads is seen again, never missed.
        let version = self.store.meta(VERSION).await?;
        let mut snapshot = Snapshot {
            version,
            ..Snapshot::default()
        };
        for resource in self.events_resources(TOPICS).await? {
            kept(&resource, document::topic(&resource), |topic| {
                snapshot.add_topic(topic);
            });
        }
        let sources = self.events_resources(SYSTEM_TOPICS).await?;
        let sources: HashMap<_, _> = sources.iter().filter_map(source_of).collect();
        for resource in self.events_resources(EVENT_SUBSCRIPTIONS).await? {
            if let Some(source) = resource.id.parent() {
                let added = snapshot.add(&resource, &source);
                kept(&resource, added, |()| {});
            }
        }
        for resource in self.events_resources(SYSTEM_TOPIC_SUBSCRIPTIONS).await? {
            let topic = resource.id.parent();
            if let Some(source) = topic.and_then(|topic| sources.get(topic.key())) {
                let added = snapshot.add(&resource, source);
                kept(&resource, added, |()| {});
            }
        }
        self.events.snapshot.store(Arc::new(snapshot));
        self.follow_subscriptions();
        Ok(())
    }

    pub(super) async fn events_resources(&self, kind: &str) -> Result<Vec<Resource>> {
        let query = ResourceQuery {
            kind,
            ..ResourceQuery::default()
        };
        Ok(self.store.resources(&query, u32::MAX).await?)
    }
}

/// Key and source of a system topic.
fn source_of(topic: &Resource) -> Option<(String, ResourceId)> {
    let source = topic.property("source")?.as_str()?;
    let source = ResourceId::parse(source).ok()?;
    Some((topic.id.key().to_owned(), source))
}

/// One resource that cannot be read is left out: the others go on.
fn kept<T>(resource: &Resource, read: Result<T>, take: impl FnOnce(T)) {
    match read {
        Ok(value) => take(value),
        Err(error) => {
            tracing::error!(id = %resource.id, cause = ?std::error::Error::source(&error), "a stored resource cannot be read; it is left out");
        }
    }
}
