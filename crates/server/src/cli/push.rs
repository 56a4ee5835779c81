//! `carillon push`: a direct send through a hub, with the provider's answer.

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use service::Clock;
use wire::arm::connection_string::ConnectionString;
use wire::auth::sas;

use super::client::{Client, Target};
use crate::data_dir::cannot;
use crate::failure::{Failure, Result};

/// How long the server waits for the provider.
const WAIT: u64 = 60;
/// How long the signature is good for.
const SAS_LIFE: Duration = Duration::from_secs(300);

/// Send a notification to one device, through a hub, and wait for the platform's answer.
#[derive(Debug, Args)]
pub struct Push {
    /// The device's token
    #[arg(long, value_name = "TOKEN")]
    handle: String,
    /// Whose token it is
    #[arg(long, value_enum)]
    platform: Platform,
    /// The payload: JSON, or @FILE [default: a short text]
    payload: Option<String>,
    /// The hub's connection string, with the right to send [default: the one in env.json]
    #[arg(long, value_name = "TEXT", requires = "hub")]
    connection_string: Option<String>,
    /// The hub's name
    #[arg(long, value_name = "NAME", requires = "connection_string")]
    hub: Option<String>,
    /// Add a header of the send, "Name: value", e.g. "X-Apns-Push-Type: voip"
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = super::verb::parse_header)]
    headers: Vec<(http::HeaderName, http::HeaderValue)>,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Platform {
    /// Apple
    Apns,
    /// Google
    Fcm,
}

impl Push {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.target.find()?;
        let (connection, hub) = self.hub(&client)?;
        let path = format!("/{hub}/messages?direct&api-version=2015-04");
        let resource = format!("https://{}/{hub}", connection.host);
        let expires = (Clock::System.now() + SAS_LIFE).secs();
        let (format, default) = match self.platform {
            Platform::Apns => ("apple", r#"{"aps":{"alert":"Hello from Carillon"}}"#),
            Platform::Fcm => (
                "fcmv1",
                r#"{"message":{"notification":{"body":"Hello from Carillon"}}}"#,
            ),
        };
        let payload = match self.payload.as_deref() {
            Some(text) => match text.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file)
                    .map_err(|error| cannot("read", Path::new(file), &error))?,
                None => text.to_owned(),
            },
            None => default.to_owned(),
        };
        let mut request = client
            .http
            .post(client.url(&path)?)
            .header(
                "authorization",
                sas::Key::new(&connection.key).sign(&connection.key_name, &resource, expires),
            )
            .header("servicebusnotification-format", format)
            .header("servicebusnotification-devicehandle", &self.handle)
            .header("content-type", "application/json;charset=utf-8")
            .header("prefer", format!("wait={WAIT}"));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        self.send(&client, request.body(payload), &connection, &hub)
            .await
    }

    fn hub(&self, client: &Client) -> Result<(ConnectionString, String)> {
        let seeded = client
            .environment
            .as_ref()
            .and_then(|environment| environment.hub.as_ref());
        let (text, hub) = match (&self.connection_string, &self.hub, seeded) {
            (Some(text), Some(hub), _) => (text.as_str(), hub.clone()),
            (_, _, Some(hub)) => (hub.connection_strings.full.as_str(), hub.name.clone()),
            _ => {
                return Err(Failure::usage("there is no hub in the server's env.json")
                    .way_out("name one with --hub NAME --connection-string TEXT"));
            }
        };
        let connection = ConnectionString::parse(text)
            .map_err(|error| Failure::usage(format!("the connection string is wrong: {error}")))?;
        Ok((connection, hub))
    }

    async fn send(
        &self,
        client: &Client,
        request: reqwest::RequestBuilder,
        connection: &ConnectionString,
        hub: &str,
    ) -> Result<()> {
        // Drawn on a terminal only.
        let spinner = ProgressBar::new_spinner().with_message("waiting for the platform's answer");
        spinner.enable_steady_tick(Duration::from_millis(100));
        let began = Clock::System.instant();
        let response = request
            .send()
            .await
            .map_err(|error| client.unreachable(&error))?;
        let took = Clock::System.instant().duration_since(began).as_secs_f64() * 1_000.0;
        spinner.finish_and_clear();
        let status = response.status();
        let location = response
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let text = response
            .text()
            .await
            .map_err(|error| client.unreachable(&error))?;
        if !status.is_success() {
            return Err(Failure::failed(format!(
                "the hub answers {status}: {}",
                detail(&text)
            )));
        }
        let id = location
            .split('?')
            .next()
            .and_then(|path| path.rsplit('/').next())
            .unwrap_or_default();
        say!("sent     {took:>8.1} ms  notification {id}")?;
        let delivery = self.delivery(client, connection, hub, id).await?;
        let took = delivery["latencyInMs"].as_f64().unwrap_or(took);
        let text = |name: &str| delivery[name].as_str().unwrap_or_default();
        say!(
            "answered {took:>8.1} ms  {} {} {}",
            text("outcome"),
            delivery["status"],
            text("reason")
        )?;
        match text("outcome") {
            "Success" => Ok(()),
            _ => Err(Failure::failed(
                "the platform did not take the notification",
            )),
        }
    }

    /// What became of it, by the hub's own record.
    async fn delivery(
        &self,
        client: &Client,
        connection: &ConnectionString,
        hub: &str,
        id: &str,
    ) -> Result<serde_json::Value> {
        let resource = format!("https://{}/{hub}", connection.host);
        let expires = (Clock::System.now() + SAS_LIFE).secs();
        let path = format!("/{hub}/messages/{id}/deliveries?api-version=2015-04");
        let sas = sas::Key::new(&connection.key).sign(&connection.key_name, &resource, expires);
        let request = client
            .http
            .get(client.url(&path)?)
            .header("authorization", sas);
        let response = request
            .send()
            .await
            .map_err(|error| client.unreachable(&error))?;
        let status = response.status();
        let text = response
            .text()
            .await
            .map_err(|error| client.unreachable(&error))?;
        let body: serde_json::Value = serde_json::from_str(&text).map_err(|_| {
            Failure::failed(format!(
                "the hub answers {status} when asked for the deliveries: {}",
                text.trim()
            ))
        })?;
        Ok(body["deliveries"][0].clone())
    }
}

/// What a hub's error says: `<Error><Code/><Detail/></Error>` without its tracking id.
fn detail(xml: &str) -> String {
    let detail = xml.split_once("<Detail>").map_or(xml, |(_, rest)| rest);
    let detail = detail.split("</Detail>").next().unwrap_or_default();
    let detail = detail.split(".TrackingId:").next().unwrap_or_default();
    [
        ("&apos;", "'"),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(detail.trim().to_owned(), |text, (entity, plain)| {
        text.replace(entity, plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hubs_error_is_a_sentence() {
        let xml = "<Error><Code>400</Code><Detail>SubCode=40000. &apos;a&amp;lt;&apos; is wrong.TrackingId:1,TimeStamp:2</Detail></Error>";
        assert_eq!(detail(xml), "SubCode=40000. 'a&lt;' is wrong");
        assert_eq!(detail("upstream is down"), "upstream is down");
    }
}
