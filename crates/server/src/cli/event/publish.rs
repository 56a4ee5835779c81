//! `carillon event publish`: an event from the shell, in whatever schema the topic takes.

use std::path::Path;

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use service::{Clock, Random};
use wire::event::InputSchema;

use crate::cli::client::{Client, Target};
use crate::cli::control::{API_VERSION, Control};
use crate::cli::json::error_of;
use crate::data_dir::cannot;
use crate::failure::{Failure, Result};

/// Publish an event to a topic, in the schema that it takes.
///
/// The topic's key is looked up in the control plane unless it is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  carillon event publish '{\"n\":1}' --type Contoso.Ordered --subject /orders/1
  carillon event publish @event.json --topic orders")]
pub struct Publish {
    /// The event's data: JSON, or @FILE; for a topic with a custom schema the whole event [default: {}]
    data: Option<String>,
    /// The event's type
    #[arg(long = "type", value_name = "TYPE", default_value = "Carillon.Test")]
    kind: String,
    /// The event's subject
    #[arg(long, value_name = "TEXT", default_value = "carillon/test")]
    subject: String,
    /// The event's id [default: a new one]
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// Publish it so many times, in one request
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=5000))]
    count: u16,
    /// The topic's name [default: the one in env.json]
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// One of the topic's keys, for whoever is not signed in; `-` reads it from standard input
    #[arg(long, value_name = "KEY", requires = "topic")]
    key: Option<String>,
    #[command(flatten)]
    target: Target,
}

impl Publish {
    pub(in crate::cli) async fn run(self) -> Result<()> {
        let client = self.target.find()?;
        let (path, key) = self.topic(&client).await?;
        let schema = schema(&client, &path).await?;
        let data = self.data()?;
        let events: Vec<Value> = (0..self.count).map(|_| self.event(schema, &data)).collect();
        let content_type = match schema {
            InputSchema::CloudEvent => "application/cloudevents-batch+json; charset=utf-8",
            InputSchema::EventGrid | InputSchema::Custom => "application/json",
        };
        let request = client
            .http
            .post(client.url(&path)?)
            .header("aeg-sas-key", key)
            .header("content-type", content_type)
            .body(json!(events).to_string());
        let began = Clock::System.instant();
        let response = request.send().await;
        let response = response.map_err(|error| client.unreachable(&error))?;
        let took = Clock::System.instant().duration_since(began).as_secs_f64() * 1_000.0;
        let status = response.status();
        if !status.is_success() {
            let text = response.text().await.unwrap_or_default();
            return Err(Failure::failed(format!(
                "the topic answers {status}{}",
                error_of(&text)
            )));
        }
        let ids = events.iter().filter_map(|event| event["id"].as_str());
        let words: Vec<&str> = match self.count {
            1 => ids.collect(),
            _ => Vec::new(),
        };
        let words = match words.first() {
            Some(id) => format!("event {id}"),
            None => format!("{} events", self.count),
        };
        say!("published {took:>8.1} ms  {words}")?;
        Ok(())
    }

    /// The path of the topic, and its key.
    async fn topic(&self, client: &Client) -> Result<(String, String)> {
        let seeded = client.environment.as_ref();
        let seeded = seeded.and_then(|environment| environment.eventgrid.as_ref());
        let path = |name: &str| format!("/topics/{name}/api/events?{DATA_VERSION}");
        match (&self.topic, &self.key, seeded) {
            (Some(name), Some(key), _) => Ok((path(name), crate::cli::stdin_if_dash(key)?)),
            (Some(name), None, _) => Ok((path(name), key_of(client, name).await?)),
            (None, _, Some(topic)) => Ok((
                format!("{}?{DATA_VERSION}", topic.endpoint),
                topic.key.clone(),
            )),
            _ => Err(Failure::usage("there is no topic in the server's env.json")
                .way_out("name one with --topic NAME")),
        }
    }

    fn data(&self) -> Result<Value> {
        let text = match self.data.as_deref() {
            Some(text) => match text.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file)
                    .map_err(|error| cannot("read", Path::new(file), &error))?,
                None => text.to_owned(),
            },
            None => "{}".to_owned(),
        };
        serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("the data is no JSON: {error}")))
    }

    fn event(&self, schema: InputSchema, data: &Value) -> Value {
        let id = self.id.clone();
        let id = id.unwrap_or_else(|| Random::System.uuid().to_string());
        let now = Clock::System.now().rfc3339_millis();
        let (kind, subject) = (&self.kind, &self.subject);
        match schema {
            InputSchema::EventGrid => json!({
                "id": id, "eventType": kind, "subject": subject, "eventTime": now,
                "data": data, "dataVersion": "1.0",
            }),
            InputSchema::CloudEvent => json!({
                "specversion": "1.0", "id": id, "type": kind, "source": "/carillon/event",
                "subject": subject, "time": now, "data": data,
            }),
            InputSchema::Custom => data.clone(),
        }
    }
}

/// A key of the topic with this name.
async fn key_of(client: &Client, name: &str) -> Result<String> {
    let control = Control::new(client).await?;
    let topics = control.named("topics", name).await?;
    let id = topics.first().ok_or_else(|| {
        Failure::failed(format!("there is no topic {name}"))
            .way_out("docs/events.md shows how to make one")
    })?;
    let path = format!("{id}/listKeys?{API_VERSION}");
    let keys = control.send(Method::POST, &path, None).await?;
    Ok(keys["key1"].as_str().unwrap_or_default().to_owned())
}

/// The schema that a topic takes, as it says itself.
async fn schema(client: &Client, path: &str) -> Result<InputSchema> {
    let request = client.http.request(Method::OPTIONS, client.url(path)?);
    let response = request.send().await;
    let response = response.map_err(|error| client.unreachable(&error))?;
    let status = response.status();
    let said = response.headers().get("aeg-input-event-schema");
    let said = said.and_then(|name| name.to_str().ok());
    let known = [
        InputSchema::EventGrid,
        InputSchema::CloudEvent,
        InputSchema::Custom,
    ];
    known
        .into_iter()
        .find(|schema| said == Some(schema.name()))
        .ok_or_else(|| Failure::failed(format!("there is no such topic: {status}")))
}

/// The version of the publishers' requests.
const DATA_VERSION: &str = "api-version=2018-01-01";
