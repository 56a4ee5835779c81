//! Notification Hubs, `/{hub}` itself: the Atom entity by which Java and .NET manage hubs.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use domain::hub::{Namespace, Right};
use http::{StatusCode, header};
use service::control::Precondition;
use service::hubs::{HubEntity, StoredRule};
use service::{App, Error, Kind, Result};
use wire::hub::entity::{self, Description, ENTRY, FEED};

use super::access::{Access, Principal};
use super::arm::precondition;
use super::error::Surface;
use super::request::Request;
use super::route::{Route, delete, get, put as put_row};

/// The rows of this file. They take every path of one segment: last of all.
pub fn routes() -> Vec<Route> {
    const S: Surface = Surface::Hub;
    const NAMESPACE: Access = Access::HubNamespace;
    const MANAGE: Access = Access::Hub(Right::Manage);
    vec![
        get("/", S, NAMESPACE, list),
        get("/$Resources/NotificationHubs", S, NAMESPACE, list),
        put_row("/{hub}", S, NAMESPACE, put),
        get("/{hub}", S, MANAGE, read),
        delete("/{hub}", S, MANAGE, remove),
    ]
}

/// `PUT /{hub}`: makes one; with `If-Match`, changes one.
pub async fn put(app: App, request: Request) -> Result<Response> {
    let namespace = namespace(&request)?;
    let body = request.text()?;
    let description = Description::parse(body)
        .map_err(|error| Error::invalid("BadRequest", format!("{error}.")))?
        .ok_or_else(|| {
            let message = "The body has no NotificationHubDescription.";
            Error::invalid("BadRequest", message)
        })?;
    let condition = match precondition(&request) {
        // Without a condition, or with none but "not there yet", it makes a hub.
        Precondition::Absent => Precondition::Always,
        condition => condition,
    };
    let name = request.param("hub");
    let put = app.put_hub_entity(&namespace, name, &description, &condition);
    let put = put.await?;
    let hub = app.hub_entity(put.resource.id.key()).await?;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(entry(&app, status, &hub))
}

/// `GET /{hub}`
pub async fn read(app: App, request: Request) -> Result<Response> {
    let hub = app.hub_entity(&request.sas_caller()?.hub.key).await?;
    Ok(entry(&app, StatusCode::OK, &hub))
}

/// `DELETE /{hub}`
pub async fn remove(app: App, request: Request) -> Result<Response> {
    app.delete_hub_entity(&request.sas_caller()?.hub.key)
        .await?;
    Ok(StatusCode::OK.into_response())
}

/// `GET /$Resources/NotificationHubs` (Java), `GET /` (.NET)
pub async fn list(app: App, request: Request) -> Result<Response> {
    let hubs = app.hub_entities(&*namespace(&request)?).await?;
    let shown: Vec<Shown> = hubs.iter().map(|hub| Shown::of(&app, hub)).collect();
    let shown: Vec<_> = shown.iter().map(Shown::hub).collect();
    let url = format!("{}/$Resources/NotificationHubs", app.settings.base_url);
    let feed = entity::feed(&url, &app.clock.now().rfc3339_secs(), &shown);
    Ok(([(header::CONTENT_TYPE, FEED)], feed).into_response())
}

fn namespace(request: &Request) -> Result<Arc<Namespace>> {
    match &request.principal {
        Principal::HubNamespace(namespace) => Ok(Arc::clone(namespace)),
        _ => Err(Error::new(
            Kind::Unauthenticated,
            "MissingToken",
            "This takes a shared access signature.",
        )),
    }
}

fn entry(app: &App, status: StatusCode, hub: &HubEntity) -> Response {
    let entry = Shown::of(app, hub).hub().entry();
    (status, [(header::CONTENT_TYPE, ENTRY)], entry).into_response()
}

/// What an entry borrows from.
struct Shown<'a> {
    entity: &'a HubEntity,
    url: String,
    published: String,
    updated: String,
    rules: Vec<entity::Rule>,
}

impl<'a> Shown<'a> {
    fn of(app: &App, entity: &'a HubEntity) -> Self {
        let resource = &entity.resource;
        let (base, name) = (&app.settings.base_url, resource.id.name());
        Self {
            entity,
            url: format!("{base}/{name}?api-version=2020-06"),
            published: resource.created.at.rfc3339_secs(),
            updated: resource.updated.at.rfc3339_secs(),
            rules: entity.rules.iter().map(rule).collect(),
        }
    }

    fn hub(&self) -> entity::Hub<'_> {
        let resource = &self.entity.resource;
        let text = |name: &str| resource.property(name)?.as_str();
        entity::Hub {
            name: resource.id.name(),
            url: &self.url,
            published: &self.published,
            updated: &self.updated,
            registration_ttl: text("registrationTtl"),
            user_metadata: text("userMetadata"),
            credentials: &self.entity.credentials,
            rules: &self.rules,
        }
    }
}

fn rule(rule: &StoredRule) -> entity::Rule {
    entity::Rule {
        name: rule.name.clone(),
        rights: rule
            .rights
            .iter()
            .map(|right| right.as_str().to_owned())
            .collect(),
        primary: rule.primary.clone(),
        secondary: rule.secondary.clone(),
        created: rule.created_at.rfc3339_secs(),
        modified: rule.modified_at.rfc3339_secs(),
    }
}
