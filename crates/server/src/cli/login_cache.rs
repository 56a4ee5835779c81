//! Tokens that `carillon login` keeps, by server: `~/.config/carillon/login.json`, readable by its owner alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::data_dir::{cannot, write_secret};
use crate::failure::{Failure, Result};

/// A sign-in to one server.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The server's https address.
    pub endpoint: String,
    /// Its authority, PEM, where it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// The bearer token.
    pub token: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

#[derive(Default, Serialize, Deserialize)]
struct Cache {
    /// The server signed in to last.
    last: String,
    logins: BTreeMap<String, Login>,
}

impl Login {
    /// The sign-in to `endpoint`, or the last one.
    pub fn load(endpoint: Option<&str>) -> Option<Self> {
        let mut cache = read(&file().ok()?);
        let key = endpoint.map_or_else(
            || cache.last.clone(),
            |text| text.trim_end_matches('/').to_owned(),
        );
        cache.logins.remove(&key)
    }

    /// Keeps it, and makes it the last one.
    pub fn save(self) -> Result<()> {
        let file = file()?;
        let mut cache = read(&file);
        cache.last = self.endpoint.clone();
        cache.logins.insert(self.endpoint.clone(), self);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(|error| cannot("create", parent, &error))?;
        }
        write_secret(
            &file,
            &serde_json::to_string_pretty(&cache).map_err(Failure::failed)?,
        )
    }
}

/// What cannot be read counts as empty: the next sign-in writes it anew.
fn read(file: &PathBuf) -> Cache {
    let text = fs::read_to_string(file).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn file() -> Result<PathBuf> {
    let named = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let config = named("XDG_CONFIG_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".config")))
        .or_else(|| named("APPDATA"))
        .ok_or_else(|| {
            Failure::failed("there is no home directory to keep the token in")
                .way_out("set XDG_CONFIG_HOME")
        })?;
    Ok(config.join("carillon").join("login.json"))
}
