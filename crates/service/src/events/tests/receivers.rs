//! Receivers that mean us ill, seen from the subscriptions beside them.

use serde_json::json;

use super::support::{Receiver, Reply, Server, event};

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
