//! `Microsoft.Communication/communicationServices`: resources, access keys, names.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::resource::{Actor, Resource};
use domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{ResourceQuery, Store};
use wire::arm::ResourceId;
use wire::arm::communication::{CommunicationBody, Identity, is_name};

use super::kinds::COMMUNICATION;
use super::resources::{Draft, Precondition, PutOutcome};
use crate::{App, Error, Kind, Result};

/// A communication resource as the data plane knows it.
pub struct Communication {
    /// Lower-cased resource id.
    pub key: String,
    /// The resource id.
    pub id: ResourceId,
    /// A GUID that stays the same for the life of the resource; user ids begin with it.
    pub immutable_id: String,
    /// Base64 of 64 random bytes.
    pub primary: SecretString,
    /// The second key.
    pub secondary: SecretString,
    /// Access keys are refused.
    pub disable_local_auth: bool,
    created_at: Timestamp,
}

impl Communication {
    /// Its name.
    pub fn name(&self) -> &str {
        self.id.name()
    }
}

/// One of the two access keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyName {
    /// `Primary`.
    Primary,
    /// `Secondary`.
    Secondary,
}

/// The access keys as they are sealed.
#[derive(Serialize, Deserialize)]
struct Keys {
    primary: String,
    secondary: String,
}

impl App {
    /// The communication resource with this id (any case), as the data plane knows it.
    pub fn communication(&self, key: &str) -> Option<Arc<Communication>> {
        let snapshot = self.control.snapshot();
        snapshot.communications.get(&key.to_lowercase()).cloned()
    }

    /// The communication resources that a data-plane request to `host` may belong to, the likeliest first: the one
    /// that the first label names, else all, for the one whose key signed it.
    pub fn communication_candidates(&self, host: Option<&str>) -> Vec<Arc<Communication>> {
        let snapshot = self.control.snapshot();
        let label = host
            .and_then(|host| host.split_once('.'))
            .map(|(label, _)| label);
        let mut all: Vec<_> = snapshot.communications.values().cloned().collect();
        if let Some(named) = all
            .iter()
            .find(|one| label.is_some_and(|label| label.eq_ignore_ascii_case(one.name())))
        {
            return vec![Arc::clone(named)];
        }
        all.sort_by(|a, b| (a.created_at, &a.key).cmp(&(b.created_at, &b.key)));
        all
    }

    /// Makes or replaces a communication resource.
    pub async fn put_communication(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        precondition: &Precondition,
        actor: &Actor,
    ) -> Result<PutOutcome> {
        if !is_name(id.name()) {
            return Err(Error::invalid(
                "InvalidResourceName",
                format!(
                    "The resource name '{}' is invalid: it must have 1 to 63 letters, digits, hyphens or underscores.",
                    id.name()
                ),
            ));
        }
        let body = CommunicationBody::parse(body)?;
        if self.communication(id.key()).is_none() && self.is_communication_name_taken(id.name()) {
            return Err(Error::new(Kind::Conflict, "NameUnavailable", NAME_TAKEN).at("name"));
        }
        self.put_resource(id, precondition, actor, |current| {
            let keys = match current {
                Some(current) => current.secrets.clone(),
                None => Some(sealed(&self.new_keys())),
            };
            let body = match current {
                Some(current) => replaced(current, &body, &self.settings.tenant_id)?,
                None => self.first(&body)?,
            };
            Ok(Draft {
                body,
                secrets: keys,
            })
        })
        .await
    }

    /// Changes what the body names.
    pub async fn patch_communication(
        &self,
        id: &ResourceId,
        body: &Map<String, Value>,
        precondition: &Precondition,
        actor: &Actor,
    ) -> Result<Resource> {
        let body = CommunicationBody::parse(body)?;
        self.change_resource(id, precondition, actor, |current| {
            let mut changed = current.clone();
            self.apply(&mut changed, &body);
            Ok(Draft {
                body: changed.body,
                secrets: changed.secrets,
            })
        })
        .await
    }

