//! `carillon demo`: everything in one process, two phones, a call that wakes them, and a webhook that is told of it.
//!
//! It uses its own server as anybody would: over HTTPS, with the control plane's link request and an app's tokens.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use domain::time::Timestamp;
use http::Method;
use serde_json::{Value, json};
use service::Clock;

use super::client::Client;
use super::control::{Control, to_webhook};
use super::data_plane::{DataPlane, Phone, User, Webhook};
use super::login;
use crate::app::{Mode, Server};
use crate::config::{Config, LogFormat};
use crate::environment::Environment;
use crate::failure::{Failure, Result};
use crate::{lifecycle, telemetry};

/// The events that must reach the webhook.
const EVENTS: [&str; 4] = [
    "IncomingCall",
    "CallStarted",
    "CallParticipantAdded",
    "CallEnded",
];
/// How long a provider's answer may take to be recorded.
const SETTLE: Duration = Duration::from_secs(2);

/// Ring two phones, and show what happens when.
///
/// Starts a server and its device lab on free ports and an empty temporary directory, links a notification hub,
/// registers an iPhone and an Android phone for a user, subscribes a webhook to the events of calls, places a call,
/// and answers it on the iPhone. Then it keeps serving until Ctrl-C.
#[derive(Debug, Args)]
pub struct Demo {
    /// End after the call: with 0 if every phone rang and every event arrived, else with 1
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
        let stop = lifecycle::stop_wanted()?;
        let start = Server::start(&config, Mode::Dev, telemetry::start_metrics()?);
        let Some(server) = stop.run_until_cancelled(start).await.transpose()? else {
            return Ok(());
        };
        let took = Clock::System.instant().duration_since(began);
        let show = async {
            let dir = dir.path().display();
            say!("Carillon is ready after {} ms, in {dir}", took.as_millis())?;
            show(&server.environment).await
        };
        let shown = stop.run_until_cancelled(show).await;
        if matches!(shown, Some(Ok(()))) && !self.once {
            // It serves, heard or not.
            let _ = addresses(&server.environment);
            stop.cancelled().await;
        }
        server.stop().await;
        shown.unwrap_or_else(|| Err(Failure::failed("interrupted")))
    }
}

async fn show(environment: &Environment) -> Result<()> {
    let client = Client::of(environment.clone())?;
    let data = DataPlane::new(&client);
    link(&client, environment).await?;
    let alice = data.new_user().await?;
    let (bob, [iphone, android]) = data.new_user_with_phones().await?;
    let webhook = subscribe(&client, &data, environment).await?;
    say!(
        "The hub is linked, an iPhone and an Android phone are registered for one user, and a webhook wants the events.\n"
    )?;

    let timeline = Timeline::start();
    let call = json!({ "targets": [{ "rawId": bob.id }], "displayName": "Alice" });
    let call = data
        .by(&alice, Method::POST, "/calling/calls", Some(&call))
        .await?;
    let id = call["id"].as_str().unwrap_or_default();
    timeline.line("accepted", &format!("call {id}"))?;
    // The events come in beside the rest, until the last one.
    let (events, rang) = tokio::join!(
        events(&data, &timeline, &webhook),
        answered(&data, &timeline, [&alice, &bob], id, [&iphone, &android]),
    );
    let (events, rang) = (events?, rang?);
    match (rang, events) {
        ([Some(_), Some(_)], true) => Ok(()),
        ([Some(_), Some(_)], false) => Err(Failure::failed("not every event was delivered")),
        _ => Err(Failure::failed("not every phone rang")),
    }
}

/// The call rings, is answered on the first phone, and ends; which notification rang each phone.
async fn answered(
    data: &DataPlane<'_>,
    timeline: &Timeline,
    [alice, bob]: [&User; 2],
    id: &str,
    [iphone, android]: [&Phone; 2],
) -> Result<[Option<u64>; 2]> {
    let (first, second) = tokio::join!(
        ring(data, timeline, alice, id, iphone),
        ring(data, timeline, alice, id, android),
    );
    let rang = [first?, second?];
    let answer = json!({ "endpoint": iphone.name });
    data.by(
        bob,
        Method::POST,
        &format!("/calling/calls/{id}:accept"),
        Some(&answer),
    )
    .await?;
    timeline.line("answered", "on the iPhone")?;
    if let Some(seq) = rang[1]
        && let Some(stop) = data.notification(android, seq).await?
    {
        let reason = stop["payload"]["data"]["reason"]
            .as_str()
            .unwrap_or_default();
        timeline.line("stopped", &format!("Android  {reason}"))?;
    }
    data.by(
        alice,
        Method::POST,
        &format!("/calling/calls/{id}:hangUp"),
        None,
    )
    .await?;
    timeline.line("hung up", "")?;
    Ok(rang)
}

