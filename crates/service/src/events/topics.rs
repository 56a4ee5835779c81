//! Topics and system topics as ARM resources.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::resource::{Actor, Resource};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use wire::arm::ResourceId;
use wire::arm::field::{FieldError, Fields};
use wire::event::InputSchema;
use wire::event::catalogue::TOPIC_TYPE;
use wire::event::topic::{TopicBody, is_name};

use super::document::{SYSTEM_TOPICS, TopicKeys, input_schema};
use crate::control::{Draft, Precondition, PutOutcome};
use crate::{App, Error, Kind, Result};

/// One of a topic's two access keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicKey {
    /// `key1`.
    First,
    /// `key2`.
    Second,
}

impl App {
    /// Makes a topic, or changes one to what the body says.
    pub async fn put_topic(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        condition: &Precondition,
        actor: &Actor,
    ) -> Result<PutOutcome> {
        check_name(id.name())?;
        let said = TopicBody::parse(body).map_err(invalid)?;
        if let Some(other) = self.topic(id.name())
            && other.key() != id.key()
        {
            let message = format!("The topic name '{}' is taken on this server.", id.name());
            return Err(Error::new(Kind::Conflict, "Conflict", message).at("name"));
        }
        self.put_resource(id, condition, actor, |current| {
            let (mut document, keys) = match current {
                Some(current) => (kept_of(current, &said)?, TopicKeys::of(current)?),
                None => (self.new_topic(&said)?, self.new_topic_keys()),
            };
            apply(&mut document, &said);
            Ok(Draft {
                body: document,
                secrets: Some(keys.sealed()?),
            })
        })
        .await
    }

    /// Changes what the body names of a topic.
    pub async fn patch_topic(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        condition: &Precondition,
        actor: &Actor,
    ) -> Result<Resource> {
        let said = TopicBody::parse(body).map_err(invalid)?;
        self.change_resource(id, condition, actor, |current| {
            let mut document = current.body.clone();
            apply(&mut document, &said);
            Ok(Draft {
                body: document,
                secrets: current.secrets.clone(),
            })
        })
        .await
    }

    /// Both access keys of a topic.
    pub async fn topic_keys(&self, id: &ResourceId) -> Result<[SecretString; 2]> {
        let keys = TopicKeys::of(&self.resource(id).await?)?;
        Ok([keys.key1.into(), keys.key2.into()])
    }

    /// Replaces one access key of a topic; answers both. The new one counts at once.
    pub async fn regenerate_topic_key(
        &self,
        id: &ResourceId,
        which: TopicKey,
        actor: &Actor,
    ) -> Result<[SecretString; 2]> {
        let changed = self.change_resource(id, &Precondition::Always, actor, |current| {
            let mut keys = TopicKeys::of(current)?;
            match which {
                TopicKey::First => keys.key1 = self.new_topic_key(),
                TopicKey::Second => keys.key2 = self.new_topic_key(),
            }
            Ok(Draft {
                body: current.body.clone(),
                secrets: Some(keys.sealed()?),
            })
        });
        let keys = TopicKeys::of(&changed.await?)?;
        Ok([keys.key1.into(), keys.key2.into()])
    }

    /// Where events are published to a topic.
    pub fn topic_endpoint(&self, name: &str) -> String {
        format!("{}/topics/{name}/api/events", self.settings.base_url)
    }

