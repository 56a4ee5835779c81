//! The registrar, `…/v2/registrations` and `…/v3/registrations` under any prefix: devices of a user.

use axum::response::{IntoResponse, Response};
use domain::id::RegistrationId;
use http::StatusCode;
use service::{App, Result};
use wire::trouter::registrar::Registration;

use super::access::Access;
use super::error::Surface;
use super::request::Request;
use super::route::{Route, delete, post};

/// Native clients have the prefix `/registrar/prod` built in, web clients take what the configuration says.
const COLLECTIONS: [&str; 4] = [
    "/v2/registrations",
    "/v3/registrations",
    "/{prefix...}/v2/registrations",
    "/{prefix...}/v3/registrations",
];
const ITEMS: [&str; 4] = [
    "/v2/registrations/{id}",
    "/v3/registrations/{id}",
    "/{prefix...}/v2/registrations/{id}",
    "/{prefix...}/v3/registrations/{id}",
];

/// The rows of this file.
pub fn routes() -> Vec<Route> {
    // Chat clients and calling clients register alike: any scope will do.
    let (surface, access) = (Surface::Communication, Access::User(&[]));
    let register = COLLECTIONS.map(|path| post(path, surface, access, register).body_limit(LIMIT));
    let unregister = ITEMS.map(|path| delete(path, surface, access, unregister));
    register.into_iter().chain(unregister).collect()
}

const LIMIT: usize = 64 * 1024;

/// `POST …/registrations`. "Native clients require exactly 202."
pub async fn register(app: App, request: Request) -> Result<Response> {
    let registration = Registration::parse(&request.body)?;
    app.register_device(&request.user()?.id, registration)
        .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `DELETE …/registrations/{id}`
pub async fn unregister(app: App, request: Request) -> Result<Response> {
    let device = RegistrationId::new(request.param("id"));
    app.unregister_device(&request.user()?.id, &device).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}
