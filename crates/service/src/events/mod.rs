//! Events: topics, event subscriptions, and the way of an event from its publisher to its subscribers.
//!
//! Start at [`Directory`]: which topics and subscriptions there are, in memory.

mod directory;
mod document;
mod publish;

pub use directory::{Directory, Snapshot};
pub(crate) use document::TopicKeys;
pub use document::{EVENT_SUBSCRIPTIONS, SYSTEM_TOPICS, TOPICS};
pub use publish::Publisher;
