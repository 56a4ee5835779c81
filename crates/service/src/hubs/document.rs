//! How a namespace and a hub are laid out as resources: what everybody may see in the body, keys and credentials in
//! the sealed secrets. One document each, so that a hub goes with its rules and credentials, whoever deletes it.

use std::collections::BTreeMap;

use domain::hub::{Right, Rule};
use domain::resource::Resource;
use domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wire::hub::credential::Fields;

use crate::control::Draft;
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

/// A namespace or hub while it is read or changed.
pub(super) struct Document {
    /// `location`, `tags`, `properties`, …
    pub(super) body: Map<String, Value>,
    pub(super) secrets: Secrets,
}

impl Document {
    pub(super) fn of(resource: &Resource) -> Result<Self> {
        let secrets = match &resource.secrets {
            Some(text) => serde_json::from_str(text.expose_secret()).map_err(broken)?,
            None => Secrets::default(),
        };
        Ok(Self {
            body: resource.body.clone(),
            secrets,
        })
    }

    /// An empty one with these rules.
    pub(super) fn with(rules: &[StoredRule]) -> Self {
        Self {
            body: Map::new(),
            secrets: Secrets {
                rules: rules.to_vec(),
                credentials: Credentials::new(),
            },
        }
    }

    pub(super) fn into_draft(self) -> Result<Draft> {
        let secrets = serde_json::to_string(&self.secrets).map_err(broken)?;
        Ok(Draft {
            body: self.body,
            secrets: Some(SecretString::from(secrets)),
        })
    }

    /// The body's `properties`, made if there are none.
    pub(super) fn properties(&mut self) -> &mut Map<String, Value> {
        let properties = self.body.entry("properties");
        let properties = properties.or_insert_with(|| Value::Object(Map::new()));
        if !properties.is_object() {
            *properties = Value::Object(Map::new());
        }
        #[expect(clippy::unreachable, reason = "it was made an object just above")]
        match properties {
            Value::Object(properties) => properties,
            _ => unreachable!(),
        }
    }

    /// The rules as the data plane uses them.
    pub(super) fn rules(&self) -> Vec<Rule> {
        self.secrets.rules.iter().map(StoredRule::to_rule).collect()
    }
}

impl StoredRule {
    /// The rules of a namespace or hub.
    pub fn all_of(resource: &Resource) -> Result<Vec<Self>> {
        Ok(Document::of(resource)?.secrets.rules)
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn to_rule(&self) -> Rule {
        let [primary, secondary] = [&self.primary, &self.secondary].map(|key| key.as_str().into());
        Rule::new(self.name.clone(), self.rights.clone(), primary, secondary)
    }
}

fn broken(error: serde_json::Error) -> Error {
    let message = "The server failed to do this. Its log says why.";
    Error::new(Kind::Internal, "InternalServerError", message).caused_by(error)
}
