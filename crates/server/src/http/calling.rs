//! Calls from clients, `/calling/calls`.

use axum::response::{IntoResponse, Response};
use domain::call::{Call, Decline, Leg, LegState, State, Verb};
use domain::fanout::Way;
use domain::id::RegistrationId;
use domain::identity::{Scope, UserId};
use domain::push::Outcome;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use service::calling::{RingDelivery, RingState};
use service::{App, Result};
use wire::acs::calling::{Answer, PlaceCall, Signal};
use wire::acs::identifier::Identifier;

use super::access::Access;
use super::error::Surface;
use super::identity::json as json_answer;
use super::request::Request;
use super::route::{Route, get, post};

/// The rows of this file.
pub fn routes() -> Vec<Route> {
    let surface = Surface::Communication;
    // "`voip` may start calls; `voip.join` may only join."
    let start = Access::User(&[Scope::Voip]);
    let join = Access::User(&[Scope::Voip, Scope::VoipJoin]);
    vec![
        post("/calling/calls", surface, start, place).body_limit(LIMIT),
        get("/calling/calls/{id}/deliveries", surface, join, deliveries),
        get("/calling/calls/{id}", surface, join, show),
        post("/calling/calls/{id}:accept", surface, join, accept).body_limit(LIMIT),
        post("/calling/calls/{id}:reject", surface, join, reject).body_limit(LIMIT),
        post("/calling/calls/{id}:hangUp", surface, join, hang_up).body_limit(LIMIT),
        post("/calling/calls/{id}:signal", surface, join, signal).body_limit(LIMIT),
    ]
}

const LIMIT: usize = 64 * 1024;

/// `POST /calling/calls`
pub async fn place(app: App, request: Request) -> Result<Response> {
    let wanted = PlaceCall::parse(&request.body)?;
    let call = app.place_call(request.user()?, wanted).await?;
    let location = format!("{}/calling/calls/{}", app.settings.base_url, call.id);
    let mut response = json_answer(StatusCode::CREATED, &view(&app, &call));
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// `GET /calling/calls/{id}`
pub async fn show(app: App, request: Request) -> Result<Response> {
    let call = app.call(request.user()?, request.param("id")).await?;
    Ok(json_answer(StatusCode::OK, &view(&app, &call)))
}

/// `POST /calling/calls/{id}:accept`
pub async fn accept(app: App, request: Request) -> Result<Response> {
    let answer = Answer::parse(&request.body)?;
    let by = request.user()?.id.clone();
    let verb = Verb::Accept {
        by,
        endpoint: answer.endpoint.map(RegistrationId::new),
        signal: answer.signal,
    };
    change(app, &request, verb).await
}

/// `POST /calling/calls/{id}:reject`
pub async fn reject(app: App, request: Request) -> Result<Response> {
    let answer = Answer::parse(&request.body)?;
    let by = request.user()?.id.clone();
    let endpoint = answer.endpoint.map(RegistrationId::new);
    let how = Decline::Plain;
    change(app, &request, Verb::Reject { by, endpoint, how }).await
}

/// `POST /calling/calls/{id}:hangUp`
pub async fn hang_up(app: App, request: Request) -> Result<Response> {
    let answer = Answer::parse(&request.body)?;
    let by = request.user()?.id.clone();
    let endpoint = answer.endpoint.map(RegistrationId::new);
    change(app, &request, Verb::HangUp { by, endpoint }).await
}

/// `POST /calling/calls/{id}:signal`
pub async fn signal(app: App, request: Request) -> Result<Response> {
    let signal = Signal::parse(&request.body)?;
    app.signal_call(request.user()?, request.param("id"), &signal)
        .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `GET /calling/calls/{id}/deliveries`
pub async fn deliveries(app: App, request: Request) -> Result<Response> {
    let deliveries = app
        .call_deliveries(request.user()?, request.param("id"))
        .await?;
    let list: Vec<Value> = deliveries.iter().map(delivery).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "value": list })))
}

