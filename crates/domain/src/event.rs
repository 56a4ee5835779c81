//! Events, and what became of them at each destination.

use std::time::Duration;

use wire::event::InputSchema;

use crate::delivery::Reason;
use crate::id::{DestinationId, EventId, SourceId};
use crate::time::Timestamp;

/// Something that happened or was published, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Made here, in the order of acceptance: `aeg-output-event-id`. The publisher's own id stands in the body.
    pub id: EventId,
    /// What it happened at: a topic, or a communication resource.
    pub source: SourceId,
    /// The schema of `body`. An event of a custom schema stands in an Event Grid envelope.
    pub input: InputSchema,
    /// Its type: `Microsoft.Communication.…`.
    pub kind: String,
    /// Its subject; "" if a cloud event has none.
    pub subject: String,
    /// Its JSON, as it is delivered in its own schema.
    pub body: String,
    /// When it was accepted.
    pub published_at: Timestamp,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried, or will be.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// It was given up, and waits to be written to the dead letters.
    Dead,
    /// It stands in the dead letters.
    DeadLettered,
    /// It was given up, and nobody wants dead letters.
    Dropped,
}

/// What is known of one event at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The event.
    pub event: EventId,
    /// The destination.
    pub destination: DestinationId,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is tried next, or was given up.
    pub due_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// The last of them.
    pub last: Option<LastAttempt>,
    /// Why it was given up.
    pub reason: Option<Reason>,
}

/// A delivery, and which event it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The event's type.
    pub kind: String,
    /// Its subject.
    pub subject: String,
    /// What is known of it.
    pub delivery: Delivery,
}

/// The last attempt of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// When it ended.
    pub at: Timestamp,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// `lastDeliveryOutcome`.
    pub outcome: String,
}

/// One attempt, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// When it began.
    pub began_at: Timestamp,
    /// From there to the answer.
    pub took: Duration,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// `lastDeliveryOutcome`.
    pub outcome: String,
    /// What happened, in words, if there was no answer.
    pub error: Option<String>,
    /// JSON: where it went, with which headers but secret ones.
    pub request: String,
    /// JSON: the headers of the answer and the beginning of its body.
    pub answer: Option<String>,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Delivered,
        Self::Dead,
        Self::DeadLettered,
        Self::Dropped,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::DeadLettered => "dead_lettered",
            Self::Dropped => "dropped",
        }
    }

    /// The state with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}
