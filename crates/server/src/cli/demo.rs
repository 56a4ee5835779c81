//! `carillon demo`: everything in one process, two phones, and a call that wakes them.
//!
//! It uses its own server as anybody would: over HTTPS, with the control plane's link request and an app's tokens.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use http::Method;
use serde_json::{Value, json};
use service::Clock;

use super::client::Client;
use super::data_plane::{DataPlane, Phone, User};
use super::login;
use crate::app::{Mode, Server};
use crate::config::{Config, LogFormat};
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::{lifecycle, telemetry};

/// How long a provider's answer may take to be recorded.
const SETTLE: Duration = Duration::from_secs(2);

/// Ring two phones, and show what happens when.
///
/// Starts a server and its device lab on free ports and an empty temporary directory, links a notification hub,
/// registers an iPhone and an Android phone for a user, places a call, and answers it on the iPhone. Then it keeps
/// serving until Ctrl-C.
#[derive(Debug, Args)]
pub struct Demo {
    /// End after the call: with 0 if every phone rang, else with 1
    #[arg(long)]
    once: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<()> {
        telemetry::start_logs(Some(LogFormat::Pretty), Some("warn"))?;
        let dir = tempfile::tempdir().map_err(|error| {
            Failure::failed(format!("there is no temporary directory: {error}"))
        })?;
        let free = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        let config = Config {
            data_dir: dir.path().to_owned(),
            listen: free,
            http: free,
            ..Config::default()
        };
        let began = Clock::System.instant();
        let server = Server::start(&config, Mode::Dev, telemetry::start_metrics()?).await?;
        let took = Clock::System.instant().duration_since(began);
        println!(
            "Carillon is ready after {} ms, in {}",
            took.as_millis(),
            dir.path().display()
        );
        let rang = show(&server.environment).await;
        if rang.is_ok() && !self.once {
            addresses(&server.environment);
            lifecycle::stop_wanted().await?;
        }
        server.stop().await;
        rang
    }
}

async fn show(environment: &Environment) -> Result<()> {
    let client = Client::of(environment.clone())?;
    let data = DataPlane::new(&client);
    link(&client, environment).await?;
    let alice = data.new_user().await?;
    let (bob, [iphone, android]) = data.new_user_with_phones().await?;
    println!(
        "The hub is linked, and an iPhone and an Android phone are registered for one user.\n"
    );

    let timeline = Timeline::start();
    let call = json!({ "targets": [{ "rawId": bob.id }], "displayName": "Alice" });
    let call = data
        .by(&alice, Method::POST, "/calling/calls", Some(&call))
        .await?;
    let id = call["id"].as_str().unwrap_or_default();
    timeline.line("accepted", &format!("call {id}"));
    let (first, second) = tokio::join!(
        ring(&data, &timeline, &alice, id, &iphone),
        ring(&data, &timeline, &alice, id, &android),
    );
    let rang = [first?, second?];
    let answer = json!({ "endpoint": iphone.name });
    data.by(
        &bob,
        Method::POST,
        &format!("/calling/calls/{id}:accept"),
        Some(&answer),
    )
    .await?;
    timeline.line("answered", "on the iPhone");
    if let Some(seq) = rang[1]
        && let Some(stop) = data.notification(&android, seq).await?
    {
        let reason = stop["payload"]["data"]["reason"]
            .as_str()
            .unwrap_or_default();
        timeline.line("stopped", &format!("Android  {reason}"));
    }
    data.by(
        &alice,
        Method::POST,
        &format!("/calling/calls/{id}:hangUp"),
        None,
    )
    .await?;
    timeline.line("hung up", "");
    match rang {
        [Some(_), Some(_)] => Ok(()),
        _ => Err(Failure::failed("not every phone rang")),
    }
}

