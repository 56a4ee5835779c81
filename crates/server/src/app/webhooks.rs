//! Where webhooks may lead, by the configuration and the mode.

use domain::address::AddressPolicy;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use service::webhook::{PlainHttp, WebhooksConfig};

use super::Mode;
use crate::config;
use crate::failure::{Failure, Result};

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
        let cannot = |error: rustls_pki_types::pem::Error| {
            let path = path.display();
            Failure::usage(format!("`webhooks.ca_file` {path} cannot be read: {error}"))
        };
        let certificates = CertificateDer::pem_file_iter(path).map_err(cannot)?;
        for certificate in certificates {
            roots.push(certificate.map_err(cannot)?);
        }
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
