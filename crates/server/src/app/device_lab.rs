//! The device lab in this process: its listeners with their certificate, and what a hub needs to push to it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lab::{Lab, LabConfig};
use serde_json::{Map, Value, json};
use service::Clock;
use tokio_util::sync::CancellationToken;

use crate::environment;
use crate::failure::{Failure, Result};
use crate::listen::Port;
use crate::tls::authority::{self, Authority};
use crate::tls::{self, Current, Source};

/// A running lab.
pub struct DeviceLab {
    lab: Lab,
    stopping: CancellationToken,
}

/// Where its stand-ins listen.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The stand-in for APNs.
    pub apns: SocketAddr,
    /// The stand-in for FCM.
    pub fcm: SocketAddr,
    /// The stand-in for a Web Push service.
    pub webpush: SocketAddr,
}

impl DeviceLab {
    /// Starts the lab with a leaf of `authority`. Its credentials are kept in `dir`.
    pub async fn start(
        dir: &Path,
        addresses: Addresses,
        authority: &Arc<Authority>,
        clock: &Clock,
    ) -> Result<Self> {
        let source = Source::Authority(authority.clone(), authority::Port::Lab, Vec::new());
        let current = Current::new(source.certificate(clock.now())?);
        let stopping = CancellationToken::new();
        let config = LabConfig {
            data_dir: dir.to_owned(),
            apns: addresses.apns,
            fcm: addresses.fcm,
            webpush: addresses.webpush,
            tls: tls::server_config(current.clone())?,
            host: "localhost".into(),
            clock: lab::Clock::system(),
        };
        let lab = match Lab::start(config).await {
            Ok(lab) => lab,
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(taken(addresses, &error).await);
            }
            Err(error) => {
                return Err(Failure::failed(format!(
                    "the device lab cannot start: {error}"
                )));
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a lab alone has no app whose tracker it could be on; `stop` ends it"
        )]
        tokio::spawn(source.renew(current, clock.clone(), stopping.clone()));
        Ok(Self { lab, stopping })
    }

    /// Its control, for the plain-http port.
    pub fn control(&self) -> axum::Router {
        self.lab.control()
    }

    /// How to reach it.
    pub fn environment(&self, http_url: &str) -> environment::Lab {
        let urls = self.lab.urls();
        let url = |name: &str| urls[name].as_str().unwrap_or_default().to_owned();
        environment::Lab {
            control_url: format!("{http_url}/lab"),
            apns_url: url("apns_url"),
            fcm_url: url("fcm_url"),
            fcm_token_url: url("fcm_token_url"),
            webpush_url: url("webpush_url"),
        }
    }

    /// The `properties` of a hub that pushes to it.
    pub fn hub_credentials(&self) -> Map<String, Value> {
        let urls = self.lab.urls();
        let account = self.lab.service_account();
        let mut credentials = Map::new();
        let fcm = json!({ "properties": {
            "clientEmail": account.client_email,
            "privateKey": account.private_key,
            "projectId": account.project_id,
            "endpoint": urls["fcm_url"],
            "tokenUri": urls["fcm_token_url"],
        } });
        credentials.insert("fcmV1Credential".into(), fcm);
        if let Some(key) = self.lab.apns_key() {
            let apns = json!({ "properties": {
                "endpoint": urls["apns_url"],
                "keyId": key.key_id,
                "appId": key.team_id,
                "appName": key.bundle_id,
                "token": key.p8,
            } });
            credentials.insert("apnsCredential".into(), apns);
        }
        credentials
    }

    /// Stops it, after the requests under way.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.lab.stop().await;
    }
}

/// Which of the ports is taken.
async fn taken(addresses: Addresses, error: &std::io::Error) -> Failure {
    let named = [
        ("--apns", addresses.apns),
        ("--fcm", addresses.fcm),
        ("--webpush", addresses.webpush),
    ];
    for (flag, address) in named {
        if let Err(failure) = Port::bind(flag, address).await {
            return failure;
        }
    }
    Failure::failed(format!("a port of the device lab is taken: {error}"))
}
