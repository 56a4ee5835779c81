//! `carillon event tail`: events as they are delivered, through a subscription of its own and a receiver of the lab.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use service::{Clock, Random};

use super::wanted::{self, Wanted};
use crate::cli::client::{Client, Target};
use crate::cli::control::{Control, to_webhook};
use crate::cli::data_plane::{DataPlane, Webhook};
use crate::cli::demo::on_its_way;
use crate::failure::{Failure, Result};
use crate::lifecycle;

/// A subscription that was left behind ends by itself.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Show events as they are delivered, until Ctrl-C.
///
/// Subscribes a webhook of the device lab to the events of each source, and deletes the subscriptions in the end.
#[derive(Debug, Args)]
pub struct Tail {
    /// Resource ids of topics and communication resources [default: those in env.json]
    sources: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print each event as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Tail {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let client = self.target.find()?;
        let sources = match self.sources.is_empty() {
            true => sources(&client)?,
            false => self.sources.clone(),
        };
        let (data, control) = (DataPlane::new(&client), Control::new(&client).await?);
        let webhook = data.new_webhook("tail").await?;
        let name = format!("tail-{}", Random::System.uuid().simple());
        let mut properties = to_webhook(&webhook.url);
        properties["filter"] = self.wanted.filter();
        properties["expirationTimeUtc"] = json!(Clock::System.now() + LIFE);
        let stop = lifecycle::stop_wanted()?;
        let shown = tokio::select! {
            shown = self.subscribe_and_show(&data, &control, &sources, &name, &properties, &webhook) => shown,
            () = stop.cancelled() => Ok(()),
        };
        for source in &sources {
            // One that was not made yet cannot be deleted, and need not be.
            let _ = control.unsubscribe(source, &name).await;
        }
        shown
    }

    async fn subscribe_and_show(
        &self,
        data: &DataPlane<'_>,
        control: &Control<'_>,
        sources: &[String],
        name: &str,
        properties: &Value,
        webhook: &Webhook,
    ) -> Result<()> {
        for source in sources {
            control.subscribe(source, name, properties).await?;
        }
        eprintln!("Waiting for events; Ctrl-C ends it.");
        self.show(data, webhook).await
    }

    /// Shows what arrives, without end or until there were enough.
    async fn show(&self, data: &DataPlane<'_>, webhook: &Webhook) -> Result<()> {
        let (mut after, mut seen) = (0, 0);
        loop {
            for request in data.webhook_requests(webhook, after).await? {
                after = request["seq"].as_u64().unwrap_or(after);
                if !is_delivery(&request) {
                    continue;
                }
                for event in request["body"].as_array().into_iter().flatten() {
                    say!("{}", self.line(event, &request))?;
                    seen += 1;
                    if self.count == Some(seen) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn line(&self, event: &Value, request: &Value) -> String {
        if self.json {
            return event.to_string();
        }
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        format!(
            "{}  {}  {}  {}",
            text("eventTime"),
            text("eventType"),
            text("subject"),
            on_its_way(event, request)
        )
    }
}

fn is_delivery(request: &Value) -> bool {
    request["headers"]["aeg-event-type"] == "Notification"
}

/// The resources of `carillon dev` that have events.
fn sources(client: &Client) -> Result<Vec<String>> {
    let environment = client.environment.as_ref();
    let found = environment.and_then(|environment| {
        let communication = environment.communication.as_ref()?.resource_id.clone();
        let topic = wanted::topic(environment)?;
        Some(vec![communication, topic])
    });
    found.ok_or_else(|| {
        Failure::usage("there is no topic in the server's env.json").way_out("name a resource id")
    })
}
