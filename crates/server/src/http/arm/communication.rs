//! `Microsoft.Communication/communicationServices`.

use axum::response::Response;
use domain::resource::Resource;
use http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use service::control::KeyName;
use service::control::kinds::COMMUNICATION;
use service::{App, Error, ResourceQuery, Result};
use wire::arm::ResourceId;
use wire::arm::field::Fields;

use super::super::request::Request;

/// `PUT …/communicationServices/{name}`.
pub async fn put(app: App, request: Request) -> Result<Response> {
    let id = enter(&app, &request).await?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let put = app
        .put_communication(&id, &body, &condition, &actor)
        .await?;
    let document = document(&app, &put.resource);
    let response = super::put(put.created, &put.resource.etag, document);
    Ok(noted(&app, &id, response))
}

/// `PATCH` the same.
pub async fn patch(app: App, request: Request) -> Result<Response> {
    let id = enter(&app, &request).await?;
    app.resource(&id).await?;
    let (body, condition) = (
        super::optional_body(&request)?,
        super::precondition(&request),
    );
    let actor = super::actor(&request);
    let resource = app
        .patch_communication(&id, &body, &condition, &actor)
        .await?;
    Ok(super::ok(&resource.etag, document(&app, &resource)))
}

/// `GET` the same.
pub async fn get(app: App, request: Request) -> Result<Response> {
    let id = enter(&app, &request).await?;
    let resource = app.resource(&id).await?;
    Ok(super::ok(&resource.etag, document(&app, &resource)))
}

/// `DELETE` the same: 204 when there is none.
pub async fn delete(app: App, request: Request) -> Result<Response> {
    let id = enter(&app, &request).await?;
    let condition = super::precondition(&request);
    let response = super::deleted(app.delete_resource(&id, &condition).await?);
    Ok(noted(&app, &id, response))
}

/// `GET /subscriptions/{subscription}/providers/Microsoft.Communication/communicationServices`, or of one group.
pub async fn list(app: App, request: Request) -> Result<Response> {
    super::check_api_version(&request, &COMMUNICATION)?;
    let (subscription, group) = super::list_scope(&app, &request).await?;
    let (kind, after) = (COMMUNICATION.full(), super::after(&request)?);
    let query = ResourceQuery {
        subscription,
        group,
        kind: &kind,
        after: &after,
        ..ResourceQuery::default()
    };
    let page = app.list_resources(&query).await?;
    Ok(super::page(&app, &request, page, |one| {
        Value::Object(document(&app, &one))
    }))
}

/// `POST …/{name}/listKeys`.
pub async fn list_keys(app: App, request: Request) -> Result<Response> {
    let id = enter(&app, &request).await?;
    let (primary, secondary) = app.communication_keys(&id).await?;
    Ok(super::json_ok(&json!({
        "primaryKey": primary.expose_secret(),
        "secondaryKey": secondary.expose_secret(),
        "primaryConnectionString": app.communication_connection_string(&primary),
        "secondaryConnectionString": app.communication_connection_string(&secondary),
    })))
}

/// `POST …/{name}/regenerateKey`: the new key alone.
pub async fn regenerate_key(app: App, request: Request) -> Result<Response> {
    let id = enter(&app, &request).await?;
    app.resource(&id).await?;
    let body = super::body(&request)?;
    let given = Fields::of(&body).text("keyType")?.unwrap_or_default();
    let (which, name) = match given.to_ascii_lowercase().as_str() {
        "primary" => (KeyName::Primary, "primary"),
        "secondary" => (KeyName::Secondary, "secondary"),
        _ => {
            let message =
                "The request content was invalid: 'keyType' must be Primary or Secondary.";
            return Err(Error::invalid("InvalidRequestContent", message).at("keyType"));
        }
    };
    let actor = super::actor(&request);
    let key = app.regenerate_communication_key(&id, which, &actor).await?;
    let mut answer = Map::new();
    answer.insert(format!("{name}Key"), key.expose_secret().into());
    let connection = app.communication_connection_string(&key);
    answer.insert(format!("{name}ConnectionString"), connection.into());
    Ok(super::json_ok(&Value::Object(answer)))
}

/// `POST …/{name}/linkNotificationHub`.
pub async fn link(app: App, request: Request) -> Result<Response> {
    let id = enter(&app, &request).await?;
    app.resource(&id).await?;
    let body = super::optional_body(&request)?;
    let actor = super::actor(&request);
    let linked = app.link_notification_hub(&id, &body, &actor).await?;
    let mut response = super::json_ok(&json!({ "resourceId": linked.resource_id }));
    if let Some(warning) = linked.warning {
        let value = HeaderValue::from_static(warning);
        response.headers_mut().insert(WARNING, value);
    }
    Ok(response)
}

/// `POST …/{name}/unlinkNotificationHub`, which Azure does not have.
pub async fn unlink(app: App, request: Request) -> Result<Response> {
    let id = enter(&app, &request).await?;
    let actor = super::actor(&request);
    let hub = app.unlink_notification_hub(&id, &actor).await?;
    Ok(super::json_ok(&json!({ "resourceId": hub })))
}

