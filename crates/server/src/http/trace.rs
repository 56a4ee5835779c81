//! Ids by which an answer is found again: made or echoed once a request, written on every answer of its surface.

use domain::time::Timestamp;
use http::{HeaderMap, HeaderValue, header};
use service::App;

use super::error::Surface;

/// The ids of one request, and when it came.
pub struct Trace {
    /// The caller's `TrackingId`, or a new one.
    pub tracking_id: HeaderValue,
    /// When the request came.
    pub at: Timestamp,
    /// The caller's correlation id, or the request's own id.
    pub correlation_id: HeaderValue,
    /// This request's own id.
    pub request_id: HeaderValue,
    /// The caller's own id.
    client_request_id: Option<HeaderValue>,
    /// Whether it wants it back.
    returns_client_id: bool,
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
            client_request_id: headers
                .get(CLIENT_REQUEST_ID)
                .filter(|value| is_short_text(value))
                .cloned(),
            returns_client_id: headers
                .get(RETURN_CLIENT_REQUEST_ID)
                .is_some_and(|wanted| wanted.as_bytes().eq_ignore_ascii_case(b"true")),
            request_id: own.clone(),
            at: app.clock.now(),
        }
    }

    /// Writes the headers that `surface` has on every answer.
    pub fn stamp(&self, surface: Surface, headers: &mut HeaderMap) {
        match surface {
            Surface::Hub => {
                headers.insert(TRACKING_ID, self.tracking_id.clone());
                headers.insert(CORRELATION_ID, self.correlation_id.clone());
            }
            Surface::Arm => self.stamp_arm(headers),
            Surface::Communication | Surface::EventGrid => {
                self.stamp_ids(headers, self.returns_client_id);
            }
            // "x-ms-client-request-id on every request: echo it", though one of the clients never asks.
            Surface::CallAutomation => self.stamp_ids(headers, true),
            _ => {}
        }
    }

    /// The server's id, and the caller's own.
    fn stamp_ids(&self, headers: &mut HeaderMap, callers: bool) {
        headers.insert(REQUEST_ID, self.request_id.clone());
        if let Some(id) = self.client_request_id.as_ref().filter(|_| callers) {
            headers.insert(CLIENT_REQUEST_ID, id.clone());
        }
    }

    /// What Azure Resource Manager sends with every answer, without `Strict-Transport-Security`: on localhost it
    /// would spoil every other server of the machine.
    fn stamp_arm(&self, headers: &mut HeaderMap) {
        self.stamp_ids(headers, self.returns_client_id);
        headers.insert(CORRELATION_ID, self.correlation_id.clone());
        let at = self.at.rfc3339_secs().replace(['-', ':'], "");
        let routing = format!(
            "LOCAL:{at}:{}",
            self.request_id.to_str().unwrap_or_default()
        );
        if let Ok(routing) = HeaderValue::from_str(&routing) {
            headers.insert(ROUTING_ID, routing);
        }
        let fixed = [
            (header::CACHE_CONTROL, "no-cache"),
            (header::PRAGMA, "no-cache"),
            (header::EXPIRES, "-1"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
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
const REQUEST_ID: &str = "x-ms-request-id";
const ROUTING_ID: &str = "x-ms-routing-request-id";
const CLIENT_REQUEST_ID: &str = "x-ms-client-request-id";
const RETURN_CLIENT_REQUEST_ID: &str = "x-ms-return-client-request-id";
const CORRELATION_ID: &str = "x-ms-correlation-request-id";
