//! A notification hub as the data plane sees it: its rules and credentials; and the link of a communication
//! resource to one.

use std::sync::Arc;

use secrecy::SecretString;

use crate::push::Credential;
use crate::time::Timestamp;

/// The lower-cased resource id of a hub: how hubs are compared and stored.
pub type HubKey = String;

/// A right of an authorization rule. `Manage` includes the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// Register devices.
    Listen,
    /// Send notifications.
    Send,
    /// Everything.
    Manage,
}

/// A shared access authorization rule with its keys.
#[derive(Clone)]
pub struct Rule {
    /// The rule's name (`SharedAccessKeyName`).
    pub name: String,
    /// What its keys may do.
    pub rights: Vec<Right>,
    /// Base64 text; the text itself is the HMAC key.
    pub primary: SecretString,
    /// The second key.
    pub secondary: SecretString,
}

impl Rule {
    /// Whether the rule grants `right`.
    pub fn grants(&self, right: Right) -> bool {
        self.rights
            .iter()
            .any(|held| *held == right || *held == Right::Manage)
    }
}

/// A hub of this server, with what sending through it takes.
#[derive(Clone)]
pub struct Hub {
    /// Lower-cased resource id.
    pub key: HubKey,
    /// Resource id as written.
    pub resource_id: String,
    /// The namespace's name.
    pub namespace: String,
    /// The hub's name.
    pub name: String,
    /// Its own rules first, then the namespace's: hub rules win a name clash.
    pub rules: Vec<Rule>,
    /// APNs in token mode.
    pub apns: Option<Arc<Credential>>,
    /// FCM HTTP v1.
    pub fcm: Option<Arc<Credential>>,
    /// The hub holds an APNs certificate (not token mode): it cannot be linked.
    pub apns_certificate: bool,
}

impl Hub {
    /// The rule `name`, compared as Azure does, without regard to case.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules
            .iter()
            .find(|rule| rule.name.eq_ignore_ascii_case(name))
    }
}

/// The hub that a communication resource sends its pushes through.
#[derive(Clone)]
pub struct Link {
    /// Lower-cased resource id of the communication resource.
    pub communication: String,
    /// The hub's resource id, spelled as the caller did.
    pub hub_resource_id: String,
    /// Where the hub is.
    pub place: HubPlace,
    /// `SharedAccessKeyName` of the connection string.
    pub key_name: String,
    /// `SharedAccessKey` of the connection string.
    pub key: SecretString,
    /// When it was linked.
    pub linked_at: Timestamp,
}

/// Where a linked hub is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HubPlace {
    /// On this server.
    Own(HubKey),
    /// Anywhere else, used through the Direct Send API.
    Remote {
        /// `https://host[:port]`, no trailing slash.
        base_url: String,
        /// The hub's name.
        hub: String,
    },
}
