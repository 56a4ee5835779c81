//! `carillon call`: a call from the shell, with how each device was rung.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use service::Clock;

use super::client::Target;
use super::data_plane::{DataPlane, User};
use super::demo::{Timeline, described};
use crate::failure::{Failure, Result};
use crate::lifecycle;

/// How often to look how the call stands.
const PAUSE: Duration = Duration::from_millis(100);

/// Place a call, show how each device is rung, and hang up once it is answered.
#[derive(Debug, Args)]
pub struct Call {
    /// Whom to call: a communication user id, 8:acs:…
    #[arg(required_unless_present = "lab_phones", value_name = "USER")]
    to: Vec<String>,
    /// Call a new user who has an iPhone and an Android phone of the device lab
    #[arg(long, conflicts_with = "to")]
    lab_phones: bool,
    /// The caller's access token [default: that of a new user]
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// The caller's name, as the phones show it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Call with video
    #[arg(long)]
    video: bool,
    /// Ring for this many seconds, 5 to 120
    #[arg(long, value_name = "SECONDS")]
    ring_timeout: Option<u64>,
    #[command(flatten)]
    target: Target,
}

impl Call {
    pub(super) async fn run(mut self) -> Result<()> {
        let client = self.target.find()?;
        let data = DataPlane::new(&client);
        if self.lab_phones {
            let (callee, _) = data.new_user_with_phones().await?;
            self.to.push(callee.id);
        }
        let caller = match &self.token {
            Some(token) => User::new(String::new(), super::stdin_if_dash(token)?),
            None => data.new_user().await?,
        };
        let timeline = Timeline::start();
        let stop = lifecycle::stop_wanted()?;
        let call = data
            .by(&caller, Method::POST, "/calling/calls", Some(&self.body()))
            .await?;
        let id = call["id"].as_str().unwrap_or_default().to_owned();
        let watched = tokio::select! {
            watched = watch(&data, &timeline, &caller, &id) => watched,
            () = stop.cancelled() => interrupted(&data, &timeline, &caller, &id).await,
        };
        // Whatever happened, nothing goes on ringing. One that has ended by itself says so, which is no failure.
        let _ = data
            .by(
                &caller,
                Method::POST,
                &format!("/calling/calls/{id}:hangUp"),
                None,
            )
            .await;
        match watched? {
            true => Ok(()),
            false => Err(Failure::failed("no device was rung")
                .way_out("the lines above say why for each device")),
        }
    }

    fn body(&self) -> Value {
        let targets: Vec<_> = self.to.iter().map(|id| json!({ "rawId": id })).collect();
        let mut body = json!({ "targets": targets, "video": self.video });
        if let Some(name) = &self.name {
            body["displayName"] = json!(name);
        }
        if let Some(seconds) = self.ring_timeout {
            body["ringTimeoutInSeconds"] = json!(seconds);
        }
        body
    }
}

/// Shows what becomes of the call until it no longer rings; whether any device was rung.
async fn watch(data: &DataPlane<'_>, timeline: &Timeline, caller: &User, id: &str) -> Result<bool> {
    timeline.line("accepted", &format!("call {id}"))?;
    // Drawn on a terminal only.
    let spinner = ProgressBar::new_spinner().with_message("ringing; Ctrl-C hangs up");
    spinner.enable_steady_tick(PAUSE);
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let call = data
            .by(caller, Method::GET, &format!("/calling/calls/{id}"), None)
            .await?;
        let deliveries = data.deliveries(caller, id).await?;
        for delivery in deliveries
            .iter()
            .filter(|delivery| delivery["state"] != "pending")
        {
            let key = format!("{} {}", delivery["event"], delivery["endpoint"]);
            let words = format!(
                "{} {}",
                delivery["endpoint"].as_str().unwrap_or_default(),
                described(delivery)
            );
            let words = words.trim().to_owned();
            if shown.get(&key) != Some(&words) {
                spinner.suspend(|| timeline.line(event(delivery), &words))?;
                shown.insert(key, words);
            }
        }
        if call["state"] != "ringing" {
            spinner.finish_and_clear();
            timeline.line(&ending(&call), "")?;
            return Ok(deliveries.iter().any(was_rung));
        }
        Clock::System.sleep(PAUSE).await;
    }
}

/// Whether any device was rung until the caller had enough.
async fn interrupted(
    data: &DataPlane<'_>,
    timeline: &Timeline,
    caller: &User,
    id: &str,
) -> Result<bool> {
    timeline.line("hung up", "")?;
    Ok(data.deliveries(caller, id).await?.iter().any(was_rung))
}

fn event(delivery: &Value) -> &'static str {
    match (delivery["event"].as_str(), delivery["state"].as_str()) {
        (_, Some("notSent")) => "not sent",
        (Some("IncomingCall") | None, _) => "pushed",
        (Some(_), _) => "stopped",
    }
}

fn was_rung(delivery: &Value) -> bool {
    matches!(delivery["state"].as_str(), Some("accepted" | "sent"))
}

fn ending(call: &Value) -> String {
    match (call["state"].as_str(), call["endReason"].as_str()) {
        (Some("connected"), _) => "answered".to_owned(),
        (_, Some(reason)) => reason.to_owned(),
        _ => "ended".to_owned(),
    }
}
