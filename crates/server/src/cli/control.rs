//! The control plane as the commands use it: signed in once, JSON in and out.

use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::{Value, json};
use service::Clock;
use url::{Position, Url, form_urlencoded};

use super::client::Client;
use super::{json, login};
use crate::failure::{Failure, Result};

/// The version that every request to Event Grid names.
pub const API_VERSION: &str = "api-version=2025-02-15";
/// How soon to look whether an operation has ended …
const PAUSE: Duration = Duration::from_millis(20);
/// … and how seldom at last.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Whoever waits for longer is told what for.
const SOON: Duration = Duration::from_secs(2);

/// Requests to a control plane.
pub struct Control<'c> {
    client: &'c Client,
    token: String,
}

impl<'c> Control<'c> {
    /// Signs in to the server that `client` speaks to.
    pub async fn new(client: &'c Client) -> Result<Self> {
        let token = login::token(client).await?;
        Ok(Self { client, token })
    }

    /// The answer to a request; `Null` where it is empty.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (_, answer) = self.exchange(method, path, body).await?;
        Ok(answer)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(HeaderMap, Value)> {
        let mut request = self
            .client
            .http
            .request(method, self.client.url(path)?)
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await;
        let response = response.map_err(|error| self.client.unreachable(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await;
        let text = text.map_err(|error| self.client.unreachable(&error))?;
        if !status.is_success() {
            let who = match json::error_of(&text) {
                // Nothing else says what was asked.
                said if said.is_empty() => format!("{} answers {status}", bare(path)),
                said => format!("the server answers {status}{said}"),
            };
            return Err(Failure::failed(who));
        }
        if text.is_empty() {
            return Ok((headers, Value::Null));
        }
        let answer = serde_json::from_str(&text).map_err(|error| {
            let path = bare(path);
            Failure::failed(format!("{path} does not answer JSON: {error}"))
        })?;
        Ok((headers, answer))
    }

    /// The resource ids of the topics or event subscriptions with this name, in any group.
    pub async fn named(&self, kind: &str, name: &str) -> Result<Vec<String>> {
        let filter = format!("name eq '{}'", name.replace('\'', "''"));
        let filter: String = form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let query = format!("&$filter={filter}");
        self.each_of(kind, &query, "id").await
    }

    /// The names of some of them.
    pub async fn names(&self, kind: &str, most: usize) -> Result<Vec<String>> {
        self.each_of(kind, &format!("&$top={most}"), "name").await
    }

    async fn each_of(&self, kind: &str, query: &str, property: &str) -> Result<Vec<String>> {
        let subscription = self.subscription().await?;
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.EventGrid/{kind}?{API_VERSION}{query}"
        );
        let list = self.send(Method::GET, &path, None).await?;
        let items = list["value"].as_array().into_iter().flatten();
        Ok(items
            .filter_map(|item| item[property].as_str().map(str::to_owned))
            .collect())
    }

    /// The first subscription of the control plane.
    async fn subscription(&self) -> Result<String> {
        let environment = self.client.environment.as_ref();
        let known = environment.and_then(|environment| environment.control.as_ref());
        if let Some(control) = known {
            return Ok(control.subscription_id.clone());
        }
        let path = "/subscriptions?api-version=2022-12-01";
        let list = self.send(Method::GET, path, None).await?;
        let first = list["value"][0]["subscriptionId"].as_str();
        first
            .map(str::to_owned)
            .ok_or_else(|| Failure::failed("there is no subscription that this sign-in may see"))
    }

    /// Makes the event subscription `name` to the events of `source`, and waits until its webhook has said yes.
    pub async fn subscribe(&self, source: &str, name: &str, properties: &Value) -> Result<()> {
        let body = json!({ "properties": properties });
        let path = subscription(source, name);
        let (headers, _) = self.exchange(Method::PUT, &path, Some(&body)).await?;
        let operation = headers.get("azure-asyncoperation");
        let operation = operation.and_then(|url| Url::parse(url.to_str().ok()?).ok());
        match operation {
            Some(operation) => self.follow(&operation[Position::BeforePath..]).await,
            None => Ok(()),
        }
    }

    /// Waits for the end of an operation, which the server sets.
    async fn follow(&self, operation: &str) -> Result<()> {
        let began = Clock::System.now();
        let (mut pause, mut told) = (PAUSE, false);
        loop {
            let now = self.send(Method::GET, operation, None).await?;
            match now["status"].as_str() {
                Some("Succeeded") => return Ok(()),
                Some("InProgress") => {}
                _ => {
                    let why = now["error"]["message"].as_str().unwrap_or_default();
                    return Err(Failure::failed(why));
                }
            }
            if !told && Clock::System.now().since(began) > SOON {
                told = true;
                eprintln!(
                    "Waiting for the webhook: it may answer, or its owner visit the URL that it was sent."
                );
            }
            Clock::System.sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Deletes that subscription.
    pub async fn unsubscribe(&self, source: &str, name: &str) -> Result<()> {
        let path = subscription(source, name);
        self.send(Method::DELETE, &path, None).await.map(drop)
    }
}

/// What a subscription says whose events go to `endpoint`.
pub fn to_webhook(endpoint: &str) -> Value {
    json!({ "destination": { "endpointType": "WebHook", "properties": { "endpointUrl": endpoint } } })
}

fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

fn subscription(source: &str, name: &str) -> String {
    format!("{source}/providers/Microsoft.EventGrid/eventSubscriptions/{name}?{API_VERSION}")
}
