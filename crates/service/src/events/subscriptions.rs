//! Event subscriptions as ARM resources: made, changed, listed, and what only their owner may see.
//!
//! A webhook has to show that it wants events before it gets any ([`super::handshake`]); until then a new
//! subscription is not in effect, and a changed one is in effect as it was.

use domain::resource::{Actor, Resource};
use domain::subscription::misread;
use domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};
use store::ResourceQuery;
use wire::arm::ResourceId;
use wire::arm::field::FieldError;
use wire::arm::lenient_json::property;
use wire::event::subscription::{self as spec, Audience, Endpoint};
use wire::event::{DeliverySchema, InputSchema};

use super::document::{
    EVENT_SUBSCRIPTIONS, SYSTEM_TOPIC_SUBSCRIPTIONS, State, SubscriptionSecrets, broken,
};
use super::topics::invalid;
use crate::control::{Precondition, PutOutcome};
use crate::{App, Error, Kind, Result};

/// A request to make or change an event subscription.
#[derive(Clone, Copy)]
pub struct SubscriptionChange<'a> {
    id: &'a ResourceId,
    properties: &'a Map<String, Value>,
    condition: &'a Precondition,
    actor: &'a Actor,
}

impl<'a> SubscriptionChange<'a> {
    /// A change of the subscription `id` under `condition`.
    pub fn new(
        id: &'a ResourceId,
        properties: &'a Map<String, Value>,
        condition: &'a Precondition,
        actor: &'a Actor,
    ) -> Self {
        Self {
            id,
            properties,
            condition,
            actor,
        }
    }
}

/// The id under which an event subscription is kept: one of a custom topic has two paths, and is one all the same.
pub fn stored_id(id: ResourceId) -> ResourceId {
    if !id.is_type("Microsoft.EventGrid/topics/eventSubscriptions") {
        return id;
    }
    let stored = id
        .parent()
        .and_then(|topic| topic.extension(EVENT_SUBSCRIPTIONS, id.name()).ok());
    stored.unwrap_or(id)
}

impl App {
    /// Makes an event subscription, or changes one to what is said.
    pub async fn put_event_subscription(
        &self,
        change: SubscriptionChange<'_>,
    ) -> Result<PutOutcome> {
        check_name(change.id.name())?;
        self.change_subscription(change, |_| Map::new()).await
    }

    /// Changes what is said of an event subscription, and leaves the rest.
    pub async fn patch_event_subscription(
        &self,
        change: SubscriptionChange<'_>,
    ) -> Result<PutOutcome> {
        self.resource(change.id).await?;
        self.change_subscription(change, Map::clone).await
    }

    /// The webhook's URL with its query.
    pub async fn event_subscription_url(&self, id: &ResourceId) -> Result<Option<SecretString>> {
        let said = self.said(id).await?;
        Ok(match said.destination.endpoint {
            Endpoint::Webhook { url, .. } => Some(String::from(url).into()),
            Endpoint::Function(_) => None,
        })
    }

    /// The delivery attributes, secret ones with their values.
    pub async fn event_subscription_attributes(&self, id: &ResourceId) -> Result<Vec<Value>> {
        let said = self.said(id).await?;
        let attributes = said.destination.attributes.iter();
        Ok(attributes
            .map(|one| one.document(Audience::Store))
            .collect())
    }

    /// The event subscriptions directly at a scope, or at a topic or system topic.
    pub async fn event_subscriptions_at(&self, scope: &ResourceId) -> Result<Vec<Resource>> {
        if scope.namespace().is_some() {
            self.resource(scope).await?;
        }
        let at = |kind| ResourceQuery {
            subscription: scope.subscription(),
            parent: scope.key(),
            kind,
            ..ResourceQuery::default()
        };
        let kind = if scope.is_type(super::SYSTEM_TOPICS) {
            SYSTEM_TOPIC_SUBSCRIPTIONS
        } else {
            EVENT_SUBSCRIPTIONS
        };
        Ok(self.store.resources(&at(kind), u32::MAX).await?)
    }

