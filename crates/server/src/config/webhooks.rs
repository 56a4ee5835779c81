//! The section `[webhooks]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the URLs of webhooks and callbacks may lead.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
