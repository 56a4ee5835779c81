//! How to reach a running server: what `env.json` holds and `carillon env` prints.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data_dir::{self, cannot, write_secret};
use crate::failure::{Failure, Result};

/// The file in the data directory that holds it while the server runs.
const FILE: &str = "env.json";

/// The file in the data directory with the system's roots and our authority.
pub const BUNDLE: &str = "ca-bundle.pem";

/// The variables with our prefix that `carillon env` prints, and the one that holds a token, without the prefix: the
/// configuration ignores them.
pub const NAMES: &[&str] = &[
    "url",
    "token",
    "http_url",
    "ca_file",
    "subscription_id",
    "tenant_id",
    "resource_group",
    "hub_name",
    "hub_resource_id",
    "hub_listen_connection_string",
    "hub_send_connection_string",
    "hub_full_connection_string",
    "communication_resource_id",
    "lab_url",
    "lab_apns_url",
    "lab_fcm_url",
    "lab_fcm_token_url",
    "lab_webpush_url",
];

/// Addresses and credentials of a running server. Every name is a promise to scripts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// The process that wrote it; none for a server that does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The https port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The plain-http port.
    pub http_url: String,
    /// The certificate that vouches for the https ports, PEM; none where own certificates do without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What a server has, and a lab alone has not.
    #[serde(flatten)]
    pub control: Option<Control>,
    /// The communication resource of `carillon dev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub communication: Option<Communication>,
    /// The hub of `carillon dev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<Hub>,
    /// The Event Grid topic of `carillon dev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eventgrid: Option<EventGrid>,
    /// The device lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lab: Option<Lab>,
}

/// The control plane, and who may use it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Control {
    /// The first subscription.
    pub subscription_id: String,
    /// The tenant; none before the first start, which makes one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The group that `carillon dev` makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<String>,
    /// The app registration of `carillon dev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// The user of `carillon dev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl Control {
    /// What every server has.
    pub fn of(app: &service::App) -> Self {
        let settings = &app.settings;
        Self::new(
            settings.subscriptions[0].id.clone(),
            Some(settings.tenant_id.clone()),
        )
    }

    /// With no credentials and no group.
    pub fn new(subscription_id: String, tenant_id: Option<String>) -> Self {
        Self {
            subscription_id,
            tenant_id,
            resource_group: None,
            client_id: None,
            client_secret: None,
            username: None,
            password: None,
        }
    }
}

/// A communication resource and its first key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Communication {
    /// Its name.
    pub name: String,
    /// Its resource id.
    pub resource_id: String,
    /// Where its data plane answers.
    pub endpoint: String,
    /// The primary key.
    pub access_key: String,
    /// Endpoint and key in one.
    pub connection_string: String,
}

/// A notification hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hub {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its resource id.
    pub resource_id: String,
    /// A connection string a right.
    pub connection_strings: ConnectionStrings,
}

/// Connection strings of a hub's rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionStrings {
    /// `DefaultListenSharedAccessSignature`.
    pub listen: String,
    /// `send-only`.
    pub send: String,
    /// `DefaultFullSharedAccessSignature`.
    pub full: String,
}

/// An Event Grid topic and its first key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventGrid {
    /// Its name.
    pub topic: String,
    /// Where events are published to it.
    pub endpoint: String,
    /// The key.
    pub key: String,
}

/// Where the device lab is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lab {
    /// Its control.
    pub control_url: String,
    /// The stand-in for APNs.
    pub apns_url: String,
    /// The stand-in for FCM.
    pub fcm_url: String,
    /// FCM's token endpoint.
    pub fcm_token_url: String,
    /// The stand-in for a Web Push service.
    pub webpush_url: String,
}

impl Environment {
    /// Writes it into the data directory; readable by its owner alone, for it holds secrets.
    pub fn write(&self, data_dir: &Path) -> Result<()> {
        write_secret(&data_dir.join(FILE), &self.to_json())
    }

