//! Notification Hubs, `/{hub}/messages`: direct sends, batches, telemetry, and the deliveries list that Azure has not.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use domain::hub::Right;
use domain::id::NotificationId;
use domain::notification::{Delivery, DeliveryState};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use service::hubs::{DirectSend, Sent, refused};
use service::{App, Error, Result};
use wire::hub::batch::Batch;
use wire::hub::error::CONTENT_TYPE;
use wire::hub::message::{Flags, Head};

use super::access::Access;
use super::error::Surface;
use super::request::{Request, host};
use super::route::{Route, delete, get, patch, post, put};

/// The rows of this file.
pub fn routes() -> Vec<Route> {
    let send = Access::Hub(Right::Send);
    let mut routes = vec![
        post("/{hub...}/messages/$batch", Surface::Hub, send, send_batch),
        post("/{hub...}/messages", Surface::Hub, send, send_message).body_limit(SEND_LIMIT),
        get(
            "/{hub...}/messages/{id}/deliveries",
            Surface::Hub,
            send,
            deliveries,
        ),
        get("/{hub...}/messages/{id}", Surface::Hub, send, telemetry),
        post(
            "/{hub...}/schedulednotifications",
            Surface::Hub,
            send,
            schedule,
        )
        .body_limit(SEND_LIMIT),
        delete(
            "/{hub...}/schedulednotifications/{id}",
            Surface::Hub,
            send,
            schedule,
        ),
    ];
    routes.extend(REGISTERED.iter().flat_map(|path| unserved(path)));
    routes
}

/// What clients ask of registrations. They show an answer only in the envelope of hubs.
const REGISTERED: &[&str] = &[
    "/{hub}/registrations",
    "/{hub}/registrations/{id}",
    "/{hub}/registrationIDs",
    "/{hub}/registrationIDs/{id}",
    "/{hub}/tags/{tag}/registrations",
    "/{hub}/installations/{id}",
];

fn unserved(path: &'static str) -> [Route; 5] {
    const S: Surface = Surface::Hub;
    const A: Access = Access::Hub(Right::Listen);
    [
        get(path, S, A, register),
        post(path, S, A, register),
        put(path, S, A, register),
        patch(path, S, A, register),
        delete(path, S, A, register),
    ]
}

/// "413: message size too large", beyond 64 KB. A batch may be larger: 1,000 handles do not fit.
const SEND_LIMIT: usize = 64 * 1024;
const LONGEST_WAIT: u64 = 60;
const TEST_WAIT: u64 = 10;
const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 1000;

/// `POST /{hub}/messages`
pub async fn send_message(app: App, request: Request) -> Result<Response> {
    if !flags(&request).direct {
        return Err(not_yet("Sends to tags, templates and broadcasts"));
    }
    let head = Head::parse(&request.parts.headers).map_err(refused)?;
    let handle = head.direct().map_err(refused)?.0.to_owned();
    let sent = app
        .send_direct(DirectSend {
            caller: request.sas_caller()?,
            request_id: request_id(&request),
            head,
            body: &request.body,
            devices: vec![handle],
        })
        .await?;
    created(&app, &request, sent).await
}

/// `POST /{hub}/messages/$batch`
pub async fn send_batch(app: App, request: Request) -> Result<Response> {
    let head = Head::parse(&request.parts.headers).map_err(refused)?;
    let content_type = request.header("content-type");
    let batch = Batch::parse(content_type, &request.body).map_err(refused)?;
    for (index, handle) in batch.devices.iter().enumerate() {
        head.check_handle(&format!("devices[{index}]"), handle)
            .map_err(refused)?;
    }
    let sent = app
        .send_direct(DirectSend {
            caller: request.sas_caller()?,
            request_id: request_id(&request),
            head,
            body: &batch.notification,
            devices: batch.devices,
        })
        .await?;
    created(&app, &request, sent).await
}

/// `GET /{hub}/messages/{id}`
pub async fn telemetry(app: App, request: Request) -> Result<Response> {
    let hub = &request.sas_caller()?.hub;
    let id = NotificationId::new(request.param("id"));
    let location = location(&app, &request, "sb", &id)?;
    let details = app.telemetry(hub, &id, location).await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], details.to_xml()).into_response())
}

/// `GET /{hub}/messages/{id}/deliveries`
pub async fn deliveries(app: App, request: Request) -> Result<Response> {
    let hub = &request.sas_caller()?.hub;
    let id = NotificationId::new(request.param("id"));
    let from = number(&request, "from", 0, u32::MAX)?;
    let top = number(&request, "top", PAGE, LONGEST_PAGE)?.max(1);
    let page = app.deliveries(hub, &id, from, top).await?;
    let deliveries: Vec<Value> = page.deliveries.iter().map(delivery).collect();
    let mut body = json!({ "notificationId": id.as_str(), "deliveries": deliveries });
    if let Some(next) = page.next {
        let own = location(&app, &request, "https", &id)?;
        let next = own.replacen('?', &format!("/deliveries?from={next}&top={top}&"), 1);
        body["nextLink"] = next.into();
    }
    let json = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    Ok((json, body.to_string()).into_response())
}