    /// Every event subscription of a subscription, or of one of its groups.
    pub async fn event_subscriptions_in(
        &self,
        subscription: &str,
        group: &str,
    ) -> Result<Vec<Resource>> {
        let of = |kind| ResourceQuery {
            subscription,
            group,
            kind,
            ..ResourceQuery::default()
        };
        let mut all = Vec::new();
        for kind in [EVENT_SUBSCRIPTIONS, SYSTEM_TOPIC_SUBSCRIPTIONS] {
            all.extend(self.store.resources(&of(kind), u32::MAX).await?);
        }
        Ok(all)
    }

    async fn change_subscription(
        &self,
        change: SubscriptionChange<'_>,
        kept: impl Fn(&Map<String, Value>) -> Map<String, Value> + Send + Sync,
    ) -> Result<PutOutcome> {
        let source = self.event_source(change.id).await?;
        let put = self
            .put_resource(change.id, change.condition, change.actor, |current| {
                let current = current.map(SubscriptionSecrets::of).transpose()?;
                let shown = current.as_ref().map(|current| current.state.shown());
                let mut whole = shown.map(&kept).unwrap_or_default();
                overlay(&mut whole, change.properties);
                if let Some(shown) = shown {
                    keep_secrets(&mut whole, shown);
                }
                let mut said = spec::Subscription::parse(&whole).map_err(invalid)?;
                let topic = self.topic(source.key());
                let input = topic.map_or(InputSchema::EventGrid, |topic| topic.input);
                let default = || DeliverySchema::default_of(input);
                said.schema = Some(said.schema.unwrap_or_else(default));
                self.check_said(&said, input)?;
                self.changed(current, &said)?.into_draft(&source)
            })
            .await?;
        self.begin_handshake(&put.resource)?;
        Ok(put)
    }

    /// What becomes of a subscription when `said` is said of it.
    fn changed(
        &self,
        current: Option<SubscriptionSecrets>,
        said: &spec::Subscription,
    ) -> Result<SubscriptionSecrets> {
        let next = said.properties(Audience::Store);
        if let Some(current) = &current
            && current.pending().is_some()
        {
            // The same request again is the same operation.
            if *current.state.shown() == next {
                return Ok(current.clone());
            }
            let message = "The event subscription is being created or updated: its webhook has not been validated yet. \
                           Wait until the operation has ended, or delete the subscription.";
            return Err(Error::new(Kind::Conflict, "Conflict", message));
        }
        let (live, handshake, granted) = match current {
            Some(current) => (
                current.state.live().cloned(),
                current.handshake,
                current.granted,
            ),
            None => (None, None, None),
        };
        let trusted = match &live {
            Some(live) => is_same_endpoint(&spec::Subscription::parse(live).map_err(broken)?, said),
            None => false,
        };
        if trusted || matches!(said.destination.endpoint, Endpoint::Function(_)) {
            return Ok(SubscriptionSecrets {
                state: State::Live { said: next },
                handshake,
                granted: granted.filter(|_| trusted),
            });
        }
        Ok(SubscriptionSecrets {
            state: match live {
                Some(said) => State::Updating { said, next },
                None => State::Creating { said: next },
            },
            handshake: Some(self.new_handshake(said)),
            granted,
        })
    }

