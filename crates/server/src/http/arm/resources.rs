//! Resources of any type: lists, and what is said of types nobody knows.

use axum::response::{IntoResponse, Response};
use domain::resource::Resource;
use http::StatusCode;
use serde_json::{Value, json};
use service::control::{Page, kinds};
use service::events::stored_id;
use service::{App, Error, ResourceQuery, Result};
use wire::arm::ResourceId;
use wire::arm::filter::Filter;

use super::super::request::Request;

/// `GET /subscriptions/{subscription}/resources` and `GET …/resourceGroups/{group}/resources`.
pub async fn list(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let subscription = app.subscription(request.param("subscription"))?;
    let mut filter = filter(&request)?;
    if !request.param("group").is_empty() {
        let group = app.resource_group(&subscription.id, request.param("group"));
        filter.group = Some(group.await?.id.name().to_owned());
    }
    let after = super::after(&request)?;
    let query = ResourceQuery {
        subscription: &subscription.id,
        group: filter.group.as_deref().unwrap_or_default(),
        kind: filter.kind.as_deref().unwrap_or_default(),
        after: &after,
        ..ResourceQuery::default()
    };
    let page = app.list_resources(&query).await?;
    let page = Page {
        items: page
            .items
            .into_iter()
            .filter(|one| is_meant(one, &filter))
            .collect(),
        next: page.next,
    };
    let expand = request
        .query("$expand")
        .unwrap_or_default()
        .to_ascii_lowercase();
    Ok(super::page(&app, &request, page, |one| {
        document(&one, &expand)
    }))
}

/// `HEAD` of a resource: whether there is one.
pub async fn head(app: App, request: Request) -> Result<Response> {
    let id = ResourceId::parse(&percent_decoded(request.parts.uri.path()))
        .map_err(|_| unknown_kind(&request))?;
    let kind = kinds::kind(&id.resource_type()).ok_or_else(|| unknown_kind(&request))?;
    super::check_api_version(&request, kind)?;
    app.resource(&stored_id(id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Everything else below a subscription: the provider or type is not one of ours.
pub async fn unknown(app: App, request: Request) -> Result<Response> {
    app.subscription(request.param("subscription"))?;
    Err(unknown_kind(&request))
}

fn unknown_kind(request: &Request) -> Error {
    let path = percent_decoded(request.parts.uri.path());
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let provider = parts
        .iter()
        .rposition(|part| part.eq_ignore_ascii_case("providers"));
    let Some(namespace) = provider.and_then(|at| parts.get(at + 1)) else {
        let message = format!(
            "The request path '{path}' is not one that Azure Resource Manager serves here."
        );
        return Error::not_found("InvalidRequestPath", message);
    };
    let Some(known) = kinds::provider(namespace) else {
        return super::providers::unknown(namespace);
    };
    let kind = provider.and_then(|at| parts.get(at + 2)).unwrap_or(&"");
    let version = request.query("api-version").unwrap_or_default();
    let versions = known
        .kinds
        .first()
        .map_or(&[][..], |kind| kind.api_versions);
    let message = format!(
        "The resource type '{kind}' could not be found in the namespace '{namespace}' for api version '{version}'. The supported api-versions are '{}'.",
        versions.join(",")
    );
    Error::not_found("InvalidResourceType", message)
}

fn filter(request: &Request) -> Result<Filter> {
    let text = request.query("$filter").unwrap_or_default();
    Filter::parse(&text).map_err(|error| {
        let message = format!(
            "Invalid $filter '{text}' specified in the query string: supported are {error}."
        );
        Error::invalid("InvalidFilterInQueryString", message).at("$filter")
    })
}

/// What the store does not filter by. Resource groups are no resources here, nor are event subscriptions, which Azure
/// lists nowhere but at what they are to.
fn is_meant(resource: &Resource, filter: &Filter) -> bool {
    let same = |wanted: &Option<String>, held: Option<&str>| {
        wanted
            .as_deref()
            .is_none_or(|wanted| held.is_some_and(|held| held.eq_ignore_ascii_case(wanted)))
    };
    let location = resource.body.get("location").and_then(Value::as_str);
    let tags = resource.body.get("tags").and_then(Value::as_object);
    let tag = filter
        .tag_name
        .as_deref()
        .map(|name| tags.and_then(|tags| wire::arm::lenient_json::property(tags, name)));
    resource.id.namespace().is_some()
        && !resource
            .id
            .resource_type()
            .to_ascii_lowercase()
            .ends_with("/eventsubscriptions")
        && same(&filter.name, Some(&full_name(resource)))
        && same(&filter.location, location)
        && tag.is_none_or(|value| {
            value.is_some_and(|value| {
                filter.tag_value.is_none() || value.as_str() == filter.tag_value.as_deref()
            })
        })
}

/// The short form that lists have.
fn document(resource: &Resource, expand: &str) -> Value {
    let kind = resource.id.resource_type();
    let mut document = json!({
        "id": resource.id.as_str(),
        "name": full_name(resource),
        "type": kinds::spelled(&kind),
        "location": resource.body.get("location"),
    });
    for name in ["tags", "identity", "sku"] {
        if let Some(value) = resource.body.get(name) {
            document[name] = value.clone();
        }
    }
    let expanded = [
        ("createdtime", "createdTime", json!(resource.created.at)),
        ("changedtime", "changedTime", json!(resource.updated.at)),
        ("provisioningstate", "provisioningState", json!("Succeeded")),
    ];
    for (word, name, value) in expanded {
        if expand.contains(word) {
            document[name] = value;
        }
    }
    document
}

/// `namespace/hub` for what is inside another resource.
fn full_name(resource: &Resource) -> String {
    resource.id.names().join("/")
}

fn percent_decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path)
        .decode_utf8_lossy()
        .into_owned()
}
