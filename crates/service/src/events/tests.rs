//! Events from publication to receiver, through the real store and real sockets.

mod host;
mod operations;
mod receivers;
mod support;

use serde_json::json;

use self::support::{Receiver, Reply, Server, event, topic};

#[tokio::test]
async fn a_published_event_reaches_its_webhook_as_azure_would_send_it() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    server.subscribe("Hook-1", &receiver.url(), json!({})).await;
    server.publish(["a1"]).await;
    let [request] = receiver.requests(1).await.try_into().unwrap();
    let mut expected = event("a1");
    expected["topic"] = topic().as_str().into();
    expected["metadataVersion"] = "1".into();
    assert_eq!(request.body, json!([expected]));
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("aeg-event-type", "Notification"),
        ("aeg-subscription-name", "HOOK-1"),
        ("aeg-delivery-count", "0"),
        ("aeg-metadata-version", "1"),
        ("aeg-data-version", "1.0"),
        ("accept", ""),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    assert_eq!(request.header("aeg-output-event-id").len(), 36);
    server.app.stop().await;
}

#[tokio::test]
async fn a_failed_event_is_tried_again_by_the_schedule_and_keeps_its_id() {
    let server = Server::start().await;
    let receiver = Receiver::start([500, 503, 200].map(Reply::Status)).await;
    server.subscribe("hook", &receiver.url(), json!({})).await;
    server.publish(["a1"]).await;
    receiver.requests(1).await;
    server.settled().await;
    server.advance(9);
    server.settled().await;
    assert_eq!(receiver.seen().len(), 1);
    // With up to a tenth of chance on top.
    server.advance(2);
    receiver.requests(2).await;
    server.settled().await;
    server.advance(33);
    let seen = receiver.requests(3).await;
    let counts: Vec<_> = seen
        .iter()
        .map(|one| one.header("aeg-delivery-count"))
        .collect();
    assert_eq!(counts, ["0", "1", "2"]);
    assert_eq!(receiver.ids(), ["a1"; 3]);
    let ids: Vec<_> = seen
        .iter()
        .map(|one| one.header("aeg-output-event-id"))
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    server.app.stop().await;
}

#[tokio::test]
async fn what_a_stop_left_pending_is_delivered_after_the_next_start() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    receiver.always(Some(Reply::Hang));
    server.subscribe("hook", &receiver.url(), json!({})).await;
    server.publish(["a1", "a2", "a3"]).await;
    receiver.requests(3).await;
    receiver.always(None);
    let server = server.restart().await;
    let again = receiver.requests(6).await;
    let mut ids: Vec<_> = again[3..].iter().flat_map(support::Seen::ids).collect();
    ids.sort();
    assert_eq!(ids, ["a1", "a2", "a3"]);
    // A stop is no attempt.
    assert!(
        again
            .iter()
            .all(|one| one.header("aeg-delivery-count") == "0")
    );
    server.app.stop().await;
}

#[tokio::test]
async fn a_refused_event_is_given_up_and_one_too_old_too() {
    let server = Server::start().await;
    let refusing = Receiver::start([Reply::Status(400)]).await;
    let failing = Receiver::start([]).await;
    failing.always(Some(Reply::Status(500)));
    server
        .subscribe("refusing", &refusing.url(), json!({}))
        .await;
    let minutes = json!({ "retryPolicy": { "eventTimeToLiveInMinutes": 3 } });
    server.subscribe("failing", &failing.url(), minutes).await;
    server.publish(["a1"]).await;
    refusing.requests(1).await;
    for count in 1..=2 {
        failing.requests(count).await;
        server.settled().await;
        server.advance(120);
    }
    server.settled().await;
    let app = &server.app;
    let event = app.events_after("", 10).await.unwrap().remove(0);
    let states = ["refusing", "failing"].map(|name| {
        let id = format!(
            "{}/providers/microsoft.eventgrid/eventsubscriptions/{name}",
            topic().key()
        );
        super::destination_id(&id)
    });
    let mut found = Vec::new();
    for destination in states {
        let delivery = app.store.event_delivery(&event.id, &destination).await;
        let delivery = delivery.unwrap().unwrap();
        found.push((delivery.state, delivery.attempts, delivery.reason.unwrap()));
    }
    use domain::delivery::Reason::{TimeToLiveExceeded, Undeliverable};
    use domain::event::DeliveryState::Dropped;
    assert_eq!(
        found,
        [
            (Dropped, 1, Undeliverable),
            (Dropped, 2, TimeToLiveExceeded)
        ]
    );
    server.app.stop().await;
}

