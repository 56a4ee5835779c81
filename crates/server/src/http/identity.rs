//! Communication identity, `/identities`: users and their access tokens.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::Value;
use service::identity::AccessToken;
use service::{App, Result};
use wire::acs::identity;

use super::access::Access;
use super::error::Surface;
use super::request::Request;
use super::route::{Route, delete, post};

/// The rows of this file. Any `api-version` will do: the operations are the same in all of them.
pub fn routes() -> Vec<Route> {
    let (surface, access) = (Surface::Communication, Access::Communication);
    vec![
        post("/identities", surface, access, create),
        post(
            "/identities/{id}/:issueAccessToken",
            surface,
            access,
            issue_token,
        ),
        post(
            "/identities/{id}/:revokeAccessTokens",
            surface,
            access,
            revoke_tokens,
        ),
        delete("/identities/{id}", surface, access, delete_identity),
    ]
}

/// `POST /identities`
pub async fn create(app: App, request: Request) -> Result<Response> {
    let token = identity::parse_create(&request.body)?;
    let communication = request.communication()?;
    let (created, token) = app.create_identity(communication, token.as_ref()).await?;
    let body = identity::identity(created.id.as_str(), token.as_ref().map(access_token));
    Ok(json(StatusCode::CREATED, &body))
}

/// `POST /identities/{id}/:issueAccessToken`
pub async fn issue_token(app: App, request: Request) -> Result<Response> {
    let wanted = identity::parse_issue(&request.body)?;
    let token = app
        .issue_token(request.communication()?, request.param("id"), &wanted)
        .await?;
    Ok(json(StatusCode::OK, &access_token(&token)))
}

/// `POST /identities/{id}/:revokeAccessTokens`
pub async fn revoke_tokens(app: App, request: Request) -> Result<Response> {
    app.revoke_tokens(request.communication()?, request.param("id"))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /identities/{id}`
pub async fn delete_identity(app: App, request: Request) -> Result<Response> {
    app.delete_identity(request.communication()?, request.param("id"))
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn access_token(token: &AccessToken) -> Value {
    identity::access_token(&token.token, &token.expires_on.rfc3339_millis())
}

/// A JSON answer of the Communication data plane.
pub(super) fn json(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        body.to_string(),
    )
        .into_response()
}
