//! `Microsoft.NotificationHubs`: namespaces and hubs. Their rules are in [`super::hub_rules`].

use axum::response::Response;
use domain::resource::Resource;
use serde_json::{Map, Value, json};
use service::control::kinds::{HUB, NAMESPACE};
use service::hubs::{HubChange, StoredRule};
use service::{App, ResourceQuery, Result};
use wire::arm::ResourceId;
use wire::arm::field::Fields;
use wire::hub::credential;

use super::super::access::Access;
use super::super::error::Surface;
use super::super::request::Request;
use super::super::route::{self, Route};
use super::hub_rules::{self, rule_properties};

/// The rows of this provider.
pub fn routes() -> Vec<Route> {
    macro_rules! provider {
        ($rest:literal) => {
            concat!(
                "/subscriptions/{subscription}/providers/Microsoft.NotificationHubs",
                $rest
            )
        };
    }
    macro_rules! namespaces {
        ($($rest:literal),+) => {
            concat!(
                "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.NotificationHubs/namespaces",
                $($rest),+
            )
        };
    }
    /// The rows that namespaces and hubs have alike.
    macro_rules! entity {
        ($at:literal) => {
            [
                route::put(namespaces!($at), S, A, put),
                route::get(namespaces!($at), S, A, get),
                route::patch(namespaces!($at), S, A, patch),
                route::delete(namespaces!($at), S, A, delete),
                route::post(namespaces!($at, "/pnsCredentials"), S, A, pns_credentials),
                route::get(namespaces!($at, "/AuthorizationRules"), S, A, hub_rules::list),
                route::put(namespaces!($at, "/AuthorizationRules/{rule}"), S, A, hub_rules::put),
                route::get(namespaces!($at, "/AuthorizationRules/{rule}"), S, A, hub_rules::get),
                route::delete(namespaces!($at, "/AuthorizationRules/{rule}"), S, A, hub_rules::delete),
                route::post(namespaces!($at, "/AuthorizationRules/{rule}/listKeys"), S, A, hub_rules::list_keys),
                route::post(namespaces!($at, "/AuthorizationRules/{rule}/regenerateKeys"), S, A, hub_rules::regenerate_keys),
            ]
        };
    }
    const S: Surface = Surface::Arm;
    const A: Access = Access::Arm;
    let mut routes = vec![
        route::get(
            "/providers/Microsoft.NotificationHubs/operations",
            S,
            A,
            operations,
        ),
        route::post(
            provider!("/checkNamespaceAvailability"),
            S,
            A,
            check_namespace,
        ),
        route::get(provider!("/namespaces"), S, A, list_namespaces),
        route::get(namespaces!(""), S, A, list_namespaces),
        route::post(
            namespaces!("/{namespace}/checkNotificationHubAvailability"),
            S,
            A,
            check_hub,
        ),
        route::get(
            namespaces!("/{namespace}/notificationHubs"),
            S,
            A,
            list_hubs,
        ),
        route::get(
            namespaces!("/{namespace}/privateEndpointConnections"),
            S,
            A,
            no_private_links,
        ),
        route::get(
            namespaces!("/{namespace}/privateLinkResources"),
            S,
            A,
            no_private_links,
        ),
    ];
    routes.extend(entity!("/{namespace}"));
    routes.extend(entity!("/{namespace}/notificationHubs/{hub}"));
    routes
}

/// `PUT …/namespaces/{namespace}`, and `…/notificationHubs/{hub}` in it.
pub async fn put(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let change = HubChange::new(&id, &body, &actor).when(&condition);
    let put = match Place::of(&request) {
        Place::Namespace => app.put_namespace(change).await?,
        Place::Hub => app.put_hub(change).await?,
    };
    let document = document(&app, &request, &put.resource)?;
    Ok(super::put(put.created, &put.resource.etag, document))
}

/// `PATCH` the same.
pub async fn patch(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    let (body, condition) = (super::body(&request)?, super::precondition(&request));
    let actor = super::actor(&request);
    let change = HubChange::new(&id, &body, &actor).when(&condition);
    let resource = match Place::of(&request) {
        Place::Namespace => app.patch_namespace(change).await?,
        Place::Hub => app.patch_hub(change).await?,
    };
    let document = document(&app, &request, &resource)?;
    Ok(super::ok(&resource.etag, document))
}

/// `GET` the same.
pub async fn get(app: App, request: Request) -> Result<Response> {
    let resource = app.resource(&enter(&request)?).await?;
    let document = document(&app, &request, &resource)?;
    Ok(super::ok(&resource.etag, document))
}

/// `DELETE` the same: at once, 204 when there is none.
pub async fn delete(app: App, request: Request) -> Result<Response> {
    let (id, condition) = (enter(&request)?, super::precondition(&request));
    Ok(super::deleted(app.delete_resource(&id, &condition).await?))
}

