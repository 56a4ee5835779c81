//! `Microsoft.EventGrid/eventSubscriptions` at any scope, by the old path and by those of topics and system topics; the
//! handshakes of their webhooks as long-running operations.

use axum::response::{IntoResponse, Response};
use domain::resource::Resource;
use http::{HeaderName, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use service::control::PutOutcome;
use service::control::kinds::{SYSTEM_TOPIC, SYSTEM_TOPIC_SUBSCRIPTION, TOPIC, TOPIC_SUBSCRIPTION};
use service::events::{
    EVENT_SUBSCRIPTIONS, FAILED, Handshake, Step, SubscriptionChange, stored_id,
};
use service::{App, Error, Result};
use wire::arm::ResourceId;
use wire::arm::lenient_json::property;
use wire::event::catalogue::TOPIC_TYPE;

use super::super::access::Access;
use super::super::error::Surface;
use super::super::request::Request;
use super::super::route::{self, Route};
use super::event_topics::{check_version, created, deleted, narrowed};

/// The rows of event subscriptions.
pub fn routes() -> Vec<Route> {
    macro_rules! scope {
        ($($rest:literal),+) => {
            concat!(
                "/subscriptions/{scope...}/providers/Microsoft.EventGrid",
                $($rest),+
            )
        };
    }
    macro_rules! group {
        ($($rest:literal),+) => {
            concat!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid",
                $($rest),+
            )
        };
    }
    const S: Surface = Surface::Arm;
    const A: Access = Access::Arm;
    /// The rows that all paths of a subscription have alike.
    macro_rules! subscriptions {
        ($path:ident, $at:literal) => {
            [
                route::put($path!($at), S, A, put),
                route::patch($path!($at), S, A, patch),
                route::get($path!($at), S, A, get),
                route::delete($path!($at), S, A, delete),
                route::post($path!($at, "/getFullUrl"), S, A, full_url),
                route::post($path!($at, "/getDeliveryAttributes"), S, A, attributes),
            ]
        };
    }
    let mut routes = vec![
        route::get(
            "/subscriptions/{subscription}/providers/Microsoft.EventGrid/locations/{location}/operationStatus/{operation}",
            S,
            A,
            operation_status,
        ),
        route::get(
            "/subscriptions/{subscription}/providers/Microsoft.EventGrid/locations/{location}/operationResults/{operation}",
            S,
            A,
            operation_result,
        ),
        route::get(
            "/eventsubscriptions/{name}/validate",
            S,
            Access::Public,
            validate,
        ),
        route::post(
            "/eventsubscriptions/{name}/validate",
            S,
            Access::Public,
            validate,
        ),
    ];
    routes.extend(subscriptions!(
        group,
        "/topics/{topic}/eventSubscriptions/{name}"
    ));
    routes.extend(subscriptions!(
        group,
        "/systemTopics/{system}/eventSubscriptions/{name}"
    ));
    routes.extend(subscriptions!(scope, "/eventSubscriptions/{name}"));
    routes.extend([
        route::get(group!("/topics/{topic}/eventSubscriptions"), S, A, list_at),
        route::get(
            group!("/systemTopics/{system}/eventSubscriptions"),
            S,
            A,
            list_at,
        ),
        route::get(scope!("/eventSubscriptions"), S, A, list_at),
        route::get(
            scope!("/topicTypes/{topicType}/eventSubscriptions"),
            S,
            A,
            list_in,
        ),
        route::get(
            scope!("/locations/{location}/eventSubscriptions"),
            S,
            A,
            list_in,
        ),
        route::get(
            scope!("/locations/{location}/topicTypes/{topicType}/eventSubscriptions"),
            S,
            A,
            list_in,
        ),
    ]);
    routes
}

/// `PUT …/eventSubscriptions/{name}`. With a webhook to be asked it is a long-running operation.
pub async fn put(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let properties = property(&body, "properties").and_then(Value::as_object);
    let properties = properties.ok_or_else(|| {
        let message = "The request content was invalid: 'properties' is required.";
        Error::invalid("InvalidRequest", message).at("properties")
    })?;
    let change = SubscriptionChange::new(&place.id, properties, &condition, &actor);
    let put = app.put_event_subscription(change).await?;
    Ok(written(&app, &request, &place, &put))
}

