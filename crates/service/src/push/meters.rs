//! What the push lanes count; the names stand in `docs/metrics.md`.

use std::time::Duration;

use domain::push::{Attempted, Lane, Outcome, Platform};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// The meters of a lane, looked up once: counting a push must not cost a lookup by name.
pub(super) struct Meters {
    platform: &'static str,
    lane: &'static str,
    accepted: Counter,
    attempts: Counter,
    pauses: Counter,
    paused: Gauge,
    duration: Histogram,
    queue: Gauge,
    connections: Gauge,
}

impl Meters {
    pub(super) fn new(platform: Platform, lane: Lane) -> Self {
        let platform = platform.as_str();
        let lane = match lane {
            Lane::Call => "call",
            Lane::Bulk => "bulk",
        };
        Self {
            platform,
            lane,
            accepted: counter!(PUSHES, "platform" => platform, "lane" => lane, "outcome" => "accepted", "reason" => ""),
            attempts: counter!("carillon_push_attempts_total", "platform" => platform, "lane" => lane),
            paused: gauge!("carillon_push_lanes_paused", "platform" => platform, "lane" => lane),
            pauses: counter!("carillon_push_pauses_total", "platform" => platform, "lane" => lane),
            duration: histogram!("carillon_push_duration_seconds", "platform" => platform, "lane" => lane),
            queue: gauge!("carillon_push_queue", "platform" => platform, "lane" => lane),
            connections: gauge!("carillon_push_connections", "platform" => platform, "lane" => lane),
        }
    }

    /// A push ended.
    pub(super) fn ended(&self, attempted: &Attempted) {
        let outcome = match attempted.outcome {
            Outcome::Accepted => return self.accepted.increment(1),
            Outcome::DeadToken { .. } => "dead_token",
            Outcome::SuspectToken => "suspect_token",
            Outcome::RetryAfter(_) => "retry_after",
            Outcome::CredentialRefused => "credential_refused",
            Outcome::RequestRefused => "request_refused",
            Outcome::Unavailable => "unavailable",
            Outcome::Expired => "expired",
        };
        let reason = known(attempted.reason.as_deref().unwrap_or_default());
        counter!(PUSHES, "platform" => self.platform, "lane" => self.lane, "outcome" => outcome, "reason" => reason)
            .increment(1);
    }

    /// A push was handed to a connection.
    pub(super) fn attempted(&self) {
        self.attempts.increment(1);
    }

    /// The provider answered after this long.
    pub(super) fn answered(&self, after: Duration) {
        self.duration.record(after);
    }

    /// The lane pauses, until the guard is dropped.
    pub(super) fn paused(&self) -> Held {
        self.pauses.increment(1);
        Held::new(&self.paused)
    }

    /// Somebody waits, until the guard is dropped.
    pub(super) fn queued(&self) -> Held {
        Held::new(&self.queue)
    }

    /// A connection is open, until the guard is dropped.
    pub(super) fn open(&self) -> Held {
        Held::new(&self.connections)
    }
}

/// Counts one more in a gauge while it lives.
pub(super) struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A provider's own words only: what is free text, or not known yet, would make a series of its own each time.
fn known(reason: &str) -> &'static str {
    if let Some(reason) = wire::push::apns::Reason::parse(reason) {
        return reason.as_str();
    }
    let fcm = [
        "UNREGISTERED",
        "INVALID_ARGUMENT",
        "SENDER_ID_MISMATCH",
        "QUOTA_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "THIRD_PARTY_AUTH_ERROR",
        "UNAUTHENTICATED",
        "PERMISSION_DENIED",
        "NOT_FOUND",
        "INTERNAL",
        "UNAVAILABLE",
    ];
    fcm.into_iter()
        .find(|word| *word == reason)
        .unwrap_or("other")
}

const PUSHES: &str = "carillon_pushes_total";
