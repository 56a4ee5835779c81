//! `carillon wait`: until a server is ready.

use std::time::Duration;

use clap::Args;
use service::Clock;

use super::options::DataDirOption;
use crate::environment::Environment;
use crate::failure::{Failure, Result};

/// How often to look.
const PAUSE: Duration = Duration::from_millis(50);

/// Wait until a server is ready.
///
/// Exits with 0 when it is, and with 1 after the timeout.
#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    server: DataDirOption,
    /// Ask this plain-http address instead of looking into a data directory
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

impl Wait {
    pub(super) async fn run(self) -> Result<()> {
        let until = Clock::System.now() + Duration::from_secs(self.timeout);
        loop {
            let problem = match self.ready().await {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            };
            if Clock::System.now() >= until {
                return Err(Failure::failed(format!(
                    "the server was not ready within {} s: {problem}",
                    self.timeout
                )));
            }
            Clock::System.sleep(PAUSE).await;
        }
    }

    async fn ready(&self) -> std::result::Result<(), String> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => {
                Environment::read(&self.server.data_dir)
                    .map_err(|error| error.to_string())?
                    .http_url
            }
        };
        let url = format!("{}/readyz", url.trim_end_matches('/'));
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| error.to_string())?;
        let answer = client
            .get(&url)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(format!("{url} answers {}", answer.status()))
    }
}
