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
    let mut settings = labels.iter().filter_map(|label| split(label));
    settings.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
}

/// What is wrong with the settings among these labels: one that would change nothing has a name that there is not, or a
/// value that cannot be read.
pub fn misread(labels: &[String]) -> Option<String> {
    labels.iter().find_map(|label| {
        let (name, value) = split(label)?;
        let problem = match name.to_ascii_lowercase().as_str() {
            "order-by" => return None,
            "rate-limit" => match Rate::parse(value) {
                Some(_) => return None,
                None => "needs a rate: carillon:rate-limit=100/s, or =600/min",
            },
            "sign" => match value {
                "" => return None,
                _ if value.parse::<u32>().is_ok_and(|newest| newest > 0) => return None,
                _ => "needs the number of the newest secret: carillon:sign, or carillon:sign=2",
            },
            _ => {
                "is no setting: there are carillon:order-by, carillon:rate-limit and carillon:sign"
            }
        };
        Some(format!("'{label}' {problem}"))
    })
}

/// Name and value of a label that is a setting.
fn split(label: &str) -> Option<(&str, &str)> {
    let setting = label.strip_prefix("carillon:")?;
    Some(setting.split_once('=').unwrap_or((setting, "")))
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

    #[test]
    fn a_setting_that_would_change_nothing_is_named() {
        let of = |label: &str| misread(&["free words".to_owned(), label.to_owned()]);
        for good in [
            "carillon",
            "carillon:order-by",
            "carillon:order-by=data.threadId",
            "carillon:rate-limit=100/s",
            "carillon:Rate-Limit=600/min",
            "carillon:sign",
            "carillon:sign=2",
        ] {
            assert_eq!(of(good), None, "{good}");
        }
        for (bad, words) in [
            ("carillon:sing", "is no setting"),
            ("carillon:", "is no setting"),
            ("carillon:rate-limit", "needs a rate"),
            ("carillon:rate-limit=fast", "needs a rate"),
            ("carillon:rate-limit=0/s", "needs a rate"),
            ("carillon:sign=yes", "needs the number"),
            ("carillon:sign=0", "needs the number"),
        ] {
            let problem = of(bad).unwrap_or_default();
            assert!(problem.starts_with(&format!("'{bad}'")), "{problem}");
            assert!(problem.contains(words), "{problem}");
        }
    }
}
