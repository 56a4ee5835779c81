//! `Microsoft.EventGrid`: topics and system topics. Event subscriptions are in [`super::event_subscriptions`], what
//! there is to subscribe to in [`super::event_types`].
//!
//! Both clients agree on one rule: 201 to every PUT and PATCH, 204 to every DELETE, 200 to the rest.

use axum::response::{IntoResponse, Response};
use domain::resource::Resource;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use service::control::Page;
use service::control::kinds::{SYSTEM_TOPIC, TOPIC};
use service::events::TopicKey;
use service::{App, Error, ResourceQuery, Result};
use wire::arm::ResourceId;
use wire::arm::field::Fields;
use wire::arm::name_filter::NameFilter;

use super::super::access::Access;
use super::super::error::Surface;
use super::super::request::Request;
use super::super::route::{self, Route};
use super::{event_subscriptions, event_types};

/// The rows of this provider.
pub fn routes() -> Vec<Route> {
    macro_rules! provider {
        ($rest:literal) => {
            concat!(
                "/subscriptions/{subscription}/providers/Microsoft.EventGrid",
                $rest
            )
        };
    }
    macro_rules! group {
        ($rest:literal) => {
            concat!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid",
                $rest
            )
        };
    }
    const S: Surface = Surface::Arm;
    const A: Access = Access::Arm;
    let mut routes = vec![
        route::get(
            "/providers/Microsoft.EventGrid/operations",
            S,
            A,
            operations,
        ),
        route::get(provider!("/topics"), S, A, list_topics),
        route::get(group!("/topics"), S, A, list_topics),
        route::put(group!("/topics/{topic}"), S, A, put_topic),
        route::patch(group!("/topics/{topic}"), S, A, patch_topic),
        route::get(group!("/topics/{topic}"), S, A, get),
        route::delete(group!("/topics/{topic}"), S, A, delete),
        route::post(group!("/topics/{topic}/listKeys"), S, A, list_keys),
        route::post(
            group!("/topics/{topic}/regenerateKey"),
            S,
            A,
            regenerate_key,
        ),
        route::get(provider!("/systemTopics"), S, A, list_system_topics),
        route::get(group!("/systemTopics"), S, A, list_system_topics),
        route::put(group!("/systemTopics/{system}"), S, A, put_system_topic),
        route::patch(group!("/systemTopics/{system}"), S, A, patch_system_topic),
        route::get(group!("/systemTopics/{system}"), S, A, get),
        route::delete(group!("/systemTopics/{system}"), S, A, delete),
    ];
    routes.extend(event_subscriptions::routes());
    routes.extend(event_types::routes());
    routes
}

/// `PUT …/topics/{topic}`.
pub async fn put_topic(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let put = app.put_topic(&id, &body, &condition, &actor).await?;
    Ok(written(&app, &put.resource))
}

/// `PATCH` the same.
pub async fn patch_topic(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let topic = app.patch_topic(&id, &body, &condition, &actor).await?;
    Ok(written(&app, &topic))
}

/// `PUT …/systemTopics/{system}`.
pub async fn put_system_topic(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let put = app.put_system_topic(&id, &body, &condition, &actor).await?;
    Ok(written(&app, &put.resource))
}

/// `PATCH` the same.
pub async fn patch_system_topic(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let topic = app
        .patch_system_topic(&id, &body, &condition, &actor)
        .await?;
    Ok(written(&app, &topic))
}

/// `GET` of a topic or system topic.
pub async fn get(app: App, request: Request) -> Result<Response> {
    let topic = app.resource(&enter(&request)?).await?;
    Ok(super::ok(&topic.etag, document(&app, &topic)))
}

/// `DELETE` of a topic or system topic, with its event subscriptions.
pub async fn delete(app: App, request: Request) -> Result<Response> {
    let (id, condition) = (enter(&request)?, super::precondition(&request));
    app.delete_resource(&id, &condition).await?;
    Ok(deleted())
}

/// `GET …/topics` of a subscription or group.
pub async fn list_topics(app: App, request: Request) -> Result<Response> {
    list(&app, &request, &TOPIC.full()).await
}

/// `GET …/systemTopics` of a subscription or group.
pub async fn list_system_topics(app: App, request: Request) -> Result<Response> {
    list(&app, &request, &SYSTEM_TOPIC.full()).await
}

/// `POST …/topics/{topic}/listKeys`.
pub async fn list_keys(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    Ok(keys(&app.topic_keys(&id).await?))
}

/// `POST …/topics/{topic}/regenerateKey`: both keys.
pub async fn regenerate_key(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    app.resource(&id).await?;
    let body = super::body(&request)?;
    let name = Fields::of(&body).text("keyName")?.unwrap_or_default();
    let which = match name.to_ascii_lowercase().as_str() {
        "key1" => TopicKey::First,
        "key2" => TopicKey::Second,
        _ => {
            let message = "The request content was invalid: 'keyName' must be key1 or key2.";
            return Err(Error::invalid("InvalidRequest", message).at("keyName"));
        }
    };
    let actor = super::actor(&request);
    Ok(keys(&app.regenerate_topic_key(&id, which, &actor).await?))
}

