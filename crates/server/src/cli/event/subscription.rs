//! What became of events at a subscription, and having them again: `carillon event deliveries`, `attempts`, `why`,
//! `replay`, `dead-letters`.

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::cli::client::{Client, Target};
use crate::cli::control::{API_VERSION, Control};
use crate::cli::json::pretty;
use crate::failure::{Failure, Result};

/// An event subscription.
#[derive(Debug, Args)]
struct Subscription {
    /// The subscription: its resource id, or its name
    #[arg(value_name = "SUBSCRIPTION")]
    subscription: String,
    #[command(flatten)]
    target: Target,
}

/// List the deliveries of a subscription.
#[derive(Debug, Args)]
pub struct Deliveries {
    #[command(flatten)]
    of: Subscription,
    /// Only those in this state: pending, delivered, dead, dead_lettered or dropped
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
}

/// Show the attempts at delivering an event.
#[derive(Debug, Args)]
pub struct Attempts {
    #[command(flatten)]
    of: Subscription,
    /// The event: the id in aeg-output-event-id
    event: String,
}

/// Say whether a subscription wants an event, and what became of it.
#[derive(Debug, Args)]
pub struct Why {
    #[command(flatten)]
    of: Subscription,
    /// The event: the id in aeg-output-event-id
    event: String,
}

/// Deliver events again.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = true)]
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

/// List the events that could not be delivered, or deliver them again.
#[derive(Debug, Args)]
pub struct DeadLetters {
    #[command(flatten)]
    of: Subscription,
    /// Deliver all of them again
    #[arg(long)]
    resend: bool,
}

impl Deliveries {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let state = self.state.map(|state| format!("&state={state}"));
        let below = format!("/deliveries?{API_VERSION}{}", state.unwrap_or_default());
        self.of.show(Method::GET, &below, None).await
    }
}

impl Attempts {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let below = format!("/deliveries/{}/attempts?{API_VERSION}", self.event);
        self.of.show(Method::GET, &below, None).await
    }
}

impl Why {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let body = json!({ "event": self.event });
        let below = format!("/explain?{API_VERSION}");
        self.of.show(Method::POST, &below, Some(&body)).await
    }
}

impl Replay {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let mut body = json!({});
        if !self.events.is_empty() {
            body["events"] = json!(self.events);
        }
        if let Some(from) = &self.from {
            body["from"] = json!(from);
        }
        if let Some(to) = &self.to {
            body["to"] = json!(to);
        }
        if let Some(filter) = &self.filter {
            body["filter"] = serde_json::from_str(filter)
                .map_err(|error| Failure::usage(format!("the filter is no JSON: {error}")))?;
        }
        let below = format!("/replay?{API_VERSION}");
        self.of.show(Method::POST, &below, Some(&body)).await
    }
}

impl DeadLetters {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let (method, below) = match self.resend {
            true => (Method::POST, "/deadLetters/resend"),
            false => (Method::GET, "/deadLetters"),
        };
        let below = format!("{below}?{API_VERSION}");
        self.of.show(method, &below, None).await
    }
}

impl Subscription {
    /// Sends a request about the subscription and prints the answer.
    async fn show(&self, method: Method, below: &str, body: Option<&Value>) -> Result<()> {
        let client = self.target.find()?;
        let control = Control::new(&client).await?;
        let id = self.id(&client, &control).await?;
        let path = format!("{id}{below}");
        let answer = control.send(method, &path, body).await?;
        if !answer.is_null() {
            println!("{}", pretty(&answer.to_string()));
        }
        Ok(())
    }

    /// Its resource id: as given, or of the one subscription with that name.
    async fn id(&self, client: &Client, control: &Control<'_>) -> Result<String> {
        let name = &self.subscription;
        if name.starts_with('/') {
            return Ok(name.clone());
        }
        let environment = client.environment.as_ref();
        let subscription = environment
            .and_then(|environment| environment.control.as_ref())
            .map(|control| &control.subscription_id);
        let subscription = subscription.ok_or_else(|| {
            Failure::usage(format!("{name} is not a resource id"))
                .way_out("give the whole resource id of the subscription")
        })?;
        let named = format!("name eq '{}'", name.replace('\'', "''"));
        let named: String = form_urlencoded::byte_serialize(named.as_bytes()).collect();
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.EventGrid/eventSubscriptions?{API_VERSION}&$filter={named}"
        );
        let all = control.send(Method::GET, &path, None).await?;
        let all = all["value"].as_array().cloned().unwrap_or_default();
        let ids: Vec<&str> = all.iter().filter_map(|one| one["id"].as_str()).collect();
        match ids.as_slice() {
            [id] => Ok((*id).to_owned()),
            [] => Err(Failure::failed(format!(
                "there is no event subscription {name}"
            ))),
            _ => Err(Failure::failed(format!(
                "there are {} event subscriptions {name}",
                ids.len()
            ))
            .way_out("give the whole resource id of one")),
        }
    }
}
