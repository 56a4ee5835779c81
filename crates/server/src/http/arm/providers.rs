//! Resource providers: what there is, in which api-versions, where. All are registered, always.

use axum::response::Response;
use serde_json::{Value, json};
use service::control::kinds::{PROVIDERS, Provider, provider};
use service::{App, Error, Result};

use super::super::request::Request;

/// `GET /providers` and `GET /subscriptions/{subscription}/providers`.
pub async fn list(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let scope = scope(&app, &request)?;
    let all = PROVIDERS.iter().copied();
    let value: Vec<Value> = all.map(|provider| document(&scope, provider)).collect();
    Ok(super::json_ok(&json!({ "value": value })))
}

/// `GET …/providers/{namespace}`, and `POST …/{namespace}/register` and `/unregister`, which change nothing.
pub async fn get(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let scope = scope(&app, &request)?;
    let namespace = request.param("namespace");
    let provider = provider(namespace).ok_or_else(|| unknown(namespace))?;
    Ok(super::json_ok(&document(&scope, provider)))
}

/// ARM's answer for a provider that does not exist.
pub fn unknown(namespace: &str) -> Error {
    let message = format!("The resource namespace '{namespace}' is invalid.");
    Error::not_found("InvalidResourceNamespace", message)
}

/// `/subscriptions/{subscription}`, or nothing where the path names none.
fn scope(app: &App, request: &Request) -> Result<String> {
    match request.param("subscription") {
        "" => Ok(String::new()),
        id => Ok(format!("/subscriptions/{}", app.subscription(id)?.id)),
    }
}

fn document(scope: &str, provider: &Provider) -> Value {
    let kinds = provider.kinds.iter().map(|kind| {
        json!({
            "resourceType": kind.name,
            "locations": kind.locations,
            "apiVersions": kind.api_versions,
            "defaultApiVersion": kind.api_versions.iter().find(|version| !version.contains("preview")),
            "capabilities": "SupportsTags, SupportsLocation",
        })
    });
    json!({
        "id": format!("{scope}/providers/{}", provider.namespace),
        "namespace": provider.namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": kinds.collect::<Vec<_>>(),
    })
}
