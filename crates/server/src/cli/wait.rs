//! `carillon wait`: until a server is ready.

use std::time::Duration;

use clap::Args;
use service::Clock;
use url::Url;

use super::client::{http_client, unreachable};
use super::options::DataDirOption;
use crate::environment::Environment;
use crate::failure::{Failure, Result};

/// How often to look.
const PAUSE: Duration = Duration::from_millis(50);
/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Wait until a server is ready.
///
/// Exits with 0 when it is, and with 1 after the timeout.
#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    server: DataDirOption,
    /// Ask this plain-http address instead of looking into a data directory
    #[arg(long, value_name = "URL", value_parser = address)]
    url: Option<Url>,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

fn address(text: &str) -> std::result::Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("it must begin with http://".into()),
    }
}

impl Wait {
    pub(super) async fn run(self) -> Result<()> {
        let until = Clock::System.now() + Duration::from_secs(self.timeout);
        let client = http_client(None, true)?;
        loop {
            let Err(problem) = self.ready(&client).await else {
                return Ok(());
            };
            if Clock::System.now() >= until {
                let (problem, way_out) = problem.into_parts();
                let late = format!(
                    "the server was not ready within {} s: {problem}",
                    self.timeout
                );
                let failure = Failure::failed(late);
                return Err(match way_out {
                    Some(way_out) => failure.way_out(way_out),
                    None => failure,
                });
            }
            Clock::System.sleep(PAUSE).await;
        }
    }

    async fn ready(&self, client: &reqwest::Client) -> Result<()> {
        let url = match &self.url {
            Some(url) => url.to_string(),
            None => Environment::read(&self.server.data_dir)?.http_url,
        };
        let url = format!("{}/readyz", url.trim_end_matches('/'));
        let asked = client.get(&url).timeout(WITHIN).send();
        let answer = asked.await.map_err(|error| unreachable(&url, &error))?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "{url} answers {}",
            answer.status()
        )))
    }
}
