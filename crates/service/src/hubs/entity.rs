//! The hub entity of the namespace API: what `NamespaceManager` of Java and .NET makes, reads and deletes.

use domain::hub::{Namespace, Right};
use domain::resource::{Actor, Resource};
use serde_json::{Map, Value};
use wire::arm::ResourceId;
use wire::hub::entity::{Description, Rule};

use super::control::HubChange;
use super::document::{Credentials, Document, HUBS, StoredRule};
use super::rules::rule_name;
use crate::control::{Precondition, PutOutcome};
use crate::{App, Error, Kind, ResourceQuery, Result};

/// A hub with all that an entity shows: who manages it may see its keys.
pub struct HubEntity {
    /// The hub.
    pub resource: Resource,
    /// Its rules.
    pub rules: Vec<StoredRule>,
    /// Its credentials.
    pub credentials: Credentials,
}

impl App {
    /// Makes the hub `name`, or changes it if `update` says that it must be there.
    pub async fn put_hub_entity(
        &self,
        namespace: &Namespace,
        name: &str,
        description: &Description,
        update: &Precondition,
    ) -> Result<PutOutcome> {
        let id = hub_id(namespace, name)?;
        match (update, self.hub(id.key())) {
            (Precondition::Always, Some(_)) => {
                return Err(Error::new(Kind::Conflict, "Conflict", "Conflict."));
            }
            (Precondition::Exists | Precondition::Is(_), None) => return Err(no_hub()),
            _ => {}
        }
        let rules = self.entity_rules(&description.rules)?;
        let (body, actor) = (body(description), Actor::server());
        let change = HubChange::new(&id, &body, &actor).when(update);
        self.put_hub_with(change, |document| {
            if !rules.is_empty() {
                document.secrets.rules.clone_from(&rules);
            }
        })
        .await
    }

    /// The hub with this lower-cased resource id.
    pub async fn hub_entity(&self, key: &str) -> Result<HubEntity> {
        let id = ResourceId::parse(key).map_err(|_| no_hub())?;
        HubEntity::of(self.store.resource(&id).await?.ok_or_else(no_hub)?)
    }

    /// The hubs of a namespace.
    pub async fn hub_entities(&self, namespace: &Namespace) -> Result<Vec<HubEntity>> {
        let query = ResourceQuery {
            parent: &namespace.resource_id,
            kind: HUBS,
            ..ResourceQuery::default()
        };
        let resources = self.store.resources(&query, u32::MAX).await?;
        resources.into_iter().map(HubEntity::of).collect()
    }

    /// Deletes the hub with this lower-cased resource id.
    pub async fn delete_hub_entity(&self, key: &str) -> Result<()> {
        let id = ResourceId::parse(key).map_err(|_| no_hub())?;
        if self.delete_resource(&id, &Precondition::Always).await? {
            return Ok(());
        }
        Err(no_hub())
    }

    /// Rules as the client describes them; .NET sends its own keys, others leave them to the server.
    fn entity_rules(&self, rules: &[Rule]) -> Result<Vec<StoredRule>> {
        let rule = |given: &Rule| {
            let right = |text: &String| {
                let message = format!("'{text}' is no right: Listen, Send or Manage.");
                Right::parse(text).ok_or_else(|| Error::invalid("BadRequest", message))
            };
            let rights: Vec<Right> = given.rights.iter().map(right).collect::<Result<_>>()?;
            let mut rule = self.new_rule(rule_name(&given.name)?, &rights);
            for (key, given) in [
                (&mut rule.primary, &given.primary),
                (&mut rule.secondary, &given.secondary),
            ] {
                if !given.is_empty() {
                    key.clone_from(given);
                }
            }
            Ok(rule)
        };
        rules.iter().map(rule).collect()
    }
}

impl HubEntity {
    fn of(resource: Resource) -> Result<Self> {
        let Document { secrets, .. } = Document::of(&resource)?;
        Ok(Self {
            resource,
            rules: secrets.rules,
            credentials: secrets.credentials,
        })
    }
}

fn body(description: &Description) -> Map<String, Value> {
    let properties = Value::Object(description.properties.clone());
    [("properties".to_owned(), properties)]
        .into_iter()
        .collect()
}

fn hub_id(namespace: &Namespace, name: &str) -> Result<ResourceId> {
    let namespace = ResourceId::parse(&namespace.resource_id).map_err(|_| no_hub())?;
    namespace
        .child("notificationHubs", name)
        .map_err(|_| no_hub())
}

/// As the data plane says it.
fn no_hub() -> Error {
    Error::not_found(
        "EndpointNotFound",
        "No service is hosted at the specified address.",
    )
}
