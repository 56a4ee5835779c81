//! What the stand-ins answered, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::fault::Service;

/// Counts of answers and connections.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<BTreeMap<Service, Counts>>);

#[derive(Clone, Debug, Default)]
struct Counts {
    opened: u64,
    open: u64,
    answers: BTreeMap<(u16, String), u64>,
}

/// One service's counts as the control API shows them.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceStats {
    /// Connections since the start.
    pub connections: u64,
    /// Connections now.
    pub open: u64,
    /// Answers by status and reason.
    pub answers: Vec<AnswerCount>,
}

/// How often one answer was given.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerCount {
    /// The HTTP status; 0 if there was no answer.
    pub status: u16,
    /// The service's word for it; empty for a success.
    pub reason: String,
    /// How often.
    pub count: u64,
}

impl Stats {
    pub(crate) fn answered(&self, service: Service, status: u16, reason: &str) {
        self.with(service, |counts| {
            // A fault's reason is anybody's text: the last place counts all that came too late.
            let full = counts.answers.len() >= REASONS;
            let key = (status, reason.to_owned());
            let key = if full && !counts.answers.contains_key(&key) {
                (status, "other".to_owned())
            } else {
                key
            };
            *counts.answers.entry(key).or_default() += 1;
        });
    }

    pub(crate) fn opened(&self, service: Service) {
        self.with(service, |counts| {
            counts.opened += 1;
            counts.open += 1;
        });
    }

    pub(crate) fn closed(&self, service: Service) {
        self.with(service, |counts| counts.open -= 1);
    }

    /// All counts.
    pub(crate) fn all(&self) -> BTreeMap<Service, ServiceStats> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let services = [
            Service::Apns,
            Service::Fcm,
            Service::Webpush,
            Service::Webhook,
        ];
        let of = |service| counts.get(&service).cloned().unwrap_or_default().into();
        services
            .into_iter()
            .map(|service| (service, of(service)))
            .collect()
    }

    fn with(&self, service: Service, change: impl FnOnce(&mut Counts)) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(service).or_default());
    }
}

impl From<Counts> for ServiceStats {
    fn from(counts: Counts) -> Self {
        let answer = |((status, reason), count)| AnswerCount {
            status,
            reason,
            count,
        };
        Self {
            connections: counts.opened,
            open: counts.open,
            answers: counts.answers.into_iter().map(answer).collect(),
        }
    }
}

/// How many different answers are counted apart.
const REASONS: usize = 500;
