//! Sign-in: cloud metadata, discovery, tokens, keys; the ADFS shape and the tenant shape by the same handlers.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::response::{IntoResponse, Response};
use http::header;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use service::control::{Grant, GrantRequest, Tokens};
use service::{App, Error, Result};
use wire::entra::discovery;

use super::request::Request;

/// `GET /metadata/endpoints`: one cloud, or a list of it for api-versions before 2022.
pub async fn metadata(app: App, request: Request) -> Result<Response> {
    let cloud = discovery::cloud_metadata(&app.settings.base_url, &app.settings.tenant_id);
    let version = request.query("api-version").unwrap_or_default();
    let newer = version.get(..4).is_none_or(|year| year >= "2022");
    Ok(answer(&if newer { cloud } else { json!([cloud]) }))
}

/// `GET /adfs/.well-known/openid-configuration`.
pub async fn adfs_discovery(app: App, _: Request) -> Result<Response> {
    Ok(answer(&discovery::adfs(&app.settings.base_url)))
}

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`.
pub async fn tenant_discovery(app: App, request: Request) -> Result<Response> {
    let named = tenant(&app, &request)?;
    let settings = &app.settings;
    Ok(answer(&discovery::tenant(
        &settings.base_url,
        named,
        &settings.tenant_id,
    )))
}

/// `GET /{tenant}/.well-known/openid-configuration`: where whoever is sent a token looks for its keys.
pub async fn issuer_discovery(app: App, request: Request) -> Result<Response> {
    let named = tenant(&app, &request)?;
    let settings = &app.settings;
    let document = discovery::issuer(&settings.base_url, named, &settings.tenant_id);
    Ok(answer(&document))
}

/// `GET /adfs/discovery/keys` and `GET /{tenant}/discovery/v2.0/keys`.
pub async fn keys(app: App, request: Request) -> Result<Response> {
    tenant(&app, &request)?;
    Ok(answer(&app.signing_keys()))
}

/// `GET /common/discovery/instance`: this host is its own authority.
pub async fn instance(app: App, _: Request) -> Result<Response> {
    let settings = &app.settings;
    let host = settings.base_url.trim_start_matches("https://");
    Ok(answer(&json!({
        "tenant_discovery_endpoint": format!("{}/{}/v2.0/.well-known/openid-configuration", settings.base_url, settings.tenant_id),
        "api-version": "1.1",
        "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
    })))
}

/// `GET /common/userrealm/{upn}`: every user signs in here.
pub async fn user_realm(_: App, request: Request) -> Result<Response> {
    let domain = request.param("upn").rsplit('@').next().unwrap_or_default();
    Ok(answer(&json!({
        "ver": "1.0",
        "account_type": "Managed",
        "domain_name": domain,
        "cloud_instance_name": "carillon",
        "cloud_audience_urn": "urn:federation:MicrosoftOnline",
    })))
}

/// `POST /adfs/oauth2/token` and `POST /{tenant}/oauth2/v2.0/token`.
pub async fn token(app: App, request: Request) -> Result<Response> {
    tenant(&app, &request)?;
    let form: HashMap<String, String> = url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect();
    let tokens = app.grant(grant_request(form, request.peer())?).await?;
    Ok(answer(&document(&tokens)))
}

/// The flows that begin in a browser are not here.
pub async fn not_yet(_: App, _: Request) -> Result<Response> {
    let message = "AADSTS70003: The app requested a grant type that this server does not support yet. Use client_credentials or password.";
    Err(Error::invalid("unsupported_grant_type", message))
}

/// The `{tenant}` of the path: ours by its id or by a name that leaves it open. The ADFS shape has none.
fn tenant<'r>(app: &App, request: &'r Request) -> Result<&'r str> {
    let named = request.param("tenant");
    let known = [
        "",
        "common",
        "organizations",
        "adfs",
        &app.settings.tenant_id,
    ];
    if known.iter().any(|known| known.eq_ignore_ascii_case(named)) {
        return Ok(named);
    }
    let message = format!(
        "AADSTS90002: Tenant '{named}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
    );
    Err(Error::invalid("invalid_request", message))
}

/// Reads the form; fields that it does not know (`client_info`, `claims`, `x-client-…`) are of no concern here.
fn grant_request(mut form: HashMap<String, String>, from: Option<IpAddr>) -> Result<GrantRequest> {
    let mut take = |name: &str| form.remove(name).filter(|value| !value.is_empty());
    let grant_type = take("grant_type").ok_or_else(|| missing("grant_type"))?;
    let client_id = take("client_id").ok_or_else(|| missing("client_id"))?;
    let scope = take("scope").or_else(|| take("resource"));
    let grant = match grant_type.as_str() {
        "client_credentials" => match (take("client_secret"), take("client_assertion")) {
            (_, Some(assertion)) => Grant::Assertion(assertion),
            (Some(secret), None) => Grant::Secret(secret.into()),
            (None, None) => {
                let message = "AADSTS7000216: 'client_assertion' or 'client_secret' is required for the 'client_credentials' grant type.";
                return Err(Error::invalid("invalid_client", message));
            }
        },
        "password" => Grant::Password {
            username: take("username").ok_or_else(|| missing("username"))?,
            password: SecretString::from(take("password").ok_or_else(|| missing("password"))?),
        },
        "refresh_token" => Grant::Refresh(
            take("refresh_token")
                .ok_or_else(|| missing("refresh_token"))?
                .into(),
        ),
        other => {
            let message =
                format!("AADSTS70003: The app requested an unsupported grant type '{other}'.");
            return Err(Error::invalid("unsupported_grant_type", message));
        }
    };
    Ok(GrantRequest {
        client_id,
        scope: scope.ok_or_else(|| missing("scope"))?,
        grant,
        from,
    })
}

fn missing(name: &str) -> Error {
    let message =
        format!("AADSTS900144: The request body must contain the following parameter: '{name}'.");
    Error::invalid("invalid_request", message).at(name)
}

fn document(tokens: &Tokens) -> Value {
    let mut answer = json!({
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "ext_expires_in": tokens.expires_in,
        "access_token": tokens.access.expose_secret(),
    });
    if let Some(user) = &tokens.user {
        answer["scope"] = json!(user.scope);
        answer["refresh_token"] = json!(user.refresh.expose_secret());
        answer["id_token"] = json!(user.id);
        answer["client_info"] = json!(user.client_info);
    }
    answer
}

fn answer(value: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, value.to_string()).into_response()
}
