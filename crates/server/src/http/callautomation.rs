//! Call Automation, `/calling/callConnections`: what a server application does with calls.
//!
//! "Both clients accept exactly one success status per operation": each stands in its handler.

use ::wire::auth::hmac::parse_date;
use axum::response::{IntoResponse, Response};
use domain::time::Timestamp;
use http::StatusCode;
use serde_json::{Value, json};
use service::callautomation::Repeat;
use service::{App, Error, Kind, Result};
use wire::acs::callautomation as wire;

use super::access::Access;
use super::error::Surface;
use super::event_delivery;
use super::identity::json;
use super::request::Request;
use super::route::{Route, delete, get, post};

const S: Surface = Surface::CallAutomation;
const A: Access = Access::Communication;
/// A context is about 8 KB at the original, custom headers may be a megabyte; this is enough for both clients.
const LIMIT: usize = 256 * 1024;

/// The rows of this file. Any `api-version` will do.
pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        post("/calling/callConnections", S, A, create),
        post("/calling/callConnections:answer", S, A, answer),
        post("/calling/callConnections:reject", S, A, reject),
        post("/calling/callConnections:redirect", S, A, redirect),
        post("/calling/callConnections:connect", S, A, connect),
        get("/calling/callConnections/{id}", S, A, show),
        delete("/calling/callConnections/{id}", S, A, leave),
        post("/calling/callConnections/{id}:terminate", S, A, terminate),
        post(
            "/calling/callConnections/{id}:transferToParticipant",
            S,
            A,
            transfer,
        ),
        get(
            "/calling/callConnections/{id}/participants",
            S,
            A,
            participants,
        ),
        get(
            "/calling/callConnections/{id}/participants/{participant}",
            S,
            A,
            participant,
        ),
        post("/calling/callConnections/{id}/participants:add", S, A, add),
        post(
            "/calling/callConnections/{id}/participants:cancelAddParticipant",
            S,
            A,
            cancel_add,
        ),
        post(
            "/calling/callConnections/{id}/participants:remove",
            S,
            A,
            remove,
        ),
        post(
            "/calling/callConnections/{id}/participants:mute",
            S,
            A,
            mute,
        ),
        post(
            "/calling/callConnections/{id}/participants:moveHere",
            S,
            A,
            move_here,
        ),
        get("/calling/callConnections/{id}/callbacks", S, A, callbacks),
        get(
            "/calling/callConnections/{id}/callbacks/{event}/attempts",
            S,
            A,
            callback_attempts,
        ),
    ];
    routes.extend(MEDIA.iter().map(|path| post(path, S, A, no_media)));
    routes.extend(RECORDINGS.iter().map(|path| get(path, S, A, no_media)));
    routes.extend(RECORDINGS.iter().map(|path| delete(path, S, A, no_media)));
    let mut routes: Vec<_> = routes
        .into_iter()
        .map(|route| route.body_limit(LIMIT))
        .collect();
    // For the receivers of callbacks, who have no credential.
    let public = Access::Public;
    routes.push(get(
        "/calling/.well-known/acsopenidconfiguration",
        S,
        public,
        discovery,
    ));
    routes.push(get("/calling/keys", S, public, keys));
    routes
}

/// What needs media, which there is none of.
const MEDIA: [&str; 16] = [
    "/calling/callConnections/{id}:play",
    "/calling/callConnections/{id}:recognize",
    "/calling/callConnections/{id}:cancelAllMediaOperations",
    "/calling/callConnections/{id}:startContinuousDtmfRecognition",
    "/calling/callConnections/{id}:stopContinuousDtmfRecognition",
    "/calling/callConnections/{id}:sendDtmfTones",
    "/calling/callConnections/{id}:hold",
    "/calling/callConnections/{id}:unhold",
    "/calling/callConnections/{id}:startTranscription",
    "/calling/callConnections/{id}:stopTranscription",
    "/calling/callConnections/{id}:updateTranscription",
    "/calling/callConnections/{id}:startMediaStreaming",
    "/calling/callConnections/{id}:stopMediaStreaming",
    "/calling/recordings",
    "/calling/recordings/{id}:pause",
    "/calling/recordings/{id}:resume",
];
const RECORDINGS: [&str; 1] = ["/calling/recordings/{id}"];

