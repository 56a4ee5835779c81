//! Events: topics, event subscriptions, and the way of an event from its publisher to its subscribers.
//!
//! Start at [`Directory`] for which topics and subscriptions there are, in memory, and at [`App::publish_events`] for
//! what happens to an event: it is matched and written ([`accept`]), sent by the lane of each destination ([`lane`],
//! [`drive`]), and read again from the store where it had to wait ([`backlog`]).
//!
//! [`App::publish_events`]: crate::App::publish_events

mod accept;
mod attempt;
mod backlog;
mod callback;
mod checkup;
mod config;
mod dead_letters;
mod destination;
mod directory;
mod document;
mod drive;
mod farewell;
mod handshake;
mod ids;
mod lane;
mod meters;
mod operations;
mod publish;
mod request;
mod signing;
mod storage;
mod subscriptions;
mod sweep;
mod token;
mod topics;

use std::time::Duration;

use domain::id::NodeId;
use store::Store;
use store::batch::Limits;
use store::events::EventWriter;
use tokio_util::task::TaskTracker;

pub use accept::Routed;
pub use checkup::{CheckedContainer, SickSubscription, Trouble};
pub use config::EventsConfig;
pub use dead_letters::UNREACHABLE;
pub use destination::{Credential, Destination, Form, Order};
pub use directory::{Directory, Snapshot};
pub use document::{EVENT_SUBSCRIPTIONS, Handshake, SYSTEM_TOPICS, Step, TOPICS};
pub use handshake::FAILED;
pub use ids::{destination_id, lower_bound, source_id};
pub use lane::Probation;
pub use operations::{Again, Explanation, Resent};
pub use publish::Publisher;
pub use storage::{DeadLettersConfig, Reach, Storage};
pub use subscriptions::{SubscriptionChange, stored_id};
pub use topics::TopicKey;

use crate::control::VERSION;

/// What delivers events.
pub(crate) struct Deliveries {
    lanes: lane::Lanes,
    ids: ids::Ids,
    writer: EventWriter,
    tokens: token::DeliveryTokens,
    /// Held while dead letters are written.
    writing: tokio::sync::Mutex<()>,
}

impl Deliveries {
    pub(crate) fn new(store: &Store, node: &NodeId) -> Self {
        // A tracker of its own: the writer ends with the app, later than the tasks that a stop waits for.
        let tasks = TaskTracker::new();
        Self {
            lanes: lane::Lanes::default(),
            ids: ids::Ids::default(),
            tokens: token::DeliveryTokens::default(),
            writing: tokio::sync::Mutex::default(),
            writer: store.event_writer(node.clone(), VERSION, &tasks, BATCH),
        }
    }
}

const BATCH: Limits = Limits {
    queue: 16_384,
    batch: 512,
    patience: Duration::from_millis(5),
};

#[cfg(test)]
mod tests;
