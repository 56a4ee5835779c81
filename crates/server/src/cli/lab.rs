//! `carillon lab`: the device lab alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::options::LabOptions;
use crate::app::LabServer;
use crate::config::{Config, LogFormat};
use crate::environment::Environment;
use crate::failure::Result;
use crate::{lifecycle, telemetry};

/// Run the device lab alone: stand-ins for APNs, FCM and Web Push, with virtual devices.
///
/// For anybody who writes a push sender. Its control answers under /lab on the plain-http port; `carillon env` says
/// where everything is.
#[derive(Debug, Args, Serialize)]
pub struct LabCommand {
    /// Keep credentials in this directory [default: .carillon]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// Serve its control (plain http) here [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<SocketAddr>,
    #[command(flatten)]
    lab: LabOptions,
    /// Write log lines for people or as JSON [default: pretty on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<LogFormat>,
}

impl LabCommand {
    pub(super) async fn run(self) -> Result<()> {
        let config = Config::load(None, &self)?;
        telemetry::start_logs(config.log, config.log_filter.as_deref())?;
        let stop = lifecycle::stop_wanted()?;
        let start = LabServer::start(&config, telemetry::start_metrics()?);
        let Some(server) = stop.run_until_cancelled(start).await.transpose()? else {
            return Ok(());
        };
        // It serves, heard or not.
        let _ = greet(&server.environment);
        stop.cancelled().await;
        server.stop().await;
        Ok(())
    }
}

fn greet(environment: &Environment) -> Result<()> {
    say!("The device lab is ready")?;
    if let Some(lab) = &environment.lab {
        say!("  control  {}", lab.control_url)?;
        say!("  APNs     {}", lab.apns_url)?;
        say!("  FCM      {}", lab.fcm_url)?;
        say!("  Web Push {}", lab.webpush_url)?;
    }
    if let Some(ca_file) = &environment.ca_file {
        say!("  CA       {}", ca_file.display())?;
    }
    Ok(())
}
