//! What is seen of a request: its span, its log line, and its place in the metrics.

use std::time::Instant;

use http::{Method, StatusCode};
use metrics::{gauge, histogram};
use service::{App, Clock};
use tracing::Span;

use super::trace::Trace;

/// The route of a request that no row of the table takes.
const NO_ROUTE: &str = "none";

/// Watches one request from its header to its answer.
pub struct Watch {
    clock: Clock,
    began: Instant,
    method: Method,
    route: &'static str,
    span: Span,
}

impl Watch {
    /// Begins when the header has been read.
    pub fn start(app: &App, method: &Method, trace: &Trace) -> Self {
        gauge!("carillon_http_requests_active").increment(1);
        Self {
            clock: app.clock.clone(),
            began: app.clock.instant(),
            method: method.clone(),
            route: NO_ROUTE,
            span: tracing::info_span!(
                "request",
                method = method.as_str(),
                route = tracing::field::Empty,
                id = trace.tracking_id.to_str().unwrap_or_default(),
            ),
        }
    }

    /// The route is known; its handler runs in this span.
    pub fn found(&mut self, route: &'static str) -> Span {
        self.route = route;
        self.span.record("route", route);
        self.span.clone()
    }

    /// The answer is ready.
    pub fn end(self, status: StatusCode) {
        let took = self.clock.instant().duration_since(self.began);
        tracing::debug!(
            target: "carillon::request",
            parent: &self.span,
            status = status.as_u16(),
            ms = took.as_secs_f64() * 1_000.0,
            "answered"
        );
        let labels = [
            ("method", known(&self.method)),
            ("route", self.route),
            ("status", class(status)),
        ];
        histogram!("carillon_http_request_seconds", &labels).record(took);
    }
}

impl Drop for Watch {
    /// Here and not in [`Watch::end`]: a client that goes away drops the whole request.
    fn drop(&mut self) {
        gauge!("carillon_http_requests_active").decrement(1);
    }
}

/// A label's values are few, whatever clients make up.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