#[tokio::test]
async fn a_dead_endpoint_is_probed_with_one_event_and_holds_up_nobody_else() {
    let server = Server::start().await;
    let (dead, well) = (Receiver::start([]).await, Receiver::start([]).await);
    dead.always(Some(Reply::Status(500)));
    server.subscribe("dead", &dead.url(), json!({})).await;
    server.subscribe("well", &well.url(), json!({})).await;
    server.publish(0..30).await;
    well.requests(30).await;
    server.settled().await;
    let tried = dead.seen().len();
    // What comes while it rests waits in the store.
    server.publish(30..60).await;
    well.requests(60).await;
    server.settled().await;
    assert_eq!(dead.seen().len(), tried);
    server.advance(12);
    server.settled().await;
    assert_eq!(dead.seen().len(), tried + 1);
    dead.always(None);
    server.advance(12);
    // Probed, and then everything that is due; the rest when its retry is.
    for _ in 0..4 {
        server.settled().await;
        server.advance(40);
    }
    server.settled().await;
    let mut got: Vec<_> = dead.seen()[tried + 1..]
        .iter()
        .flat_map(support::Seen::ids)
        .collect();
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 60);
    server.app.stop().await;
}

/// The store is busy for longer than the wait: the retry comes as soon as it is due and durable.
#[tokio::test]
async fn a_retry_that_is_due_before_it_is_durable_is_not_forgotten() {
    let server = Server::start().await;
    let receiver = Receiver::start([Reply::Status(500)]).await;
    let id = server.subscribe("hook", &receiver.url(), json!({})).await;
    server.publish(["a1"]).await;
    let busy = server.app.store.begin().await.unwrap();
    receiver.requests(1).await;
    let lane = server.app.deliveries.lanes.get(id.key()).unwrap();
    while lane.with(|queue| queue.under_way()) > 0 {
        tokio::task::yield_now().await;
    }
    server.advance(12);
    // It looks for what is due, and whatever other nodes have left.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    drop(busy);
    receiver.requests(2).await;
    server.app.stop().await;
}

#[tokio::test]
async fn retry_after_spares_the_endpoint() {
    let server = Server::start().await;
    let receiver = Receiver::start([Reply::After(429, 50)]).await;
    server.subscribe("hook", &receiver.url(), json!({})).await;
    server.publish(["a1"]).await;
    receiver.requests(1).await;
    server.settled().await;
    server.publish(["a2"]).await;
    server.settled().await;
    server.advance(49);
    server.settled().await;
    assert_eq!(receiver.ids(), ["a1"]);
    server.advance(8);
    let mut ids: Vec<_> = receiver
        .requests(3)
        .await
        .iter()
        .flat_map(support::Seen::ids)
        .collect();
    ids.sort();
    assert_eq!(ids, ["a1", "a1", "a2"]);
    server.app.stop().await;
}

#[tokio::test]
async fn a_batch_goes_in_one_request_and_fails_as_one() {
    let server = Server::start().await;
    let receiver = Receiver::start([Reply::Hang, Reply::Status(500)]).await;
    let batch = json!({ "destination": { "properties": { "maxEventsPerBatch": 10 } },
        "labels": ["carillon:order-by"] });
    server.subscribe("hook", &receiver.url(), batch).await;
    server.publish(["a1"]).await;
    receiver.requests(1).await;
    server.publish(["a2", "a3"]).await;
    // It times out, and then goes with what has come meanwhile.
    server.advance(31);
    server.settled().await;
    server.advance(11);
    receiver.requests(2).await;
    server.settled().await;
    server.advance(40);
    let seen = receiver.requests(3).await;
    let ids: Vec<_> = seen.iter().map(support::Seen::ids).collect();
    let all = vec!["a1", "a2", "a3"];
    assert_eq!(ids, [vec!["a1"], all.clone(), all]);
    server.app.stop().await;
}

