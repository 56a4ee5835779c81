//! Receivers that mean us ill, seen from the subscriptions beside them.

use std::sync::Arc;

use serde_json::json;

use super::super::destination_id;
use super::super::lane::Cargo;
use super::super::request::{parcel, request};
use super::host::Host;
use super::support::{RENAMED, Receiver, Reply, Server, event};

/// More than a lane may hold in memory: 24 MB.
const EVENTS: usize = 3_000;
const BYTES: usize = 8_192;
const AT_ONCE: usize = 100;

#[tokio::test]
async fn a_receiver_that_hangs_slows_nobody_takes_no_memory_and_misses_nothing() {
    let server = Server::start().await;
    let (hangs, well) = (Receiver::start([]).await, Receiver::start([]).await);
    hangs.always(Some(Reply::Hang));
    let batches = || json!({ "destination": { "properties": { "maxEventsPerBatch": 100 } } });
    let id = server.subscribe("hangs", &hangs.url(), batches()).await;
    server.subscribe("well", &well.url(), batches()).await;
    let mut most = 0;
    for first in (0..EVENTS).step_by(AT_ONCE) {
        let events = (first..first + AT_ONCE).map(|number| {
            let mut event = event(&number.to_string());
            event["data"] = "x".repeat(BYTES).into();
            event
        });
        server.publish_all(events.collect()).await;
        most = most.max(server.app.deliveries.lanes.bytes());
    }
    // No time has passed.
    while well.ids().len() < EVENTS {
        tokio::task::yield_now().await;
    }
    let lane = server.app.deliveries.lanes.get(id.key()).unwrap();
    assert!(lane.with(|queue| queue.under_way()) <= 64);
    let room = 2 * (16 << 20) + AT_ONCE * (BYTES + 1_024);
    assert!(most < room, "{most} bytes in two lanes");

    // It has had its thirty seconds, is probed, and works again.
    hangs.always(None);
    let mut got = hangs.ids();
    while got.len() < EVENTS {
        server.advance(31);
        server.settled().await;
        got = hangs.ids();
        got.sort();
        got.dedup();
    }
    server.app.stop().await;
}

/// All of them at one host, whose connections they share with the subscription that is well.
#[tokio::test]
async fn receivers_that_mean_us_ill_slow_nobody_and_lead_nowhere() {
    const EVENTS: usize = 300;
    let server = Server::start().await;
    let elsewhere = Receiver::start([]).await;
    let host = Host::start(elsewhere.url()).await;
    let renamed = format!("http://{RENAMED}:{}/", elsewhere.port());
    let outcomes = [
        ("well", host.url("well"), "Delivered"),
        ("hangs", host.url("hangs"), "TimedOut"),
        ("resets", host.url("resets"), "SocketError"),
        ("drips", host.url("drips"), "TimedOut"),
        // The head of an answer is one.
        ("drips-a-body", host.url("drips-a-body"), "Delivered"),
        ("never-ends", host.url("never-ends"), "SocketError"),
        (
            "never-ends-a-body",
            host.url("never-ends-a-body"),
            "Delivered",
        ),
        ("redirects", host.url("redirects"), "GenericError"),
        ("renamed", renamed, "ResolutionError"),
    ];
    let mut subscriptions = Vec::new();
    for (name, url, _) in &outcomes {
        subscriptions.push(server.subscribe(name, url, json!({})).await);
    }
    server.publish(0..EVENTS).await;
    // No time has passed.
    while host.well().len() < EVENTS {
        tokio::task::yield_now().await;
    }
    assert!(elsewhere.seen().is_empty());
    server.advance(31);
    let app = &server.app;
    let first = app.events_after("", 1).await.unwrap().remove(0);
    for (subscription, (name, _, outcome)) in subscriptions.iter().zip(&outcomes) {
        let destination = destination_id(subscription.key());
        let last = loop {
            let delivery = app.store.event_delivery(&first.id, &destination).await;
            if let Some(last) = delivery.unwrap().unwrap().last {
                break last;
            }
        };
        assert_eq!(last.outcome, *outcome, "{name}");
    }
    assert_eq!(host.well().len(), EVENTS);
    assert!(elsewhere.seen().is_empty());
    drop(host);
    server.app.stop().await;
}

/// Where a host's connections are all taken, a share of them is still free for it.
#[tokio::test]
async fn what_is_urgent_is_so_on_its_whole_way() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    let id = server.subscribe("hook", &receiver.url(), json!({})).await;
    server.publish(["a1"]).await;
    receiver.requests(1).await;
    let app = &server.app;
    let cargo = Cargo {
        event: Arc::new(app.events_after("", 1).await.unwrap().remove(0)),
        attempts: 0,
        since: app.clock.now(),
    };
    let destination = app.deliveries.lanes.get(id.key()).unwrap().destination();
    for urgent in [true, false] {
        let parcel = parcel(&destination, cargo.clone(), urgent);
        let request = request(&destination, &[parcel]).unwrap();
        assert_eq!(request.urgent, urgent);
    }
    server.app.stop().await;
}
