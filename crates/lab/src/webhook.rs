//! Webhook receivers that play an Event Grid subscriber: the handshake as told, then one answer after the other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Notify;

use crate::clock::Moment;

/// How a receiver meets the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// Sends the validation code back.
    #[default]
    Code,
    /// Answers 200 without the code or the consent: the validation URL or the callback is to be visited by hand.
    Manual,
    /// Refuses.
    Refuse,
    /// CloudEvents: consents to the sender's `OPTIONS`.
    Options,
}

/// A receiver as the control API shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) validation: Validation,
    pub(crate) answers: Vec<u16>,
}

/// One request that a receiver got.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Received {
    pub(crate) seq: u64,
    pub(crate) received_at: Moment,
    pub(crate) method: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// JSON as such, everything else as text.
    pub(crate) body: Value,
    pub(crate) answered: u16,
}

/// What a receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A delivery: the status alone.
    Status(u16),
    /// A handshake that is met: the code.
    Code(String),
    /// Consent to `OPTIONS`: the origin, and the rate if one was asked for.
    Consent {
        origin: String,
        rate: Option<String>,
    },
}

impl Reply {
    /// The status it comes with.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Status(status) => *status,
            Self::Code(_) | Self::Consent { .. } => 200,
        }
    }
}

/// All receivers.
#[derive(Debug, Default)]
pub(crate) struct Webhooks(Mutex<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    webhook: Webhook,
    answered: usize,
    log: VecDeque<(Received, usize)>,
    next: u64,
    bytes: usize,
    changed: Arc<Notify>,
}

impl Webhooks {
    /// Adds a receiver; `false` if there are too many.
    pub(crate) fn add(&self, webhook: Webhook) -> bool {
        let mut all = self.lock();
        if all.len() >= WEBHOOKS {
            return false;
        }
        all.insert(webhook.id.clone(), Entry::new(webhook));
        true
    }

    /// Every receiver, by id.
    pub(crate) fn list(&self) -> Vec<Webhook> {
        let mut all: Vec<_> = self.lock().values().map(|it| it.webhook.clone()).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The receiver with this id.
    pub(crate) fn webhook(&self, id: &str) -> Option<Webhook> {
        self.lock().get(id).map(|entry| entry.webhook.clone())
    }

    /// Removes a receiver; `false` if there is none.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let removed = self.lock().remove(id);
        removed
            .map(|entry| entry.changed.notify_waiters())
            .is_some()
    }

    /// The requests of a receiver after `after`.
    pub(crate) fn log(&self, id: &str, after: u64) -> Option<Vec<Received>> {
        let all = self.lock();
        let lines = all.get(id)?.log.iter().map(|(line, _)| line);
        Some(lines.filter(|line| line.seq > after).cloned().collect())
    }

    /// What is notified at a receiver's next request, and at its end.
    pub(crate) fn changed(&self, id: &str) -> Option<Arc<Notify>> {
        Some(self.lock().get(id)?.changed.clone())
    }

    /// The reply to a request, which is recorded; `faulty` is the status of a fault, which goes before the receiver's
    /// own.
    pub(crate) fn receive(
        &self,
        id: &str,
        request: Incoming,
        faulty: Option<u16>,
        now: Moment,
    ) -> Option<Reply> {
        let mut all = self.lock();
        let entry = all.get_mut(id)?;
        let reply = match faulty {
            Some(status) => Reply::Status(status),
            None => entry.reply(&request),
        };
        entry.record(request, reply.status(), now);
        Some(reply)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request to a receiver. Header names are lower-case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
    pub(crate) size: usize,
}

impl Incoming {
    /// Whether it is the handshake of the Event Grid schema.
    fn is_validation(&self) -> bool {
        let kind = self.headers.get("aeg-event-type");
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("SubscriptionValidation"))
    }

    fn validation_code(&self) -> Option<&str> {
        let event = self
            .body
            .as_array()
            .and_then(|events| events.first())
            .unwrap_or(&self.body);
        event["data"]["validationCode"].as_str()
    }
}

impl Entry {
    fn new(webhook: Webhook) -> Self {
        Self {
            webhook,
            answered: 0,
            log: VecDeque::new(),
            next: 0,
            bytes: 0,
            changed: Arc::default(),
        }
    }

    fn reply(&mut self, request: &Incoming) -> Reply {
        if request.method == "OPTIONS" {
            return self.consent(request);
        }
        if !request.is_validation() {
            return Reply::Status(self.next_answer());
        }
        match (self.webhook.validation, request.validation_code()) {
            (Validation::Code, Some(code)) => Reply::Code(code.to_owned()),
            (Validation::Manual, _) => Reply::Status(200),
            (Validation::Code | Validation::Refuse, _) => Reply::Status(400),
            // So does a function that is bound to CloudEvents.
            (Validation::Options, _) => Reply::Status(409),
        }
    }