    /// Why a name cannot be taken: ARM's reason and message; `None` if it can.
    pub fn check_communication_name(&self, name: &str) -> Option<(&'static str, &'static str)> {
        if !is_name(name) {
            Some((
                "Invalid",
                "The name must have 1 to 63 letters, digits, hyphens or underscores",
            ))
        } else if self.is_communication_name_taken(name) {
            Some(("AlreadyExists", NAME_TAKEN))
        } else {
            None
        }
    }

    /// Both access keys of a resource.
    pub async fn communication_keys(
        &self,
        id: &ResourceId,
    ) -> Result<(SecretString, SecretString)> {
        let keys = keys_of(&self.resource(id).await?)?;
        Ok((keys.primary.into(), keys.secondary.into()))
    }

    /// Replaces one access key; the new one counts at once.
    pub async fn regenerate_communication_key(
        &self,
        id: &ResourceId,
        which: KeyName,
        actor: &Actor,
    ) -> Result<SecretString> {
        let changed = self
            .change_resource(id, &Precondition::Always, actor, |current| {
                let mut keys = keys_of(current)?;
                match which {
                    KeyName::Primary => keys.primary = self.new_access_key(),
                    KeyName::Secondary => keys.secondary = self.new_access_key(),
                }
                Ok(Draft {
                    body: current.body.clone(),
                    secrets: Some(sealed(&keys)),
                })
            })
            .await?;
        let keys = keys_of(&changed)?;
        Ok(match which {
            KeyName::Primary => keys.primary,
            KeyName::Secondary => keys.secondary,
        }
        .into())
    }

    /// `endpoint=https://…/;accesskey=…`: every resource answers at this server's one address, its key tells which.
    pub fn communication_connection_string(&self, key: &SecretString) -> String {
        format!(
            "endpoint={}/;accesskey={}",
            self.settings.base_url,
            key.expose_secret()
        )
    }

    fn is_communication_name_taken(&self, name: &str) -> bool {
        let snapshot = self.control.snapshot();
        let mut all = snapshot.communications.values();
        all.any(|one| one.name().eq_ignore_ascii_case(name))
    }

    /// The document of a new resource.
    fn first(&self, body: &CommunicationBody) -> Result<Map<String, Value>> {
        let location = check_location(body.location.as_deref())?;
        let data_location = body.data_location.as_deref().unwrap_or_default();
        if data_location.is_empty() {
            return Err(Error::invalid(
                "InvalidRequestContent",
                "The request content was invalid: 'properties.dataLocation' is required.",
            )
            .at("properties.dataLocation"));
        }
        let mut document = Map::new();
        document.insert("location".into(), location.into());
        document.insert(
            "properties".into(),
            json!({
                "provisioningState": "Succeeded",
                "dataLocation": data_location,
                "immutableResourceId": self.random.uuid().to_string(),
                "version": "1.0",
            }),
        );
        Ok(changed(document, body, &self.settings.tenant_id))
    }

    fn apply(&self, resource: &mut Resource, body: &CommunicationBody) {
        let document = std::mem::take(&mut resource.body);
        resource.body = changed(document, body, &self.settings.tenant_id);
    }

    fn new_keys(&self) -> Keys {
        Keys {
            primary: self.new_access_key(),
            secondary: self.new_access_key(),
        }
    }

    fn new_access_key(&self) -> String {
        STANDARD.encode(self.random.bytes::<64>())
    }
}

/// The document of a PUT over an existing resource: what is mutable becomes what the body says or nothing.
fn replaced(
    current: &Resource,
    body: &CommunicationBody,
    tenant: &str,
) -> Result<Map<String, Value>> {
    check_location(body.location.as_deref())?;
    let kept = current.property("dataLocation").and_then(Value::as_str);
    if let Some(given) = &body.data_location
        && kept.is_some_and(|kept| !kept.eq_ignore_ascii_case(given))
    {
        return Err(Error::invalid(
            "PropertyChangeNotAllowed",
            "Changing property 'properties.dataLocation' is not allowed.",
        )
        .at("properties.dataLocation"));
    }
    let mut document = current.clone();
    document.body.remove("tags");
    document.body.remove("identity");
    for name in ["linkedDomains", "publicNetworkAccess", "disableLocalAuth"] {
        document.properties_mut().remove(name);
    }
    Ok(changed(document.body, body, tenant))
}

