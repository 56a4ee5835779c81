//! Having events again: `carillon event replay`, and `dead-letters --resend`.

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::deliveries::Listing;
use super::subscription::Subscription;
use crate::failure::{Failure, Result};

/// Deliver events again: some, or those of a time.
///
/// An event that is pending is left as it is. The others begin anew, with a new time to live; receivers know them by
/// their ids.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = true)]
#[command(after_help = "\
Examples:
  carillon event replay orders --event EVENT
  carillon event replay orders --from 2026-11-24T04:00:00Z --to 2026-11-24T05:00:00Z
  carillon event replay orders --from 2026-11-24T04:00:00Z \\
    --filter '{\"subjectBeginsWith\":\"/orders/7\"}'")]
pub struct Replay {
    #[command(flatten)]
    of: Subscription,
    /// This event; may be given several times
    #[arg(long = "event", value_name = "ID", group = "which", conflicts_with_all = ["from", "to"])]
    events: Vec<String>,
    /// Events accepted from this time on, RFC 3339
    #[arg(long, value_name = "TIME", group = "which")]
    from: Option<String>,
    /// Events accepted before this time [default: now]
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// Those of them that this filter wants, JSON as in an event subscription [default: the subscription's own]
    #[arg(long, value_name = "JSON", requires = "from")]
    filter: Option<String>,
}

/// List the events that were given up, or deliver them again.
#[derive(Debug, Args)]
pub struct DeadLetters {
    #[command(flatten)]
    of: Subscription,
    /// Deliver all of them again
    #[arg(long, conflicts_with_all = ["count", "from", "json"])]
    resend: bool,
    #[command(flatten)]
    listing: Listing,
}

impl Replay {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let mut body = json!({});
        if !self.events.is_empty() {
            body["events"] = json!(self.events);
        }
        for (name, value) in [("from", &self.from), ("to", &self.to)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        if let Some(filter) = &self.filter {
            body["filter"] = serde_json::from_str(filter)
                .map_err(|error| Failure::usage(format!("the filter is no JSON: {error}")))?;
        }
        let events = again(&self.of, "replay", body).await?;
        let left = (self.events.len() as u64).saturating_sub(events);
        if left > 0 {
            eprintln!(
                "{left} of those named are not: they are pending already, or `deliveries` and `why` know them by other ids."
            );
        }
        Ok(())
    }
}

impl DeadLetters {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        match self.resend {
            true => again(&self.of, "deadLetters/resend", json!({}))
                .await
                .map(drop),
            false => self.listing.show(&self.of, "deadLetters", None).await,
        }
    }
}

/// Has events again, as many at once as the server does in one request, until all are on their way; how many there are.
async fn again(of: &Subscription, below: &str, mut body: Value) -> Result<u64> {
    let client = of.client()?;
    let found = of.find(&client).await?;
    // Drawn on a terminal only.
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    let mut events = 0;
    loop {
        let answer = found.post(below, &body).await?;
        events += answer["events"].as_u64().unwrap_or_default();
        spinner.set_message(format!("{events} events so far"));
        match &answer["after"] {
            Value::Null => break,
            after => body["after"] = after.clone(),
        }
    }
    spinner.finish_and_clear();
    match events {
        1 => say!("1 event is delivered again")?,
        _ => say!("{events} events are delivered again")?,
    }
    Ok(events)
}
