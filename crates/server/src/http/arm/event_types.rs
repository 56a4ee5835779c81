//! `Microsoft.EventGrid`: topic types and event types, which say what there is to subscribe to.

use axum::response::Response;
use serde_json::{Value, json};
use service::control::kinds::{COMMUNICATION, TOPIC_TYPE as TOPIC_TYPES};
use service::{App, Error, Result};
use wire::event::catalogue::{EVENT_TYPES, EventType, TOPIC_TYPE};

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

/// `GET …/topicTypes`: communication resources are what has events of its own here.
pub async fn topic_types(_: App, request: Request) -> Result<Response> {
    check_version(&request)?;
    Ok(super::json_ok(&json!({ "value": [document()] })))
}

/// `GET …/topicTypes/{topicType}`.
pub async fn topic_type(_: App, request: Request) -> Result<Response> {
    known(&request)?;
    Ok(super::json_ok(&document()))
}

/// `GET …/topicTypes/{topicType}/eventTypes`.
pub async fn event_types(_: App, request: Request) -> Result<Response> {
    known(&request)?;
    Ok(list(EVENT_TYPES))
}

/// `GET …/eventTypes` of a resource. A topic's are its publishers' to name.
pub async fn event_types_at(app: App, request: Request) -> Result<Response> {
    let resource = app.resource(&scope(&request)?).await?;
    Ok(match resource.id.is_type(&COMMUNICATION.full()) {
        true => list(EVENT_TYPES),
        false => list(&[]),
    })
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

fn known(request: &Request) -> Result<()> {
    check_version(request)?;
    let name = request.param("topicType");
    if name.eq_ignore_ascii_case(TOPIC_TYPE) {
        return Ok(());
    }
    let message = format!("The topic type '{name}' was not found.");
    Err(Error::not_found("ResourceNotFound", message))
}

fn document() -> Value {
    json!({
        "id": format!("providers/Microsoft.EventGrid/topicTypes/{TOPIC_TYPE}"),
        "name": TOPIC_TYPE,
        "type": TOPIC_TYPES.full(),
        "properties": {
            "provider": COMMUNICATION.namespace,
            "displayName": "Azure Communication Services",
            "description": "Events of communication resources.",
            "resourceRegionType": "GlobalResource",
            "provisioningState": "Succeeded",
            "supportedLocations": ["global"],
            "supportedScopesForSource": ["Resource"],
            "sourceResourceFormat":
                "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Communication/communicationServices/{resourceName}",
        },
    })
}

fn list(types: &[EventType]) -> Response {
    let value: Vec<Value> = types
        .iter()
        .map(|one| {
            let name = one.name();
            json!({
                "id": format!("providers/Microsoft.EventGrid/topicTypes/{TOPIC_TYPE}/eventTypes/{name}"),
                "name": name,
                "type": format!("{}/eventTypes", TOPIC_TYPES.full()),
                "properties": {
                    "displayName": one.display_name(),
                    "description": one.description,
                    "schemaUrl": "https://aka.ms/event-grid-communication-services",
                    "isInDefaultSet": true,
                },
            })
        })
        .collect();
    super::json_ok(&json!({ "value": value }))
}
