//! How a namespace and a hub are laid out as resources: what everybody may see in the body, keys and credentials in
//! the sealed secrets. One document each, so that a hub goes with its rules and credentials, whoever deletes it.

use std::collections::BTreeMap;

use domain::hub::{Right, Rule};
use domain::resource::Resource;
use domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use wire::hub::credential::Fields;

use crate::{Error, Kind, Result};

/// The type of a namespace.
pub const NAMESPACES: &str = "Microsoft.NotificationHubs/namespaces";
/// The type of a hub.
pub const HUBS: &str = "Microsoft.NotificationHubs/namespaces/notificationHubs";

/// Credentials by the ARM name of their kind.
pub type Credentials = BTreeMap<String, Fields>;

/// The secrets of a namespace or hub.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Secrets {
    pub(super) rules: Vec<StoredRule>,
    #[serde(default)]
    pub(super) credentials: Credentials,
}

/// An authorization rule as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredRule {
    /// Its name.
    pub name: String,
    /// `Listen`, `Manage`, `Send`.
    pub rights: Vec<Right>,
    /// Base64 text.
    pub primary: String,
    /// Base64 text.
    pub secondary: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its rights or keys were last changed.
    pub modified_at: Timestamp,
}

impl Secrets {
    pub(super) fn of(resource: &Resource) -> Result<Self> {
        let Some(text) = &resource.secrets else {
            return Ok(Self::default());
        };
        serde_json::from_str(text.expose_secret()).map_err(|error| broken(resource, error))
    }

    /// Puts the secrets back into their resource.
    pub(super) fn put_into(&self, resource: &mut Resource) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| broken(resource, error))?;
        resource.secrets = Some(SecretString::from(text));
        Ok(())
    }

    /// The rules as the data plane uses them.
    pub(super) fn rules(&self) -> Vec<Rule> {
        self.rules.iter().map(StoredRule::to_rule).collect()
    }
}

impl StoredRule {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn to_rule(&self) -> Rule {
        let [primary, secondary] = [&self.primary, &self.secondary].map(|key| key.as_str().into());
        Rule::new(self.name.clone(), self.rights.clone(), primary, secondary)
    }
}

fn broken(resource: &Resource, error: serde_json::Error) -> Error {
    let message = format!("The secrets of {} are of no known form.", resource.id);
    Error::new(Kind::Internal, "InternalServerError", message).caused_by(error)
}