/// `GET /providers/Microsoft.EventGrid/operations`.
pub async fn operations(_: App, request: Request) -> Result<Response> {
    check_version(&request)?;
    let provider = TOPIC.namespace;
    Ok(super::operations(
        provider,
        "Microsoft Event Grid",
        OPERATIONS,
    ))
}

/// The api-version of a request to this provider.
pub fn check_version(request: &Request) -> Result<()> {
    super::check_api_version(request, &TOPIC)
}

/// What a PUT or PATCH answers: always 201.
pub fn created(etag: &str, document: Map<String, Value>) -> Response {
    super::put(true, etag, document)
}

/// What a DELETE answers, whether there was something or not.
pub fn deleted() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A list narrowed by `$filter` and cut by `$top`. `all` is in the order of keys.
pub fn narrowed(request: &Request, all: Vec<Resource>) -> Result<Page<Resource>> {
    let text = request.query("$filter").unwrap_or_default();
    let filter = NameFilter::parse(&text).map_err(|error| {
        let message = format!("Invalid $filter '{text}': supported are {error}.");
        Error::invalid("InvalidRequest", message).at("$filter")
    })?;
    let (top, after) = (super::top(request, PAGE)? as usize, super::after(request)?);
    let mut items: Vec<_> = all
        .into_iter()
        .filter(|one| one.id.key() > after.as_str() && filter.takes(one.id.name()))
        .collect();
    let more = items.len() > top;
    items.truncate(top);
    let last = items.last().filter(|_| more);
    Ok(Page {
        next: last.map(|last| last.id.key().to_owned()),
        items,
    })
}

/// The topic or system topic that the path names; its api-version is checked.
fn enter(request: &Request) -> Result<ResourceId> {
    check_version(request)?;
    let (kind, parameter) = match request.param("system") {
        "" => (TOPIC.name, "topic"),
        _ => (SYSTEM_TOPIC.name, "system"),
    };
    super::resource_id(request, TOPIC.namespace, &[(kind, parameter)])
}

async fn list(app: &App, request: &Request, kind: &str) -> Result<Response> {
    check_version(request)?;
    let (subscription, group) = super::list_scope(app, request).await?;
    let query = ResourceQuery {
        subscription,
        group,
        kind,
        ..ResourceQuery::default()
    };
    let all = app.every_resource(&query).await?;
    let page = narrowed(request, all)?;
    Ok(super::page(app, request, page, |topic| {
        Value::Object(document(app, &topic))
    }))
}

fn written(app: &App, topic: &Resource) -> Response {
    created(&topic.etag, document(app, topic))
}

/// A topic as it is answered: where it is published to is not stored.
fn document(app: &App, topic: &Resource) -> Map<String, Value> {
    let mut topic = topic.clone();
    if topic.id.is_type(&TOPIC.full()) {
        let endpoint = app.topic_endpoint(topic.id.name());
        let properties = topic.properties_mut();
        properties.insert("endpoint".into(), endpoint.into());
    }
    super::document(&topic)
}

fn keys([key1, key2]: &[SecretString; 2]) -> Response {
    super::json_ok(&json!({
        "key1": key1.expose_secret(),
        "key2": key2.expose_secret(),
    }))
}

/// Items in a page at most.
const PAGE: u32 = 100;

/// Resource, action, what it does.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("operations", "read", "List the operations of the provider"),
    ("topics", "read", "Read a topic"),
    ("topics", "write", "Create or update a topic"),
    ("topics", "delete", "Delete a topic"),
    ("topics", "listKeys/action", "List the keys of a topic"),
    (
        "topics",
        "regenerateKey/action",
        "Regenerate a key of a topic",
    ),
    ("systemTopics", "read", "Read a system topic"),
    ("systemTopics", "write", "Create or update a system topic"),
    ("systemTopics", "delete", "Delete a system topic"),
    ("eventSubscriptions", "read", "Read an event subscription"),
    (
        "eventSubscriptions",
        "write",
        "Create or update an event subscription",
    ),
    (
        "eventSubscriptions",
        "delete",
        "Delete an event subscription",
    ),
    (
        "eventSubscriptions",
        "getFullUrl/action",
        "Read the full URL of an event subscription",
    ),
    (
        "eventSubscriptions",
        "getDeliveryAttributes/action",
        "Read the delivery attributes of an event subscription",
    ),
    ("topicTypes", "read", "Read a topic type"),
    ("topicTypes/eventTypes", "read", "Read the types of events"),
    (
        "locations/operationStatuses",
        "read",
        "Read the status of an operation",
    ),
];
