//! The section `[webhooks]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use service::webhook::WebhooksConfig;

use super::within;
use crate::failure::Result;

/// Where the URLs of webhooks and callbacks may lead.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Whether they may lead to private networks.
    pub private_networks: bool,
    /// Whether they may lead to this machine. In `carillon dev` they always may.
    pub loopback: bool,
    /// Where unencrypted requests may go. In `carillon dev` always to this machine.
    pub plain_http: PlainHttp,
    /// PEM: certificates of receivers' authorities, believed beside the machine's.
    pub ca_file: Option<PathBuf>,
    /// Connections to one scheme, host and port at once.
    pub connections_per_host: usize,
}

/// Where unencrypted requests may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlainHttp {
    /// Nowhere.
    #[default]
    Never,
    /// To this machine.
    Loopback,
    /// Wherever https may go.
    Always,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            private_networks: false,
            loopback: false,
            plain_http: PlainHttp::default(),
            ca_file: None,
            connections_per_host: WebhooksConfig::default().connections,
        }
    }
}

impl Webhooks {
    pub(super) fn check(&self) -> Result<()> {
        let connections = self.connections_per_host;
        within("webhooks.connections_per_host", connections, 1..=65_536)
    }
}