/// `POST /subscriptions/{subscription}/providers/Microsoft.Communication/checkNameAvailability`.
pub async fn check_name(app: App, request: Request) -> Result<Response> {
    super::check_api_version(&request, &COMMUNICATION)?;
    app.subscription(request.param("subscription"))?;
    let body = super::body(&request)?;
    let fields = Fields::of(&body);
    let name = fields
        .text("name")?
        .ok_or_else(|| fields.error("name", "is required"))?;
    if let Some(kind) = fields.text("type")?
        && !kind.eq_ignore_ascii_case(&COMMUNICATION.full())
    {
        return Err(fields
            .error(
                "type",
                "must be Microsoft.Communication/CommunicationServices",
            )
            .into());
    }
    Ok(super::json_ok(&match app.check_communication_name(name) {
        None => json!({ "nameAvailable": true }),
        Some((reason, message)) => {
            json!({ "nameAvailable": false, "reason": reason, "message": message })
        }
    }))
}

/// `GET /providers/Microsoft.Communication/operations`.
pub async fn operations(_: App, request: Request) -> Result<Response> {
    super::check_api_version(&request, &COMMUNICATION)?;
    let value: Vec<Value> = OPERATIONS
        .iter()
        .map(|(action, operation, description)| {
            json!({
                "name": format!("Microsoft.Communication/{action}"),
                "isDataAction": false,
                "display": {
                    "provider": "Microsoft Communication",
                    "resource": "Communication Services",
                    "operation": operation,
                    "description": description,
                },
            })
        })
        .collect();
    Ok(super::json_ok(&json!({ "value": value })))
}

/// `GET …/Microsoft.Communication/locations/{location}/operationStatuses/{id}`. Every operation has ended when it is
/// answered, so that the ids there are, are those of answers.
pub async fn operation_status(app: App, request: Request) -> Result<Response> {
    super::check_api_version(&request, &COMMUNICATION)?;
    if !request.param("subscription").is_empty() {
        app.subscription(request.param("subscription"))?;
    }
    let id = request.param("id");
    let operation = app.operation(id).ok_or_else(|| {
        let message = format!("The operation '{id}' was not found. Operations end before they are answered and are known for a while only.");
        Error::not_found("OperationNotFound", message)
    })?;
    Ok(super::json_ok(&json!({
        "id": request.parts.uri.path(),
        "name": id,
        "resourceId": operation.resource.as_str(),
        "status": "Succeeded",
        "startTime": operation.at,
        "endTime": operation.at,
        "percentComplete": 100.0,
    })))
}

/// Api-version, subscription and group; the resource itself is the operation's matter.
async fn enter(app: &App, request: &Request) -> Result<ResourceId> {
    super::check_api_version(request, &COMMUNICATION)?;
    let (subscription, group) = (request.param("subscription"), request.param("group"));
    app.resource_group(subscription, group).await?;
    super::resource_id(
        request,
        COMMUNICATION.namespace,
        &[(COMMUNICATION.name, "name")],
    )
}

/// Names the operation in its answer. Not in `Azure-AsyncOperation`, which would make clients poll for nothing.
fn noted(app: &App, id: &ResourceId, mut response: Response) -> Response {
    if let Ok(id) = HeaderValue::from_str(&app.note_operation(id).to_string()) {
        response.headers_mut().insert(OPERATION, id);
    }
    response
}

/// The resource as it is answered: what depends on where the server is, is not stored.
fn document(app: &App, resource: &Resource) -> Map<String, Value> {
    let mut resource = resource.clone();
    let status = app.hub_status(resource.id.key());
    let host = app.settings.base_url.trim_start_matches("https://");
    let properties = resource.properties_mut();
    properties.insert("hostName".into(), host.into());
    if let Some(status) = status {
        properties.insert("notificationHubStatus".into(), json!(status));
    }
    super::document(&resource)
}

const OPERATION: HeaderName = HeaderName::from_static("x-carillon-operation-id");
const WARNING: HeaderName = HeaderName::from_static("x-carillon-warning");

/// Action, operation, description.
const OPERATIONS: &[(&str, &str, &str)] = &[
    (
        "operations/read",
        "Read operations",
        "Lists the operations of the provider.",
    ),
    (
        "checkNameAvailability/action",
        "Check a name",
        "Checks whether a name is available.",
    ),
    (
        "communicationServices/read",
        "Read",
        "Reads communication resources.",
    ),
    (
        "communicationServices/write",
        "Write",
        "Creates and updates communication resources.",
    ),
    (
        "communicationServices/delete",
        "Delete",
        "Deletes communication resources.",
    ),
    (
        "communicationServices/listKeys/action",
        "Read keys",
        "Reads the access keys of a communication resource.",
    ),
    (
        "communicationServices/regenerateKey/action",
        "Regenerate a key",
        "Regenerates an access key of a communication resource.",
    ),
    (
        "communicationServices/linkNotificationHub/action",
        "Link a notification hub",
        "Links a notification hub to a communication resource.",
    ),
    (
        "communicationServices/unlinkNotificationHub/action",
        "Unlink a notification hub",
        "Takes the link to a notification hub away.",
    ),
    (
        "locations/operationStatuses/read",
        "Read the status of an operation",
        "Reads the status of a long-running operation.",
    ),
];
