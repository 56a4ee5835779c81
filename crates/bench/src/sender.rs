//! The push sender alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use domain::push::{ApnsCredential, Credential, Lane, Outcome, Push};
use hdrhistogram::Histogram;
use service::push::{Lanes, LanesConfig};
use service::{Clock, Random};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::machine::{Machine, cpu_time};
use crate::report::{Report, Row, micros};
use crate::sink::Sink;

/// How the sender is loaded.
#[derive(Args)]
pub struct Options {
    /// Pushes in all.
    #[arg(long, default_value_t = 500_000)]
    count: u64,
    /// Pushes in flight.
    #[arg(long, default_value_t = 100)]
    in_flight: u64,
    /// Connections of the lane.
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the load and prints its report.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let sink = Sink::start()?;
    let config = LanesConfig {
        roots: vec![sink.root.clone()],
        least_connections: options.connections,
        most_connections: options.connections,
        ..LanesConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (latencies, took, cpu) = runtime.block_on(load(options, &sink.endpoint, config))?;
    let report = Report {
        load: "sender".into(),
        setting: format!(
            "{} pushes in flight on {} connections to a sink on loopback TLS, {} bytes each; one thread",
            options.in_flight,
            options.connections,
            PAYLOAD.len()
        ),
        machine: Machine::read(),
        rows: vec![Row::new("pushes accepted", &latencies, took, Some(cpu))],
        beside: Vec::new(),
        bytes: Vec::new(),
    };
    report.print(options.json)
}

async fn load(
    options: &Options,
    endpoint: &str,
    config: LanesConfig,
) -> anyhow::Result<(Histogram<u64>, Duration, Duration)> {
    let (clock, tasks, stopping) = (Clock::System, TaskTracker::new(), CancellationToken::new());
    let lanes = Lanes::new(config, clock.clone(), Random::System, &tasks, &stopping);
    let push = push(endpoint, &clock)?;
    // The lane is warm, every connection proven, before anything is measured.
    burst(
        &lanes,
        &push,
        &clock,
        options.in_flight,
        10 * options.in_flight,
    )
    .await?;
    let (cpu, began) = (cpu_time("self")?, clock.instant());
    let latencies = burst(&lanes, &push, &clock, options.in_flight, options.count).await?;
    let took = began.elapsed();
    Ok((latencies, took, cpu_time("self")?.saturating_sub(cpu)))
}

/// Sends `count` pushes with so many in flight, and measures each.
async fn burst(
    lanes: &Lanes,
    push: &Push,
    clock: &Clock,
    in_flight: u64,
    count: u64,
) -> anyhow::Result<Histogram<u64>> {
    let left = Arc::new(AtomicU64::new(count));
    let mut senders = JoinSet::new();
    for sender in 0..in_flight {
        let (lanes, push, clock, left) = (lanes.clone(), push.clone(), clock.clone(), left.clone());
        senders.spawn(async move {
            let mut latencies = micros();
            let mut number = u128::from(sender) << 64;
            while left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                number += 1;
                let mut push = push.clone();
                push.id = uuid::Uuid::from_u128(number);
                let began = clock.instant();
                let attempted = lanes.send(push).await;
                anyhow::ensure!(attempted.outcome == Outcome::Accepted, "{attempted:?}");
                latencies += u64::try_from(began.elapsed().as_micros())?;
            }
            Ok(latencies)
        });
    }
    let mut all = micros();
    while let Some(one) = senders.join_next().await {
        all += one??;
    }
    Ok(all)
}

fn push(endpoint: &str, clock: &Clock) -> anyhow::Result<Push> {
    let key = rcgen::KeyPair::generate()?.serialize_der();
    let headers = [
        ("apns-expiration", "0"),
        ("apns-priority", "10"),
        ("apns-push-type", "voip"),
        ("apns-topic", "com.example.app.voip"),
    ];
    let headers: BTreeMap<_, _> = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    Ok(Push {
        id: uuid::Uuid::nil(),
        credential: Arc::new(Credential::Apns(ApnsCredential {
            endpoint: endpoint.to_owned(),
            key_id: "ABC1234DEF".into(),
            team_id: "TEAM123456".into(),
            bundle_id: "com.example.app".into(),
            key: STANDARD.encode(key).into(),
        })),
        handle: "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0".into(),
        headers,
        body: Bytes::from_static(PAYLOAD),
        lane: Lane::Call,
        deadline: clock.now() + Duration::from_secs(3600),
    })
}

/// An incoming call as a phone gets it, 786 bytes: the size that other senders were measured with.
const PAYLOAD: &[u8] = &payload();

const fn payload() -> [u8; 786] {
    let head = br#"{"aps":{"content-available":1},"callId":"00000000-0000-0000-0000-000000000000","data":""#;
    let mut bytes = [b'x'; 786];
    let mut at = 0;
    while at < head.len() {
        bytes[at] = head[at];
        at += 1;
    }
    bytes[784] = b'"';
    bytes[785] = b'}';
    bytes
}
