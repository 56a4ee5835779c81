//! Namespaces and hubs as ARM resources: made and changed, with what each may be.

use std::collections::BTreeMap;

use domain::resource::{Actor, Resource};
use serde_json::{Map, Value, json};
use wire::arm::ResourceId;
use wire::arm::lenient_json::property;
use wire::hub::credential::{self, Change, Invalid};

use super::credentials::Usable;
use super::document::{Credentials, Document, StoredRule};
use super::rules::ALL_RIGHTS;
use crate::control::{Precondition, PutOutcome};
use crate::{App, Error, Kind, Result};

/// A request to make or change a namespace or hub.
#[derive(Clone, Copy)]
pub struct HubChange<'a> {
    pub(super) id: &'a ResourceId,
    pub(super) body: &'a Map<String, Value>,
    pub(super) condition: &'a Precondition,
    pub(super) actor: &'a Actor,
}

impl<'a> HubChange<'a> {
    /// A change under no condition.
    pub fn new(id: &'a ResourceId, body: &'a Map<String, Value>, actor: &'a Actor) -> Self {
        Self {
            id,
            body,
            condition: &Precondition::Always,
            actor,
        }
    }

    /// The same if `condition` holds.
    #[must_use]
    pub fn when(self, condition: &'a Precondition) -> Self {
        Self { condition, ..self }
    }
}

impl App {
    /// Makes a namespace, or changes one to what the body says.
    pub async fn put_namespace(&self, change: HubChange<'_>) -> Result<PutOutcome> {
        let HubChange { id, body, .. } = change;
        check_namespace_name(id.name())?;
        if let Some(other) = self.hub_snapshot().namespace(id.name())
            && other.key != id.key()
        {
            let message = format!("The namespace name '{}' is taken.", id.name());
            return Err(Error::new(Kind::Conflict, "NamespaceUnavailable", message).at("name"));
        }
        let rules = [self.new_rule("RootManageSharedAccessKey", &ALL_RIGHTS)];
        self.put_document(change, &rules, |document| {
            document.copy(body, &["location", "tags", "sku"])?;
            document.require_location()?;
            let sku = document.body.entry("sku");
            sku.or_insert_with(|| json!({ "name": "Free" }));
            document.set_namespace_properties(body)
        })
        .await
    }

    /// Changes what the body names of a namespace.
    pub async fn patch_namespace(&self, change: HubChange<'_>) -> Result<Resource> {
        self.edit(change.id, change.condition, change.actor, |document| {
            document.copy(change.body, &["tags", "sku"])?;
            document.set_namespace_properties(change.body)
        })
        .await
    }

    /// Makes a hub, or changes one to what the body says. A credential that the body does not name stays, since no
    /// answer shows it and some clients cannot name all kinds; `null` removes it.
    pub async fn put_hub(&self, change: HubChange<'_>) -> Result<PutOutcome> {
        self.put_hub_with(change, |_| {}).await
    }

    /// The same, and `finish` has the last word on the document.
    pub(super) async fn put_hub_with(
        &self,
        change: HubChange<'_>,
        finish: impl Fn(&mut Document) + Send + Sync,
    ) -> Result<PutOutcome> {
        let HubChange { id, body, .. } = change;
        check_hub_name(id.name())?;
        let namespace = match id.parent() {
            Some(namespace) => self.find_resource(&namespace).await?,
            None => None,
        };
        let location = namespace.and_then(|namespace| namespace.body.get("location").cloned());
        self.put_document(change, &self.default_rules(), |document| {
            document.copy(body, &["location", "tags", "sku"])?;
            if let Some(location) = &location {
                let own = document.body.entry("location");
                own.or_insert_with(|| location.clone());
            }
            document.set_hub_properties(body)?;
            finish(document);
            Ok(())
        })
        .await
    }

