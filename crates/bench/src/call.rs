//! Calls through a running server to a sink, one after another: how fast a phone learns of one.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hdrhistogram::Histogram;
use http::Method;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use service::Clock;
use wire::auth::hmac;

use crate::machine::{Machine, cpu_time};
use crate::report::{Report, Row, micros};
use crate::rig::Rig;
use crate::server::Server;
use crate::sink::{Sink, now_micros};

/// How many calls.
#[derive(Args)]
pub struct Options {
    /// The server's program; it is started on an empty directory.
    #[arg(long, default_value = "target/release/carillon")]
    carillon: PathBuf,
    /// Calls in all, each to a user of its own with one iPhone.
    #[arg(long, default_value_t = 500)]
    count: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Places the calls and prints the report.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let Rig {
        runtime,
        mut sink,
        server,
    } = Rig::start(&options.carillon)?;
    let mut calls = Calls {
        answered: micros(),
        arrived: micros(),
    };
    let (mut took, mut cpu) = (Duration::ZERO, Duration::ZERO);
    let mut first = 0;
    runtime.block_on(async {
        link(&server).await?;
        let backend = Backend::of(&server)?;
        let (caller, token) = backend.user().await?;
        let mut callees = Vec::new();
        for number in 0..=options.count {
            let (callee, token) = backend.user().await?;
            backend.register(&token, number).await?;
            callees.push(callee);
        }
        ensure!(
            callees.iter().all(|callee| *callee != caller),
            "a user of its own"
        );
        let (before, clock) = (cpu_time(&server.pid())?, Clock::System.instant());
        for (number, callee) in callees.iter().enumerate() {
            calls.place(&backend, &token, callee, &mut sink).await?;
            if number == 0 {
                first = calls.arrived.max();
                calls.answered.reset();
                calls.arrived.reset();
            }
        }
        took = clock.elapsed();
        cpu = cpu_time(&server.pid())?.saturating_sub(before);
        anyhow::Ok(())
    })?;
    let millis = first as f64 / 1_000.0;
    let report = Report {
        load: "call".into(),
        setting: format!(
            "one call at a time, one iPhone each, SQLite on disk, to a sink on the same machine; the first call after the link arrived after {millis:.2} ms"
        ),
        machine: Machine::read(),
        rows: vec![
            Row::new("answered (201)", &calls.answered, took, Some(cpu)),
            Row::new("call to provider's socket", &calls.arrived, took, None),
        ],
        beside: Vec::new(),
        bytes: Vec::new(),
    };
    report.print(options.json)
}

/// Links the communication resource of `carillon dev` to its hub, as an operator does.
async fn link(server: &Server) -> anyhow::Result<()> {
    let body = json!({
        "resourceId": server.text("/hub/resource_id")?,
        "connectionString": server.text("/hub/connection_strings/full")?,
    });
    let communication = server.text("/communication/resource_id")?;
    let path = format!("{communication}/linkNotificationHub?api-version=2023-03-31");
    server.control(Method::POST, &path, Some(&body)).await?;
    Ok(())
}

/// The answer's JSON; what is no success is an error with its words.
async fn succeeded(request: RequestBuilder) -> anyhow::Result<Value> {
    let answer = request.send().await?;
    let (url, status) = (answer.url().clone(), answer.status());
    let text = answer.text().await?;
    ensure!(status.is_success(), "{url}: {status}: {text}");
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

struct Calls {
    answered: Histogram<u64>,
    arrived: Histogram<u64>,
}

impl Calls {
    async fn place(
        &mut self,
        backend: &Backend,
        token: &str,
        callee: &str,
        sink: &mut Sink,
    ) -> anyhow::Result<()> {
        sink.reset()?;
        let body = json!({ "targets": [{ "rawId": callee }], "ringTimeoutInSeconds": 120 });
        let request = backend
            .client
            .post(format!("{}/calling/calls", backend.base));
        let began = now_micros();
        succeeded(request.bearer_auth(token).json(&body)).await?;
        self.answered += now_micros() - began;
        let clock = Clock::System.instant();
        let mut arrivals = sink.arrivals()?;
        while arrivals.count == 0 {
            ensure!(
                clock.elapsed() < PATIENCE,
                "a call was placed and no push arrived"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
            arrivals = sink.arrivals()?;
        }
        self.arrived += arrivals.last - began;
        Ok(())
    }
}

/// What an app's backend and its apps ask of the server.
struct Backend {
    client: Client,
    base: String,
    key: Vec<u8>,
}

impl Backend {
    fn of(server: &Server) -> anyhow::Result<Self> {
        Ok(Self {
            client: server.trust()?.client(PATIENCE)?,
            base: server.text("/base_url")?.to_owned(),
            key: STANDARD.decode(server.text("/communication/access_key")?)?,
        })
    }

    /// A new user, and its token for calls.
    async fn user(&self) -> anyhow::Result<(String, String)> {
        let body = json!({ "createTokenWithScopes": ["voip"] }).to_string();
        let (_, host) = self.base.split_once("://").context("no base URL")?;
        let request = hmac::Request {
            method: "POST",
            target: IDENTITIES,
            host,
        };
        let mut post = self
            .client
            .post(format!("{}{IDENTITIES}", self.base))
            .header("content-type", "application/json");
        for (name, value) in hmac::sign(
            request,
            body.as_bytes(),
            &self.key,
            Clock::System.now().secs(),
        ) {
            post = post.header(name, value);
        }
        let made = succeeded(post.body(body)).await?;
        let text = |pointer: &str| {
            let value = made.pointer(pointer).and_then(Value::as_str);
            value.map(str::to_owned).context("no user was made")
        };
        Ok((text("/identity/id")?, text("/accessToken/token")?))
    }

    /// Registers an iPhone for the user of `token`.
    async fn register(&self, token: &str, number: u64) -> anyhow::Result<()> {
        let body = json!({
            "registrationId": "phone",
            "clientDescription": { "appId": "Carillon", "templateKey": "Carillon_Call_1.0" },
            "transports": { "APNS": [{ "path": format!("{number:064x}"), "ttl": 3600 }] },
        });
        let url = format!("{}/registrar/prod/v2/registrations", self.base);
        let post = self.client.post(url).bearer_auth(token).json(&body);
        succeeded(post).await.map(drop)
    }
}

const IDENTITIES: &str = "/identities?api-version=2023-10-01";
const PATIENCE: Duration = Duration::from_secs(10);
