//! `Microsoft.EventGrid`: topic types and event types, which say what there is to subscribe to.

use axum::response::Response;
use serde_json::{Value, json};
use service::control::kinds::TOPIC_TYPE as KIND;
use service::{App, Error, Result};
use wire::event::catalogue::{TOPIC_TYPES, TopicType};

use super::super::access::Access;
use super::super::error::Surface;
use super::super::request::Request;
use super::super::route::{self, Route};
use super::event_subscriptions::scope;
use super::event_topics::check_version;

/// The rows of topic types and event types.
pub fn routes() -> Vec<Route> {
    macro_rules! types {
        ($rest:literal) => {
            concat!("/providers/Microsoft.EventGrid/topicTypes", $rest)
        };
    }
    const S: Surface = Surface::Arm;
    const A: Access = Access::Arm;
    vec![
        route::get(types!(""), S, A, topic_types),
        route::get(types!("/{topicType}"), S, A, topic_type),
        route::get(types!("/{topicType}/eventTypes"), S, A, event_types),
        route::get(
            "/subscriptions/{scope...}/providers/Microsoft.EventGrid/eventTypes",
            S,
            A,
            event_types_at,
        ),
        route::get(
            "/subscriptions/{scope...}/providers/Microsoft.EventGrid/extensionTopics/default",
            S,
            A,
            extension_topic,
        ),
    ]
}

/// `GET …/topicTypes`: what has events here.
pub async fn topic_types(_: App, request: Request) -> Result<Response> {
    check_version(&request)?;
    let value: Vec<_> = TOPIC_TYPES.iter().map(document).collect();
    Ok(super::json_ok(&json!({ "value": value })))
}

/// `GET …/topicTypes/{topicType}`.
pub async fn topic_type(_: App, request: Request) -> Result<Response> {
    Ok(super::json_ok(&document(known(&request)?)))
}

/// `GET …/topicTypes/{topicType}/eventTypes`.
pub async fn event_types(_: App, request: Request) -> Result<Response> {
    Ok(list(Some(known(&request)?)))
}

/// `GET …/eventTypes` of a resource. A topic's are its publishers' to name.
pub async fn event_types_at(app: App, request: Request) -> Result<Response> {
    let resource = app.resource(&scope(&request)?).await?;
    Ok(list(find(&resource.id.resource_type().replace('/', "."))))
}

/// `GET …/extensionTopics/default` of a resource.
pub async fn extension_topic(app: App, request: Request) -> Result<Response> {
    let resource = app.resource(&scope(&request)?).await?;
    Ok(super::json_ok(&json!({
        "id": format!("{}/providers/Microsoft.EventGrid/extensionTopics/default", resource.id),
        "name": "default",
        "type": "Microsoft.EventGrid/extensionTopics",
        "properties": { "description": "The events of the resource." },
    })))
}

fn known(request: &Request) -> Result<&'static TopicType> {
    check_version(request)?;
    let name = request.param("topicType");
    find(name).ok_or_else(|| {
        let message = format!("The topic type '{name}' was not found.");
        Error::not_found("ResourceNotFound", message)
    })
}

fn find(name: &str) -> Option<&'static TopicType> {
    let mut all = TOPIC_TYPES.iter();
    all.find(|known| known.name.eq_ignore_ascii_case(name))
}

fn document(topic_type: &TopicType) -> Value {
    let name = topic_type.name;
    json!({
        "id": format!("providers/Microsoft.EventGrid/topicTypes/{name}"),
        "name": name,
        "type": KIND.full(),
        "properties": {
            "provider": topic_type.provider(),
            "displayName": topic_type.display_name,
            "description": topic_type.description,
            "resourceRegionType": "GlobalResource",
            "provisioningState": "Succeeded",
            "supportedLocations": ["global"],
            "supportedScopesForSource": [topic_type.scope],
            "sourceResourceFormat": topic_type.source_format,
        },
    })
}

fn list(topic_type: Option<&TopicType>) -> Response {
    let types = topic_type.iter().flat_map(|of| {
        of.event_types.iter().map(|one| {
            let name = one.name();
            json!({
                "id": format!("providers/Microsoft.EventGrid/topicTypes/{}/eventTypes/{name}", of.name),
                "name": name,
                "type": format!("{}/eventTypes", KIND.full()),
                "properties": {
                    "displayName": one.display_name(),
                    "description": one.description,
                    "schemaUrl": "https://aka.ms/event-grid-communication-services",
                    "isInDefaultSet": true,
                },
            })
        })
    });
    let value: Vec<Value> = types.collect();
    super::json_ok(&json!({ "value": value }))
}