/// `/{hub}/schedulednotifications`
async fn register(_: App, _: Request) -> Result<Response> {
    Err(not_yet("Registrations and installations"))
}

async fn schedule(_: App, _: Request) -> Result<Response> {
    Err(not_yet("Scheduled notifications"))
}

/// 201 with the address of the message, and its outcome where the caller wants to wait for it.
async fn created(app: &App, request: &Request, mut sent: Sent) -> Result<Response> {
    let location = location(app, request, "https", &sent.id)?;
    let preferred = request.header("prefer").and_then(preferred_wait);
    let wait = preferred.or(flags(request).test.then_some(TEST_WAIT));
    let body = match wait {
        Some(seconds) => {
            app.wait_for(&mut sent, Duration::from_secs(seconds)).await;
            app.notification_outcome(&sent.id).await?.to_xml()
        }
        None => String::new(),
    };
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    let mut response = (StatusCode::CREATED, headers, body).into_response();
    let applied = preferred.map(|seconds| format!("wait={seconds}"));
    for (name, value) in [
        (header::LOCATION, Some(location)),
        (HeaderName::from_static("preference-applied"), applied),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn flags(request: &Request) -> Flags {
    Flags::parse(request.parts.uri.query())
}

/// What JavaScript and Java repeat unchanged on every retry.
fn request_id(request: &Request) -> Option<&str> {
    request
        .header("x-ms-client-request-id")
        .or_else(|| request.header("trackingid"))
}

/// RFC 7240: `Prefer: respond-async, wait=10`; what is not understood is ignored.
fn preferred_wait(prefer: &str) -> Option<u64> {
    prefer
        .split([',', ';'])
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
        .map(|seconds: u64| seconds.min(LONGEST_WAIT))
}

/// The documented address of a message, by the name that the caller knows this server by. It must be absolute:
/// JavaScript parses it as a URL.
fn location(app: &App, request: &Request, scheme: &str, id: &NotificationId) -> Result<String> {
    let base = app.settings.base_url.split_once("://");
    let host = host(&request.parts)
        .or(base.map(|(_, host)| host))
        .unwrap_or_default();
    let version = request.query("api-version");
    let version = version.as_deref().filter(|version| is_version(version));
    let hub = &request.sas_caller()?.hub.name;
    let version = version.unwrap_or("2020-06");
    Ok(format!(
        "{scheme}://{host}/{hub}/messages/{id}?api-version={version}"
    ))
}

fn is_version(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

fn number(request: &Request, name: &str, default: u32, most: u32) -> Result<u32> {
    let Some(text) = request.query(name) else {
        return Ok(default);
    };
    match text.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => {
            let message = format!("The parameter '{name}' is not a number up to {most}.");
            Err(Error::invalid("BadRequest", message).at(name))
        }
    }
}

fn not_yet(what: &str) -> Error {
    let message = format!("{what} are not served yet; direct sends (&direct) are.");
    Error::invalid("BadRequest", message)
}

/// One delivery as JSON; the calls' list shows the same.
pub fn delivery(delivery: &Delivery) -> Value {
    let mut shown = json!({
        "ordinal": delivery.ordinal,
        "platform": delivery.platform.as_str(),
        "handle": delivery.target.handle,
        "state": "pending",
        "acceptedAt": delivery.created_at,
    });
    if let DeliveryState::Settled(attempted) = &delivery.state {
        let outcome = domain::outcome::name(delivery.platform, attempted);
        let latency = attempted.ended_at.since(delivery.created_at);
        shown["state"] = "settled".into();
        shown["outcome"] = outcome.as_str().into();
        shown["status"] = attempted.status.into();
        shown["reason"] = json!(attempted.reason);
        shown["providerId"] = json!(attempted.provider_id);
        shown["attempts"] = attempted.attempts.into();
        shown["writtenAt"] = json!(attempted.written_at);
        shown["endedAt"] = json!(attempted.ended_at);
        shown["latencyInMs"] = json!(latency.as_micros() as f64 / 1000.0);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preferred_wait_is_read_and_bounded() {
        assert_eq!(preferred_wait("wait=10"), Some(10));
        assert_eq!(preferred_wait("respond-async, Wait = \"5\""), Some(5));
        assert_eq!(preferred_wait("wait=86400"), Some(60));
        assert_eq!(preferred_wait("wait=soon, return=minimal"), None);
        assert_eq!(preferred_wait("handling=strict"), None);
    }
}