/// `POST /calling/callConnections`
pub async fn create(app: App, request: Request) -> Result<Response> {
    let call = wire::CreateCall::parse(&request.body)?;
    let by = request.communication()?;
    let made = once(&app, &request, |repeat| app.create_call(by, call, repeat)).await?;
    Ok(json(StatusCode::CREATED, &made))
}

/// `POST /calling/callConnections:answer`
pub async fn answer(app: App, request: Request) -> Result<Response> {
    let answer = wire::AnswerCall::parse(&request.body)?;
    let by = request.communication()?;
    let made = once(&app, &request, |repeat| app.answer_call(by, answer, repeat)).await?;
    Ok(json(StatusCode::OK, &made))
}

/// `POST /calling/callConnections:reject`
pub async fn reject(app: App, request: Request) -> Result<Response> {
    let reject = wire::RejectCall::parse(&request.body)?;
    let by = request.communication()?;
    once(&app, &request, |repeat| app.reject_call(by, reject, repeat)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /calling/callConnections:redirect`
pub async fn redirect(app: App, request: Request) -> Result<Response> {
    let redirect = wire::RedirectCall::parse(&request.body)?;
    let by = request.communication()?;
    once(&app, &request, |repeat| {
        app.redirect_call(by, redirect, repeat)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /calling/callConnections:connect`
pub async fn connect(app: App, request: Request) -> Result<Response> {
    let connect = wire::ConnectCall::parse(&request.body)?;
    let by = request.communication()?;
    let made = once(&app, &request, |repeat| {
        app.connect_call(by, connect, repeat)
    })
    .await?;
    Ok(json(StatusCode::OK, &made))
}

/// `GET /calling/callConnections/{id}`
pub async fn show(app: App, request: Request) -> Result<Response> {
    let (by, id) = (request.communication()?, request.param("id"));
    Ok(json(StatusCode::OK, &app.call_connection(by, id).await?))
}

/// `DELETE /calling/callConnections/{id}`
pub async fn leave(app: App, request: Request) -> Result<Response> {
    let (by, id) = (request.communication()?, request.param("id"));
    app.leave_call(by, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /calling/callConnections/{id}:terminate`
pub async fn terminate(app: App, request: Request) -> Result<Response> {
    let (by, id) = (request.communication()?, request.param("id"));
    once(&app, &request, |repeat| app.terminate_call(by, id, repeat)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /calling/callConnections/{id}:transferToParticipant`
pub async fn transfer(app: App, request: Request) -> Result<Response> {
    let transfer = wire::Transfer::parse(&request.body)?;
    let (by, id) = (request.communication()?, request.param("id"));
    let accepted = once(&app, &request, |repeat| {
        app.transfer_call(by, id, transfer, repeat)
    });
    Ok(json(StatusCode::ACCEPTED, &accepted.await?))
}

/// `GET /calling/callConnections/{id}/participants`
pub async fn participants(app: App, request: Request) -> Result<Response> {
    let (by, id) = (request.communication()?, request.param("id"));
    Ok(json(StatusCode::OK, &app.call_participants(by, id).await?))
}

/// `GET /calling/callConnections/{id}/participants/{participant}`
pub async fn participant(app: App, request: Request) -> Result<Response> {
    let (by, id) = (request.communication()?, request.param("id"));
    let shown = app.call_participant(by, id, request.param("participant"));
    Ok(json(StatusCode::OK, &shown.await?))
}

/// `POST /calling/callConnections/{id}/participants:add`
pub async fn add(app: App, request: Request) -> Result<Response> {
    let add = wire::AddParticipant::parse(&request.body)?;
    let (by, id) = (request.communication()?, request.param("id"));
    let accepted = once(&app, &request, |repeat| {
        app.add_participant(by, id, add, repeat)
    });
    Ok(json(StatusCode::ACCEPTED, &accepted.await?))
}

/// `POST /calling/callConnections/{id}/participants:cancelAddParticipant`
pub async fn cancel_add(app: App, request: Request) -> Result<Response> {
    let cancel = wire::CancelAdd::parse(&request.body)?;
    let (by, id) = (request.communication()?, request.param("id"));
    let accepted = once(&app, &request, |repeat| {
        app.cancel_add(by, id, cancel, repeat)
    });
    Ok(json(StatusCode::ACCEPTED, &accepted.await?))
}

/// `POST /calling/callConnections/{id}/participants:remove`
pub async fn remove(app: App, request: Request) -> Result<Response> {
    let remove = wire::RemoveParticipant::parse(&request.body)?;
    let (by, id) = (request.communication()?, request.param("id"));
    let accepted = once(&app, &request, |repeat| {
        app.remove_participant(by, id, remove, repeat)
    });
    Ok(json(StatusCode::ACCEPTED, &accepted.await?))
}

/// `POST /calling/callConnections/{id}/participants:mute`
pub async fn mute(app: App, request: Request) -> Result<Response> {
    let mute = wire::Mute::parse(&request.body)?;
    let (by, id) = (request.communication()?, request.param("id"));
    let muted = once(&app, &request, |repeat| {
        app.mute_participants(by, id, mute, repeat)
    });
    Ok(json(StatusCode::OK, &muted.await?))
}

/// `POST /calling/callConnections/{id}/participants:moveHere`
pub async fn move_here(app: App, request: Request) -> Result<Response> {
    let moving = wire::Move::parse(&request.body)?;
    let (by, id) = (request.communication()?, request.param("id"));
    let accepted = once(&app, &request, |repeat| {
        app.move_participants(by, id, moving, repeat)
    });
    Ok(json(StatusCode::ACCEPTED, &accepted.await?))
}

/// `GET /calling/callConnections/{id}/callbacks`: Carillon's own.
pub async fn callbacks(app: App, request: Request) -> Result<Response> {
    let (by, id) = (request.communication()?, request.param("id"));
    let callbacks = app.callbacks(by, id).await?;
    let value: Vec<Value> = callbacks
        .iter()
        .map(|(event, delivery)| {
            let mut shown = event_delivery::delivery(delivery);
            shown["event"] = serde_json::from_str(&event.body).unwrap_or_default();
            shown
        })
        .collect();
    Ok(json(StatusCode::OK, &json!({ "value": value })))
}

/// `GET /calling/callConnections/{id}/callbacks/{event}/attempts`: Carillon's own.
pub async fn callback_attempts(app: App, request: Request) -> Result<Response> {
    let (by, id) = (request.communication()?, request.param("id"));
    let attempts = app
        .callback_attempts(by, id, request.param("event"))
        .await?;
    let value: Vec<Value> = attempts.iter().map(event_delivery::attempt).collect();
    Ok(json(StatusCode::OK, &json!({ "value": value })))
}

/// Whatever would need media.
pub async fn no_media(_: App, _: Request) -> Result<Response> {
    let message = "There is no media here: calls are signalling only.";
    Err(Error::new(Kind::MethodNotAllowed, "8520", message))
}

/// `GET /calling/.well-known/acsopenidconfiguration`
pub async fn discovery(app: App, _: Request) -> Result<Response> {
    Ok(json(StatusCode::OK, &app.callback_discovery()))
}

/// `GET /calling/keys`
pub async fn keys(app: App, _: Request) -> Result<Response> {
    Ok(json(StatusCode::OK, &app.callback_keys().await?))
}

/// Executes a request once, however often it is repeated; its answer.
async fn once<F>(
    app: &App,
    request: &Request,
    execute: impl FnOnce(Option<Repeat>) -> F,
) -> Result<Value>
where
    F: Future<Output = Result<Value>>,
{
    let repeat = repeat(request)?;
    let executed = app.executed(request.communication()?, repeat.as_ref());
    match executed.await? {
        Some(answer) => Ok(answer),
        None => execute(repeat).await,
    }
}

/// By what a repeated request is known.
fn repeat(request: &Request) -> Result<Option<Repeat>> {
    const ID: &str = "Repeatability-Request-ID";
    const FIRST_SENT: &str = "Repeatability-First-Sent";
    const MOST: usize = 128;
    let Some(id) = request.header(ID) else {
        return Ok(None);
    };
    if id.is_empty() || id.len() > MOST {
        let message = format!("{ID} must have 1 to {MOST} characters.");
        return Err(Error::invalid("8523", message).at(ID));
    }
    let first_sent = request.header(FIRST_SENT).map(|text| {
        parse_date(text).map(Timestamp::from_secs).ok_or_else(|| {
            let message =
                format!("{FIRST_SENT} must be a date like 'Sun, 06 Nov 1994 08:49:37 GMT'.");
            Error::invalid("8523", message).at(FIRST_SENT)
        })
    });
    Ok(Some(Repeat {
        id: id.to_ascii_lowercase(),
        operation: format!("{} {}", request.parts.method, request.parts.uri.path()),
        first_sent: first_sent.transpose()?,
    }))
}
