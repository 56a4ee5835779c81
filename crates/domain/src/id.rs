//! Typed ids: one generic [`Id`], an alias per noun.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of one noun. `K` is only a name; it is never constructed.
pub struct Id<K> {
    text: String,
    kind: PhantomData<fn() -> K>,
}

/// Names of the nouns, used as the parameter of [`Id`].
pub mod kind {
    /// A call.
    pub enum Call {}
    /// Where events are delivered to.
    pub enum Destination {}
    /// An application's leg of a call.
    pub enum Connection {}
    /// An event that happened here.
    pub enum Event {}
    /// A process among those that share a database.
    pub enum Node {}
    /// An invitation into a call that goes on.
    pub enum Invitation {}
    /// A notification accepted for sending.
    pub enum Notification {}
    /// What events happen at.
    pub enum Source {}
    /// A device registration of a user (the registrar's `registrationId`).
    pub enum Registration {}
    /// One ringing of a called user.
    pub enum Round {}
}

/// Id of a call.
pub type CallId = Id<kind::Call>;
/// Id of a destination of events, short enough to stand in every row: made from the key of an event subscription, or
/// from the id of a call's connection.
pub type DestinationId = Id<kind::Destination>;
/// Id of what events happen at, short enough to stand in every row: made from the key of a topic, or of the resource
/// behind a system topic.
pub type SourceId = Id<kind::Source>;
/// Id of an application's leg of a call (`callConnectionId`).
pub type ConnectionId = Id<kind::Connection>;
/// Id of an event.
pub type EventId = Id<kind::Event>;
/// Id of a node: the same for every run on one data directory.
pub type NodeId = Id<kind::Node>;
/// Id of an invitation into a call that goes on (`invitationId`).
pub type InvitationId = Id<kind::Invitation>;
/// Id of an accepted notification.
pub type NotificationId = Id<kind::Notification>;
/// Id of a device registration, chosen by the client.
pub type RegistrationId = Id<kind::Registration>;
/// Id of one ringing of a called user; an incoming call's context is good for that one.
pub type RoundId = Id<kind::Round>;

impl<K> Id<K> {
    /// Takes text that is already known to be a valid id of this kind.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kind: PhantomData,
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id as owned text.
    pub fn into_string(self) -> String {
        self.text
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        Self::new(self.text.clone())
    }
}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl<K> From<Id<K>> for String {
    fn from(id: Id<K>) -> Self {
        id.text
    }
}

impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(String::deserialize(deserializer)?))
    }
}
