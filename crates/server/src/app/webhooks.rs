//! Where webhooks may lead and how event subscriptions are made, by the configuration and the mode.

use std::path::Path;
use std::time::Duration;

use domain::address::AddressPolicy;
use rustls_pki_types::CertificateDer;
use service::events::{DeadLettersConfig, EventsConfig, Storage};
use service::webhook::{PlainHttp, WebhooksConfig};
use url::Url;
use wire::arm::ResourceId;

use super::Mode;
use crate::config;
use crate::failure::{Failure, Result};
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
        connections: config.connections_per_host,
        ..WebhooksConfig::default()
    })
}

/// How event subscriptions are made. A function that is misspelled here would not be found when it is needed.
pub fn events(config: &config::Events) -> Result<EventsConfig> {
    let function = |(id, url): (&String, &String)| {
        let known = ResourceId::parse(id).ok().filter(|id| {
            id.is_type("Microsoft.Web/sites") || id.is_type("Microsoft.Web/sites/functions")
        });
        let known = known.ok_or_else(|| {
            Failure::usage(format!(
                "`events.functions` has the key {id}, which is not the resource id of a function or of its app"
            ))
        })?;
        if Url::parse(url).is_err() {
            let problem = format!("`events.functions` has the value {url}, which is not a URL");
            return Err(Failure::usage(problem));
        }
        Ok((known.key().to_owned(), url.clone()))
    };
    Ok(EventsConfig {
        origin: config.origin.clone(),
        validation_window: Duration::from_secs(config.validation_minutes * 60),
        functions: config
            .functions
            .iter()
            .map(function)
            .collect::<Result<_>>()?,
    })
}

/// Where dead letters go. Without a configuration `carillon dev` has a directory for them.
pub fn dead_letters(config: &config::Events, mode: Mode, dir: &Path) -> DeadLettersConfig {
    let account = |(name, storage): (&String, &config::Storage)| {
        let storage = match storage.clone() {
            config::Storage::S3 {
                endpoint,
                region,
                access_key_id,
                secret_access_key,
            } => Storage::S3 {
                endpoint,
                region,
                access_key_id,
                secret_access_key,
            },
            config::Storage::Azure {
                endpoint,
                access_key,
            } => Storage::Azure {
                endpoint,
                access_key,
            },
        };
        (name.to_lowercase(), storage)
    };
    DeadLettersConfig {
        after: Duration::from_secs(config.dead_letter_seconds),
        directory: (mode == Mode::Dev).then(|| dir.join("dead-letters")),
        accounts: config.storage.iter().map(account).collect(),
    }
}
