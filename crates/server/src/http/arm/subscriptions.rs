//! Subscriptions and tenants.

use axum::response::Response;
use serde_json::{Value, json};
use service::{App, Result, Subscription};

use super::super::request::Request;

/// `GET /subscriptions`.
pub async fn list(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let all = &app.settings.subscriptions;
    let value: Vec<Value> = all.iter().map(|one| document(&app, one)).collect();
    Ok(super::json_ok(&json!({
        "value": value,
        "count": { "type": "Total", "value": all.len() },
    })))
}

/// `GET /subscriptions/{subscription}`.
pub async fn get(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let subscription = app.subscription(request.param("subscription"))?;
    Ok(super::json_ok(&document(&app, subscription)))
}

/// `GET /subscriptions/{subscription}/locations`.
pub async fn locations(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let subscription = app.subscription(request.param("subscription"))?;
    Ok(super::json_ok(&json!({ "value": [{
        "id": format!("/subscriptions/{}/locations/global", subscription.id),
        "name": "global",
        "displayName": "Global",
        "regionalDisplayName": "Global",
    }] })))
}

/// `GET /tenants`.
pub async fn tenants(app: App, request: Request) -> Result<Response> {
    super::check_core_api_version(&request)?;
    let tenant = &app.settings.tenant_id;
    Ok(super::json_ok(&json!({ "value": [{
        "id": format!("/tenants/{tenant}"),
        "tenantId": tenant,
        "countryCode": "",
        "displayName": "Carillon",
        "domains": ["local"],
        "defaultDomain": "local",
        "tenantCategory": "Home",
        "tenantType": "AAD",
    }] })))
}

fn document(app: &App, subscription: &Subscription) -> Value {
    json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "subscriptionId": subscription.id,
        "tenantId": app.settings.tenant_id,
        "displayName": subscription.name,
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    })
}
