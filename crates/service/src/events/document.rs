//! How topics and event subscriptions are laid out as resources: what everybody may see in the body, keys, endpoints
//! and what waits for a handshake in the sealed secrets.

use domain::resource::Resource;
use domain::subscription::Subscription;
use domain::topic::Topic;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::arm::ResourceId;
use wire::auth::topic_sas::Key;
use wire::event::InputSchema;
use wire::event::custom::Mapping;
use wire::event::subscription as spec;

use crate::{Error, Kind, Result};

/// The type of a custom topic.
pub const TOPICS: &str = "Microsoft.EventGrid/topics";
/// The type of a system topic.
pub const SYSTEM_TOPICS: &str = "Microsoft.EventGrid/systemTopics";
/// The type of an event subscription at any scope. Those of a custom topic are kept so by both of their paths.
pub const EVENT_SUBSCRIPTIONS: &str = "Microsoft.EventGrid/eventSubscriptions";
/// The type of an event subscription of a system topic.
pub const SYSTEM_TOPIC_SUBSCRIPTIONS: &str = "Microsoft.EventGrid/systemTopics/eventSubscriptions";

/// The access keys of a topic.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TopicKeys {
    /// Base64 of 32 random bytes.
    pub(crate) key1: String,
    /// The second key.
    pub(crate) key2: String,
}

/// The secrets of an event subscription.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SubscriptionSecrets {
    /// How far it is.
    #[serde(flatten)]
    pub(super) state: State,
}

/// How far an event subscription is, with what the client said (`properties` for the store).
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(super) enum State {
    /// It is in effect.
    Live {
        /// What was said.
        said: Map<String, Value>,
    },
}

impl TopicKeys {
    pub(crate) fn of(resource: &Resource) -> Result<Self> {
        read(resource)
    }

    pub(crate) fn sealed(&self) -> Result<SecretString> {
        write(self)
    }
}

impl SubscriptionSecrets {
    pub(super) fn of(resource: &Resource) -> Result<Self> {
        read(resource)
    }
}

impl State {
    /// What is in effect, if anything is.
    fn live(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Live { said } => Some(said),
        }
    }
}

/// A topic as the data plane uses it.
pub(super) fn topic(resource: &Resource) -> Result<Topic> {
    let keys = TopicKeys::of(resource)?;
    Ok(Topic {
        id: resource.id.clone(),
        input: input_schema(resource),
        mapping: match resource.property("inputSchemaMapping") {
            Some(mapping) => Mapping::parse(mapping).map_err(broken)?,
            None => Mapping::default(),
        },
        keys: [keys.key1, keys.key2]
            .iter()
            .filter_map(|key| Key::new(key))
            .collect(),
        disable_local_auth: resource.property("disableLocalAuth") == Some(&Value::Bool(true)),
    })
}

/// The schema that a topic takes.
pub(super) fn input_schema(topic: &Resource) -> InputSchema {
    let name = topic.property("inputSchema").and_then(Value::as_str);
    name.and_then(InputSchema::parse)
        .unwrap_or(InputSchema::EventGrid)
}

/// An event subscription as delivery uses it; `None` while it is not in effect.
pub(super) fn subscription(
    resource: &Resource,
    source: &ResourceId,
    input: InputSchema,
) -> Result<Option<Subscription>> {
    let secrets = SubscriptionSecrets::of(resource)?;
    let Some(said) = secrets.state.live() else {
        return Ok(None);
    };
    let said = spec::Subscription::parse(said).map_err(broken)?;
    let (id, source) = (resource.id.clone(), source.clone());
    Ok(Some(Subscription::new(id, source, input, said)))
}

fn read<T: for<'a> Deserialize<'a>>(resource: &Resource) -> Result<T> {
    let text = resource.secrets.as_ref().map(ExposeSecret::expose_secret);
    serde_json::from_str(text.unwrap_or("null")).map_err(broken)
}

fn write(secrets: &impl Serialize) -> Result<SecretString> {
    let text = serde_json::to_string(secrets).map_err(broken)?;
    Ok(text.into())
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = "The server failed to do this. Its log says why.";
    Error::new(Kind::Internal, "InternalServerError", message).caused_by(error)
}
