//! The section `[events]`.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::within;
use crate::failure::Result;

/// How event subscriptions are made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// `WebHook-Request-Origin` of the handshake of CloudEvents.
    pub origin: String,
    /// How long the validation URL of a webhook can be visited.
    pub validation_minutes: u64,
    /// How long dead letters wait for others to be written with.
    pub dead_letter_seconds: u64,
    /// The URLs of functions, or of the apps that they are in, by resource id.
    pub functions: BTreeMap<String, String>,
    /// What stands behind the storage accounts that dead letters go to, by account name.
    pub storage: BTreeMap<String, Storage>,
}

/// What stands behind a storage account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Storage {
    /// Buckets.
    S3 {
        /// Of Amazon unless it is named.
        endpoint: Option<String>,
        /// `us-east-1` and the like.
        region: String,
        /// Whose key.
        access_key_id: String,
        /// The key.
        #[serde(skip_serializing)]
        secret_access_key: SecretString,
    },
    /// Blob containers.
    Azure {
        /// Of Azure unless it is named: Azurite.
        endpoint: Option<String>,
        /// The key of the account.
        #[serde(skip_serializing)]
        access_key: SecretString,
    },
}

impl Default for Events {
    fn default() -> Self {
        Self {
            origin: "eventgrid.azure.net".to_owned(),
            validation_minutes: 10,
            dead_letter_seconds: 300,
            functions: BTreeMap::new(),
            storage: BTreeMap::new(),
        }
    }
}

impl Events {
    pub(super) fn check(&self) -> Result<()> {
        let (minutes, seconds) = (self.validation_minutes, self.dead_letter_seconds);
        within("events.validation_minutes", minutes, 1..=1_440)?;
        within("events.dead_letter_seconds", seconds, 0..=86_400)
    }
}