async fn change(app: App, request: &Request, verb: Verb) -> Result<Response> {
    let call = app.change_call(request.param("id"), verb).await?;
    Ok(json_answer(StatusCode::OK, &view(&app, &call)))
}

/// `Call`, as the interface promises it.
fn view(app: &App, call: &Call) -> Value {
    let state = match &call.state {
        State::Ringing => "ringing",
        State::Connected { .. } => "connected",
        State::Ended(_) => "ended",
    };
    let mut view = json!({
        "id": call.id,
        "serverCallId": app.server_call_id(call),
        "correlationId": call.id,
        "state": state,
        "from": identifier(&call.from),
        "displayName": call.display_name,
        "video": call.video,
        "legs": call.legs.iter().map(leg).collect::<Vec<_>>(),
        "createdAt": call.created_at,
        "ringDeadline": call.ring_deadline,
    });
    if let Some(signal) = &call.signal {
        view["signal"] = signal.clone();
    }
    if let State::Ended(ended) = &call.state {
        view["endedAt"] = json!(ended.at);
        view["endReason"] = json!(ended.reason.as_str());
        if let Some(by) = &ended.by {
            view["endedBy"] = identifier(by);
        }
    }
    view
}

fn leg(leg: &Leg) -> Value {
    let mut view = json!({ "target": identifier(&leg.target), "state": leg.state.as_str() });
    if let LegState::Accepted(accepted) = &leg.state {
        if let Some(endpoint) = &accepted.endpoint {
            view["endpoint"] = json!(endpoint);
        }
        view["acceptedAt"] = json!(accepted.at);
        if let Some(left) = accepted.left {
            view["leftAt"] = json!(left);
        }
    }
    if let Some(signal) = &leg.signal {
        view["signal"] = signal.clone();
    }
    view
}

fn identifier(user: &UserId) -> Value {
    Identifier::user(user.as_str()).to_json()
}

/// How one device was told. Its token is not shown: the list is for everybody in the call.
fn delivery(delivery: &RingDelivery) -> Value {
    let ring = &delivery.ring;
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            view.insert(name.to_owned(), value);
        }
    };
    put("event", json!(ring.event.as_str()));
    put("target", identifier(&ring.target));
    if !ring.device.as_str().is_empty() {
        put("endpoint", json!(ring.device));
    }
    let (way, platform) = match &ring.way {
        Way::Live(_) => ("live", None),
        Way::Push(platform, _) => ("push", Some(platform.as_str())),
        Way::None(_) => ("none", None),
    };
    put("way", json!(way));
    put("platform", json!(platform));
    put("at", json!(ring.at));
    put(
        "notificationId",
        json!(ring.delivery.as_ref().map(|(id, _)| id)),
    );
    match &delivery.state {
        RingState::Sent => put("state", json!("sent")),
        RingState::Pending => put("state", json!("pending")),
        RingState::NotSent(why) => {
            put("state", json!("notSent"));
            put("reason", json!(why));
        }
        RingState::Ended(attempted) => {
            put("state", json!(outcome(&attempted.outcome)));
            if attempted.status != 0 {
                put("providerStatus", json!(attempted.status));
            }
            put("reason", json!(attempted.reason));
            put("providerId", json!(attempted.provider_id));
            put("attempts", json!(attempted.attempts));
            put("writtenAt", json!(attempted.written_at));
            put("endedAt", json!(attempted.ended_at));
        }
    }
    if let Some(latency) = delivery.latency() {
        put(
            "latencyInMilliseconds",
            json!(latency.as_micros() as f64 / 1000.0),
        );
    }
    Value::Object(view)
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::DeadToken { .. } => "deadToken",
        Outcome::SuspectToken => "suspectToken",
        Outcome::RetryAfter(_) => "throttled",
        Outcome::CredentialRefused => "credentialRefused",
        Outcome::RequestRefused => "requestRefused",
        Outcome::Unavailable => "unavailable",
        Outcome::Expired => "expired",
    }
}