    /// "Consent is the header WebHook-Allowed-Origin" (CloudEvents web hook specification, section 4); a receiver of the
    /// Event Grid schema has none to give.
    fn consent(&self, request: &Incoming) -> Reply {
        let origin = request.headers.get("webhook-request-origin");
        match (self.webhook.validation, origin) {
            (Validation::Options, Some(origin)) => Reply::Consent {
                origin: origin.clone(),
                rate: request.headers.get("webhook-request-rate").cloned(),
            },
            (Validation::Options, None) => Reply::Status(400),
            (Validation::Refuse, _) => Reply::Status(403),
            // "If the delivery target chooses to grant permission by callback, it withholds the response headers."
            (Validation::Manual, _) => Reply::Status(200),
            (Validation::Code, _) => Reply::Status(405),
        }
    }

    /// The next of the answers; the last one repeats, and without any it is 200.
    fn next_answer(&mut self) -> u16 {
        let answers = &self.webhook.answers;
        let answer = answers
            .get(self.answered)
            .or(answers.last())
            .copied()
            .unwrap_or(200);
        self.answered = self.answered.saturating_add(1);
        answer
    }

    fn record(&mut self, request: Incoming, answered: u16, now: Moment) {
        self.next += 1;
        let line = Received {
            seq: self.next,
            received_at: now,
            method: request.method,
            headers: request.headers,
            body: request.body,
            answered,
        };
        self.log.push_back((line, request.size));
        self.bytes += request.size;
        while self.log.len() > LINES || self.bytes > BYTES {
            let Some((_, size)) = self.log.pop_front() else {
                break;
            };
            self.bytes -= size;
        }
        self.changed.notify_waiters();
    }
}

/// How many receivers there may be.
const WEBHOOKS: usize = 200;
/// A receiver remembers this many requests …
const LINES: usize = 10_000;
/// … and this many bytes of them.
const BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Incoming, Reply, Validation, Webhook, Webhooks};
    use crate::clock::Moment;

    fn replies(validation: Validation, answers: &[u16], requests: Vec<Incoming>) -> Vec<Reply> {
        let webhooks = Webhooks::default();
        let id = "1".to_owned();
        let answers = answers.to_vec();
        assert!(webhooks.add(Webhook {
            id,
            name: None,
            validation,
            answers
        }));
        let now = Moment::from_unix_seconds(0);
        let reply = |request| webhooks.receive("1", request, None, now).unwrap();
        requests.into_iter().map(reply).collect()
    }

    fn handshake() -> Incoming {
        Incoming {
            method: "POST".to_owned(),
            headers: [(
                "aeg-event-type".to_owned(),
                "subscriptionvalidation".to_owned(),
            )]
            .into(),
            body: json!([{ "data": { "validationCode": "abc" } }]),
            size: 0,
        }
    }

    fn options() -> Incoming {
        let origin = (
            "webhook-request-origin".to_owned(),
            "eventgrid.azure.net".to_owned(),
        );
        Incoming {
            method: "OPTIONS".to_owned(),
            headers: [origin].into(),
            ..Incoming::default()
        }
    }

    #[test]
    fn a_handshake_is_met_as_told() {
        let both = || vec![handshake(), options()];
        let consent = Reply::Consent {
            origin: "eventgrid.azure.net".to_owned(),
            rate: None,
        };
        let code = Reply::Code("abc".to_owned());
        assert_eq!(
            replies(Validation::Code, &[], both()),
            [code, Reply::Status(405)]
        );
        assert_eq!(
            replies(Validation::Manual, &[], both()),
            [Reply::Status(200), Reply::Status(200)]
        );
        assert_eq!(
            replies(Validation::Refuse, &[], both()),
            [Reply::Status(400), Reply::Status(403)]
        );
        assert_eq!(
            replies(Validation::Options, &[], both()),
            [Reply::Status(409), consent]
        );
    }

    #[test]
    fn answers_come_in_turn_and_a_handshake_takes_none() {
        let delivery = || Incoming {
            method: "POST".to_owned(),
            ..Incoming::default()
        };
        let requests = vec![delivery(), handshake(), delivery(), delivery(), delivery()];
        let statuses: Vec<u16> = replies(Validation::Code, &[503, 400, 202], requests)
            .iter()
            .map(Reply::status)
            .collect();
        assert_eq!(statuses, [503, 200, 400, 202, 202]);
        assert_eq!(
            replies(Validation::Code, &[], vec![delivery()]),
            [Reply::Status(200)]
        );
    }
}