    /// Makes a system topic, or changes the tags of one.
    pub async fn put_system_topic(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        condition: &Precondition,
        actor: &Actor,
    ) -> Result<PutOutcome> {
        check_name(id.name())?;
        let fields = Fields::of(body);
        let (tags, location) = (
            fields.tags().map_err(invalid)?,
            fields.text("location").map_err(invalid)?,
        );
        let (source, topic_type) = system_source(&fields).map_err(invalid)?;
        self.resource(&source).await?;
        self.check_only_system_topic(id, &source).await?;
        self.put_resource(id, condition, actor, |current| {
            let mut document = Map::new();
            if let Some(current) = current {
                check_kept(current, "source", source.as_str())?;
                document = current.body.clone();
                document.remove("tags");
            } else {
                document.insert("location".into(), required(location)?.into());
                document.insert(
                    "properties".into(),
                    json!({
                        "provisioningState": "Succeeded",
                        "source": source.as_str(),
                        "topicType": topic_type,
                        "metricResourceId": self.random.uuid().to_string(),
                    }),
                );
            }
            set_common(&mut document, tags.clone(), fields.value("identity"));
            Ok(Draft {
                body: document,
                secrets: None,
            })
        })
        .await
    }

    /// Changes the tags or identity of a system topic.
    pub async fn patch_system_topic(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        condition: &Precondition,
        actor: &Actor,
    ) -> Result<Resource> {
        let fields = Fields::of(body);
        let tags = fields.tags().map_err(invalid)?;
        self.change_resource(id, condition, actor, |current| {
            let mut document = current.body.clone();
            set_common(&mut document, tags.clone(), fields.value("identity"));
            Ok(Draft {
                body: document,
                secrets: None,
            })
        })
        .await
    }

    /// The system topics elsewhere whose source is this resource, or inside of it: they go with it, for whoever makes one
    /// of the same name later has not subscribed anybody.
    pub(crate) async fn system_topics_of(&self, id: &ResourceId) -> Result<Vec<ResourceId>> {
        let inside = format!("{}/", id.key());
        let is_in = |other: &ResourceId| other == id || other.key().starts_with(&inside);
        let all = self.events_resources(SYSTEM_TOPICS).await?.into_iter();
        let all = all.filter(|topic| {
            let source = topic.property("source").and_then(Value::as_str);
            let source = source.and_then(|source| ResourceId::parse(source).ok());
            source.is_some_and(|source| is_in(&source)) && !is_in(&topic.id)
        });
        Ok(all.map(|topic| topic.id).collect())
    }

    /// "Only one system topic is allowed per source."
    async fn check_only_system_topic(&self, id: &ResourceId, source: &ResourceId) -> Result<()> {
        let all = self.events_resources(SYSTEM_TOPICS).await?;
        let other = all.iter().find(|other| {
            let of = other.property("source").and_then(Value::as_str);
            other.id != *id && of.is_some_and(|of| of.eq_ignore_ascii_case(source.as_str()))
        });
        match other {
            None => Ok(()),
            Some(other) => {
                let message = format!(
                    "Only one system topic is allowed per source. '{source}' has the system topic '{}' already.",
                    other.id
                );
                Err(Error::invalid("InvalidRequest", message).at("properties.source"))
            }
        }
    }

    /// The document of a new topic.
    fn new_topic(&self, said: &TopicBody) -> Result<Map<String, Value>> {
        let mut document = Map::new();
        let location = required(said.location.as_deref())?;
        document.insert("location".into(), location.into());
        let schema = said.input_schema.unwrap_or(InputSchema::EventGrid);
        let mut properties = json!({
            "provisioningState": "Succeeded",
            "inputSchema": schema.as_str(),
            "publicNetworkAccess": "Enabled",
            "metricResourceId": self.random.uuid().to_string(),
        });
        match (schema, &said.mapping) {
            (InputSchema::Custom, Some(mapping)) => {
                properties["inputSchemaMapping"] = mapping.clone();
            }
            (InputSchema::Custom, None) => {
                let problem = "is required for the schema CustomEventSchema";
                return Err(invalid(FieldError::new(
                    "properties.inputSchemaMapping",
                    problem,
                )));
            }
            (_, Some(_)) => {
                let problem = "goes with the schema CustomEventSchema alone";
                return Err(invalid(FieldError::new(
                    "properties.inputSchemaMapping",
                    problem,
                )));
            }
            (_, None) => {}
        }
        document.insert("properties".into(), properties);
        Ok(document)
    }

