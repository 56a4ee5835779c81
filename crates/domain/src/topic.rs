//! A topic: where events are published to.

use std::fmt;

use wire::arm::ResourceId;
use wire::auth::topic_sas::Key;
use wire::event::InputSchema;
use wire::event::custom::Mapping;

/// A custom topic as the data plane knows it.
#[derive(Clone)]
pub struct Topic {
    /// Its resource id: `topic` of its events.
    pub id: ResourceId,
    /// The schema that it takes.
    pub input: InputSchema,
    /// `inputSchemaMapping`: where a custom schema has the fields of an event.
    pub mapping: Mapping,
    /// Its access keys.
    pub keys: Vec<Key>,
    /// Whether keys and SAS are refused.
    pub disable_local_auth: bool,
}

impl Topic {
    /// The lower-cased resource id: how topics are compared and stored.
    pub fn key(&self) -> &str {
        self.id.key()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.id.name()
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.id)
    }
}