#[tokio::test]
async fn events_with_the_same_key_keep_their_order_through_failure_and_restart() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    receiver.refuse("a1");
    let order = json!({ "labels": ["carillon:order-by=data.thread"] });
    server.subscribe("hook", &receiver.url(), order).await;
    server.publish(["a1", "a2", "b1", "a3"]).await;
    server.settled().await;
    let mut first = receiver.ids();
    first.sort();
    assert_eq!(first, ["a1", "b1"]);
    let server = server.restart().await;
    server.publish(["a4", "b2"]).await;
    server.settled().await;
    server.advance(12);
    server.settled().await;
    let ids = receiver.ids();
    let of = |key: char| {
        ids.iter()
            .filter(|id| id.starts_with(key))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(of('b'), ["b1", "b2"]);
    assert_eq!(of('a'), ["a1", "a1", "a2", "a3", "a4"]);
    server.app.stop().await;
}

#[tokio::test]
async fn an_incoming_call_goes_ahead_unless_an_order_was_asked_for() {
    let server = Server::start().await;
    let (ordered, free) = (Receiver::start([]).await, Receiver::start([]).await);
    let order = json!({ "labels": ["carillon:order-by"] });
    server.subscribe("ordered", &ordered.url(), order).await;
    // One a minute: what has not gone yet waits in the lane.
    let slow = json!({ "labels": ["carillon:rate-limit=1/min"] });
    server.subscribe("free", &free.url(), slow).await;
    ordered.always(Some(Reply::Hang));
    server.publish(["a1", "a2"]).await;
    let mut call = event("call");
    call["eventType"] = "Microsoft.Communication.IncomingCall".into();
    server.publish_all(json!([call])).await;
    ordered.requests(1).await;
    free.requests(1).await;
    ordered.always(None);
    for secs in [31, 11, 61] {
        server.advance(secs);
        server.settled().await;
    }
    assert_eq!(ordered.ids(), ["a1", "a1", "a2", "call"]);
    let ids = free.ids();
    assert!(ids.iter().position(|id| id == "call") < Some(2), "{ids:?}");
    server.app.stop().await;
}

/// What comes later must not find a place in memory before what comes earlier has one.
#[tokio::test]
async fn while_the_backlog_is_read_what_comes_goes_behind_it() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    let order = json!({ "labels": ["carillon:order-by=data.thread"] });
    let id = server.subscribe("hook", &receiver.url(), order).await;
    server.publish(["a1"]).await;
    receiver.requests(1).await;
    server.settled().await;
    let (app, now) = (&server.app, server.app.clock.now());
    let event = std::sync::Arc::new(app.events_after("", 1).await.unwrap().remove(0));
    let lane = app.deliveries.lanes.get(id.key()).unwrap();
    let has_place = || lane.seat(&event, false).held;
    assert!(has_place());
    lane.note(now);
    assert!(!has_place(), "something waits in the store");
    assert!(lane.turn(now).refill.is_some());
    let standing = lane.seat(&event, false);
    assert!(!standing.held, "it is being read");
    lane.refilled();
    assert!(!has_place(), "another is on its way to the store");
    drop(standing);
    assert!(has_place());
    server.app.stop().await;
}

/// Whoever waits for a commit runs when there is a thread for it.
#[tokio::test]
async fn events_go_in_the_order_in_which_their_transactions_were_begun() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    let order = json!({ "labels": ["carillon:order-by=data.thread"] });
    let id = server.subscribe("hook", &receiver.url(), order).await;
    server.publish(["a1", "a2", "a3"]).await;
    receiver.requests(3).await;
    server.settled().await;
    let (app, now) = (&server.app, server.app.clock.now());
    let lane = app.deliveries.lanes.get(id.key()).unwrap();
    let events = app.events_after("", 3).await.unwrap().into_iter();
    let mut seats = events.map(|event| lane.seat(&std::sync::Arc::new(event), false));
    let (first, second, third) = (seats.next(), seats.next(), seats.next());
    app.drive(third.unwrap().take(now));
    app.drive(first.unwrap().take(now));
    receiver.requests(4).await;
    server.settled().await;
    assert_eq!(receiver.ids()[3..], ["a1"]);
    // The transaction has failed: nobody waits for it any more.
    drop(second);
    receiver.requests(5).await;
    server.settled().await;
    assert_eq!(receiver.ids()[3..], ["a1", "a3"]);
    server.app.stop().await;
}

