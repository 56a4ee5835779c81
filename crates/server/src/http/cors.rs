//! Cross-origin requests: a browser may use the Communication data plane from any page, because what counts there is the
//! token in the request, never a cookie.

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::error::Surface;

/// How long a browser may remember a pre-flight, in seconds.
const MAX_AGE: &str = "3600";

/// The answer to a pre-flight of a path that has these methods; nothing if the request is none.
pub fn preflight(surface: Surface, parts: &Parts, methods: &[Method]) -> Option<Response> {
    if surface != Surface::Communication || parts.method != Method::OPTIONS {
        return None;
    }
    parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(methods) = HeaderValue::from_str(&methods.join(", ")) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    // "Echo Access-Control-Request-Headers": the clients keep adding to them.
    if let Some(wanted) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    set(headers, header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}

/// Lets the page that asks read the answer; `origin` is whether a page asks.
pub fn stamp(surface: Surface, origin: bool, response: &mut HeaderMap) {
    if surface == Surface::Communication && origin {
        set(response, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(response, header::ACCESS_CONTROL_EXPOSE_HEADERS, "*");
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