/// `GET /subscriptions/{subscription}/providers/Microsoft.NotificationHubs/namespaces`, or of one group.
pub async fn list_namespaces(app: App, request: Request) -> Result<Response> {
    check_version(&request)?;
    let (subscription, group) = super::list_scope(&app, &request).await?;
    let query = ResourceQuery {
        subscription,
        group,
        kind: &NAMESPACE.full(),
        after: &super::after(&request)?,
        ..ResourceQuery::default()
    };
    list(&app, &request, &query).await
}

/// `GET …/namespaces/{namespace}/notificationHubs`.
pub async fn list_hubs(app: App, request: Request) -> Result<Response> {
    let namespace = app.resource(&enter(&request)?).await?;
    let query = ResourceQuery {
        parent: namespace.id.as_str(),
        kind: &HUB.full(),
        after: &super::after(&request)?,
        ..ResourceQuery::default()
    };
    list(&app, &request, &query).await
}

/// `POST …/pnsCredentials` of a hub or namespace: the only answer that shows credentials.
pub async fn pns_credentials(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    let credentials = app.pns_credentials(&id).await?;
    let resource = app.resource(&id).await?;
    Ok(super::json_ok(&json!({
        "id": format!("{id}/pnsCredentials"),
        "name": id.name(),
        "type": format!("{}/pnsCredentials", kind(&request)),
        "location": resource.body.get("location"),
        "tags": resource.body.get("tags"),
        "properties": credential::to_json(&credentials),
    })))
}

/// `POST /subscriptions/{subscription}/providers/Microsoft.NotificationHubs/checkNamespaceAvailability`.
pub async fn check_namespace(app: App, request: Request) -> Result<Response> {
    check_version(&request)?;
    let subscription = &app.subscription(request.param("subscription"))?.id;
    let (body, at) = (
        super::body(&request)?,
        format!("/subscriptions/{subscription}"),
    );
    let free = app.is_namespace_available(wanted_name(&body)?);
    Ok(availability(&at, "checkNamespaceAvailability", &body, free))
}

/// `POST …/namespaces/{namespace}/checkNotificationHubAvailability`.
pub async fn check_hub(app: App, request: Request) -> Result<Response> {
    let id = enter(&request)?;
    let body = super::body(&request)?;
    let free = app.is_hub_available(&id, wanted_name(&body)?).await?;
    Ok(availability(
        id.as_str(),
        "checkNotificationHubAvailability",
        &body,
        free,
    ))
}

/// Private endpoints, of which a server of one's own has none.
pub async fn no_private_links(app: App, request: Request) -> Result<Response> {
    app.resource(&enter(&request)?).await?;
    Ok(super::json_ok(&json!({ "value": [] })))
}

/// `GET /providers/Microsoft.NotificationHubs/operations`.
pub async fn operations(_: App, request: Request) -> Result<Response> {
    check_version(&request)?;
    let provider = NAMESPACE.namespace;
    Ok(super::operations(
        provider,
        "Microsoft Notification Hubs",
        OPERATIONS,
    ))
}

/// The namespace or hub that the path names; its api-version is checked.
pub fn enter(request: &Request) -> Result<ResourceId> {
    check_version(request)?;
    let types: &[(&str, &str)] = match Place::of(request) {
        Place::Namespace => &[("namespaces", "namespace")],
        Place::Hub => &[("namespaces", "namespace"), ("notificationHubs", "hub")],
    };
    super::resource_id(request, NAMESPACE.namespace, types)
}

/// The type of what the path names.
pub fn kind(request: &Request) -> String {
    match Place::of(request) {
        Place::Namespace => NAMESPACE.full(),
        Place::Hub => HUB.full(),
    }
}

/// Whether a path names a namespace or a hub in one.
enum Place {
    Namespace,
    Hub,
}

impl Place {
    fn of(request: &Request) -> Self {
        match request.param("hub") {
            "" => Self::Namespace,
            _ => Self::Hub,
        }
    }
}

/// The api-version of a request to this provider.
fn check_version(request: &Request) -> Result<()> {
    super::check_api_version(request, &NAMESPACE)
}

/// Versions before 2023 have other words for a status.
fn is_legacy(request: &Request) -> bool {
    let version = request.query("api-version");
    version.is_some_and(|version| version.as_ref() < "2023")
}

async fn list(app: &App, request: &Request, query: &ResourceQuery<'_>) -> Result<Response> {
    let page = app.list_resources(query).await?;
    let documents: Vec<Value> = page
        .items
        .iter()
        .map(|resource| document(app, request, resource).map(Value::Object))
        .collect::<Result<_>>()?;
    let page = service::control::Page {
        items: documents,
        next: page.next,
    };
    Ok(super::page(app, request, page, |document| document))
}

fn wanted_name(body: &Map<String, Value>) -> Result<&str> {
    let fields = Fields::of(body);
    let name = fields.text("name")?;
    name.ok_or_else(|| fields.error("name", "is required").into())
}