/// `document` with what the body names.
fn changed(
    mut document: Map<String, Value>,
    body: &CommunicationBody,
    tenant: &str,
) -> Map<String, Value> {
    if let Some(tags) = &body.tags {
        document.insert("tags".into(), Value::Object(tags.clone()));
    }
    if let Some(identity) = &body.identity {
        let id = document["properties"]["immutableResourceId"].clone();
        document.insert("identity".into(), identity_document(identity, &id, tenant));
    }
    if let Some(Value::Object(properties)) = document.get_mut("properties") {
        let named = [
            (
                "linkedDomains",
                body.linked_domains.as_ref().map(|domains| json!(domains)),
            ),
            (
                "publicNetworkAccess",
                body.public_network_access.map(|access| json!(access)),
            ),
            (
                "disableLocalAuth",
                body.disable_local_auth.map(|off| json!(off)),
            ),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                properties.insert(name.into(), value);
            }
        }
    }
    document
}

/// An identity as Azure answers it. Nothing is behind it here: its ids are the resource's own.
fn identity_document(identity: &Identity, id: &Value, tenant: &str) -> Value {
    let mut document = json!({ "type": identity.kind });
    if identity.kind.starts_with("SystemAssigned") {
        document["principalId"] = id.clone();
        document["tenantId"] = json!(tenant);
    }
    if !identity.user_assigned.is_empty() {
        let ids = identity.user_assigned.iter();
        let ids: Map<_, _> = ids
            .map(|name| (name.clone(), json!({ "principalId": id, "clientId": id })))
            .collect();
        document["userAssignedIdentities"] = Value::Object(ids);
    }
    document
}

fn check_location(given: Option<&str>) -> Result<&str> {
    let given = given.filter(|given| !given.is_empty()).ok_or_else(|| {
        Error::invalid(
            "LocationRequired",
            "The location property is required for this definition.",
        )
        .at("location")
    })?;
    if given.eq_ignore_ascii_case("global") {
        return Ok(given);
    }
    Err(Error::invalid(
        "LocationNotAvailableForResourceType",
        format!(
            "The provided location '{given}' is not available for resource type '{}'. List of available regions for the resource type is 'global'.",
            COMMUNICATION.full()
        ),
    )
    .at("location"))
}

fn sealed(keys: &Keys) -> SecretString {
    json!(keys).to_string().into()
}

fn keys_of(resource: &Resource) -> Result<Keys> {
    let text = resource.secrets.as_ref().map(ExposeSecret::expose_secret);
    serde_json::from_str(text.unwrap_or_default()).map_err(|error| {
        Error::new(
            Kind::Internal,
            "InternalServerError",
            format!("The access keys of '{}' cannot be read.", resource.id),
        )
        .caused_by(error)
    })
}

/// Every communication resource, for the snapshot.
pub(super) async fn read_all(store: &Store) -> Result<HashMap<String, Arc<Communication>>> {
    let mut all = HashMap::new();
    let kind = COMMUNICATION.full();
    let mut after = String::new();
    loop {
        let query = ResourceQuery {
            kind: &kind,
            after: &after,
            ..ResourceQuery::default()
        };
        let page = store.resources(&query, 500).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        last.id.key().clone_into(&mut after);
        for resource in page {
            let one = as_data_plane(&resource)?;
            all.insert(one.key.clone(), Arc::new(one));
        }
    }
}

fn as_data_plane(resource: &Resource) -> Result<Communication> {
    let keys = keys_of(resource)?;
    let immutable = resource.property("immutableResourceId");
    Ok(Communication {
        key: resource.id.key().to_owned(),
        id: resource.id.clone(),
        immutable_id: immutable
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        primary: keys.primary.into(),
        secondary: keys.secondary.into(),
        disable_local_auth: resource.property("disableLocalAuth") == Some(&Value::Bool(true)),
        created_at: resource.created.at,
    })
}

const NAME_TAKEN: &str = "Requested name is unavailable for the requested type";