    /// Changes what the body names of a hub.
    pub async fn patch_hub(&self, change: HubChange<'_>) -> Result<Resource> {
        self.edit(change.id, change.condition, change.actor, |document| {
            document.copy(change.body, &["tags", "sku"])?;
            document.set_hub_properties(change.body)
        })
        .await
    }

    /// The credentials of a namespace or hub, secrets included.
    pub async fn pns_credentials(&self, id: &ResourceId) -> Result<Credentials> {
        let document = Document::of(&self.resource(id).await?)?;
        Ok(document.secrets.credentials)
    }

    /// Whether a namespace may be called `name`.
    pub fn is_namespace_available(&self, name: &str) -> bool {
        check_namespace_name(name).is_ok() && self.hub_snapshot().namespace(name).is_none()
    }

    /// Whether a hub of `namespace` may be called `name`.
    pub async fn is_hub_available(&self, namespace: &ResourceId, name: &str) -> Result<bool> {
        self.resource(namespace).await?;
        let Ok(id) = namespace.child("notificationHubs", name) else {
            return Ok(false);
        };
        Ok(check_hub_name(name).is_ok() && self.hub(id.key()).is_none())
    }

    /// Changes an existing namespace or hub.
    pub(super) async fn edit(
        &self,
        id: &ResourceId,
        condition: &Precondition,
        actor: &Actor,
        edit: impl Fn(&mut Document) -> Result<()> + Send + Sync,
    ) -> Result<Resource> {
        self.change_resource(id, condition, actor, |current| {
            let mut document = Document::of(current)?;
            edit(&mut document)?;
            document.into_draft()
        })
        .await
    }

    /// Makes a namespace or hub with `rules`, or changes one and leaves it its own.
    pub(super) async fn put_document(
        &self,
        change: HubChange<'_>,
        rules: &[StoredRule],
        edit: impl Fn(&mut Document) -> Result<()> + Send + Sync,
    ) -> Result<PutOutcome> {
        let HubChange {
            id,
            condition,
            actor,
            ..
        } = change;
        self.put_resource(id, condition, actor, |current| {
            let new = || Ok(Document::with(rules));
            let mut document = current.map_or_else(new, Document::of)?;
            edit(&mut document)?;
            document.into_draft()
        })
        .await
    }
}

impl Document {
    fn set_namespace_properties(&mut self, body: &Map<String, Value>) -> Result<()> {
        check_sku(&self.body)?;
        let Some(properties) = object(body, "properties")? else {
            return Ok(());
        };
        copy(properties, self.properties(), NAMESPACE_PROPERTIES)?;
        match object(properties, "pnsCredentials")? {
            Some(credentials) => self.set_credentials(credentials, "properties.pnsCredentials"),
            None => Ok(()),
        }
    }

    pub(super) fn set_hub_properties(&mut self, body: &Map<String, Value>) -> Result<()> {
        let Some(properties) = object(body, "properties")? else {
            return Ok(());
        };
        copy(properties, self.properties(), HUB_PROPERTIES)?;
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

    fn copy(&mut self, from: &Map<String, Value>, names: &[&str]) -> Result<()> {
        copy(from, &mut self.body, names)
    }

    fn require_location(&self) -> Result<()> {
        if self.body.contains_key("location") {
            return Ok(());
        }
        let message = "The location property is required for this definition.";
        Err(Error::invalid("LocationRequired", message).at("location"))
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
        "tags" => serde_json::from_value::<BTreeMap<String, String>>(value.clone()).is_ok(),
        "sku" | "networkAcls" => value.is_object(),
        _ => value.is_string(),
    }
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
        let message = "A namespace's name has 1 to 50 letters, digits and '-', begins with a letter and does not \
                       end with '-'.";
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

const NAMESPACE_PROPERTIES: &[&str] = &[
    "replicationRegion",
    "zoneRedundancy",
    "networkAcls",
    "publicNetworkAccess",
];
const HUB_PROPERTIES: &[&str] = &["registrationTtl", "userMetadata"];
const SKUS: [&str; 3] = ["Free", "Basic", "Standard"];