fn availability(at: &str, check: &str, body: &Map<String, Value>, free: bool) -> Response {
    let asked = Fields::of(body);
    super::json_ok(&json!({
        "id": format!("{at}/providers/Microsoft.NotificationHubs/{check}"),
        "name": asked.value("name"),
        "type": format!("Microsoft.NotificationHubs/{check}"),
        "location": asked.value("location"),
        "tags": asked.value("tags"),
        "sku": asked.value("sku"),
        // The wire name is misspelled.
        "isAvailiable": free,
    }))
}

fn document(app: &App, request: &Request, resource: &Resource) -> Result<Map<String, Value>> {
    let mut resource = resource.clone();
    let computed = if resource.id.is_type(&NAMESPACE.full()) {
        complete_sku(&mut resource.body);
        namespace_properties(app, &resource, is_legacy(request))
    } else {
        hub_properties(&resource)?
    };
    let properties = resource.properties_mut();
    for (name, value) in computed {
        properties.entry(name).or_insert(value);
    }
    Ok(super::document(&resource))
}

/// What is true of a namespace and not stored.
fn namespace_properties(app: &App, resource: &Resource, legacy: bool) -> Map<String, Value> {
    let (id, name) = (&resource.id, resource.id.name());
    object(json!({
        "name": name,
        "provisioningState": "Succeeded",
        "status": if legacy { "Active" } else { "Created" },
        "enabled": true,
        "critical": false,
        "subscriptionId": id.subscription(),
        "region": resource.body.get("location"),
        "metricId": format!("{}:{}", id.subscription(), name.to_lowercase()),
        "createdAt": resource.created.at,
        "updatedAt": resource.updated.at,
        "namespaceType": "NotificationHub",
        "serviceBusEndpoint": format!("{}/", app.settings.base_url),
        "scaleUnit": "local",
        "dataCenter": "local",
        "replicationRegion": "None",
        "zoneRedundancy": "Disabled",
        "publicNetworkAccess": "Enabled",
        "privateEndpointConnections": [],
    }))
}

/// What is true of a hub and not stored. Credentials are shown by `pnsCredentials` alone.
fn hub_properties(resource: &Resource) -> Result<Map<String, Value>> {
    let rules = StoredRule::all_of(resource)?;
    Ok(object(json!({
        "name": resource.id.name(),
        "registrationTtl": "P10675199DT2H48M5.4775807S",
        "authorizationRules": rules.iter().map(rule_properties).collect::<Vec<_>>(),
        "dailyMaxActiveDevices": 0,
    })))
}

/// A tier is called like its sku.
fn complete_sku(body: &mut Map<String, Value>) {
    if let Some(Value::Object(sku)) = body.get_mut("sku")
        && let Some(name) = sku.get("name").cloned()
    {
        sku.entry("tier").or_insert(name);
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// Resource, action, what it does.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("Namespaces", "read", "Read a namespace"),
    ("Namespaces", "write", "Create or update a namespace"),
    ("Namespaces", "delete", "Delete a namespace"),
    (
        "Namespaces",
        "pnsCredentials/action",
        "Read the credentials of a namespace",
    ),
    (
        "Namespaces/AuthorizationRules",
        "read",
        "Read a rule of a namespace",
    ),
    (
        "Namespaces/AuthorizationRules",
        "write",
        "Create or update a rule of a namespace",
    ),
    (
        "Namespaces/AuthorizationRules",
        "delete",
        "Delete a rule of a namespace",
    ),
    (
        "Namespaces/AuthorizationRules",
        "listKeys/action",
        "Read the keys of a rule of a namespace",
    ),
    (
        "Namespaces/AuthorizationRules",
        "regenerateKeys/action",
        "Regenerate a key of a rule of a namespace",
    ),
    ("Namespaces/NotificationHubs", "read", "Read a hub"),
    (
        "Namespaces/NotificationHubs",
        "write",
        "Create or update a hub",
    ),
    ("Namespaces/NotificationHubs", "delete", "Delete a hub"),
    (
        "Namespaces/NotificationHubs",
        "pnsCredentials/action",
        "Read the credentials of a hub",
    ),
    (
        "Namespaces/NotificationHubs/AuthorizationRules",
        "read",
        "Read a rule of a hub",
    ),
    (
        "Namespaces/NotificationHubs/AuthorizationRules",
        "write",
        "Create or update a rule of a hub",
    ),
    (
        "Namespaces/NotificationHubs/AuthorizationRules",
        "delete",
        "Delete a rule of a hub",
    ),
    (
        "Namespaces/NotificationHubs/AuthorizationRules",
        "listKeys/action",
        "Read the keys of a rule of a hub",
    ),
    (
        "Namespaces/NotificationHubs/AuthorizationRules",
        "regenerateKeys/action",
        "Regenerate a key of a rule of a hub",
    ),
    (
        "CheckNamespaceAvailability",
        "action",
        "Check whether a namespace's name is available",
    ),
    (
        "Namespaces/CheckNotificationHubAvailability",
        "action",
        "Check whether a hub's name is available",
    ),
];
