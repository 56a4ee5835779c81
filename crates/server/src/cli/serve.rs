//! `carillon serve`: the server for real use.

use std::path::Path;

use clap::Args;

use super::options::ServerOptions;
use crate::app::{Mode, Server, SetUpLink};
use crate::failure::Result;
use crate::{lifecycle, telemetry};

/// Run the server for real use.
///
/// It reads `carillon.toml` in the working directory, or the file that --config names; then the environment
/// (CARILLON_LISTEN, CARILLON_LIMITS__CONNECTIONS, …); then these options.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    options: ServerOptions,
}

impl Serve {
    pub(super) async fn run(self) -> Result<()> {
        let config = self.options.config()?;
        telemetry::start_logs(config.log, config.log_filter.as_deref())?;
        let stop = lifecycle::stop_wanted()?;
        let start = Server::start(&config, Mode::Serve, telemetry::start_metrics()?);
        let Some(server) = stop.run_until_cancelled(start).await.transpose()? else {
            return Ok(());
        };
        tracing::info!(base_url = server.environment.base_url, "ready");
        if let Some(link) = server.set_up_link().await? {
            // It serves, heard or not.
            let _ = offer(&link, &config.data_dir);
        }
        stop.cancelled().await;
        server.stop().await;
        Ok(())
    }
}

fn offer(link: &SetUpLink, data_dir: &Path) -> Result<()> {
    let until = link.expires_at.rfc3339_secs();
    say!(
        "Nobody may sign in here yet. This link makes the first administrator, once, until {until}:"
    )?;
    say!("  {}", link.url)?;
    say!(
        "Without a browser: carillon app create NAME --data-dir '{}'",
        data_dir.display()
    )
}
