//! How deliveries of events and their attempts are shown: of event subscriptions and of callbacks alike.

use domain::event::{Attempt, Delivery, DeliveryState};
use serde_json::{Value, json};

/// Where a delivery stands.
pub fn delivery(delivery: &Delivery) -> Value {
    let last = delivery.last.as_ref();
    json!({
        "event": delivery.event,
        "state": delivery.state.as_str(),
        "attempts": delivery.attempts,
        "dueTime": (delivery.state == DeliveryState::Pending).then_some(delivery.due_at),
        "lastDeliveryAttemptTime": last.map(|last| last.at),
        "lastDeliveryOutcome": last.map(|last| last.outcome.as_str()),
        "lastHttpStatusCode": last.and_then(|last| last.status),
        "deadLetterReason": delivery.reason.map(domain::delivery::Reason::as_str),
    })
}

/// One attempt of the log.
pub fn attempt(attempt: &Attempt) -> Value {
    let document = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    json!({
        "attempt": attempt.number,
        "time": attempt.began_at,
        "milliseconds": attempt.took.as_secs_f64() * 1_000.0,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "error": attempt.error,
        "request": document(&attempt.request),
        "answer": attempt.answer.as_deref().map(document),
    })
}
