//! Azure Resource Manager: what its surfaces share.
//!
//! A handler checks in ARM's order: the token (done before it runs), the api-version, the subscription, the group,
//! the resource. Bodies are read leniently; resources are answered with their etag and `systemData`.

pub mod communication;
pub mod event_operations;
pub mod event_subscriptions;
pub mod event_topics;
pub mod event_types;
pub mod groups;
pub mod hub_rules;
pub mod notification_hubs;
pub mod providers;
pub mod resources;
pub mod subscriptions;

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::resource::{Actor, Resource, Touch};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use service::control::{Page, Precondition, kinds};
use service::{App, Error, Kind, Result};
use url::Url;
use wire::arm::{ResourceId, lenient_json};
use wire::entra::ClaimsChallenge;

use super::access::Principal;
use super::request::{self, Request};

/// Refuses an api-version that `kind` does not have.
pub fn check_api_version(request: &Request, kind: &kinds::Kind) -> Result<()> {
    kind.check_api_version(request.query("api-version").as_deref())
}

/// Refuses an api-version that subscriptions, groups and providers do not have.
pub fn check_core_api_version(request: &Request) -> Result<()> {
    kinds::check_core_api_version(request.query("api-version").as_deref())
}

/// The id of the resource that a path with `{subscription}`, `{group}` and a parameter a type names.
pub fn resource_id(
    request: &Request,
    namespace: &str,
    types: &[(&str, &str)],
) -> Result<ResourceId> {
    let types: Vec<_> = types
        .iter()
        .map(|(kind, parameter)| (*kind, request.param(parameter)))
        .collect();
    let (subscription, group) = (request.param("subscription"), request.param("group"));
    ResourceId::of_resource(subscription, group, namespace, &types).map_err(|_| invalid_name())
}

/// A path names what cannot be.
pub fn invalid_name() -> Error {
    let message = "A name in the path of the request is not one a resource can have.";
    Error::invalid("InvalidResourceName", message)
}

/// The subscription of a list, and its group if the path names one: both must be there.
pub async fn list_scope<'a>(app: &'a App, request: &'a Request) -> Result<(&'a str, &'a str)> {
    let subscription = app.subscription(request.param("subscription"))?;
    let group = request.param("group");
    if !group.is_empty() {
        app.resource_group(&subscription.id, group).await?;
    }
    Ok((&subscription.id, group))
}

/// Who changes something.
pub fn actor(request: &Request) -> Actor {
    match &request.principal {
        Principal::Arm(caller) => caller.actor(),
        _ => Actor::server(),
    }
}

/// The body, which must be an object.
pub fn body(request: &Request) -> Result<Map<String, Value>> {
    lenient_json::parse(&request.body).map_err(|error| {
        let message =
            format!("The request content was invalid and could not be deserialized: {error}.");
        Error::invalid("InvalidRequestContent", message)
    })
}

/// The body, or an empty object if there is none.
pub fn optional_body(request: &Request) -> Result<Map<String, Value>> {
    match lenient_json::parse(&request.body) {
        Err(lenient_json::Error::Empty) => Ok(Map::new()),
        _ => body(request),
    }
}

/// `If-Match` or `If-None-Match`.
pub fn precondition(request: &Request) -> Precondition {
    let etag = |text: &str| {
        text.trim()
            .trim_start_matches("W/")
            .trim_matches('"')
            .to_owned()
    };
    match (request.header("if-match"), request.header("if-none-match")) {
        (Some(any), _) if any.trim() == "*" => Precondition::Exists,
        (Some(one), _) => Precondition::Is(etag(one)),
        (None, Some(any)) if any.trim() == "*" => Precondition::Absent,
        _ => Precondition::Always,
    }
}

/// A resource as it is answered: id, name, type, its document, `systemData`.
pub fn document(resource: &Resource) -> Map<String, Value> {
    let kind = resource.id.resource_type();
    let mut document = Map::new();
    document.insert("id".into(), resource.id.as_str().into());
    document.insert("name".into(), resource.id.name().into());
    document.insert("type".into(), kinds::spelled(&kind).into());
    document.extend(resource.body.clone());
    document.insert(
        "systemData".into(),
        system_data(&resource.created, &resource.updated),
    );
    document
}

/// This server as the client calls it: by the name that it used, if that is one of ours.
pub fn base_url<'a>(app: &'a App, request: &Request) -> Cow<'a, str> {
    let settings = &app.settings;
    let host = request::host(&request.parts);
    let name = host.and_then(|host| Url::parse(&format!("https://{host}")).ok());
    let name = name.as_ref().and_then(Url::host_str).unwrap_or_default();
    match host {
        Some(host) if settings.hosts.iter().any(|known| known == name) => {
            format!("https://{host}").into()
        }
        _ => settings.base_url.as_str().into(),
    }
}