/// A webhook of the lab that is subscribed to the events of the communication resource.
async fn subscribe(
    client: &Client,
    data: &DataPlane<'_>,
    environment: &Environment,
) -> Result<Webhook> {
    let communication = environment.communication.as_ref();
    let communication = communication.ok_or_else(|| {
        Failure::failed("the server has no communication resource to subscribe to")
    })?;
    let webhook = data.new_webhook("demo").await?;
    let control = Control::new(client).await?;
    control
        .subscribe(
            &communication.resource_id,
            "demo",
            &to_webhook(&webhook.url),
        )
        .await?;
    Ok(webhook)
}

/// Shows the events of a call as they arrive at `webhook`; whether all that were wanted came.
async fn events(data: &DataPlane<'_>, timeline: &Timeline, webhook: &Webhook) -> Result<bool> {
    let mut missing = EVENTS.to_vec();
    let mut after = 0;
    while !missing.is_empty() {
        let requests = data.webhook_requests(webhook, after).await?;
        if requests.is_empty() {
            break;
        }
        for request in requests {
            after = request["seq"].as_u64().unwrap_or(after);
            for event in request["body"].as_array().into_iter().flatten() {
                let kind = event["eventType"].as_str().unwrap_or_default();
                let kind = kind.strip_prefix("Microsoft.Communication.");
                let Some(kind) = kind else { continue };
                timeline.line(
                    "event",
                    &format!("{kind:<22} {}", on_its_way(event, &request)),
                )?;
                if let Some(place) = missing.iter().position(|wanted| *wanted == kind) {
                    missing.remove(place);
                }
            }
        }
    }
    for kind in &missing {
        timeline.line("missing", kind)?;
    }
    Ok(missing.is_empty())
}

/// How long an event was on its way to the webhook, in words.
pub fn on_its_way(event: &Value, request: &Value) -> String {
    let at = |value: &Value| Timestamp::parse(value.as_str()?);
    match (at(&event["eventTime"]), at(&request["receivedAt"])) {
        (Some(happened), Some(received)) => {
            let took = received.since(happened).as_secs_f64() * 1_000.0;
            format!("in {took:.1} ms")
        }
        _ => String::new(),
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
        timeline.line("silent", phone.name)?;
        return Ok(None);
    };
    timeline.line("rang", phone.name)?;
    let delivery = settled(data, caller, call, phone).await?;
    timeline.line(
        "pushed",
        &format!("{:<8} {}", phone.name, described(&delivery)),
    )?;
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
    pub fn line(&self, what: &str, detail: &str) -> Result<()> {
        let ms = Clock::System
            .instant()
            .duration_since(self.began)
            .as_secs_f64()
            * 1_000.0;
        let (on, off) = match (self.colour, what) {
            (false, _) => ("", ""),
            (true, "rang" | "answered") => ("\x1b[1;32m", "\x1b[0m"),
            (true, "silent" | "missing") => ("\x1b[1;31m", "\x1b[0m"),
            (true, _) => ("\x1b[1m", "\x1b[0m"),
        };
        let _one = self.out.lock();
        say!("{ms:>9.1} ms  {on}{what:<9}{off} {detail}")
    }
}

fn addresses(environment: &Environment) -> Result<()> {
    say!("\nStill serving; Ctrl-C ends it.")?;
    say!(
        "  https  {}",
        environment.base_url.as_deref().unwrap_or_default()
    )?;
    say!("  http   {}", environment.http_url)?;
    if let Some(dir) = environment.ca_file.as_ref().and_then(|file| file.parent()) {
        say!(
            "In another shell: eval \"$(carillon env --data-dir {})\"",
            dir.display()
        )?;
    }
    Ok(())
}