/// Links the hub to the communication resource, with the document's request.
async fn link(client: &Client, environment: &Environment) -> Result<()> {
    let (Some(communication), Some(hub)) = (&environment.communication, &environment.hub) else {
        return Err(Failure::failed(
            "the server has no communication resource and hub to link",
        ));
    };
    let path = format!(
        "{}/linkNotificationHub?api-version=2020-08-20-preview",
        communication.resource_id
    );
    let body = format!(
        "{{'connectionString': '{}','resourceId': '{}'}}",
        hub.connection_strings.send, hub.resource_id
    );
    let request = client
        .http
        .post(client.url(&path)?)
        .bearer_auth(login::token(client).await?);
    let response = request
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await;
    let response = response.map_err(|error| client.unreachable(&error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let text = response.text().await.unwrap_or_default();
    Err(Failure::failed(format!(
        "the hub cannot be linked: {status}{}",
        super::json::error_of(&text)
    )))
}

/// Waits until a phone rings; the number of the notification that rang it.
async fn ring(
    data: &DataPlane<'_>,
    timeline: &Timeline,
    caller: &User,
    call: &str,
    phone: &Phone,
) -> Result<Option<u64>> {
    let Some(notification) = data.notification(phone, 0).await? else {
        timeline.line("silent", phone.name);
        return Ok(None);
    };
    timeline.line("rang", phone.name);
    let delivery = settled(data, caller, call, phone).await?;
    timeline.line(
        "pushed",
        &format!("{:<8} {}", phone.name, described(&delivery)),
    );
    Ok(notification["seq"].as_u64())
}

/// The delivery to a phone that rang: its answer is recorded right behind the ring.
async fn settled(data: &DataPlane<'_>, caller: &User, call: &str, phone: &Phone) -> Result<Value> {
    let until = Clock::System.now() + SETTLE;
    loop {
        let deliveries = data.deliveries(caller, call).await?;
        let own = deliveries
            .into_iter()
            .find(|delivery| delivery["endpoint"] == phone.name);
        let delivery = own.unwrap_or_default();
        if delivery["state"] != "pending" || Clock::System.now() >= until {
            return Ok(delivery);
        }
        Clock::System.sleep(SETTLE / 100).await;
    }
}

/// One delivery in words: way, answer, attempts, latency.
pub fn described(delivery: &Value) -> String {
    let text = |name: &str| delivery[name].as_str().unwrap_or_default();
    let mut words = vec![text("platform").to_owned(), text("state").to_owned()];
    if let Some(status) = delivery["providerStatus"].as_u64() {
        words.push(status.to_string());
    }
    words.push(text("reason").to_owned());
    if let Some(attempts) = delivery["attempts"]
        .as_u64()
        .filter(|attempts| *attempts > 1)
    {
        words.push(format!("after {attempts} attempts"));
    }
    if let Some(latency) = delivery["latencyInMilliseconds"].as_f64() {
        words.push(format!("in {latency:.1} ms"));
    }
    // Its line says that already.
    words.retain(|word| !word.is_empty() && word != "notSent");
    words.join(" ")
}

/// Lines with the time since the call was placed.
pub struct Timeline {
    began: Instant,
    colour: bool,
    /// Two phones ring at once; their lines do not mix.
    out: Mutex<()>,
}

impl Timeline {
    /// Begins now.
    pub fn start() -> Self {
        let colour = io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            began: Clock::System.instant(),
            colour,
            out: Mutex::new(()),
        }
    }

    /// Something happened.
    pub fn line(&self, what: &str, detail: &str) {
        let ms = Clock::System
            .instant()
            .duration_since(self.began)
            .as_secs_f64()
            * 1_000.0;
        let (on, off) = match (self.colour, what) {
            (false, _) => ("", ""),
            (true, "rang" | "answered") => ("\x1b[1;32m", "\x1b[0m"),
            (true, "silent") => ("\x1b[1;31m", "\x1b[0m"),
            (true, _) => ("\x1b[1m", "\x1b[0m"),
        };
        let _one = self.out.lock();
        println!("{ms:>9.1} ms  {on}{what:<9}{off} {detail}");
    }
}

fn addresses(environment: &Environment) {
    println!("\nStill serving; Ctrl-C ends it.");
    println!(
        "  https  {}",
        environment.base_url.as_deref().unwrap_or_default()
    );
    println!("  http   {}", environment.http_url);
    if let Some(dir) = environment.ca_file.as_ref().and_then(|file| file.parent()) {
        println!(
            "In another shell: eval \"$(carillon env --data-dir {})\"",
            dir.display()
        );
    }
}