    /// What a body alone cannot say.
    fn check_said(&self, said: &spec::Subscription, input: InputSchema) -> Result<()> {
        let at = |field, problem: String| Err(invalid(FieldError::new(field, problem)));
        let expires = said.expires.as_deref().and_then(Timestamp::parse);
        if said.expires.is_some() && expires.is_none_or(|at| at <= self.clock.now()) {
            return at("expirationTimeUtc", "must be a time to come".to_owned());
        }
        if let Some(problem) = misread(said.labels.as_deref().unwrap_or_default()) {
            return at(
                "labels",
                format!("has a label for this server that it cannot follow: {problem}"),
            );
        }
        match &said.destination.endpoint {
            Endpoint::Webhook { url, .. } => {
                if let Err(bad) = self.webhooks.target(url.as_str()) {
                    return at(ENDPOINT, format!("is refused: {bad}"));
                }
            }
            Endpoint::Function(id) => {
                if self.settings.events.function_url(id).is_none() {
                    let problem = "is of a function whose URL this server does not know: name it in [events.functions] \
                                   of the configuration, or use a WebHook with the function's URL";
                    return at("destination.properties.resourceId", problem.to_owned());
                }
            }
        }
        if let Some(letters) = &said.dead_letter
            && !self.settings.dead_letters.knows(letters.account.name())
        {
            let problem = "is of a storage account that this server does not know: name it in [events.storage] of the \
                           configuration";
            let field = "deadLetterDestination.properties.resourceId";
            return at(field, problem.to_owned());
        }
        match said.schema {
            Some(output) if !output.is_possible(input) => at(
                "eventDeliverySchema",
                format!(
                    "cannot be {}: the topic takes {}",
                    output.as_str(),
                    input.as_str()
                ),
            ),
            _ => Ok(()),
        }
    }

    /// The resource whose events a subscription with this id is to.
    pub(super) async fn event_source(&self, id: &ResourceId) -> Result<ResourceId> {
        let parent = id.parent().ok_or_else(|| crate::control::not_found(id))?;
        if !id.is_type(SYSTEM_TOPIC_SUBSCRIPTIONS) {
            return Ok(parent);
        }
        let topic = self.resource(&parent).await?;
        let source = topic.property("source").and_then(Value::as_str);
        ResourceId::parse(source.unwrap_or_default()).map_err(broken)
    }

    /// What is said of a subscription: what is to be, if a handshake goes well.
    pub(super) async fn said(&self, id: &ResourceId) -> Result<spec::Subscription> {
        let secrets = SubscriptionSecrets::of(&self.resource(id).await?)?;
        spec::Subscription::parse(secrets.state.shown()).map_err(broken)
    }
}

/// Whether the webhook of `said` has consented already: the same URL, asked in the same way.
fn is_same_endpoint(live: &spec::Subscription, said: &spec::Subscription) -> bool {
    let is_cloud = |one: &spec::Subscription| one.schema == Some(DeliverySchema::CloudEvent);
    match (&live.destination.endpoint, &said.destination.endpoint) {
        (Endpoint::Webhook { url: live_url, .. }, Endpoint::Webhook { url, .. }) => {
            live_url == url && is_cloud(live) == is_cloud(said)
        }
        _ => false,
    }
}

/// Puts what a body says over what was said; `null` takes away.
fn overlay(whole: &mut Map<String, Value>, body: &Map<String, Value>) {
    for (name, other) in PROPERTIES {
        let Some(value) = property(body, name) else {
            continue;
        };
        whole.remove(name);
        if !value.is_null() {
            whole.remove(other);
            whole.insert(name.to_owned(), value.clone());
        }
    }
}

/// What no answer shows and a client that changes something else cannot repeat stays as it was: the URL, unless another
/// base is given (az and the SDKs give none), and secret attributes.
fn keep_secrets(whole: &mut Map<String, Value>, shown: &Map<String, Value>) {
    let Some(held) = destination_properties(shown).cloned() else {
        return;
    };
    let Some(given) = destination_properties_mut(whole) else {
        return;
    };
    let said = |name| property(given, name).filter(|value| !value.is_null());
    let base = held.get("endpointBaseUrl");
    let elsewhere = said("endpointBaseUrl").is_some_and(|given| Some(given) != base);
    if said("endpointUrl").is_none() && !elsewhere {
        let url = held.get("endpointUrl").cloned().unwrap_or_default();
        given.insert("endpointUrl".into(), url);
    }
    let held = held
        .get("deliveryAttributeMappings")
        .and_then(Value::as_array);
    let given = given.get_mut("deliveryAttributeMappings");
    for attribute in given.and_then(Value::as_array_mut).into_iter().flatten() {
        let is_hidden = attribute["properties"]["isSecret"] == true
            && attribute["properties"]["value"].is_null();
        let mut known = held.into_iter().flatten();
        if is_hidden && let Some(known) = known.find(|known| known["name"] == attribute["name"]) {
            attribute["properties"]["value"] = known["properties"]["value"].clone();
        }
    }
}

