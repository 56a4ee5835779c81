//! `/lab/faults`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::apns::reason::Reason;
use crate::control::{Failure, Given, Json};
use crate::fault::{Endpoint, Fault, FaultKind, Service};
use crate::fcm::error::FcmError;
use crate::lab::Shared;
use crate::serve::reset_code;

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Given(mut fault): Given<Fault>,
) -> Result<Response, Failure> {
    if let Some(id) = &fault.device {
        fault.token = Some(address(&shared, fault.service, id)?);
    }
    check(&fault)?;
    match shared.faults.add(fault) {
        Some(id) => Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response()),
        None => Err(Failure::full("there are too many faults; delete some")),
    }
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    Json(json!({ "faults": shared.faults.list() })).into_response()
}

pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    match shared.faults.remove(&id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found(
            "there is no such fault, or it is used up",
        )),
    }
}

pub(super) async fn clear(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.faults.clear();
    StatusCode::NO_CONTENT
}

/// What a fault's requests are known by: a device's token, or the id of a webhook.
fn address(shared: &Shared, service: Service, id: &str) -> Result<String, Failure> {
    let found = match service {
        Service::Webhook => shared.webhooks.webhook(id).map(|it| it.id),
        _ => shared
            .devices
            .device(id)
            .map(|it| it.token.address().to_owned()),
    };
    found.ok_or_else(|| Failure::bad_request("device names nothing that there is"))
}

/// What the lab cannot do is refused here, and not silently done otherwise.
fn check(fault: &Fault) -> Result<(), Failure> {
    if fault.times == Some(0) {
        return Err(Failure::bad_request("times must be at least 1"));
    }
    if fault.delay_ms.is_some_and(|delay| delay > LONGEST_DELAY) {
        return Err(Failure::bad_request("delayMs must be at most 600000"));
    }
    if fault.on == Endpoint::Token && fault.service != Service::Fcm {
        return Err(Failure::bad_request("only fcm has a token endpoint"));
    }
    match fault.kind {
        FaultKind::Status => check_status(fault),
        FaultKind::Delay if fault.delay_ms.is_none() => {
            Err(Failure::bad_request("a delay needs delayMs"))
        }
        FaultKind::Goaway if fault.service == Service::Webhook => Err(Failure::bad_request(
            "a webhook speaks HTTP/1.1, which has no GOAWAY",
        )),
        FaultKind::Settings => Err(Failure::bad_request(
            "SETTINGS cannot be changed after the handshake: the HTTP/2 stack of the lab has no way to; see docs/lab.md, Limits",
        )),
        FaultKind::Goaway if fault.last_stream_id.is_some() => Err(Failure::bad_request(
            "the last stream of a GOAWAY cannot be chosen: the HTTP/2 stack of the lab answers what is open; see docs/lab.md, Limits",
        )),
        FaultKind::Goaway if fault.reason.is_some() => Err(Failure::bad_request(
            "a GOAWAY with a JSON reason cannot be sent: the HTTP/2 stack of the lab has no debug data; see docs/lab.md, Limits",
        )),
        FaultKind::Reset
            if fault
                .code
                .as_deref()
                .is_some_and(|code| reset_code(code).is_none()) =>
        {
            Err(Failure::bad_request(
                "code must be the name of an HTTP/2 error code, such as REFUSED_STREAM",
            ))
        }
        _ => Ok(()),
    }
}

fn check_status(fault: &Fault) -> Result<(), Failure> {
    let reason = fault.reason.as_deref();
    let known = match fault.service {
        Service::Apns => match reason {
            Some(reason) => Reason::parse(reason)
                .is_some_and(|it| fault.status.is_none_or(|status| status == it.status())),
            None => fault.status.and_then(Reason::usual).is_some(),
        },
        Service::Fcm if fault.on == Endpoint::Token => fault
            .status
            .is_some_and(|status| (400..600).contains(&status)),
        Service::Fcm => FcmError::of_fault(fault.status, reason, "").is_some(),
        Service::Webpush | Service::Webhook => fault
            .status
            .is_some_and(|status| (200..600).contains(&status)),
    };
    match known {
        true => Ok(()),
        false => Err(Failure::bad_request(
            "status and reason are none that the service answers together",
        )),
    }
}

/// Milliseconds a fault may wait.
const LONGEST_DELAY: u64 = 600_000;
