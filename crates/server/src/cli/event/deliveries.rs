//! What became of events at a subscription: `carillon event deliveries`, `attempts` and `why`.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::subscription::Subscription;
use crate::failure::Result;

/// List what became of the events that a subscription wanted.
///
/// They are in the order in which they were accepted.
#[derive(Debug, Args)]
#[command(after_help = "\
Each line begins with the event's id, which `attempts`, `why` and `replay` ask for:
  carillon event deliveries orders --state pending
  carillon event deliveries orders --from 2026-11-24T04:00:00Z
  carillon event attempts orders EVENT")]
pub struct Deliveries {
    #[command(flatten)]
    of: Subscription,
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    #[command(flatten)]
    listing: Listing,
}

/// How a list is printed.
#[derive(Debug, Args)]
pub(super) struct Listing {
    /// Only those of events accepted from this time on, RFC 3339
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print each as a line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Waiting, for its first attempt or for the next
    Pending,
    /// Taken by the receiver
    Delivered,
    /// Given up, and soon to be written to the dead letters
    Dead,
    /// Given up, and written to the dead letters
    #[value(name = "dead_lettered")]
    DeadLettered,
    /// Given up, and in no dead letters
    Dropped,
}

/// Show the attempts at delivering an event.
///
/// When each was, how long it took and what the receiver answered. An event that was taken at once leaves none.
#[derive(Debug, Args)]
pub struct Attempts {
    #[command(flatten)]
    of: Subscription,
    /// The event's id, as `deliveries` lists it and aeg-output-event-id tells the receiver; or its publisher's
    event: String,
    /// Print each as a line of JSON, with its request and answer
    #[arg(long)]
    json: bool,
}

/// Say why an event was or was not delivered.
///
/// Which part of the subscription's filter says no, or how far the delivery is.
#[derive(Debug, Args)]
pub struct Why {
    #[command(flatten)]
    of: Subscription,
    /// The event's id, as `deliveries` lists it; or its publisher's, as `publish` prints it
    event: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Deliveries {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let state = self.state.and_then(|state| state.to_possible_value());
        let state = state.as_ref().map(clap::builder::PossibleValue::get_name);
        self.listing.show(&self.of, "deliveries", state).await
    }
}

impl Listing {
    /// Prints the deliveries that stand below a subscription.
    pub(super) async fn show(
        &self,
        of: &Subscription,
        below: &str,
        state: Option<&str>,
    ) -> Result<()> {
        let client = of.client()?;
        let found = of.find(&client).await?;
        let mut seen = 0;
        let show = |delivery: &Value| {
            match self.json {
                true => say!("{delivery}")?,
                false => say!("{}", in_a_line(delivery))?,
            }
            seen += 1;
            Ok(self.count != Some(seen))
        };
        let mut only: Vec<_> = self
            .from
            .iter()
            .map(|from| ("from", from.as_str()))
            .collect();
        only.extend(state.map(|state| ("state", state)));
        found.each(below, &only, show).await?;
        if seen == 0 && !self.json {
            eprintln!("There are none.");
        }
        Ok(())
    }
}

impl Attempts {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let client = self.of.client()?;
        let found = self.of.find(&client).await?;
        let below = format!("deliveries/{}/attempts", self.event);
        let attempts = found.get(&below, &[]).await?;
        let attempts = attempts["value"].as_array().cloned().unwrap_or_default();
        for attempt in &attempts {
            match self.json {
                true => say!("{attempt}")?,
                false => say!("{}", an_attempt(attempt))?,
            }
        }
        if attempts.is_empty() && !self.json {
            eprintln!("There is none: no attempt was made yet, or the first one was taken.");
        }
        Ok(())
    }
}

impl Why {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let client = self.of.client()?;
        let found = self.of.find(&client).await?;
        let body = json!({ "event": self.event });
        let why = found.post("explain", &body).await?;
        if self.json {
            say!("{why}")?;
            return Ok(());
        }
        say!("event     {}", text(&why, "event"))?;
        say!("type      {}", text(&why, "eventType"))?;
        say!("subject   {}", text(&why, "subject"))?;
        say!("accepted  {}", text(&why, "publishTime"))?;
        match why["because"].as_str() {
            None => say!("wanted    yes")?,
            Some(because) => say!("wanted    no: {because}")?,
        }
        match &why["delivery"] {
            Value::Null => say!("delivery  none")?,
            delivery => say!(
                "delivery  {}: {}",
                text(delivery, "state"),
                so_far(delivery)
            )?,
        }
        Ok(())
    }
}

/// A delivery in a list, with what its event is about.
fn in_a_line(delivery: &Value) -> String {
    let text = |name| text(delivery, name);
    format!(
        "{}  {:<13}  {}  {}  {}",
        text("event"),
        text("state"),
        text("eventType"),
        text("subject"),
        so_far(delivery)
    )
}

/// How far a delivery is: `2 attempts, 503 Busy at …, next at …`.
fn so_far(delivery: &Value) -> String {
    let text = |name: &str| delivery[name].as_str().map(str::to_owned);
    let attempts = match delivery["attempts"].as_u64() {
        Some(1) => "1 attempt".to_owned(),
        attempts => format!("{} attempts", attempts.unwrap_or_default()),
    };
    let status = delivery["lastHttpStatusCode"].as_u64();
    let last = [
        status.map(|status| status.to_string()),
        text("lastDeliveryOutcome").filter(|outcome| outcome != "Delivered"),
        text("lastDeliveryAttemptTime").map(|at| format!("at {at}")),
    ];
    let last: Vec<_> = last.into_iter().flatten().collect();
    let facts = [
        Some(attempts),
        Some(last.join(" ")),
        text("deadLetterReason"),
        text("dueTime").map(|due| format!("next at {due}")),
    ];
    let facts = facts.into_iter().flatten();
    let facts: Vec<_> = facts.filter(|fact| !fact.is_empty()).collect();
    facts.join(", ")
}

fn an_attempt(attempt: &Value) -> String {
    let took = attempt["milliseconds"].as_f64().unwrap_or_default();
    let (number, at) = (&attempt["attempt"], text(attempt, "time"));
    let words = [
        attempt["status"].as_u64().map(|status| status.to_string()),
        Some(text(attempt, "outcome").to_owned()),
        attempt["error"].as_str().map(|error| format!("({error})")),
    ];
    let words: Vec<_> = words.into_iter().flatten().collect();
    format!("{number:>2}  {at}  in {took:.1} ms  {}", words.join(" "))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}