fn destination_properties(said: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let with_identity = said.get("deliveryWithResourceIdentity");
    let destination = with_identity.and_then(|with| with.get("destination"));
    let destination = destination.or_else(|| said.get("destination"))?;
    destination.get("properties")?.as_object()
}

fn destination_properties_mut(said: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let destination = if said.contains_key("deliveryWithResourceIdentity") {
        said.get_mut("deliveryWithResourceIdentity")?
            .get_mut("destination")
    } else {
        said.get_mut("destination")
    };
    destination?.get_mut("properties")?.as_object_mut()
}

fn check_name(name: &str) -> Result<()> {
    if spec::is_name(name) {
        return Ok(());
    }
    let message = format!(
        "The name '{name}' is invalid: an event subscription's name has 3 to 64 letters, digits and hyphens."
    );
    Err(Error::invalid("InvalidRequest", message).at("name"))
}

const ENDPOINT: &str = "destination.properties.endpointUrl";
/// What can be said of an event subscription, with the other form of saying the same.
const PROPERTIES: [(&str, &str); 9] = [
    ("destination", "deliveryWithResourceIdentity"),
    ("deliveryWithResourceIdentity", "destination"),
    ("filter", ""),
    ("labels", ""),
    ("expirationTimeUtc", ""),
    ("eventDeliverySchema", ""),
    ("retryPolicy", ""),
    ("deadLetterDestination", "deadLetterWithResourceIdentity"),
    ("deadLetterWithResourceIdentity", "deadLetterDestination"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_two_paths_of_a_topics_subscription_are_one() {
        let topic = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/t";
        let nested = ResourceId::parse(&format!("{topic}/eventSubscriptions/e")).unwrap();
        let extension = ResourceId::parse(&format!(
            "{topic}/providers/Microsoft.EventGrid/eventSubscriptions/e"
        ))
        .unwrap();
        assert_eq!(stored_id(nested), extension);
        assert_eq!(stored_id(extension.clone()), extension);
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name_and_null_takes_away() {
        let mut whole = object(json!({ "labels": ["a"], "filter": { "x": 1 }, "destination": {} }));
        let body = json!({ "Labels": ["z"], "filter": null, "unknown": 1,
            "deliveryWithResourceIdentity": { "identity": {} } });
        overlay(&mut whole, &object(body));
        assert_eq!(
            Value::Object(whole),
            json!({ "labels": ["z"], "deliveryWithResourceIdentity": { "identity": {} } })
        );
    }

    #[test]
    fn what_was_read_can_be_written_back_without_its_secrets() {
        let held = json!({ "destination": { "endpointType": "WebHook", "properties": {
            "endpointUrl": "https://a/?code=s", "endpointBaseUrl": "https://a/",
            "deliveryAttributeMappings": [
                { "name": "K", "type": "Static", "properties": { "value": "v", "isSecret": true } },
            ],
        } } });
        let mut read = held.clone();
        let properties = &mut read["destination"]["properties"];
        properties.as_object_mut().unwrap().remove("endpointUrl");
        properties["deliveryAttributeMappings"][0]["properties"]["value"] = Value::Null;
        let mut written = object(read.clone());
        keep_secrets(&mut written, &object(held.clone()));
        assert_eq!(Value::Object(written), held);

        // The models of the SDKs do not send the base.
        for (base, url) in [
            (Value::Null, json!("https://a/?code=s")),
            (json!("https://b/"), Value::Null),
        ] {
            read["destination"]["properties"]["endpointBaseUrl"] = base;
            let mut written = object(read.clone());
            keep_secrets(&mut written, &object(held.clone()));
            let properties = &Value::Object(written)["destination"]["properties"];
            assert_eq!(properties["endpointUrl"], url);
        }
    }
}
