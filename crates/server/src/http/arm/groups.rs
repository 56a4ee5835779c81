//! Resource groups.

use axum::response::{IntoResponse, Response};
use domain::resource::Resource;
use http::StatusCode;
use serde_json::{Map, Value};
use service::{App, ResourceQuery, Result};

use super::super::request::Request;

/// `PUT /subscriptions/{subscription}/resourceGroups/{group}`.
pub async fn put(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let (subscription, group) = (request.param("subscription"), request.param("group"));
    app.subscription(subscription)?;
    let body = super::body(&request)?;
    let actor = super::actor(&request);
    let put = app.put_group(subscription, group, &body, &actor).await?;
    Ok(super::put(
        put.created,
        &put.resource.etag,
        document(&put.resource),
    ))
}

/// `PATCH` the same.
pub async fn patch(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let (subscription, group) = (request.param("subscription"), request.param("group"));
    app.resource_group(subscription, group).await?;
    let body = super::body(&request)?;
    let actor = super::actor(&request);
    let group = app.patch_group(subscription, group, &body, &actor).await?;
    Ok(super::ok(&group.etag, document(&group)))
}

/// `GET` the same.
pub async fn get(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let group = found(&app, &request).await?;
    Ok(super::ok(&group.etag, document(&group)))
}

/// `HEAD` the same: whether there is one.
pub async fn head(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    found(&app, &request).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE` the same, with everything inside.
pub async fn delete(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let (subscription, group) = (request.param("subscription"), request.param("group"));
    app.delete_group(subscription, group).await?;
    Ok(super::deleted(true))
}

/// `GET /subscriptions/{subscription}/resourceGroups`.
pub async fn list(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let subscription = app.subscription(request.param("subscription"))?;
    let after = super::after(&request)?;
    let query = ResourceQuery {
        subscription: &subscription.id,
        kind: "Microsoft.Resources/resourceGroups",
        after: &after,
        ..ResourceQuery::default()
    };
    let page = app.list_resources(&query).await?;
    Ok(super::page(&app, &request, page, |group| {
        Value::Object(document(&group))
    }))
}

async fn found(app: &App, request: &Request) -> Result<Resource> {
    let (subscription, group) = (request.param("subscription"), request.param("group"));
    app.resource_group(subscription, group).await
}

/// Groups have no `systemData` in Azure.
fn document(group: &Resource) -> Map<String, Value> {
    let mut document = super::document(group);
    document.remove("systemData");
    document
}