/// `PATCH` the same. The body is flat.
pub async fn patch(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let wrapped = property(&body, "properties").and_then(Value::as_object);
    let properties = wrapped.unwrap_or(&body);
    let change = SubscriptionChange::new(&place.id, properties, &condition, &actor);
    let put = app.patch_event_subscription(change).await?;
    Ok(written(&app, &request, &place, &put))
}

/// `GET` the same.
pub async fn get(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let resource = app.resource(&place.id).await?;
    Ok(super::ok(&resource.etag, place.document(&resource)))
}

/// `DELETE` the same: at once, whatever its handshake does.
pub async fn delete(app: App, request: Request) -> Result<Response> {
    let (place, condition) = (Place::of(&request)?, super::precondition(&request));
    app.delete_resource(&place.id, &condition).await?;
    Ok(deleted())
}

/// `POST …/getFullUrl`.
pub async fn full_url(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let url = app.event_subscription_url(&place.id).await?;
    let url = url.as_ref().map(ExposeSecret::expose_secret);
    Ok(super::json_ok(&json!({ "endpointUrl": url })))
}

/// `POST …/getDeliveryAttributes`.
pub async fn attributes(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let attributes = app.event_subscription_attributes(&place.id).await?;
    Ok(super::json_ok(&json!({ "value": attributes })))
}

/// `GET …/eventSubscriptions` at a resource, topic or system topic; of a subscription or group everything inside it.
pub async fn list_at(app: App, request: Request) -> Result<Response> {
    let scope = scope(&request)?;
    if scope.namespace().is_none() {
        return list_in(app, request).await;
    }
    let all = app.event_subscriptions_at(&scope).await?;
    list(&app, &request, all)
}

/// `GET …/eventSubscriptions` of a subscription or group, narrowed to a location or topic type.
pub async fn list_in(app: App, request: Request) -> Result<Response> {
    let scope = scope(&request)?;
    let group = scope.group().unwrap_or_default();
    if group.is_empty() {
        app.subscription(scope.subscription())?;
    } else {
        app.resource_group(scope.subscription(), group).await?;
    }
    let subscription = scope.subscription().to_owned();
    let all = app.event_subscriptions_in(&subscription, group).await?;
    let (location, topic_type) = (request.param("location"), request.param("topicType"));
    // Everything here is global: what Azure lists as regional is nowhere.
    let is_meant = |one: &Resource| {
        (location.is_empty() || location.eq_ignore_ascii_case("global"))
            && (topic_type.is_empty() || topic_type_of(one).eq_ignore_ascii_case(topic_type))
    };
    list(&app, &request, all.into_iter().filter(is_meant).collect())
}

/// `GET …/operationStatus/{operation}`.
pub async fn operation_status(app: App, request: Request) -> Result<Response> {
    let (_, handshake) = operation(&app, &request)?;
    let mut answer = json!({
        "id": request.parts.uri.path(),
        "name": request.param("operation"),
        "startTime": handshake.began_at,
    });
    match &handshake.step {
        Step::Asking | Step::Awaiting => answer["status"] = "InProgress".into(),
        Step::Succeeded { at } => {
            answer["status"] = "Succeeded".into();
            answer["endTime"] = json!(at);
        }
        Step::Failed { at, message } => {
            answer["status"] = "Failed".into();
            answer["endTime"] = json!(at);
            answer["error"] = json!({ "code": FAILED, "message": message });
        }
    }
    let mut response = super::json_ok(&answer);
    if handshake.is_pending() {
        response.headers_mut().insert(header::RETRY_AFTER, SOON);
    }
    Ok(response)
}

/// `GET …/operationResults/{operation}`: 202 until it has ended.
pub async fn operation_result(app: App, request: Request) -> Result<Response> {
    let (id, handshake) = operation(&app, &request)?;
    if handshake.is_pending() {
        return Ok((StatusCode::ACCEPTED, [(header::RETRY_AFTER, SOON)]).into_response());
    }
    let resource = app.resource(&id).await?;
    let place = Place {
        shown: id.clone(),
        id,
    };
    Ok(super::ok(&resource.etag, place.document(&resource)))
}

