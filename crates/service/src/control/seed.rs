//! What `carillon dev` makes at its first start, so that one command is enough to begin with.

use domain::resource::Actor;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use wire::arm::ResourceId;
use wire::hub::credential;

use super::resources::Precondition;
use crate::hubs::{HUBS, HubChange, NAMESPACES};
use crate::{App, Error, Kind, Result};

/// The resources of `carillon dev`, and how to reach them.
pub struct Seeded {
    /// The resource group.
    pub group: &'static str,
    /// The communication resource.
    pub communication: ResourceId,
    /// Its primary key.
    pub access_key: SecretString,
    /// The same as a connection string.
    pub connection_string: SecretString,
    /// The hub.
    pub hub: ResourceId,
    /// Connection strings of its rules: listen, send, full.
    pub hub_strings: [SecretString; 3],
    /// The Event Grid topic.
    pub topic: ResourceId,
    /// Where events are published to it.
    pub topic_endpoint: String,
    /// The topic's first key.
    pub topic_key: SecretString,
}

impl App {
    /// Makes what is missing of the resources of `carillon dev`. `credentials` are the `properties` of the hub
    /// (`apnsCredential`, `fcmV1Credential`) that point at the device lab.
    pub async fn seed_dev(&self, credentials: &Map<String, Value>) -> Result<Seeded> {
        let actor = Actor::server();
        let subscription = self.settings.subscriptions[0].id.clone();
        let id = |namespace: &str, types: &[(&str, &str)]| {
            ResourceId::of_resource(&subscription, GROUP, namespace, types).map_err(|error| {
                Error::new(Kind::Internal, "InternalServerError", error.to_string())
            })
        };
        let group = ResourceId::of_group(&subscription, GROUP).ok();
        let group = match &group {
            Some(group) => self.store.resource(group).await?,
            None => None,
        };
        if group.is_none() {
            let body = object(json!({ "location": "global" }));
            self.put_group(&subscription, GROUP, &body, &actor).await?;
        }
        let communication = id(
            "Microsoft.Communication",
            &[("communicationServices", "comm")],
        )?;
        if self.communication(communication.key()).is_none() {
            let body =
                json!({ "location": "global", "properties": { "dataLocation": "United States" } });
            self.put_communication(&communication, &object(body), &Precondition::Absent, &actor)
                .await?;
        }
        let hub = id(
            namespace_of(NAMESPACES),
            &[("namespaces", "push"), ("notificationHubs", "hub")],
        )?;
        self.seed_hub(&hub, credentials, &actor).await?;
        let topic = id("Microsoft.EventGrid", &[("topics", "events")])?;
        let topic_key = self.seed_topic(&topic, &actor).await?;
        let (access_key, _) = self.communication_keys(&communication).await?;
        let mut hub_strings = Vec::new();
        for rule in RULES {
            let keys = self.hub_rule_keys(&hub, rule).await?;
            hub_strings.push(SecretString::from(keys.primary_connection_string));
        }
        let hub_strings = hub_strings.try_into().map_err(|_| {
            Error::new(
                Kind::Internal,
                "InternalServerError",
                "The hub has not its three rules.",
            )
        })?;
        Ok(Seeded {
            group: GROUP,
            connection_string: self.communication_connection_string(&access_key).into(),
            communication,
            access_key,
            hub,
            hub_strings,
            topic_endpoint: self.topic_endpoint(topic.name()),
            topic,
            topic_key,
        })
    }

    async fn seed_hub(
        &self,
        hub: &ResourceId,
        credentials: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<()> {
        debug_assert!(hub.is_type(HUBS), "{hub}");
        let Some(namespace) = hub.parent() else {
            return Ok(());
        };
        if self.store.resource(&namespace).await?.is_none() {
            let body = json!({ "location": "global", "sku": { "name": "Standard" } });
            let body = object(body);
            self.put_namespace(HubChange::new(&namespace, &body, actor))
                .await?;
        }
        if self.hub(hub.key()).is_none() {
            let body = object(json!({ "location": "global", "properties": credentials }));
            self.put_hub(HubChange::new(hub, &body, actor)).await?;
        } else {
            self.follow_lab(hub, credentials, actor).await?;
        }
        let rules = self.hub_rules(hub).await?;
        if !rules.iter().any(|rule| rule.is(RULES[1])) {
            let body = object(json!({ "properties": { "rights": ["Send"] } }));
            self.put_hub_rule(hub, RULES[1], &body, actor).await?;
        }
        Ok(())
    }

    /// The lab may be at other ports than last time. A credential that is still the lab's is pointed there; one that
    /// somebody put in its place stays as it is.
    async fn follow_lab(
        &self,
        hub: &ResourceId,
        credentials: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<()> {
        let changes = credential::read(credentials).unwrap_or_default();
        let held = self.pns_credentials(hub).await?;
        let moved = changes.iter().any(|change| match change {
            credential::Change::Set(kind, fields) => held.get(kind.name).is_some_and(|held| {
                held != fields && without_address(held) == without_address(fields)
            }),
            credential::Change::Remove(_) => false,
        });
        if moved {
            let body = object(json!({ "properties": credentials }));
            self.patch_hub(HubChange::new(hub, &body, actor)).await?;
        }
        Ok(())
    }

    async fn seed_topic(&self, topic: &ResourceId, actor: &Actor) -> Result<SecretString> {
        if self.topic(topic.key()).is_none() {
            let body = object(json!({ "location": "global" }));
            self.put_topic(topic, &body, &Precondition::Absent, actor)
                .await?;
        }
        let [key, _] = self.topic_keys(topic).await?;
        Ok(key)
    }
}

fn without_address(fields: &credential::Fields) -> Vec<(&String, &String)> {
    let mut rest: Vec<_> = fields.iter().collect();
    rest.retain(|(name, _)| !ADDRESSES.contains(&name.as_str()));
    rest
}

fn namespace_of(kind: &'static str) -> &'static str {
    kind.split('/').next().unwrap_or(kind)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

const GROUP: &str = "default";
/// Listen, send, full.
const RULES: [&str; 3] = [
    "DefaultListenSharedAccessSignature",
    "send-only",
    "DefaultFullSharedAccessSignature",
];
/// Fields of a credential that say where the service is, not who we are.
const ADDRESSES: [&str; 2] = ["endpoint", "tokenUri"];
