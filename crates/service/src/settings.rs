//! What the configuration decided and the use cases need to know.

use domain::id::NodeId;

use crate::calling::CallsConfig;
use crate::events::{DeadLettersConfig, EventsConfig};
use crate::hubs::SendsConfig;
use crate::identity::IdentityRates;
use crate::push::LanesConfig;
use crate::webhook::WebhooksConfig;

/// Names and addresses of this server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This process among those that share the database: the same for every run on one data directory.
    pub node: NodeId,
    /// Public https base URL without a trailing slash, e.g. `https://localhost:8443`.
    pub base_url: String,
    /// Every host name (no port, lower-case) by which this server is known. A connection string whose endpoint names
    /// one of them (with our port or none) is for an own hub.
    pub hosts: Vec<String>,
    /// The tenant of the control plane.
    pub tenant_id: String,
    /// The subscriptions of this server; the first is the default.
    pub subscriptions: Vec<Subscription>,
    /// `carillon dev`: well-known credentials.
    pub dev: bool,
    /// How often communication identities may be asked for.
    pub identity: IdentityRates,
    /// How pushes are sent.
    pub push: LanesConfig,
    /// How hubs accept and keep what they send.
    pub sends: SendsConfig,
    /// How event subscriptions are made.
    pub events: EventsConfig,
    /// Where events go that could not be delivered.
    pub dead_letters: DeadLettersConfig,
    /// Where webhooks may lead.
    pub webhooks: WebhooksConfig,
    /// How calls ring, and how applications hear of them.
    pub calls: CallsConfig,
}

/// A subscription: an id and a name to show.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// A GUID, lower-case.
    pub id: String,
    /// The name to show.
    pub name: String,
}
