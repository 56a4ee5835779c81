//! `carillon lab`: the device lab alone, with its control on the plain-http port.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use service::Clock;

use super::device_lab::DeviceLab;
use super::http_url;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::descriptors;
use crate::environment::Environment;
use crate::failure::Result;
use crate::http::{Plain, plain};
use crate::listen::{Listener, Port};
use crate::tls;
use crate::tls::authority::Authority;

/// A running lab with its control.
pub struct LabServer {
    lab: DeviceLab,
    http: Listener,
    dir: DataDir,
    /// How to reach it.
    pub environment: Environment,
}

impl LabServer {
    /// Starts everything; returns once the lab can be reached.
    pub async fn start(config: &Config, metrics: PrometheusHandle) -> Result<Self> {
        let clock = Clock::System;
        let limits = config.limits.within(descriptors::raise());
        let dir = DataDir::take(&config.data_dir)?;
        let http = Port::bind("--http", config.http).await?;
        let authority = Arc::new(Authority::open(&dir, &[], clock.now())?);
        tls::bundle::write(&dir, &authority.pem)?;
        let lab =
            DeviceLab::start(dir.path(), config.lab.addresses(false), &authority, &clock).await?;
        let http_url = http_url(http.address);
        let environment = Environment {
            pid: Some(std::process::id()),
            base_url: None,
            ca_file: Some(dir.file("ca.pem")),
            control: None,
            communication: None,
            hub: None,
            eventgrid: None,
            lab: Some(lab.environment(&http_url)),
            http_url,
        };
        let plain = Plain::from(plain::Inner {
            server: None,
            ca_pem: Some(authority.pem.clone()),
            lab: Some(lab.control()),
            metrics,
        });
        let http = Listener::start(http, None, &limits, plain);
        environment.write(dir.path())?;
        Ok(Self {
            lab,
            http,
            dir,
            environment,
        })
    }

    /// Stops gracefully.
    pub async fn stop(self) {
        Environment::remove(self.dir.path());
        tokio::join!(self.http.stop(), self.lab.stop());
    }
}
