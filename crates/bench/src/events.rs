//! Events from publishers through a running server to webhooks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use service::Clock;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::machine::{Machine, cpu_time, memory};
use crate::receiver::{Receiver, SENT_AT};
use crate::report::{self, Report, Row, micros};
use crate::server::{Peer, Server};
use crate::sink::now_micros;

/// How the server is loaded. Where several values are given (`1,8,32`), each combination is a run on a new server.
#[derive(Args)]
pub struct Options {
    /// The server's program; it is started on an empty directory.
    #[arg(long, default_value = "target/release/carillon")]
    carillon: PathBuf,
    /// Events of each run.
    #[arg(long, default_value_t = 40_000)]
    count: u64,
    /// Publishers, each with a connection of its own (HTTP/1.1 and TLS, kept alive) and one request at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [8])]
    publishers: Vec<u64>,
    /// Subscriptions of the topic.
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    subscriptions: Vec<u64>,
    /// Without filters each event goes to every subscription; with them to one, which three advanced filters find.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Filters::Off])]
    filters: Vec<Filters>,
    /// Bytes of an event, about.
    #[arg(long, value_delimiter = ',', default_values_t = [800])]
    bytes: Vec<usize>,
    /// Events of one request.
    #[arg(long, default_value_t = 1)]
    per_request: u64,
    /// Most events of one delivery.
    #[arg(long, default_value_t = 1)]
    batch: u32,
    /// One more subscription, whose endpoint is dead and which is behind by so many events.
    #[arg(long, default_value_t = 0)]
    behind: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Whether subscriptions have advanced filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Filters {
    /// Each wants every event.
    Off,
    /// Each wants its own.
    On,
}

/// One combination.
struct Run<'o> {
    options: &'o Options,
    publishers: u64,
    subscriptions: u64,
    filters: Filters,
    bytes: usize,
}

/// Runs every combination: one is reported in full, several in a line each, and in JSON as an array.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let runs = Run::all(options);
    if let [run] = &*runs {
        return run.measure(&runtime)?.print(options.json);
    }
    if !options.json {
        println!("{}", Run::HEAD);
    }
    let mut reports = Vec::new();
    for run in &runs {
        let report = run.measure(&runtime)?;
        if !options.json {
            println!("{}", run.line(&report));
        }
        reports.push(report);
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    }
    Ok(())
}

impl<'o> Run<'o> {
    fn all(options: &'o Options) -> Vec<Self> {
        let mut runs = Vec::new();
        for &bytes in &options.bytes {
            for &filters in &options.filters {
                for &subscriptions in &options.subscriptions {
                    runs.extend(options.publishers.iter().map(|&publishers| Self {
                        options,
                        publishers,
                        subscriptions,
                        filters,
                        bytes,
                    }));
                }
            }
        }
        runs
    }

    const HEAD: &'static str = "  bytes  filters  subscriptions  publishers   requests/s  deliveries/s   CPU µs/event     p50 ms     p99 ms   p99.9 ms   MB";

    /// A line below [`Run::HEAD`].
    fn line(&self, report: &Report) -> String {
        let filters = match self.filters {
            Filters::Off => "off",
            Filters::On => "on",
        };
        let mut line = format!(
            "{:>7}  {filters:>7}  {:>13}  {:>10}",
            self.bytes, self.subscriptions, self.publishers
        );
        // What `measure` reports: requests, then deliveries, and first of all sizes the memory.
        let [requests, events] = &report.rows[..] else {
            return line;
        };
        line.push_str(&format!(
            "  {:>11.0}  {:>12.0}  {:>13.1}  {:>9.2}  {:>9.2}  {:>9.2}",
            requests.per_second,
            events.per_second,
            events.cpu_micros.unwrap_or_default(),
            events.p50_ms,
            events.p99_ms,
            events.p999_ms
        ));
        for (_, bytes) in report.bytes.iter().take(1) {
            line.push_str(&format!("  {:>3.0}", *bytes as f64 / 1e6));
        }
        line
    }
}