    fn new_topic_keys(&self) -> TopicKeys {
        TopicKeys {
            key1: self.new_topic_key(),
            key2: self.new_topic_key(),
        }
    }

    fn new_topic_key(&self) -> String {
        STANDARD.encode(self.random.bytes::<32>())
    }
}

/// An invalid body in Event Grid's words.
pub(super) fn invalid(error: FieldError) -> Error {
    let message = format!("The request content was invalid: {error}.");
    Error::invalid("InvalidRequest", message).at(error.field)
}

/// What a PUT over a topic leaves as it is.
fn kept_of(current: &Resource, said: &TopicBody) -> Result<Map<String, Value>> {
    if let Some(schema) = said.input_schema
        && schema != input_schema(current)
    {
        return Err(fixed("inputSchema"));
    }
    if let Some(mapping) = &said.mapping
        && current.property("inputSchemaMapping") != Some(mapping)
    {
        return Err(fixed("inputSchemaMapping"));
    }
    let mut kept = current.clone();
    kept.body.remove("tags");
    kept.properties_mut().remove("disableLocalAuth");
    Ok(kept.body)
}

fn apply(document: &mut Map<String, Value>, said: &TopicBody) {
    set_common(document, said.tags.clone(), said.identity.as_ref());
    if let Some(Value::Object(properties)) = document.get_mut("properties") {
        properties.extend(said.kept.clone());
        if let Some(off) = said.disable_local_auth {
            properties.insert("disableLocalAuth".into(), off.into());
        }
    }
}

fn set_common(
    document: &mut Map<String, Value>,
    tags: Option<Map<String, Value>>,
    identity: Option<&Value>,
) {
    if let Some(tags) = tags {
        document.insert("tags".into(), Value::Object(tags));
    }
    if let Some(identity) = identity {
        document.insert("identity".into(), identity.clone());
    }
}

/// What has events of its own.
pub(super) const COMMUNICATION_SERVICES: &str = "Microsoft.Communication/communicationServices";

/// The source of a system topic and its topic type.
fn system_source(
    fields: &Fields<'_>,
) -> std::result::Result<(ResourceId, &'static str), FieldError> {
    let properties = fields.object("properties")?;
    let source = properties.text("source")?.unwrap_or_default();
    let source = ResourceId::parse(source)
        .ok()
        .filter(|id| id.is_type(COMMUNICATION_SERVICES))
        .ok_or_else(|| {
            let problem = "must be the id of a communication resource; subscribe to the events of others at themselves";
            properties.error("source", problem)
        })?;
    let given = properties.text("topicType")?.unwrap_or_default();
    if !given.eq_ignore_ascii_case(TOPIC_TYPE) {
        let problem = "must be Microsoft.Communication.CommunicationServices";
        return Err(properties.error("topicType", problem));
    }
    Ok((source, TOPIC_TYPE))
}

fn check_kept(current: &Resource, name: &'static str, given: &str) -> Result<()> {
    let kept = current.property(name).and_then(Value::as_str);
    if kept.is_none_or(|kept| kept.eq_ignore_ascii_case(given)) {
        return Ok(());
    }
    Err(fixed(name))
}

fn fixed(name: &str) -> Error {
    let field = format!("properties.{name}");
    let message = format!("Changing property '{field}' is not allowed.");
    Error::invalid("PropertyChangeNotAllowed", message).at(field)
}

fn required(location: Option<&str>) -> Result<&str> {
    let location = location.filter(|location| !location.is_empty());
    location.ok_or_else(|| {
        let message = "The location property is required for this definition.";
        Error::invalid("LocationRequired", message).at("location")
    })
}

fn check_name(name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let message = format!(
        "The name '{name}' is invalid: a topic's name has 3 to 50 letters, digits and hyphens."
    );
    Err(Error::invalid("InvalidRequest", message).at("name"))
}
