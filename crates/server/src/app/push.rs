//! How pushes are sent and kept, by the configuration.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use service::hubs::SendsConfig;
use service::push::LanesConfig;

use crate::config;
use crate::failure::Result;
use crate::tls;

/// How the lanes send. `own` is the server's authority, so that the lab is believed.
pub fn lanes(config: &config::Push, own: Option<CertificateDer<'static>>) -> Result<LanesConfig> {
    let mut roots: Vec<_> = own.into_iter().collect();
    if let Some(path) = &config.ca_file {
        roots.extend(tls::authorities("push.ca_file", path)?);
    }
    Ok(LanesConfig {
        roots,
        least_connections: config.least_connections,
        most_connections: config.most_connections,
        queue: config.queue,
    })
}

/// How hubs accept and keep what they send.
pub fn sends(config: &config::Push) -> SendsConfig {
    SendsConfig {
        pending_per_hub: config.pending_per_hub,
        retention: Duration::from_secs(config.retention_hours * 3_600),
    }
}