impl Run<'_> {
    fn measure(&self, runtime: &Runtime) -> anyhow::Result<Report> {
        let server = Server::start(&self.options.carillon, None)?;
        let receiver = Receiver::start()?;
        let topic = runtime.block_on(self.subscribe(&server, &receiver.url))?;
        let topic = Arc::new(topic);
        self.fall_behind(runtime, &server, &topic)?;
        let warm = 50 * self.publishers;
        runtime.block_on(self.publish(&topic, warm))?;
        self.arrived(&receiver, warm)?;
        receiver.take();
        let pid = server.pid();
        let cpu = || -> anyhow::Result<_> { Ok([cpu_time(&pid)?, cpu_time("self")?]) };
        let (size, before) = (server.database_bytes()?, cpu()?);
        let (began, clock) = (now_micros(), Clock::System.instant());
        let count = self.options.count;
        let accepted = runtime.block_on(self.publish(&topic, count))?;
        let took = clock.elapsed();
        self.arrived(&receiver, count)?;
        let after = cpu()?;
        let [server_cpu, own_cpu] = std::array::from_fn(|n| after[n].saturating_sub(before[n]));
        let delivered = Duration::from_micros(receiver.last().saturating_sub(began));
        let mut requests = Row::new("requests answered (200)", &accepted, took, None);
        // The clocks of requests and events differ where a request has several.
        requests.cpu_micros = None;
        let events = Row {
            what: "events delivered".into(),
            cpu_micros: Some(report::each(server_cpu, count)),
            ..Row::new("", &receiver.take(), delivered, None)
        };
        Ok(Report {
            load: "events".into(),
            setting: self.setting(),
            machine: Machine::read(),
            rows: vec![requests, events],
            beside: vec![("publishers and receivers", report::each(own_cpu, count))],
            bytes: vec![
                ("memory of the server", memory(&pid)?),
                (
                    "database, for each event",
                    server.database_bytes()?.saturating_sub(size) / count.max(1),
                ),
            ],
        })
    }

    fn setting(&self) -> String {
        let options = self.options;
        let filters = match self.filters {
            Filters::Off => "without filters, each event to all",
            Filters::On => "with three advanced filters, each event to one",
        };
        let mut setting = format!(
            "{} publishers, {} subscriptions {filters}, {} bytes; {} in a request, {} in a delivery; SQLite on disk, everything on one machine",
            self.publishers, self.subscriptions, self.bytes, options.per_request, options.batch
        );
        if options.behind > 0 {
            let more = format!(
                "; beside it a dead endpoint, {} events behind",
                options.behind
            );
            setting.push_str(&more);
        }
        setting
    }

    /// Subscribes to the topic of `carillon dev`.
    async fn subscribe(&self, server: &Server, url: &str) -> anyhow::Result<Topic> {
        for key in 0..self.subscriptions {
            let mut filter = json!({ "includedEventTypes": [LOAD] });
            if self.filters == Filters::On {
                filter["advancedFilters"] = json!([
                    { "operatorType": "StringBeginsWith", "key": "subject", "values": ["/bench/"] },
                    { "operatorType": "IsNotNull", "key": "data.sentAt" },
                    { "operatorType": "NumberIn", "key": "data.key", "values": [key] },
                ]);
            }
            let name = format!("load-{key}");
            self.put_subscription(server, &name, &format!("{url}/{key}"), &filter)
                .await?;
        }
        Ok(Topic {
            peer: server.peer()?,
            path: "/topics/events/api/events?api-version=2018-01-01".into(),
            key: server.text("/eventgrid/key")?.to_owned(),
        })
    }

    /// Makes a subscription, and waits until it is in effect.
    async fn put_subscription(
        &self,
        server: &Server,
        name: &str,
        url: &str,
        filter: &Value,
    ) -> anyhow::Result<()> {
        let (subscription, group) = (
            server.text("/subscription_id")?,
            server.text("/resource_group")?,
        );
        let path = format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid/topics/events/providers/Microsoft.EventGrid/eventSubscriptions/{name}?api-version=2025-02-15"
        );
        let body = json!({ "properties": {
            "destination": { "endpointType": "WebHook", "properties": {
                "endpointUrl": url, "maxEventsPerBatch": self.options.batch, "preferredBatchSizeInKilobytes": 1024,
            } },
            "filter": filter,
        } });
        let mut made = server.control(Method::PUT, &path, Some(&body)).await?;
        let began = Clock::System.instant();
        while made["properties"]["provisioningState"] != "Succeeded" {
            ensure!(
                began.elapsed() < Duration::from_secs(30),
                "the subscription is not in effect: {made}"
            );
            Clock::System.sleep(Duration::from_millis(10)).await;
            made = server.control(Method::GET, &path, None).await?;
        }
        Ok(())
    }

    /// A subscription whose endpoint met the handshake and then died, and what it is behind.
    fn fall_behind(
        &self,
        runtime: &Runtime,
        server: &Server,
        topic: &Arc<Topic>,
    ) -> anyhow::Result<()> {
        let behind = self.options.behind;
        if behind == 0 {
            return Ok(());
        }
        let endpoint = Receiver::start()?;
        let filter = json!({});
        let made = self.put_subscription(server, "dead", &endpoint.url, &filter);
        runtime.block_on(made)?;
        drop(endpoint);
        let events = Batch {
            kind: "Bench.Behind",
            per_request: 500,
            bytes: 300,
            keys: 1,
        };
        runtime.block_on(publish(topic, 4, behind, events))?;
        Ok(())
    }

    async fn publish(&self, topic: &Arc<Topic>, count: u64) -> anyhow::Result<Histogram<u64>> {
        let events = Batch {
            kind: LOAD,
            per_request: self.options.per_request,
            bytes: self.bytes,
            keys: self.subscriptions,
        };
        publish(topic, self.publishers, count, events).await
    }

    /// Waits until `count` events have arrived wherever they are wanted: nothing accepted may be missing.
    fn arrived(&self, receiver: &Receiver, count: u64) -> anyhow::Result<()> {
        let wanted = match self.filters {
            Filters::Off => count * self.subscriptions,
            Filters::On => count,
        };
        let began = Clock::System.instant();
        while receiver.count() < wanted {
            ensure!(
                began.elapsed() < Duration::from_secs(300),
                "{wanted} deliveries were promised and {} arrived",
                receiver.count()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Where events are published to, and with what.
struct Topic {
    peer: Peer,
    path: String,
    key: String,
}

/// What a request holds.
#[derive(Clone, Copy)]
struct Batch {
    kind: &'static str,
    per_request: u64,
    bytes: usize,
    keys: u64,
}

impl Batch {
    /// A request's body with `count` events, the first of them the `first`th of all.
    fn body(&self, first: u64, count: u64) -> String {
        let mut body =
            String::with_capacity((self.bytes + 64) * usize::try_from(count).unwrap_or(1));
        for number in first..first + count {
            body.push(if number == first { '[' } else { ',' });
            let (key, kind, begin) = (number % self.keys, self.kind, body.len());
            body.push_str(&format!(
                r#"{{"id":"{number}","eventType":"{kind}","subject":"/bench/{key}","eventTime":"2026-11-24T05:02:02.546Z","dataVersion":"1.0","data":{{"key":{key},{SENT_AT}{},"filler":""#,
                now_micros()
            ));
            let filler = self.bytes.saturating_sub(body.len() - begin + 3);
            body.extend(std::iter::repeat_n('x', filler));
            body.push_str("\"}}");
        }
        body.push(']');
        body
    }
}

/// Publishes `count` events; the time until each request was answered.
async fn publish(
    topic: &Arc<Topic>,
    publishers: u64,
    count: u64,
    events: Batch,
) -> anyhow::Result<Histogram<u64>> {
    let next = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for _ in 0..publishers {
        let (topic, next) = (topic.clone(), next.clone());
        running.spawn(async move { publisher(&topic, &next, count, events).await });
    }
    let mut all = micros();
    while let Some(one) = running.join_next().await {
        all += one??;
    }
    Ok(all)
}

async fn publisher(
    topic: &Topic,
    next: &AtomicU64,
    count: u64,
    events: Batch,
) -> anyhow::Result<Histogram<u64>> {
    let mut took = micros();
    let (mut sender, _moving) = topic.peer.connect().await?;
    loop {
        let first = next.fetch_add(events.per_request, Relaxed);
        if first >= count {
            return Ok(took);
        }
        let body = events.body(first, events.per_request.min(count - first));
        let request = Request::post(&topic.path)
            .header("host", &topic.peer.authority)
            .header("aeg-sas-key", &topic.key)
            .header("content-type", "application/json")
            .body(Full::from(body))?;
        let began = Clock::System.instant();
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("no answer")?;
        ensure!(
            status == StatusCode::OK,
            "{status}: {}",
            String::from_utf8_lossy(&body.to_bytes())
        );
        took += u64::try_from(began.elapsed().as_micros())?;
    }
}

const LOAD: &str = "Bench.Load";
