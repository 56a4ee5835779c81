//! `carillon dev`: a local server for developers.

use clap::Args;

use serde::Serialize;

use super::options::{LabOptions, ServerOptions};
use crate::app::{Mode, Server};
use crate::config::Config;
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::{lifecycle, telemetry};

/// Run a local server for developers.
///
/// It listens on loopback only, has well-known credentials, and keeps its data, so that everything is still there
/// at the next start. `carillon env` says how to reach it. With --listen …:0 the ports of the lab are free ones too,
/// unless they are named.
#[derive(Debug, Args, Serialize)]
pub struct Dev {
    #[command(flatten)]
    #[serde(flatten)]
    options: ServerOptions,
    #[command(flatten)]
    lab: LabOptions,
}

impl Dev {
    pub(super) async fn run(self) -> Result<()> {
        let config = Config::load(self.options.config.as_deref(), &self)?;
        for (flag, address) in [("--listen", config.listen), ("--http", config.http)] {
            if !address.ip().is_loopback() {
                return Err(Failure::usage(format!(
                    "`carillon dev` has well-known credentials and listens on loopback only, not on {address}"
                ))
                .way_out(format!("give {flag} an address such as 127.0.0.1:{}, or use `carillon serve`", address.port())));
            }
        }
        telemetry::start_logs(config.log, config.log_filter.as_deref())?;
        let stop = lifecycle::stop_wanted()?;
        let start = Server::start(&config, Mode::Dev, telemetry::start_metrics()?);
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
    let base_url = environment.base_url.as_deref().unwrap_or_default();
    say!("Carillon is ready at {base_url}")?;
    say!("  plain http  {}", environment.http_url)?;
    if let Some(ca_file) = &environment.ca_file {
        say!("  CA          {}", ca_file.display())?;
    }
    say!("In another shell: eval \"$(carillon env)\"")
}
