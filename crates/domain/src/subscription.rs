//! An event subscription: which events of a source go where, and how hard it is tried.
//!
//! [`Subscriptions`] are those of one source, found by event type: what matching costs grows with the subscriptions
//! that could want an event, not with those of the server.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use wire::arm::ResourceId;
use wire::event::subscription::{self as spec, DeadLetter, Destination};
use wire::event::{DeliverySchema, InputSchema};

use crate::delivery::RetryPolicy;
use crate::filter::{Filter, View};
use crate::lane::Rate;
use crate::time::Timestamp;

/// An event subscription that is in effect.
#[derive(Clone)]
pub struct Subscription {
    /// Its resource id.
    pub id: ResourceId,
    /// The resource whose events it wants.
    pub source: ResourceId,
    /// Which of them.
    pub filter: Filter,
    /// Where they go.
    pub destination: Destination,
    /// In which schema.
    pub schema: DeliverySchema,
    /// How often and how long each is tried.
    pub retry: RetryPolicy,
    /// Where those go that could not be delivered.
    pub dead_letter: Option<DeadLetter>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Free words, and settings beyond Azure's: `carillon:…`.
    pub labels: Vec<String>,
    /// Requests that its webhook takes, as far as it was asked.
    pub granted: Option<Rate>,
}

impl Subscription {
    /// The subscription `id` to the events of `source`, which are published in `input`.
    pub fn new(
        id: ResourceId,
        source: ResourceId,
        input: InputSchema,
        said: spec::Subscription,
    ) -> Self {
        Self {
            id,
            source,
            filter: Filter::compile(&said.filter),
            destination: said.destination,
            schema: said
                .schema
                .unwrap_or_else(|| DeliverySchema::default_of(input)),
            retry: RetryPolicy {
                max_attempts: said.max_attempts,
                time_to_live: Duration::from_secs(u64::from(said.minutes_to_live) * 60),
            },
            dead_letter: said.dead_letter,
            expires_at: said.expires.as_deref().and_then(Timestamp::parse),
            labels: said.labels.unwrap_or_default(),
            granted: None,
        }
    }

    /// The lower-cased resource id: how subscriptions are compared and stored.
    pub fn key(&self) -> &str {
        self.id.key()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.id.name()
    }

    /// The value of the label `carillon:{name}={value}`.
    pub fn setting(&self, name: &str) -> Option<&str> {
        setting(&self.labels, name)
    }

    /// Whether it has ended by `now`.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// The value of the label `carillon:{name}={value}` among these.
pub fn setting<'l>(labels: &'l [String], name: &str) -> Option<&'l str> {
    let settings = labels.iter();
    let mut settings = settings.filter_map(|label| label.strip_prefix("carillon:"));
    settings.find_map(|setting| match setting.split_once('=') {
        Some((known, value)) => known.eq_ignore_ascii_case(name).then_some(value),
        None => setting.eq_ignore_ascii_case(name).then_some(""),
    })
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({})", self.id)
    }
}

/// The subscriptions of one source.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    all: Vec<Arc<Subscription>>,
    /// Places in `all` of those that want an event type, by its lower-cased name.
    by_type: HashMap<String, Vec<usize>>,
    /// Places in `all` of those that want every event type.
    of_any_type: Vec<usize>,
}

impl Subscriptions {
    /// Adds one.
    pub fn add(&mut self, subscription: Arc<Subscription>) {
        let place = self.all.len();
        match subscription.filter.types() {
            None => self.of_any_type.push(place),
            Some(types) => {
                for name in types {
                    self.by_type.entry(name.clone()).or_default().push(place);
                }
            }
        }
        self.all.push(subscription);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.all.iter()
    }

    /// Those that want events of this type at `now`; the rest of their filters is to be asked.
    pub fn of_type(
        &self,
        event_type: &str,
        now: Timestamp,
    ) -> impl Iterator<Item = &Arc<Subscription>> {
        let typed = self.by_type.get(&event_type.to_lowercase());
        let places = self.of_any_type.iter().chain(typed.into_iter().flatten());
        places
            .map(|place| &self.all[*place])
            .filter(move |one| !one.has_expired(now))
    }

    /// Whether anybody wants `event` at `now`.
    pub fn want(&self, event: &View<'_>, now: Timestamp) -> bool {
        self.of_type(event.event_type, now)
            .any(|one| one.filter.check(event).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn subscription(name: &str, more: Value) -> Arc<Subscription> {
        let mut properties = json!({ "destination": {
            "endpointType": "WebHook", "properties": { "endpointUrl": "https://a.example/" } } });
        for (name, value) in more.as_object().unwrap() {
            properties[name] = value.clone();
        }
        let said = spec::Subscription::parse(properties.as_object().unwrap()).unwrap();
        let source = ResourceId::of_resource("s", "g", "Microsoft.EventGrid", &[("topics", "t")]);
        let source = source.unwrap();
        let id = source.child("eventSubscriptions", name).unwrap();
        Arc::new(Subscription::new(id, source, InputSchema::EventGrid, said))
    }

    fn matching(all: &Subscriptions, event_type: &str, now: Timestamp) -> Vec<String> {
        let event = View {
            event_type,
            subject: "/s",
            envelope: &json!({}),
        };
        let found = all.of_type(event_type, now);
        let found = found.filter(|one| one.filter.check(&event).is_ok());
        let mut names: Vec<_> = found.map(|one| one.name().to_owned()).collect();
        assert_eq!(all.want(&event, now), !names.is_empty());
        names.sort();
        names
    }

    #[test]
    fn subscriptions_are_found_by_event_type_then_filter_and_until_they_end() {
        let mut all = Subscriptions::default();
        let types = |types: Value| json!({ "filter": { "includedEventTypes": types } });
        all.add(subscription("any", json!({})));
        all.add(subscription("all", types(json!(["All"]))));
        all.add(subscription("a", types(json!(["Contoso.A"]))));
        all.add(subscription("b", types(json!(["contoso.b", "Contoso.A"]))));
        all.add(subscription(
            "elsewhere",
            json!({ "filter": { "subjectBeginsWith": "/other" } }),
        ));
        all.add(subscription(
            "ends",
            json!({ "expirationTimeUtc": "2026-11-24T05:00:00Z" }),
        ));
        let end = Timestamp::parse("2026-11-24T05:00:00Z").unwrap();
        let before = Timestamp::from_secs(end.secs() - 1);
        assert_eq!(
            matching(&all, "CONTOSO.A", before),
            ["a", "all", "any", "b", "ends"]
        );
        assert_eq!(matching(&all, "Contoso.B", end), ["all", "any", "b"]);
        assert_eq!(matching(&all, "Contoso.C", end), ["all", "any"]);
    }

    #[test]
    fn settings_beyond_azure_are_labels() {
        let labels = json!({ "labels": ["x", "carillon:sign", "Carillon:no", "carillon:order-by=data.threadId"] });
        let subscription = subscription("s", labels);
        assert_eq!(subscription.setting("order-by"), Some("data.threadId"));
        assert_eq!(subscription.setting("Sign"), Some(""));
        assert_eq!(subscription.setting("no"), None);
    }
}
