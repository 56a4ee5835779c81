//! Ids by which an answer is found again: made or echoed once a request, written on every answer of its surface.

use domain::time::Timestamp;
use http::{HeaderMap, HeaderValue};
use service::App;

use super::error::Surface;

/// The ids of one request, and when it came.
pub struct Trace {
    /// The caller's `TrackingId`, or a new one.
    pub tracking_id: HeaderValue,
    /// When the request came.
    pub at: Timestamp,
    correlation_id: HeaderValue,
}

impl Trace {
    /// Takes the ids of a request, and makes those it has not.
    pub fn of(app: &App, headers: &HeaderMap) -> Self {
        let own = uuid_value(app.random.uuid());
        let echo = |name| {
            let given = headers.get(name).filter(|value| is_short_text(value));
            given.unwrap_or(&own).clone()
        };
        Self {
            tracking_id: echo(TRACKING_ID),
            correlation_id: echo(CORRELATION_ID),
            at: app.clock.now(),
        }
    }

    /// Writes the headers that `surface` has on every answer.
    pub fn stamp(&self, surface: Surface, headers: &mut HeaderMap) {
        if surface == Surface::Hub {
            headers.insert(TRACKING_ID, self.tracking_id.clone());
            headers.insert(CORRELATION_ID, self.correlation_id.clone());
        }
    }
}

fn uuid_value(id: uuid::Uuid) -> HeaderValue {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut text))
        .unwrap_or_else(|_| HeaderValue::from_static("00000000-0000-0000-0000-000000000000"))
}

fn is_short_text(value: &HeaderValue) -> bool {
    value.len() <= 128 && value.to_str().is_ok_and(|text| !text.is_empty())
}

const TRACKING_ID: &str = "trackingid";
const CORRELATION_ID: &str = "x-ms-correlation-request-id";
