//! Direct sends through a running server to a sink.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use clap::Args;
use hdrhistogram::Histogram;
use http::Request;
use http_body_util::{BodyExt, Full};
use service::Clock;
use tokio::task::JoinSet;
use wire::arm::connection_string::ConnectionString;

use crate::machine::{Machine, cpu_time};
use crate::report::{self, Report, Row, micros};
use crate::rig::Rig;
use crate::server::{Peer, Server};
use crate::sink::{SENT_AT, Sink, now_micros};

/// How the server is loaded.
#[derive(Args)]
pub struct Options {
    /// The server's program; it is started on an empty directory.
    #[arg(long, default_value = "target/release/carillon")]
    carillon: PathBuf,
    /// Sends in all.
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// Sends in flight, each on a connection of its own (HTTP/1.1, kept alive).
    #[arg(long, default_value_t = 64)]
    in_flight: u64,
    /// Send calls (push type `voip`) and not alerts.
    #[arg(long)]
    calls: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the load and prints its report.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let Rig {
        runtime,
        mut sink,
        server,
    } = Rig::start(&options.carillon)?;
    let target = Arc::new(target(&server, options)?);
    let warm = runtime.block_on(load(&target, options.in_flight, 20 * options.in_flight))?;
    arrived(&mut sink, warm.len())?;
    sink.reset()?;
    let processes = [server.pid(), "self".to_owned(), sink.pid()];
    let cpu = || -> anyhow::Result<_> {
        let [server, clients, sink] = &processes;
        Ok([cpu_time(server)?, cpu_time(clients)?, cpu_time(sink)?])
    };
    let (before, began, clock) = (cpu()?, now_micros(), Clock::System.instant());
    let accepted = runtime.block_on(load(&target, options.in_flight, options.count))?;
    let took = clock.elapsed();
    let arrivals = arrived(&mut sink, options.count)?;
    let after = cpu()?;
    let [server_cpu, clients_cpu, sink_cpu] =
        std::array::from_fn(|n| after[n].saturating_sub(before[n]));
    let delivered = Duration::from_micros(arrivals.last.saturating_sub(began));
    let millis = |micros: u64| micros as f64 / 1_000.0;
    let report = Report {
        load: "push".into(),
        setting: format!(
            "direct sends with {} in flight over HTTP/1.1 and TLS, SQLite on disk, to a sink; clients, server and sink on one machine",
            options.in_flight
        ),
        machine: Machine::read(),
        rows: vec![
            Row::new("accepted (201)", &accepted, took, Some(server_cpu)),
            Row {
                what: "request to provider's socket".into(),
                count: options.count,
                per_second: options.count as f64 / delivered.as_secs_f64(),
                cpu_micros: None,
                p50_ms: millis(arrivals.p50),
                p99_ms: millis(arrivals.p99),
                p999_ms: millis(arrivals.p999),
            },
        ],
        beside: vec![
            ("clients", report::each(clients_cpu, options.count)),
            ("sink", report::each(sink_cpu, options.count)),
        ],
        bytes: Vec::new(),
    };
    report.print(options.json)
}

/// Waits until so many have arrived: nothing accepted may be missing.
fn arrived(sink: &mut Sink, count: u64) -> anyhow::Result<crate::sink::Arrivals> {
    let began = Clock::System.instant();
    loop {
        let arrivals = sink.arrivals()?;
        if arrivals.count >= count {
            return Ok(arrivals);
        }
        ensure!(
            began.elapsed() < Duration::from_secs(60),
            "{count} were accepted and {} arrived",
            arrivals.count
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn target(server: &Server, options: &Options) -> anyhow::Result<Target> {
    let connection = ConnectionString::parse(server.text("/hub/connection_strings/send")?)?;
    let base = server.text("/base_url")?;
    let hub = server.text("/hub/name")?;
    let expiry = Clock::System.now().secs() + 3_600;
    let key = wire::auth::sas::Key::new(&connection.key);
    Ok(Target {
        peer: server.peer()?,
        path: format!("/{hub}/messages/?api-version=2020-06&direct=true"),
        authorization: key.sign(&connection.key_name, &format!("{base}/{hub}"), expiry),
        push_type: if options.calls { "voip" } else { "alert" },
    })
}

/// Where sends go, and with what.
struct Target {
    peer: Peer,
    path: String,
    authorization: String,
    push_type: &'static str,
}

impl Target {
    fn request(&self) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut body = format!("{SENT_AT}{},\"data\":\"", now_micros());
        let filler = 784_usize.saturating_sub(body.len());
        body.extend(std::iter::repeat_n('x', filler));
        body.push_str("\"}");
        Ok(Request::post(&self.path)
            .header("host", &self.peer.authority)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json;charset=utf-8")
            .header("servicebusnotification-format", "apple")
            .header("servicebusnotification-devicehandle", HANDLE)
            .header("servicebusnotification-apns-push-type", self.push_type)
            .body(Full::from(body))?)
    }
}

/// Sends `count` with so many in flight; the time until each was accepted.
async fn load(target: &Arc<Target>, in_flight: u64, count: u64) -> anyhow::Result<Histogram<u64>> {
    let left = Arc::new(AtomicU64::new(count));
    let mut clients = JoinSet::new();
    for _ in 0..in_flight {
        let (target, left) = (target.clone(), left.clone());
        clients.spawn(async move { client(&target, &left).await });
    }
    let mut all = micros();
    while let Some(one) = clients.join_next().await {
        all += one??;
    }
    Ok(all)
}

async fn client(target: &Target, left: &AtomicU64) -> anyhow::Result<Histogram<u64>> {
    let mut took = micros();
    let (mut sender, _moving) = target.peer.connect().await?;
    while left
        .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
        .is_ok()
    {
        let began: Instant = Clock::System.instant();
        let answer = sender.send_request(target.request()?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(
            status == http::StatusCode::CREATED,
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        took += u64::try_from(began.elapsed().as_micros())?;
    }
    Ok(took)
}

const HANDLE: &str = "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0";
