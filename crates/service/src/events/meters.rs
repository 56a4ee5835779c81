//! What deliveries count, under Azure's names in Prometheus' spelling; they stand in `docs/metrics.md`.

use std::time::Duration;

use domain::delivery::{Answer, Reason};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// The meters of one subscription, looked up once: counting an event must not cost a lookup by name.
pub(super) struct Meters {
    subscription: String,
    delivered: Counter,
    duration: Histogram,
    probation: Gauge,
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Meters({})", self.subscription)
    }
}

impl Meters {
    pub(super) fn new(subscription: &str) -> Self {
        let label = subscription.to_owned();
        Self {
            delivered: counter!("carillon_event_delivery_success_total", "subscription" => label.clone()),
            duration: histogram!("carillon_event_destination_seconds", "subscription" => label.clone()),
            probation: gauge!("carillon_event_probation", "subscription" => label.clone()),
            subscription: label,
        }
    }

    /// An endpoint answered a request with so many events.
    pub(super) fn answered(&self, answer: &Answer, events: usize, took: Duration) {
        self.duration.record(took);
        let events = events as u64;
        if answer.is_success() {
            self.delivered.increment(events);
            return;
        }
        counter!(
            "carillon_event_delivery_attempt_fail_total",
            "subscription" => self.subscription.clone(), "error" => answer.outcome(),
        )
        .increment(events);
    }

    /// Whether the endpoint is spared.
    pub(super) fn spared(&self, spared: bool) {
        self.probation.set(u8::from(spared));
    }

    /// Events were given up.
    pub(super) fn given_up(&self, reason: Reason, dead_lettered: bool, events: u64) {
        let name = match dead_lettered {
            true => "carillon_event_dead_lettered_total",
            false => "carillon_event_dropped_total",
        };
        counter!(name, "subscription" => self.subscription.clone(), "reason" => reason.as_str())
            .increment(events);
    }
}

/// Events of a source were matched with its subscriptions.
pub(super) fn matched(source: &str, deliveries: usize, unmatched: usize, evaluated: usize) {
    let name = source.rsplit('/').next().unwrap_or_default();
    let count = |meter: &'static str, count: usize| {
        if count > 0 {
            counter!(meter, "topic" => name.to_owned()).increment(count as u64);
        }
    };
    count("carillon_event_matched_total", deliveries);
    count("carillon_event_unmatched_total", unmatched);
    count(
        "carillon_event_advanced_filter_evaluations_total",
        evaluated,
    );
}
