//! ARM resources as documents.
//!
//! Every type shares one shape: an id, an etag, a JSON body with the type's own properties, secrets kept apart
//! from it, and who made and changed it when (`systemData`).

use secrecy::SecretString;
use serde_json::{Map, Value};
use wire::arm::ResourceId;

use crate::time::Timestamp;

/// A resource, or a resource group.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its id; spelled as first written.
    pub id: ResourceId,
    /// Changes with every write; without quotes.
    pub etag: String,
    /// `location`, `tags`, `properties` and whatever else the type has.
    pub body: Map<String, Value>,
    /// Keys and the like, as the type lays them out; sealed in the store.
    pub secrets: Option<SecretString>,
    /// When and by whom it was made.
    pub created: Touch,
    /// When and by whom it was last changed.
    pub updated: Touch,
}

impl Resource {
    /// A property of the body's `properties`.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.body.get("properties")?.get(name)
    }

    /// The body's `properties`, made if there are none.
    pub fn properties_mut(&mut self) -> &mut Map<String, Value> {
        let properties = self
            .body
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
        if !properties.is_object() {
            *properties = Value::Object(Map::new());
        }
        #[expect(clippy::unreachable, reason = "it was made an object just above")]
        match properties {
            Value::Object(properties) => properties,
            _ => unreachable!(),
        }
    }
}

/// A moment of change, and whose it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
}

/// Who changes resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// A user principal name or an application id.
    pub name: String,
    /// What it is.
    pub kind: ActorKind,
}

/// `createdByType` of `systemData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A person.
    User,
    /// An app registration, or the server itself.
    Application,
}

impl ActorKind {
    /// As `systemData` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Application => "Application",
        }
    }

    /// What [`ActorKind::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "User" => Some(Self::User),
            "Application" => Some(Self::Application),
            _ => None,
        }
    }
}

impl Actor {
    /// The server itself, for what it makes at its first start.
    pub fn server() -> Self {
        Self {
            name: "carillon".to_owned(),
            kind: ActorKind::Application,
        }
    }
}
