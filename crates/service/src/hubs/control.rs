//! Namespaces and hubs as ARM resources: made, changed, deleted.

use domain::hub::Right;
use domain::resource::{Actor, Resource, Touch};
use serde_json::{Map, Value, json};
use wire::arm::ResourceId;
use wire::arm::lenient_json::property;
use wire::hub::credential::{self, Change, Invalid};

use super::credentials::Usable;
use super::document::{Credentials, NAMESPACES, Secrets};
use super::rules::ALL_RIGHTS;
use crate::{App, Error, Kind, Result};

/// A resource as it is after a `PUT`.
pub struct Written {
    /// The resource.
    pub resource: Resource,
    /// Whether it is new.
    pub created: bool,
}

/// A namespace or hub while it is changed.
pub(super) struct Document {
    pub(super) resource: Resource,
    pub(super) secrets: Secrets,
}

impl App {
    /// Makes a namespace, or changes one to what `body` says.
    pub async fn put_namespace(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<Written> {
        check_namespace_name(id.name())?;
        if let Some(other) = self.hub_snapshot().namespace(id.name())
            && other.key != id.key()
        {
            let message = format!("The namespace name '{}' is taken.", id.name());
            return Err(Error::new(Kind::Conflict, "NamespaceUnavailable", message).at("name"));
        }
        let root = [self.new_rule("RootManageSharedAccessKey", &ALL_RIGHTS)];
        self.put(id, actor, &root, |resource| {
            require_location(body, resource)?;
            copy(body, &mut resource.body, &["location", "tags", "sku"])?;
            resource
                .body
                .entry("sku")
                .or_insert_with(|| json!({ "name": "Free" }));
            check_sku(&resource.body)?;
            copy_properties(body, resource, NAMESPACE_PROPERTIES)?;
            namespace_credentials(body)
        })
        .await
    }

    /// Changes what `body` names of a namespace.
    pub async fn patch_namespace(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<Resource> {
        self.patch(id, actor, |resource| {
            copy(body, &mut resource.body, &["tags", "sku"])?;
            check_sku(&resource.body)?;
            copy_properties(body, resource, NAMESPACE_PROPERTIES)?;
            namespace_credentials(body)
        })
        .await
    }

    /// Makes a hub, or changes one to what `body` says. A credential that `body` does not name stays, since no
    /// answer shows it and some clients cannot name all kinds; `null` removes it.
    pub async fn put_hub(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<Written> {
        check_hub_name(id.name())?;
        let namespace = self.hub_namespace(id).await?;
        let rules = [
            self.new_rule("DefaultListenSharedAccessSignature", &[Right::Listen]),
            self.new_rule("DefaultFullSharedAccessSignature", &ALL_RIGHTS),
        ];
        self.put(id, actor, &rules, |resource| {
            copy(body, &mut resource.body, &["location", "tags", "sku"])?;
            if let Some(location) = namespace.body.get("location") {
                resource
                    .body
                    .entry("location")
                    .or_insert_with(|| location.clone());
            }
            hub_properties(body, resource)
        })
        .await
    }

    /// Changes what `body` names of a hub.
    pub async fn patch_hub(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        actor: &Actor,
    ) -> Result<Resource> {
        self.patch(id, actor, |resource| {
            copy(body, &mut resource.body, &["tags", "sku"])?;
            hub_properties(body, resource)
        })
        .await
    }

    /// A namespace or hub.
    pub async fn hub_resource(&self, id: &ResourceId) -> Result<Resource> {
        self.store.resource(id).await?.ok_or_else(|| not_found(id))
    }

    /// Deletes a namespace with its hubs, or a hub; `false` if there was none.
    pub async fn delete_hub_resource(&self, id: &ResourceId) -> Result<bool> {
        let mut tx = self.store.begin().await?;
        let deleted = tx.delete_resource(id).await?;
        tx.commit().await?;
        self.refresh_hubs().await?;
        Ok(deleted)
    }

    /// The credentials of a namespace or hub, secrets included.
    pub async fn pns_credentials(&self, id: &ResourceId) -> Result<Credentials> {
        Ok(self.open_document(id).await?.secrets.credentials)
    }

    /// Whether a namespace may be called `name`.
    pub fn is_namespace_available(&self, name: &str) -> bool {
        check_namespace_name(name).is_ok() && self.hub_snapshot().namespace(name).is_none()
    }

    /// Whether a hub of `namespace` may be called `name`.
    pub async fn is_hub_available(&self, namespace: &ResourceId, name: &str) -> Result<bool> {
        self.hub_resource(namespace).await?;
        let Ok(id) = namespace.child("notificationHubs", name) else {
            return Ok(false);
        };
        Ok(check_hub_name(name).is_ok() && self.hub(id.key()).is_none())
    }

    pub(super) async fn open_document(&self, id: &ResourceId) -> Result<Document> {
        Document::open(self.hub_resource(id).await?)
    }

    /// Changes an existing namespace or hub. `change` runs again if somebody was quicker.
    pub(super) async fn edit<T>(
        &self,
        id: &ResourceId,
        actor: &Actor,
        change: impl Fn(&Self, &mut Document) -> Result<T>,
    ) -> Result<T> {
        for _ in 0..ATTEMPTS {
            let mut document = self.open_document(id).await?;
            let outcome = change(self, &mut document)?;
            if self.save(document, actor).await?.is_some() {
                return Ok(outcome);
            }
        }
        let message = format!("{id} is being changed by others. Try again.");
        Err(Error::new(Kind::Conflict, "Conflict", message))
    }

    async fn patch(
        &self,
        id: &ResourceId,
        actor: &Actor,
        change: impl Fn(&mut Resource) -> Result<Vec<Change>>,
    ) -> Result<Resource> {
        self.edit(id, actor, |_, document| document.apply(&change))
            .await?;
        self.hub_resource(id).await
    }

    async fn put(
        &self,
        id: &ResourceId,
        actor: &Actor,
        rules: &[super::document::StoredRule],
        change: impl Fn(&mut Resource) -> Result<Vec<Change>>,
    ) -> Result<Written> {
        let touch = Touch {
            at: self.clock.now(),
            by: actor.clone(),
        };
        let mut document = Document {
            resource: Resource {
                id: id.clone(),
                etag: self.random.uuid().to_string(),
                body: Map::new(),
                secrets: None,
                created: touch.clone(),
                updated: touch,
            },
            secrets: Secrets {
                rules: rules.to_vec(),
                credentials: Credentials::new(),
            },
        };
        let exists = self.store.resource(id).await?.is_some();
        if !exists {
            document.apply(&change)?;
            document.secrets.put_into(&mut document.resource)?;
            let mut tx = self.store.begin().await?;
            let created = tx.insert_resource(&document.resource).await?;
            tx.commit().await?;
            if created {
                self.refresh_hubs().await?;
                let resource = document.resource;
                return Ok(Written { resource, created });
            }
        }
        let resource = self.patch(id, actor, change).await?;
        Ok(Written {
            resource,
            created: false,
        })
    }

    /// Writes a changed document; `None` if somebody was quicker.
    async fn save(&self, mut document: Document, actor: &Actor) -> Result<Option<()>> {
        document.secrets.put_into(&mut document.resource)?;
        let resource = &mut document.resource;
        let previous = std::mem::replace(&mut resource.etag, self.random.uuid().to_string());
        resource.updated = Touch {
            at: self.clock.now(),
            by: actor.clone(),
        };
        let mut tx = self.store.begin().await?;
        if !tx.update_resource(resource, &previous).await? {
            return Ok(None);
        }
        tx.commit().await?;
        self.refresh_hubs().await?;
        Ok(Some(()))
    }

    async fn hub_namespace(&self, hub: &ResourceId) -> Result<Resource> {
        let namespace = hub.parent().ok_or_else(|| not_found(hub))?;
        self.hub_resource(&namespace).await
    }
}

impl Document {
    fn open(resource: Resource) -> Result<Self> {
        let secrets = Secrets::of(&resource)?;
        Ok(Self { resource, secrets })
    }

    /// Runs `change` on the resource and takes the credentials it answers, if they are of use.
    fn apply(&mut self, change: impl Fn(&mut Resource) -> Result<Vec<Change>>) -> Result<()> {
        let credentials = &mut self.secrets.credentials;
        for change in change(&mut self.resource)? {
            match change {
                Change::Set(kind, fields) => credentials.insert(kind.name.to_owned(), fields),
                Change::Remove(kind) => credentials.remove(kind.name),
            };
        }
        Usable::of(credentials)
            .map(drop)
            .map_err(invalid_credential)
    }
}

fn hub_properties(body: &Map<String, Value>, resource: &mut Resource) -> Result<Vec<Change>> {
    copy_properties(body, resource, HUB_PROPERTIES)?;
    let properties = property(body, "properties").and_then(Value::as_object);
    properties.map_or(Ok(Vec::new()), |properties| {
        credential::read(properties, "properties").map_err(invalid_credential)
    })
}

/// A namespace has its credentials one level deeper: `properties.pnsCredentials`.
fn namespace_credentials(body: &Map<String, Value>) -> Result<Vec<Change>> {
    let properties = property(body, "properties").and_then(Value::as_object);
    let credentials = properties.and_then(|inner| property(inner, "pnsCredentials")?.as_object());
    credentials.map_or(Ok(Vec::new()), |credentials| {
        credential::read(credentials, "properties.pnsCredentials").map_err(invalid_credential)
    })
}

/// Copies top-level properties under their canonical names; `null` removes.
fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, names: &[&str]) -> Result<()> {
    for name in names {
        match property(from, name) {
            None => {}
            Some(Value::Null) => {
                to.remove(*name);
            }
            Some(value) if is_of_type(name, value) => {
                to.insert((*name).to_owned(), value.clone());
            }
            Some(_) => {
                let message = format!("The property '{name}' is of the wrong type.");
                return Err(Error::invalid("InvalidRequestContent", message).at(*name));
            }
        }
    }
    Ok(())
}

fn copy_properties(
    body: &Map<String, Value>,
    resource: &mut Resource,
    names: &[&str],
) -> Result<()> {
    match property(body, "properties") {
        Some(Value::Object(properties)) => copy(properties, resource.properties_mut(), names),
        None | Some(Value::Null) => Ok(()),
        Some(_) => {
            let message = "The property 'properties' must be an object.";
            Err(Error::invalid("InvalidRequestContent", message).at("properties"))
        }
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "tags" => value
            .as_object()
            .is_some_and(|tags| tags.values().all(Value::is_string)),
        "sku" | "networkAcls" => value.is_object(),
        _ => value.is_string(),
    }
}

fn require_location(body: &Map<String, Value>, resource: &Resource) -> Result<()> {
    if property(body, "location").is_some() || resource.body.contains_key("location") {
        return Ok(());
    }
    let message = "The location property is required for this definition.";
    Err(Error::invalid("LocationRequired", message).at("location"))
}

fn check_sku(body: &Map<String, Value>) -> Result<()> {
    let name = body.get("sku").and_then(|sku| sku.get("name")?.as_str());
    if name.is_some_and(|name| SKUS.iter().any(|sku| sku.eq_ignore_ascii_case(name))) {
        return Ok(());
    }
    let message = "sku.name must be Free, Basic or Standard.";
    Err(Error::invalid("InvalidSku", message).at("sku.name"))
}

/// It becomes the first label of a host name.
fn check_namespace_name(name: &str) -> Result<()> {
    let fits = name.len() <= 50
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    fits.then_some(()).ok_or_else(|| {
        let message = "A namespace's name has 1 to 50 letters, digits and '-', begins with a letter and does not end with '-'.";
        Error::invalid("InvalidNamespaceName", message).at("namespaceName")
    })
}

/// Azure's pattern without '/', which would make a resource id ambiguous.
fn check_hub_name(name: &str) -> Result<()> {
    let fits = name.len() <= 260
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    fits.then_some(()).ok_or_else(|| {
        let message = "A hub's name has 1 to 260 letters, digits, '-', '.' and '_', and begins with a letter.";
        Error::invalid("InvalidNotificationHubName", message).at("notificationHubName")
    })
}

fn invalid_credential(invalid: Invalid) -> Error {
    Error::invalid("InvalidPnsCredential", invalid.to_string()).at(invalid.field)
}

fn not_found(id: &ResourceId) -> Error {
    let namespace = id.is_type(NAMESPACES);
    let names = id.names().join("/");
    let kind = if namespace {
        "namespaces"
    } else {
        "namespaces/notificationHubs"
    };
    let message = format!(
        "The Resource 'Microsoft.NotificationHubs/{kind}/{names}' under resource group '{}' was not found. \
         For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        id.group().unwrap_or_default()
    );
    Error::not_found("ResourceNotFound", message)
}

const NAMESPACE_PROPERTIES: &[&str] = &[
    "replicationRegion",
    "zoneRedundancy",
    "networkAcls",
    "publicNetworkAccess",
];
const HUB_PROPERTIES: &[&str] = &["registrationTtl"];
const SKUS: [&str; 3] = ["Free", "Basic", "Standard"];
/// How often a change is tried again when another was quicker.
const ATTEMPTS: usize = 8;
