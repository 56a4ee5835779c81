//! Namespaces and hubs as ARM resources: made, changed, deleted.

use domain::resource::{Actor, Resource, Touch};
use serde_json::{Map, Value, json};
use wire::arm::ResourceId;
use wire::arm::lenient_json::property;
use wire::hub::credential::{self, Change, Invalid};

use super::credentials::Usable;
use super::document::{Credentials, NAMESPACES, Secrets, StoredRule};
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
        self.put(id, actor, &root, |document| {
            let resource = &mut document.resource;
            require_location(body, resource)?;
            copy(body, &mut resource.body, &["location", "tags", "sku"])?;
            let sku = resource.body.entry("sku");
            sku.or_insert_with(|| json!({ "name": "Free" }));
            document.set_namespace_properties(body)
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
        self.patch(id, actor, |document| {
            copy(body, &mut document.resource.body, &["tags", "sku"])?;
            document.set_namespace_properties(body)
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
        let rules = self.default_rules();
        self.put(id, actor, &rules, |document| {
            let resource = &mut document.resource;
            copy(body, &mut resource.body, &["location", "tags", "sku"])?;
            if let Some(location) = namespace.body.get("location") {
                let own = resource.body.entry("location");
                own.or_insert_with(|| location.clone());
            }
            document.set_hub_properties(body)
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
        self.patch(id, actor, |document| {
            copy(body, &mut document.resource.body, &["tags", "sku"])?;
            document.set_hub_properties(body)
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
        change: impl Fn(&mut Document) -> Result<()>,
    ) -> Result<Resource> {
        self.edit(id, actor, |_, document| change(document)).await?;
        self.hub_resource(id).await
    }

    async fn put(
        &self,
        id: &ResourceId,
        actor: &Actor,
        rules: &[StoredRule],
        change: impl Fn(&mut Document) -> Result<()>,
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
            change(&mut document)?;
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

    fn set_namespace_properties(&mut self, body: &Map<String, Value>) -> Result<()> {
        check_sku(&self.resource.body)?;
        let Some(properties) = object(body, "properties")? else {
            return Ok(());
        };
        copy(
            properties,
            self.resource.properties_mut(),
            NAMESPACE_PROPERTIES,
        )?;
        match object(properties, "pnsCredentials")? {
            Some(credentials) => self.set_credentials(credentials, "properties.pnsCredentials"),
            None => Ok(()),
        }
    }

    fn set_hub_properties(&mut self, body: &Map<String, Value>) -> Result<()> {
        let Some(properties) = object(body, "properties")? else {
            return Ok(());
        };
        copy(properties, self.resource.properties_mut(), HUB_PROPERTIES)?;
        self.set_credentials(properties, "properties")
    }

    /// Takes the credentials in `from`, if all that are then there are of use.
    fn set_credentials(&mut self, from: &Map<String, Value>, at: &str) -> Result<()> {
        let invalid = |invalid: Invalid| {
            let field = format!("{at}.{}", invalid.field);
            let message = format!("{field} {}", invalid.problem);
            Error::invalid("InvalidPnsCredential", message).at(field)
        };
        let credentials = &mut self.secrets.credentials;
        for change in credential::read(from).map_err(invalid)? {
            match change {
                Change::Set(kind, fields) => credentials.insert(kind.name.to_owned(), fields),
                Change::Remove(kind) => credentials.remove(kind.name),
            };
        }
        Usable::of(credentials).map(drop).map_err(invalid)
    }
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

/// The property `name`, which must be an object if it is there.
fn object<'b>(body: &'b Map<String, Value>, name: &str) -> Result<Option<&'b Map<String, Value>>> {
    match property(body, name) {
        Some(Value::Object(object)) => Ok(Some(object)),
        None | Some(Value::Null) => Ok(None),
        Some(_) => {
            let message = format!("The property '{name}' must be an object.");
            Err(Error::invalid("InvalidRequestContent", message).at(name))
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
const HUB_PROPERTIES: &[&str] = &["registrationTtl", "userMetadata"];
const SKUS: [&str; 3] = ["Free", "Basic", "Standard"];
/// How often a change is tried again when another was quicker.
const ATTEMPTS: usize = 8;