/// `GET` or `POST /eventsubscriptions/{name}/validate`: the owner of a webhook says that it wants events.
pub async fn validate(app: App, request: Request) -> Result<Response> {
    let (id, token) = (request.query("id"), request.query("token"));
    let (id, token) = (id.unwrap_or_default(), token.unwrap_or_default());
    let headers = &request.parts.headers;
    app.validate_event_subscription(&id, &token, headers)
        .await?;
    Ok("Webhook successfully validated as a subscription endpoint.".into_response())
}

/// An event subscription: under which id it is kept, and under which it is shown.
pub struct Place {
    /// The id it is kept under.
    pub id: ResourceId,
    shown: ResourceId,
}

impl Place {
    /// What the path names; its api-version is checked.
    pub fn of(request: &Request) -> Result<Self> {
        let scope = scope(request)?;
        let name = request.param("name");
        let shown = if !request.param("scope").is_empty() {
            scope.extension(EVENT_SUBSCRIPTIONS, name)
        } else {
            scope.child("eventSubscriptions", name)
        };
        let shown = shown.map_err(|_| super::invalid_name())?;
        Ok(Self {
            id: stored_id(shown.clone()),
            shown,
        })
    }

    fn document(&self, resource: &Resource) -> Map<String, Value> {
        let mut document = super::document(resource);
        if self.shown != self.id {
            document.insert("id".into(), self.shown.as_str().into());
            document.insert("type".into(), TOPIC_SUBSCRIPTION.full().into());
        }
        document
    }
}

/// What the subscriptions of a path are at.
pub fn scope(request: &Request) -> Result<ResourceId> {
    check_version(request)?;
    if !request.param("topic").is_empty() {
        return super::resource_id(request, TOPIC.namespace, &[(TOPIC.name, "topic")]);
    }
    if !request.param("system").is_empty() {
        return super::resource_id(request, TOPIC.namespace, &[(SYSTEM_TOPIC.name, "system")]);
    }
    let scope = format!("/subscriptions/{}", request.param("scope"));
    ResourceId::parse(&scope).map_err(|_| super::invalid_name())
}

/// 201 with the subscription, and where its operation can be followed if it is one.
fn written(app: &App, request: &Request, place: &Place, put: &PutOutcome) -> Response {
    let document = place.document(&put.resource);
    let mut response = created(&put.resource.etag, document);
    if let Some(operation) = app.pending_operation(&put.resource) {
        let base = super::base_url(app, request);
        let subscription = put.resource.id.subscription();
        let version = request.query("api-version").unwrap_or_default();
        let url = format!(
            "{base}/subscriptions/{subscription}/providers/Microsoft.EventGrid/locations/global/operationStatus/{operation}?api-version={version}"
        );
        if let Ok(url) = HeaderValue::from_str(&url) {
            response.headers_mut().insert(OPERATION, url);
            // The Python client waits for 30 seconds if it is told nothing.
            response.headers_mut().insert(header::RETRY_AFTER, SOON);
        }
    }
    response
}

fn list(app: &App, request: &Request, all: Vec<Resource>) -> Result<Response> {
    let nested = !request.param("topic").is_empty();
    let page = narrowed(request, all)?;
    Ok(super::page(app, request, page, |resource| {
        let topic = resource.id.parent().filter(|_| nested);
        let shown = topic.and_then(|topic| {
            let name = resource.id.name();
            topic.child("eventSubscriptions", name).ok()
        });
        let place = Place {
            shown: shown.unwrap_or_else(|| resource.id.clone()),
            id: resource.id.clone(),
        };
        Value::Object(place.document(&resource))
    }))
}

/// The topic type of what a subscription is at.
fn topic_type_of(subscription: &Resource) -> String {
    if subscription.id.is_type(&SYSTEM_TOPIC_SUBSCRIPTION.full()) {
        return TOPIC_TYPE.to_owned();
    }
    let scope = subscription.id.parent();
    let kind = scope.map(|scope| scope.resource_type()).unwrap_or_default();
    kind.replace('/', ".")
}

fn operation(app: &App, request: &Request) -> Result<(ResourceId, Handshake)> {
    check_version(request)?;
    app.subscription(request.param("subscription"))?;
    let id = request.param("operation");
    app.event_operation(id).ok_or_else(|| {
        let message = format!(
            "The operation '{id}' was not found. The last one of each event subscription is known."
        );
        Error::not_found("OperationNotFound", message)
    })
}

const OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");
const SOON: HeaderValue = HeaderValue::from_static("1");