/// 200 with a document and its etag.
pub fn ok(etag: &str, document: Map<String, Value>) -> Response {
    answer(StatusCode::OK, etag, document)
}

/// What a PUT answers: 201 for what is new.
pub fn put(created: bool, etag: &str, document: Map<String, Value>) -> Response {
    let status = if created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    answer(status, etag, document)
}

/// What a DELETE answers: 204 if there was nothing.
pub fn deleted(deleted: bool) -> Response {
    if deleted {
        StatusCode::OK
    } else {
        StatusCode::NO_CONTENT
    }
    .into_response()
}

/// 200 with JSON.
pub fn json_ok(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, JSON)], value.to_string()).into_response()
}

/// The key behind which a page begins: `$skiptoken`.
pub fn after(request: &Request) -> Result<String> {
    let Some(token) = request.query("$skiptoken") else {
        return Ok(String::new());
    };
    let key = URL_SAFE_NO_PAD.decode(token.as_bytes()).ok();
    key.and_then(|key| String::from_utf8(key).ok())
        .ok_or_else(|| {
            let message = "The $skiptoken is not one of this server.";
            Error::invalid("InvalidSkipToken", message).at("$skiptoken")
        })
}

/// How many items a page has: `$top`, else as many as it may.
pub fn top(request: &Request, most: u32) -> Result<u32> {
    let Some(text) = request.query("$top").filter(|text| !text.is_empty()) else {
        return Ok(most);
    };
    let top = text.parse().ok().filter(|top| (1..=most).contains(top));
    top.ok_or_else(|| {
        let message = format!("The query parameter $top must be a whole number from 1 to {most}.");
        Error::invalid("InvalidRequest", message).at("$top")
    })
}

/// A page as it is answered; `nextLink` is absolute, for clients follow it as it is.
pub fn page<T>(app: &App, request: &Request, page: Page<T>, item: impl Fn(T) -> Value) -> Response {
    let mut answer = json!({ "value": page.items.into_iter().map(item).collect::<Vec<_>>() });
    if let Some(key) = page.next {
        answer["nextLink"] = next_link(&app.settings.base_url, request, &key).into();
    }
    json_ok(&answer)
}

/// What `…/operations` of a provider answers, by rows of resource, action, and what it does.
pub fn operations(namespace: &str, display: &str, rows: &[(&str, &str, &str)]) -> Response {
    let operation = |(resource, action, what): &(&str, &str, &str)| {
        json!({
            "name": format!("{namespace}/{resource}/{action}"),
            "origin": "UserAndSystem",
            "isDataAction": false,
            "display": {
                "provider": display,
                "resource": resource,
                "operation": what,
                "description": what,
            },
        })
    };
    json_ok(&json!({ "value": rows.iter().map(operation).collect::<Vec<_>>() }))
}

/// Says how to sign in: ARM's `WWW-Authenticate`, exactly one, for armclient reads no second.
pub fn challenge(app: &App, error: &Error, headers: &mut HeaderMap) {
    let settings = &app.settings;
    let text = match error.kind {
        Kind::Stale => format!(
            r#"Bearer realm="", authorization_uri="{}/common/oauth2/authorize", error="insufficient_claims", claims="{}""#,
            settings.base_url,
            ClaimsChallenge {
                not_before: app.clock.now().secs()
            }
            .encode(),
        ),
        Kind::Unauthenticated => format!(
            r#"Bearer authorization_uri="{}/{}", error="invalid_token", error_description="{}""#,
            settings.base_url,
            settings.tenant_id,
            error.message.replace(['"', '\\'], "'"),
        ),
        _ => return,
    };
    // A message that fits no header is left out rather than the challenge.
    let value = HeaderValue::from_str(&text)
        .unwrap_or_else(|_| HeaderValue::from_static(r#"Bearer error="invalid_token""#));
    headers.insert(header::WWW_AUTHENTICATE, value);
}

fn answer(status: StatusCode, etag: &str, document: Map<String, Value>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, JSON.to_owned()),
        (header::ETAG, format!("\"{etag}\"")),
    ];
    (status, headers, Value::Object(document).to_string()).into_response()
}

fn next_link(base_url: &str, request: &Request, key: &str) -> String {
    let query = request.parts.uri.query().unwrap_or_default();
    let kept = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| !name.eq_ignore_ascii_case("$skiptoken"));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("$skiptoken", &URL_SAFE_NO_PAD.encode(key))
        .finish();
    format!("{base_url}{}?{query}", request.parts.uri.path())
}

fn system_data(created: &Touch, updated: &Touch) -> Value {
    json!({
        "createdBy": created.by.name,
        "createdByType": created.by.kind.as_str(),
        "createdAt": created.at,
        "lastModifiedBy": updated.by.name,
        "lastModifiedByType": updated.by.kind.as_str(),
        "lastModifiedAt": updated.at,
    })
}

const JSON: &str = "application/json; charset=utf-8";
