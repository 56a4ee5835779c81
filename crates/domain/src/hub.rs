//! A notification hub as the data plane sees it: its rules and credentials; and the link of a communication
//! resource to one.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use wire::auth::sas;

use crate::push::Credential;
use crate::time::Timestamp;

/// The lower-cased resource id of a hub: how hubs are compared and stored.
pub type HubKey = String;

/// A right of an authorization rule. `Manage` includes the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    keys: [sas::Key; 2],
}

impl Right {
    /// The word ARM and the hub entity use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listen => "Listen",
            Self::Send => "Send",
            Self::Manage => "Manage",
        }
    }

    /// The reverse of [`Right::as_str`], in any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Listen, Self::Send, Self::Manage]
            .into_iter()
            .find(|right| right.as_str().eq_ignore_ascii_case(text))
    }
}

impl Rule {
    /// A rule, with its keys ready to verify tokens.
    pub fn new(
        name: String,
        rights: Vec<Right>,
        primary: SecretString,
        secondary: SecretString,
    ) -> Self {
        let keys = [&primary, &secondary].map(|key| sas::Key::new(key.expose_secret()));
        Self {
            name,
            rights,
            primary,
            secondary,
            keys,
        }
    }

    /// Whether the rule grants `right`.
    pub fn grants(&self, right: Right) -> bool {
        self.rights
            .iter()
            .any(|held| *held == right || *held == Right::Manage)
    }

    /// Whether one of the rule's keys signed `token`.
    pub fn signed(&self, token: &sas::Token<'_>) -> bool {
        self.keys.iter().any(|key| token.is_signed_by(key))
    }

    /// Whether `key`, as a connection string has it, is one of the rule's keys. Compared in constant time.
    pub fn has_key(&self, key: &str) -> bool {
        let probe = sas::Key::new(key).sign(&self.name, "", 0);
        sas::Token::parse(&probe).is_ok_and(|token| self.signed(&token))
    }
}

/// A namespace of this server.
#[derive(Clone)]
pub struct Namespace {
    /// Lower-cased resource id.
    pub key: String,
    /// Resource id as written.
    pub resource_id: String,
    /// Its name: the first label of its host in Azure.
    pub name: String,
    /// Its own rules.
    pub rules: Vec<Rule>,
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({})", self.resource_id)
    }
}

impl Namespace {
    /// The rule `name`, compared as Azure does, without regard to case.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        find(&self.rules, name)
    }
}

fn find<'r>(rules: &'r [Rule], name: &str) -> Option<&'r Rule> {
    rules
        .iter()
        .find(|rule| rule.name.eq_ignore_ascii_case(name))
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
        find(&self.rules, name)
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
