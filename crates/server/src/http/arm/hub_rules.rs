//! `Microsoft.NotificationHubs`: authorization rules of namespaces and hubs, and their keys.

use axum::response::Response;
use serde_json::{Value, json};
use service::hubs::{RuleKeys, StoredRule};
use service::{App, Result};
use wire::arm::ResourceId;

use super::super::request::Request;
use super::notification_hubs::{enter, kind};

/// `GET …/AuthorizationRules`.
pub async fn list(app: App, request: Request) -> Result<Response> {
    let of = enter(&request)?;
    let rules = app.hub_rules(&of).await?;
    let value: Vec<Value> = rules
        .iter()
        .map(|rule| document(&request, &of, rule))
        .collect();
    Ok(super::json_ok(&json!({ "value": value })))
}

/// `PUT …/AuthorizationRules/{rule}`: always 200, for the SDKs take a 201 for a failure.
pub async fn put(app: App, request: Request) -> Result<Response> {
    let of = enter(&request)?;
    let (body, actor) = (super::body(&request)?, super::actor(&request));
    let rule = app.put_hub_rule(&of, name(&request), &body, &actor).await?;
    Ok(super::json_ok(&document(&request, &of, &rule)))
}

/// `GET …/AuthorizationRules/{rule}`.
pub async fn get(app: App, request: Request) -> Result<Response> {
    let of = enter(&request)?;
    let rule = app.hub_rule(&of, name(&request)).await?;
    Ok(super::json_ok(&document(&request, &of, &rule)))
}

/// `DELETE …/AuthorizationRules/{rule}`: 204 when there is none.
pub async fn delete(app: App, request: Request) -> Result<Response> {
    let of = enter(&request)?;
    let actor = super::actor(&request);
    let deleted = app.delete_hub_rule(&of, name(&request), &actor).await?;
    Ok(super::deleted(deleted))
}

/// `POST …/AuthorizationRules/{rule}/listKeys`.
pub async fn list_keys(app: App, request: Request) -> Result<Response> {
    let of = enter(&request)?;
    Ok(keys(&app.hub_rule_keys(&of, name(&request)).await?))
}

/// `POST …/AuthorizationRules/{rule}/regenerateKeys`.
pub async fn regenerate_keys(app: App, request: Request) -> Result<Response> {
    let of = enter(&request)?;
    let (body, actor) = (super::body(&request)?, super::actor(&request));
    let renewed = app.regenerate_hub_rule_key(&of, name(&request), &body, &actor);
    Ok(keys(&renewed.await?))
}

/// A rule as it is shown: without its keys.
pub fn rule_properties(rule: &StoredRule) -> Value {
    json!({
        "rights": rule.rights,
        "keyName": rule.name,
        "claimType": "SharedAccessKey",
        "claimValue": "None",
        "createdTime": rule.created_at,
        "modifiedTime": rule.modified_at,
    })
}

fn name(request: &Request) -> &str {
    request.param("rule")
}

fn document(request: &Request, of: &ResourceId, rule: &StoredRule) -> Value {
    json!({
        "id": format!("{of}/AuthorizationRules/{}", rule.name),
        "name": rule.name,
        "type": format!("{}/AuthorizationRules", kind(request)),
        "properties": rule_properties(rule),
    })
}

fn keys(keys: &RuleKeys) -> Response {
    super::json_ok(&json!({
        "primaryConnectionString": keys.primary_connection_string,
        "secondaryConnectionString": keys.secondary_connection_string,
        "primaryKey": keys.rule.primary,
        "secondaryKey": keys.rule.secondary,
        "keyName": keys.rule.name,
    }))
}
