//! How topics and event subscriptions are laid out as resources: what everybody may see in the body, keys, endpoints
//! and what waits for a handshake in the sealed secrets.

use std::time::Duration;

use domain::lane::Rate;
use domain::resource::Resource;
use domain::subscription::Subscription;
use domain::time::Timestamp;
use domain::topic::Topic;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;
use wire::arm::ResourceId;
use wire::auth::topic_sas::Key;
use wire::event::InputSchema;
use wire::event::catalogue::{EVENT_TYPES, EventType};
use wire::event::custom::Mapping;
use wire::event::subscription as spec;

use super::topics::COMMUNICATION_SERVICES;
use crate::control::Draft;
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
pub(super) struct TopicKeys {
    /// Base64 of 32 random bytes.
    pub(super) key1: String,
    /// The second key.
    pub(super) key2: String,
}

/// The secrets of an event subscription.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SubscriptionSecrets {
    /// How far it is.
    #[serde(flatten)]
    pub(super) state: State,
    /// The last handshake with its webhook.
    #[serde(default)]
    pub(super) handshake: Option<Handshake>,
    /// Requests a minute that the webhook takes which is in effect, if it was asked and named a number.
    #[serde(default)]
    pub(super) granted: Option<u32>,
}

/// How far an event subscription is, with what the client said (`properties` for the store).
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub(super) enum State {
    /// New; its webhook has not shown yet that it wants events.
    Creating {
        /// What was said.
        said: Map<String, Value>,
    },
    /// It is in effect.
    Live {
        /// What was said.
        said: Map<String, Value>,
    },
    /// In effect as it was, until another webhook has shown that it wants events.
    Updating {
        /// What is in effect.
        said: Map<String, Value>,
        /// What is to be.
        next: Map<String, Value>,
    },
    /// Its webhook did not want events.
    Failed {
        /// What was said.
        said: Map<String, Value>,
    },
}

/// How the owner of a webhook shows that it wants events. It is the long-running operation of its request.
#[derive(Clone, Serialize, Deserialize)]
pub struct Handshake {
    /// Names the operation.
    pub id: Uuid,
    /// The webhook, without its query, which may be a secret.
    pub(super) url: String,
    /// What a receiver of the Event Grid schema sends back.
    pub(super) code: String,
    /// What a visit to the validation URL shows.
    pub(super) token: String,
    /// When it began.
    pub began_at: Timestamp,
    /// It has failed if nothing came of it by then.
    pub(super) until: Timestamp,
    /// How far it is.
    pub step: Step,
}

/// How far a handshake is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase")]
pub enum Step {
    /// The webhook is being asked.
    Asking,
    /// It answered without saying yes; its owner may visit the validation URL.
    Awaiting,
    /// It wants events.
    Succeeded {
        /// Since when.
        at: Timestamp,
    },
    /// It does not.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why.
        message: String,
    },
}

impl TopicKeys {
    pub(super) fn of(resource: &Resource) -> Result<Self> {
        read(resource)
    }

    pub(super) fn sealed(&self) -> Result<SecretString> {
        write(self)
    }
}

impl SubscriptionSecrets {
    pub(super) fn of(resource: &Resource) -> Result<Self> {
        read(resource)
    }

    /// The handshake that the subscription is waiting for.
    pub(super) fn pending(&self) -> Option<&Handshake> {
        let handshake = self.handshake.as_ref()?;
        handshake.is_pending().then_some(handshake)
    }

    /// The document of a subscription to the events of `source`.
    pub(super) fn into_draft(self, source: &ResourceId) -> Result<Draft> {
        let said = spec::Subscription::parse(self.state.shown()).map_err(broken)?;
        let mut properties = said.properties(spec::Audience::Reader);
        name_types(&mut properties, source);
        properties.insert("topic".into(), source.as_str().into());
        properties.insert("provisioningState".into(), self.provisioning_state().into());
        let mut body = Map::new();
        body.insert("properties".into(), Value::Object(properties));
        Ok(Draft {
            body,
            secrets: Some(write(&self)?),
        })
    }

    fn provisioning_state(&self) -> &'static str {
        let awaits = self.pending().is_some_and(|it| it.step == Step::Awaiting);
        match self.state {
            State::Creating { .. } | State::Updating { .. } if awaits => "AwaitingManualAction",
            State::Creating { .. } => "Creating",
            State::Updating { .. } => "Updating",
            State::Live { .. } => "Succeeded",
            State::Failed { .. } => "Failed",
        }
    }
}

impl State {
    /// What a reader sees: what is to be, if a handshake goes well.
    pub(super) fn shown(&self) -> &Map<String, Value> {
        match self {
            Self::Updating { next, .. } => next,
            Self::Creating { said } | Self::Live { said } | Self::Failed { said } => said,
        }
    }

    /// What is in effect, if anything is.
    pub(super) fn live(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Live { said } | Self::Updating { said, .. } => Some(said),
            Self::Creating { .. } | Self::Failed { .. } => None,
        }
    }

    /// The state when its webhook wants events.
    pub(super) fn accepted(self) -> Self {
        match self {
            Self::Creating { said } | Self::Updating { next: said, .. } => Self::Live { said },
            settled => settled,
        }
    }

    /// The state when it does not: what was in effect stays so.
    pub(super) fn refused(self) -> Self {
        match self {
            Self::Creating { said } => Self::Failed { said },
            Self::Updating { said, .. } => Self::Live { said },
            settled => settled,
        }
    }
}

impl Handshake {
    /// The beginning of Azure's sentence, and why.
    pub(super) fn failed(&self, why: &str) -> String {
        format!(
            "Webhook validation handshake failed for {}. {why}",
            self.url
        )
    }

    /// Whether it is not over.
    pub fn is_pending(&self) -> bool {
        matches!(self.step, Step::Asking | Step::Awaiting)
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
    secrets: &SubscriptionSecrets,
    source: &ResourceId,
    input: InputSchema,
) -> Result<Option<Subscription>> {
    let Some(said) = secrets.state.live() else {
        return Ok(None);
    };
    let said = spec::Subscription::parse(said).map_err(broken)?;
    let (id, source) = (resource.id.clone(), source.clone());
    let granted = secrets.granted.map(|requests| Rate::new(requests, MINUTE));
    Ok(Some(Subscription {
        granted,
        ..Subscription::new(id, source, input, said)
    }))
}

/// "GET returns the expanded default list" of a subscription to Azure's own events that names no types.
fn name_types(properties: &mut Map<String, Value>, source: &ResourceId) {
    if !source.is_type(COMMUNICATION_SERVICES) {
        return;
    }
    let filter = properties.get_mut("filter").and_then(Value::as_object_mut);
    let types = filter.map(|filter| filter.entry("includedEventTypes").or_insert(Value::Null));
    if let Some(types @ Value::Null) = types {
        *types = EVENT_TYPES.iter().map(EventType::name).collect();
    }
}

fn read<T: for<'a> Deserialize<'a>>(resource: &Resource) -> Result<T> {
    let text = resource.secrets.as_ref().map(ExposeSecret::expose_secret);
    serde_json::from_str(text.unwrap_or("null")).map_err(broken)
}

fn write(secrets: &impl Serialize) -> Result<SecretString> {
    let text = serde_json::to_string(secrets).map_err(broken)?;
    Ok(text.into())
}

pub(super) fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = "The server failed to do this. Its log says why.";
    Error::new(Kind::Internal, "InternalServerError", message).caused_by(error)
}

const MINUTE: Duration = Duration::from_secs(60);
