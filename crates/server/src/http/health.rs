//! Liveness and readiness.

use axum::response::{IntoResponse, Response};
use service::{App, Result};

use super::request::Request;

/// `GET /healthz`: the process is up.
pub async fn healthz(_: App, _: Request) -> Result<Response> {
    Ok("ok\n".into_response())
}
