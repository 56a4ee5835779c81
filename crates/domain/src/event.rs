//! Events that happened, as rows to be delivered.

use serde_json::Value;

use crate::id::EventId;
use crate::time::Timestamp;

/// Something that happened. It is written in the transaction of the change that caused it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The resource it happened at: an ARM id in canonical casing.
    pub topic: String,
    /// `Microsoft.Communication.…`.
    pub kind: String,
    /// The subject.
    pub subject: String,
    /// The data of its kind.
    pub data: Value,
    /// When it happened.
    pub at: Timestamp,
}