    /// Removes it from the data directory.
    pub fn remove(data_dir: &Path) {
        let path = data_dir.join(FILE);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "env.json could not be removed");
        }
    }

    /// Reads what the server that runs in `data_dir` wrote. What a killed one left behind does not count.
    pub fn read(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE);
        if !data_dir::in_use(data_dir) || !path.exists() {
            return Err(
                Failure::failed(format!("no server runs in {}", data_dir.display())).way_out(
                    "start one with `carillon dev`, or name its directory with --data-dir DIR",
                ),
            );
        }
        let text = std::fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))
    }

    /// Variables for shells: the ones that Azure's SDKs, az, Python, Node and OpenSSL read, and our own.
    pub fn variables(&self, data_dir: &Path) -> Vec<(&'static str, String)> {
        let data_dir = data_dir::absolute(data_dir);
        let path = |path: &Path| path.display().to_string();
        let mut all = vec![
            ("CARILLON_DATA_DIR", path(&data_dir)),
            ("CARILLON_HTTP_URL", self.http_url.clone()),
        ];
        if let Some(ca_file) = &self.ca_file {
            all.push(("CARILLON_CA_FILE", path(ca_file)));
            let bundle = data_dir.join(BUNDLE);
            // Before the first start there is none, and a program that is told of it would believe nobody.
            let bundle = Some(bundle).filter(|bundle| bundle.exists());
            all.extend(bundle.iter().flat_map(|bundle| {
                [
                    // Python, curl and OpenSSL take one file instead of the system's roots: it must hold both.
                    ("REQUESTS_CA_BUNDLE", path(bundle)),
                    ("CURL_CA_BUNDLE", path(bundle)),
                    ("SSL_CERT_FILE", path(bundle)),
                    ("NODE_EXTRA_CA_CERTS", path(ca_file)),
                ]
            }));
        }
        let mut add =
            |name, value: Option<&String>| all.extend(value.map(|value| (name, value.clone())));
        add("CARILLON_URL", self.base_url.as_ref());
        add("AZURE_AUTHORITY_HOST", self.base_url.as_ref());
        if let Some(control) = &self.control {
            add("CARILLON_SUBSCRIPTION_ID", Some(&control.subscription_id));
            add("CARILLON_TENANT_ID", control.tenant_id.as_ref());
            add("CARILLON_RESOURCE_GROUP", control.resource_group.as_ref());
            add("AZURE_SUBSCRIPTION_ID", Some(&control.subscription_id));
            // With this tenant the SDKs need no `disableInstanceDiscovery`.
            add("AZURE_TENANT_ID", Some(&"adfs".to_owned()));
            add("AZURE_CLIENT_ID", control.client_id.as_ref());
            add("AZURE_CLIENT_SECRET", control.client_secret.as_ref());
            // az: this server is its only cloud, and its own settings directory leaves ~/.azure alone.
            add("AZURE_CONFIG_DIR", Some(&path(&data_dir.join("azure"))));
            let metadata = format!(
                "{}/metadata/endpoints?api-version=2019-05-01",
                self.http_url
            );
            add("ARM_CLOUD_METADATA_URL", Some(&metadata));
        }
        if let Some(communication) = &self.communication {
            add(
                "COMMUNICATION_SERVICES_CONNECTION_STRING",
                Some(&communication.connection_string),
            );
            add(
                "CARILLON_COMMUNICATION_RESOURCE_ID",
                Some(&communication.resource_id),
            );
        }
        if let Some(hub) = &self.hub {
            add("CARILLON_HUB_NAME", Some(&hub.name));
            add("CARILLON_HUB_RESOURCE_ID", Some(&hub.resource_id));
            add(
                "CARILLON_HUB_LISTEN_CONNECTION_STRING",
                Some(&hub.connection_strings.listen),
            );
            add(
                "CARILLON_HUB_SEND_CONNECTION_STRING",
                Some(&hub.connection_strings.send),
            );
            add(
                "CARILLON_HUB_FULL_CONNECTION_STRING",
                Some(&hub.connection_strings.full),
            );
        }
        if let Some(lab) = &self.lab {
            add("CARILLON_LAB_URL", Some(&lab.control_url));
            add("CARILLON_LAB_APNS_URL", Some(&lab.apns_url));
            add("CARILLON_LAB_FCM_URL", Some(&lab.fcm_url));
            add("CARILLON_LAB_FCM_TOKEN_URL", Some(&lab.fcm_token_url));
            add("CARILLON_LAB_WEBPUSH_URL", Some(&lab.webpush_url));
        }
        all
    }

    /// As JSON, as `env.json` holds it.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