#[tokio::test]
async fn a_deleted_subscription_leaves_nothing_in_memory() {
    let server = Server::start().await;
    let receiver = Receiver::start([]).await;
    receiver.always(Some(Reply::Hang));
    let id = server.subscribe("hook", &receiver.url(), json!({})).await;
    server.publish(["a1"]).await;
    receiver.requests(1).await;
    let (app, now) = (&server.app, server.app.clock.now());
    let lane = app.deliveries.lanes.get(id.key()).unwrap();
    let event = std::sync::Arc::new(app.events_after("", 1).await.unwrap().remove(0));
    let late = lane.seat(&event, false);
    app.delete_resource(&id, &crate::control::Precondition::Always)
        .await
        .unwrap();
    assert!(app.deliveries.lanes.get(id.key()).is_none());
    // What was being written and what was being sent come to their ends.
    drop(late.take(now));
    server.advance(31);
    while std::sync::Arc::strong_count(&lane) > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(app.deliveries.lanes.bytes(), 0);
    server.app.stop().await;
}

#[tokio::test]
async fn cloud_events_are_delivered_alone_or_as_a_batch() {
    let server = Server::start().await;
    let (one, many) = (Receiver::start([]).await, Receiver::start([]).await);
    let schema = json!({ "eventDeliverySchema": "CloudEventSchemaV1_0" });
    server.subscribe("one", &one.url(), schema.clone()).await;
    let mut batch = schema;
    batch["destination"] = json!({ "properties": { "maxEventsPerBatch": 5 } });
    server.subscribe("many", &many.url(), batch).await;
    server.publish(["a1"]).await;
    let single = one.requests(1).await.remove(0);
    assert_eq!(
        single.header("content-type"),
        "application/cloudevents+json; charset=utf-8"
    );
    assert_eq!(single.header("aeg-metadata-version"), "1.0");
    assert_eq!(single.body["specversion"], "1.0");
    assert_eq!(single.body["source"], topic().as_str());
    assert_eq!(single.body["type"], "Contoso.Made");
    let batch = many.requests(1).await.remove(0);
    assert_eq!(
        batch.header("content-type"),
        "application/cloudevents-batch+json; charset=utf-8"
    );
    assert_eq!(batch.body, json!([single.body]));
    server.app.stop().await;
}

#[tokio::test]
async fn delivery_attributes_are_headers_and_only_like_events_share_a_request() {
    let server = Server::start().await;
    let receiver = Receiver::start([Reply::Status(500)]).await;
    let attributes = json!([
        { "name": "X-Static", "type": "Static", "properties": { "value": "v", "isSecret": true } },
        { "name": "X-Thread", "type": "Dynamic", "properties": { "sourceField": "data.thread" } },
    ]);
    let more = json!({ "destination": { "properties": {
        "maxEventsPerBatch": 10, "deliveryAttributeMappings": attributes } } });
    server.subscribe("hook", &receiver.url(), more).await;
    server.publish(["a1", "a2", "b1"]).await;
    server.settled().await;
    server.advance(40);
    server.settled().await;
    let seen = receiver.seen();
    for request in &seen {
        assert_eq!(request.header("x-static"), "v");
        assert!(
            request
                .ids()
                .iter()
                .all(|id| id.starts_with(request.header("x-thread")))
        );
    }
    let mut ids = receiver.ids();
    ids.sort();
    ids.dedup();
    assert_eq!(ids, ["a1", "a2", "b1"]);
    server.app.stop().await;
}
