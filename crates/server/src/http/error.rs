//! The one place where a `service::Error` becomes a response: status, headers, and the envelope of its surface.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use service::{Error, Kind};

use super::trace::Trace;

/// The API a request came through: decides the error envelope and the headers of every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// Health, metrics: plain text.
    Plain,
    /// Azure Resource Manager.
    Arm,
    /// Sign-in: OAuth errors.
    Entra,
    /// Communication data plane: identity, registrar, calling.
    Communication,
    /// Call Automation: the errors of the Communication data plane, with numbers for codes.
    CallAutomation,
    /// Notification Hubs data plane: XML.
    Hub,
    /// Event Grid data plane: JSON with details.
    EventGrid,
    /// The lab's control.
    Lab,
}

/// The response for `error`, in the envelope of `surface`. Logs it once: what is our fault as an error.
pub fn response(surface: Surface, trace: &Trace, error: &Error) -> Response {
    let status = status(error.kind);
    if status.is_server_error() {
        tracing::error!(code = %error.code, cause = ?std::error::Error::source(error), "{}", error.message);
    } else {
        tracing::debug!(status = status.as_u16(), code = %error.code, target = error.target, "{}", error.message);
    }
    let mut response = match surface {
        Surface::Plain => (status, format!("{}\n", error.message)).into_response(),
        Surface::Arm | Surface::Communication | Surface::Lab => json_error(status, error),
        Surface::CallAutomation => json_error(status, &numbered(error)),
        Surface::Entra => entra_error(status, trace, error),
        Surface::Hub => hub_error(status, trace, error),
        Surface::EventGrid => eventgrid_error(status, trace, error),
    };
    if let Some(after) = retry_after(error.kind) {
        let seconds = after.as_secs().max(1);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// When a client should come again, of what may go better then.
fn retry_after(kind: Kind) -> Option<Duration> {
    match kind {
        Kind::Throttled(after) => Some(after),
        Kind::Unavailable => Some(UNAVAILABLE_FOR),
        _ => None,
    }
}

fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated | Kind::Stale => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Gone => StatusCode::GONE,
        Kind::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
        Kind::Timeout => StatusCode::REQUEST_TIMEOUT,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Upstream => StatusCode::BAD_GATEWAY,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `{"error":{"code","message","target"?}}`, as ARM, the Communication data plane and the lab write it.
fn json_error(status: StatusCode, error: &Error) -> Response {
    let mut inner = json!({ "code": error.code, "message": error.message });
    if let Some(target) = &error.target {
        inner["target"] = json!(target);
    }
    let body = json!({ "error": inner }).to_string();
    let kind = "application/json; charset=utf-8";
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    if let Ok(code) = HeaderValue::from_str(&error.code) {
        response.headers_mut().insert("x-ms-error-code", code);
    }
    response
}

/// The error with a sub-code of Call Automation as its code: its own, or the one of its kind.
fn numbered(error: &Error) -> Error {
    let own = error.code.bytes().all(|byte| byte.is_ascii_digit());
    let code = match error.kind {
        _ if own => error.code.clone(),
        Kind::Invalid | Kind::TooLarge => "8523".into(),
        Kind::Unauthenticated | Kind::Stale => "7509".into(),
        Kind::Forbidden => "7504".into(),
        Kind::NotFound | Kind::Gone => "8522".into(),
        Kind::MethodNotAllowed => "8520".into(),
        Kind::Conflict => "8519".into(),
        Kind::PreconditionFailed => "8583".into(),
        _ => error.code.clone(),
    };
    let numbered = Error::new(error.kind, code, error.message.clone());
    match &error.target {
        Some(target) => numbered.at(target.clone()),
        None => numbered,
    }
}

/// OAuth's error (RFC 6749, 5.2) with what Microsoft adds; clients read the number behind `AADSTS`.
fn entra_error(status: StatusCode, trace: &Trace, error: &Error) -> Response {
    let number = error
        .message
        .strip_prefix("AADSTS")
        .and_then(|rest| rest.split(':').next()?.parse::<u32>().ok());
    let id = trace.correlation_id.to_str().unwrap_or_default();
    let at = trace.at.rfc3339_secs().replace('T', " ");
    let body = json!({
        "error": error.code,
        "error_description": format!("{} Trace ID: {id} Correlation ID: {id} Timestamp: {at}", error.message),
        "error_codes": number.into_iter().collect::<Vec<_>>(),
        "timestamp": at,
        "trace_id": id,
        "correlation_id": id,
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body.to_string()).into_response()
}

/// `<Error><Code/><Detail/></Error>`, the only form the hub clients read.
fn hub_error(status: StatusCode, trace: &Trace, error: &Error) -> Response {
    let body = wire::hub::error::body(
        status.as_u16(),
        &error.code,
        &error.message,
        trace.tracking_id.to_str().unwrap_or_default(),
        trace.at.offset_date_time(),
    );
    let content_type = wire::hub::error::CONTENT_TYPE;
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// `{"error":{"code","message","details":[{"code","message"}]}}`: the status in a word, and what is wrong in the details.
fn eventgrid_error(status: StatusCode, trace: &Trace, error: &Error) -> Response {
    let code = match (error.kind, &*error.code) {
        (Kind::Invalid, "InputJsonInvalid") => "BadRequest",
        (Kind::UnsupportedMediaType, _) => "UnsupportedMediaType",
        (Kind::TooLarge, _) => "RequestEntityTooLarge",
        (_, code) => code,
    };
    let mut message = error.message.clone();
    // "Azure appends a report id, not on 413": ours is the request's id, by which the log has it.
    if error.kind != Kind::TooLarge {
        let id = trace.request_id.to_str().unwrap_or_default();
        message.push_str(&wire::event::report(id, trace.at.offset_date_time()));
    }
    let detail = match error.kind {
        Kind::TooLarge => code,
        _ => &error.code,
    };
    let body = json!({ "error": {
        "code": code, "message": message, "details": [{ "code": detail, "message": message }],
    } });
    let kind = "application/json; charset=utf-8";
    (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}

/// A database that restarts is there again within seconds.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(2);
