//! An attempt as the log keeps it: where the request went, with which headers but secret ones, and what was answered.

use domain::event::Attempt;
use domain::time::Timestamp;
use http::header::{AUTHORIZATION, HeaderMap};
use serde_json::{Map, Value, json};
use wire::event::subscription::AttributeValue;

use super::destination::Destination;
use crate::webhook::{Answered, KEPT, Request};

/// A request without its secrets: they stand in the query, in some headers, and nowhere in the log.
pub(super) struct Shown(Value);

/// What one request adds to the log, once for each of its events.
pub(super) struct Entry<'s> {
    pub(super) began_at: Timestamp,
    pub(super) shown: Option<&'s Shown>,
    pub(super) answered: &'s Answered,
    /// Events in the request: they share the room that one has alone.
    pub(super) events: usize,
}

impl Shown {
    pub(super) fn of(destination: &Destination, request: &Request) -> Self {
        let mut headers = request.headers.clone();
        for secret in [AUTHORIZATION.as_str(), "webhook-signature"] {
            headers.remove(secret);
        }
        let attributes = destination
            .subscription
            .iter()
            .flat_map(|one| &one.destination.attributes);
        for attribute in attributes {
            if matches!(attribute.value, AttributeValue::Static { secret: true, .. }) {
                headers.remove(attribute.name.as_str());
            }
        }
        Self(json!({
            "method": request.method.as_str(),
            "url": request.target.base_url(),
            "headers": texts(&headers),
        }))
    }
}

impl Entry<'_> {
    pub(super) fn attempt(&self, number: u32) -> Attempt {
        let answer = &self.answered.answer;
        let status = match answer {
            domain::delivery::Answer::Status { code, .. } => Some(*code),
            _ => None,
        };
        let room = (KEPT / self.events.max(1)).max(LEAST);
        let body = &self.answered.body[..self.answered.body.len().min(room)];
        let answered = json!({
            "headers": texts(&self.answered.headers),
            "body": String::from_utf8_lossy(body),
        });
        Attempt {
            number,
            began_at: self.began_at,
            took: self.answered.took,
            status,
            outcome: answer.outcome().to_owned(),
            error: self.answered.error.clone(),
            request: self
                .shown
                .map_or_else(|| "{}".to_owned(), |shown| shown.0.to_string()),
            answer: status.map(|_| answered.to_string()),
        }
    }
}

/// Headers as an object; of an answer with very many, the first.
fn texts(headers: &HeaderMap) -> Value {
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let value: String = value.chars().take(LONGEST).collect();
        (name.as_str().to_owned(), Value::String(value))
    };
    Value::Object(headers.iter().take(MOST).map(text).collect::<Map<_, _>>())
}

/// What is kept of an answer at least.
const LEAST: usize = 128;
/// Headers of an answer that are kept …
const MOST: usize = 32;
/// … and characters of each.
const LONGEST: usize = 512;
