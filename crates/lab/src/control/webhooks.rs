//! `/lab/webhooks`, and what they receive.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{ALLOW, CONTENT_LENGTH, HOST, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chance;
use crate::control::devices::check_text;
use crate::control::poll::Poll;
use crate::control::{Failure, Given, Json};
use crate::fault::{Endpoint, Fault, FaultKind, Service};
use crate::lab::Shared;
use crate::webhook::{Incoming, Reply, Validation, Webhook};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhook {
    name: Option<String>,
    #[serde(default)]
    validation: Validation,
    #[serde(default)]
    answers: Vec<u16>,
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Given(new): Given<NewWebhook>,
) -> Result<Response, Failure> {
    check_text("name", new.name.as_deref())?;
    let allowed = |status: &u16| (200..600).contains(status);
    if new.answers.len() > ANSWERS || !new.answers.iter().all(allowed) {
        return Err(Failure::bad_request(
            "answers must be at most 1000 statuses from 200 to 599",
        ));
    }
    let id = chance::uuid();
    let url = url(&headers, &id);
    let webhook = Webhook {
        id: id.clone(),
        name: new.name,
        validation: new.validation,
        answers: new.answers,
    };
    match shared.webhooks.add(webhook) {
        true => Ok((StatusCode::CREATED, Json(json!({ "id": id, "url": url }))).into_response()),
        false => Err(Failure::full("there are too many webhooks; delete some")),
    }
}

pub(super) async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let all = shared.webhooks.list();
    let all: Vec<Value> = all.iter().map(|webhook| shown(webhook, &headers)).collect();
    Json(json!({ "webhooks": all })).into_response()
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let webhook = shared.webhooks.webhook(&id).ok_or_else(unknown)?;
    Ok(Json(shown(&webhook, &headers)).into_response())
}

pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    match shared.webhooks.remove(&id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown()),
    }
}

pub(super) async fn requests(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let poll = Poll::parse(query.as_deref())?;
    let webhooks = &shared.webhooks;
    let lines = poll.lines(|| webhooks.changed(&id), |after| webhooks.log(&id, after));
    let lines = lines.await.ok_or_else(unknown)?;
    Ok(Json(json!({ "requests": lines })).into_response())
}

/// Plays the subscriber.
pub(super) async fn receive(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let request = read(request).await?;
    let fault = shared
        .faults
        .take(Service::Webhook, Endpoint::Send, || Some(id.clone()));
    if let Some(response) = undergo(&shared, fault.as_ref()).await {
        return Ok(response);
    }
    let status = fault
        .as_ref()
        .filter(|fault| fault.kind == FaultKind::Status);
    let faulty = status.and_then(|fault| fault.status);
    let now = shared.clock.now();
    let reply = shared
        .webhooks
        .receive(&id, request, faulty, now)
        .ok_or_else(unknown)?;
    shared.stats.answered(Service::Webhook, reply.status(), "");
    let mut response = respond(reply);
    if let Some(seconds) = fault.and_then(|fault| fault.retry_after) {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

/// The response of a fault that leaves the receiver out.
async fn undergo(shared: &Shared, fault: Option<&Fault>) -> Option<Response> {
    let fault = fault?;
    tokio::time::sleep(fault.delay()).await;
    let response = match fault.kind {
        FaultKind::Status | FaultKind::Delay | FaultKind::Goaway | FaultKind::Settings => {
            return None;
        }
        FaultKind::Drop => StatusCode::OK.into_response(),
        FaultKind::Reset => cut_short(),
        FaultKind::Stall => {
            tokio::time::sleep(STALL).await;
            cut_short()
        }
    };
    let status = if fault.kind == FaultKind::Drop {
        200
    } else {
        0
    };
    shared.stats.answered(Service::Webhook, status, "fault");
    Some(response)
}

/// A response that ends before its announced length: the server closes the connection.
fn cut_short() -> Response {
    let nothing: [Result<Bytes, _>; 1] = [Err(std::io::Error::other("a fault of the lab"))];
    let body = Body::from_stream(futures_util::stream::iter(nothing));
    ([(CONTENT_LENGTH, "1")], body).into_response()
}

async fn read(request: Request) -> Result<Incoming, Failure> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(BODY, Limited::new(body, BODY_LIMIT).collect()).await;
    let Ok(Ok(body)) = body else {
        return Err(Failure::bad_request(
            "the body cannot be read, is too slow or too large",
        ));
    };
    let body = body.to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let seen = headers.entry(name.as_str().to_owned()).or_default();
        if !seen.is_empty() {
            seen.push_str(", ");
        }
        seen.push_str(&value);
    }
    Ok(Incoming {
        method: head.method.as_str().to_owned(),
        size: body.len() + head.headers.len() * HEADER,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_else(|_| text()),
    })
}

fn respond(reply: Reply) -> Response {
    match reply {
        Reply::Status(status) => StatusCode::from_u16(status)
            .unwrap_or(StatusCode::OK)
            .into_response(),
        Reply::Code(code) => Json(json!({ "validationResponse": code })).into_response(),
        Reply::Consent { origin, rate } => consent(&origin, rate.as_deref()),
    }
}

fn consent(origin: &str, rate: Option<&str>) -> Response {
    let mut response = [(ALLOW, "POST")].into_response();
    let fields = [
        ("webhook-allowed-origin", Some(origin)),
        ("webhook-allowed-rate", rate),
    ];
    for (name, value) in fields {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn shown(webhook: &Webhook, headers: &HeaderMap) -> Value {
    json!({
        "id": webhook.id,
        "name": webhook.name,
        "url": url(headers, &webhook.id),
        "validation": webhook.validation,
        "answers": webhook.answers,
    })
}

/// The receiver's address, under the name by which the caller reached the control API.
fn url(headers: &HeaderMap, id: &str) -> String {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("localhost");
    format!("http://{host}/lab/webhooks/{id}/events")
}

fn unknown() -> Failure {
    Failure::not_found("there is no such webhook")
}

/// How many answers a receiver may be told.
const ANSWERS: usize = 1000;
/// Bytes of a delivery: twice what Event Grid sends in one.
const BODY_LIMIT: usize = 2 << 20;
/// How long a body may take.
const BODY: Duration = Duration::from_secs(30);
/// How long a stalled delivery is held.
const STALL: Duration = Duration::from_secs(600);
/// What a header field costs in the log.
const HEADER: usize = 64;
