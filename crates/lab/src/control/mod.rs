//! The control API: `/lab/…` on the plain-http port, JSON in and out.

mod devices;
mod faults;
mod poll;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::device::Environment;
use crate::lab::Shared;

/// Every route of the control API.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/lab/devices", get(devices::list).post(devices::create))
        .route(
            "/lab/devices/{id}",
            get(devices::show)
                .patch(devices::change)
                .delete(devices::remove),
        )
        .route(
            "/lab/devices/{id}/notifications",
            get(devices::notifications),
        )
        .route(
            "/lab/faults",
            get(faults::list).post(faults::create).delete(faults::clear),
        )
        .route("/lab/faults/{id}", delete(faults::remove))
        .route("/lab/webhooks", get(webhooks::list).post(webhooks::create))
        .route(
            "/lab/webhooks/{id}",
            get(webhooks::show).delete(webhooks::remove),
        )
        .route("/lab/webhooks/{id}/requests", get(webhooks::requests))
        .route("/lab/webhooks/{id}/events", any(webhooks::receive))
        .route("/lab/credentials", get(credentials))
        .route("/lab/credentials/apns", post(add_key))
        .route("/lab/credentials/apns/{key_id}", delete(revoke_key))
        .route("/lab/stats", get(stats))
        .fallback(async || Failure::not_found("there is no such path in the lab"))
        .method_not_allowed_fallback(async || {
            Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "the path has other methods",
            )
        })
        .with_state(shared)
}

/// Why a request is refused, as `{"error":{"code","message"}}`.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    fn full(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooMany", message)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        (self.status, Json(body)).into_response()
    }
}

/// A JSON body of an answer.
struct Json<T>(T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            // Only a map with keys that are no texts cannot be written, and there is none.
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// A JSON body of at most [`BODY_LIMIT`] bytes, whatever its content type; an empty one is `{}`.
struct Given<T>(T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Given<T> {
    type Rejection = Failure;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Failure> {
        let body = Limited::new(request.into_body(), BODY_LIMIT)
            .collect()
            .await;
        let body =
            body.map_err(|_| Failure::bad_request("the body cannot be read, or is too large"))?;
        let body = body.to_bytes();
        let text: &[u8] = if body.trim_ascii().is_empty() {
            b"{}"
        } else {
            &body
        };
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| Failure::bad_request(error.to_string()))
    }
}

async fn credentials(State(shared): State<Arc<Shared>>) -> Response {
    let file = shared.credentials.account().file(&shared.urls.fcm);
    let body = json!({ "apns": shared.credentials.apns(), "fcm": file, "apnsKeys": shared.credentials.keys() });
    Json(body).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    environment: Option<Environment>,
}

async fn add_key(
    State(shared): State<Arc<Shared>>,
    Given(new): Given<NewKey>,
) -> Result<Response, Failure> {
    let key = shared.credentials.add_key(new.environment);
    let key = key.ok_or_else(|| Failure::full("there are too many keys; revoke one"))?;
    Ok((StatusCode::CREATED, Json(key)).into_response())
}

async fn revoke_key(
    State(shared): State<Arc<Shared>>,
    axum::extract::Path(key_id): axum::extract::Path<String>,
) -> Result<StatusCode, Failure> {
    match shared.credentials.revoke_key(&key_id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Failure::not_found("there is no such key")),
    }
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.stats.all()).into_response()
}

/// Bytes of a request body.
const BODY_LIMIT: usize = 1 << 20;
