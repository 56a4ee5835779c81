//! Where webhooks may lead, by the configuration and the mode.

use domain::address::AddressPolicy;
use rustls_pki_types::CertificateDer;
use service::webhook::{PlainHttp, WebhooksConfig};

use super::Mode;
use crate::config;
use crate::failure::Result;
use crate::tls;

/// The rules for customers' URLs. `carillon dev` lets them lead to its own machine, where its user's receivers are.
pub fn config(
    config: &config::Webhooks,
    mode: Mode,
    own: Option<CertificateDer<'static>>,
) -> Result<WebhooksConfig> {
    let dev = mode == Mode::Dev;
    let plain_http = match config.plain_http {
        config::PlainHttp::Never if dev => PlainHttp::Loopback,
        config::PlainHttp::Never => PlainHttp::Never,
        config::PlainHttp::Loopback => PlainHttp::Loopback,
        config::PlainHttp::Always => PlainHttp::Always,
    };
    let mut roots: Vec<_> = own.into_iter().collect();
    if let Some(path) = &config.ca_file {
        roots.extend(tls::authorities("webhooks.ca_file", path)?);
    }
    Ok(WebhooksConfig {
        addresses: AddressPolicy {
            loopback: config.loopback || dev,
            private: config.private_networks,
        },
        plain_http,
        roots,
        ..WebhooksConfig::default()
    })
}
