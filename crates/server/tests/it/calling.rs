//! Calls: who rings, who stops ringing, and how a call ends, with virtual phones.

use std::time::Duration;

use domain::call::Verb;
use domain::device::Health;
use domain::id::RegistrationId;
use domain::identity::UserId;
use serde_json::{Value, json};

use crate::comm::{Comm, User};
use crate::phones::{Phone, Phones};

pub async fn place(comm: &Comm, from: &User, targets: &[&User]) -> Value {
    let targets: Vec<_> = targets
        .iter()
        .map(|user| json!({ "rawId": user.id }))
        .collect();
    let body = json!({ "targets": targets, "displayName": "Alice", "signal": { "sdp": "offer" } });
    let answer = comm.by(from, "POST", "/calling/calls", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let call = answer.json();
    let location = answer.headers["location"].to_str().unwrap();
    assert!(location.ends_with(&format!("/calling/calls/{}", id(&call))));
    call
}

fn id(call: &Value) -> &str {
    call["id"].as_str().unwrap()
}

pub async fn verb(
    comm: &Comm,
    user: &User,
    call: &Value,
    verb: &str,
    body: &Value,
) -> (u16, Value) {
    let path = format!("/calling/calls/{}:{verb}", id(call));
    let answer = comm.by(user, "POST", &path, body).await;
    (answer.status, answer.json())
}

pub async fn show(comm: &Comm, user: &User, call: &Value) -> Value {
    let path = format!("/calling/calls/{}", id(call));
    let answer = comm.by(user, "GET", &path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn deliveries(comm: &Comm, user: &User, call: &Value) -> Vec<Value> {
    let path = format!("/calling/calls/{}/deliveries", id(call));
    let answer = comm.by(user, "GET", &path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["value"].as_array().unwrap().clone()
}

/// What `look` shows, once it shows something. Pushes and the store take real time, so this waits in real time, and
/// not for long.
pub async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..5_000 {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nothing was seen within five seconds");
}

/// The events that a phone was told, once they are `count`.
pub async fn told(phone: &Phone<'_>, count: usize) -> Vec<Value> {
    until(async || {
        let pushes = phone.pushes().await;
        (pushes.len() >= count).then_some(pushes)
    })
    .await
}

/// The deliveries of a call, once none is pending.
async fn settled(comm: &Comm, user: &User, call: &Value) -> Vec<Value> {
    until(async || {
        let deliveries = deliveries(comm, user, call).await;
        let pending = deliveries.iter().any(|one| one["state"] == "pending");
        (!pending).then_some(deliveries)
    })
    .await
}

async fn ended(comm: &Comm, user: &User, call: &Value) -> Value {
    until(async || {
        let call = show(comm, user, call).await;
        (call["state"] == "ended").then_some(call)
    })
    .await
}

/// The types of the events written so far.
async fn events(comm: &Comm) -> Vec<String> {
    let events = comm.test.app.events_after("", 100).await;
    let name = |kind: &str| {
        kind.trim_start_matches("Microsoft.Communication.")
            .to_owned()
    };
    events
        .unwrap()
        .iter()
        .map(|event| name(&event.kind))
        .collect()
}

#[tokio::test]
async fn two_phones_ring_and_the_one_that_is_slower_stops() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let (iphone, android) = (phones.iphone("voip").await, phones.android().await);
    comm.register(&bob, "iphone", "APNS", &iphone.token).await;
    comm.register(&bob, "android", "FCM", &android.token).await;

    let call = place(&comm, &alice, &[&bob]).await;
    assert_eq!(call["state"], "ringing");
    let ring = &told(&iphone, 1).await[0];
    assert_eq!(ring["headers"]["apns-push-type"], "voip");
    assert_eq!(
        ring["headers"]["apns-topic"],
        format!("{}.voip", phones.app())
    );
    assert_eq!(ring["headers"]["apns-priority"], "10");
    assert_eq!(ring["payload"]["aps"], json!({}));
    let data = &ring["payload"]["data"];
    assert_eq!(data["eventId"], 107);
    assert_eq!(data["event"], "IncomingCall");
    assert_eq!(data["callId"], id(&call));
    assert_eq!(data["callerId"], alice.id.as_str());
    assert_eq!(data["recipientId"], bob.id.as_str());
    assert_eq!(data["displayName"], "Alice");
    assert_eq!(data["videoCall"], "false");
    let ring = &told(&android, 1).await[0];
    assert_eq!(ring["payload"]["data"]["eventId"], "107");
    assert_eq!(
        ring["payload"]["android"],
        json!({ "priority": "HIGH", "ttl": "30s" })
    );
    for delivery in settled(&comm, &alice, &call).await {
        assert_eq!(delivery["state"], "accepted", "{delivery}");
        assert_eq!(delivery["attempts"], 1);
        assert!(delivery["latencyInMilliseconds"].is_number(), "{delivery}");
        assert!(!delivery.to_string().contains(&iphone.token));
    }

    // The phone finds the call, with the caller's offer, by the id in the push.
    assert_eq!(show(&comm, &bob, &call).await["signal"]["sdp"], "offer");
    let answer = json!({ "endpoint": "iphone", "signal": { "sdp": "answer" } });
    let (status, accepted) = verb(&comm, &bob, &call, "accept", &answer).await;
    assert_eq!((status, &accepted["state"]), (200, &json!("connected")));
    assert_eq!(accepted["legs"][0]["endpoint"], "iphone");
    assert_eq!(accepted["legs"][0]["signal"]["sdp"], "answer");
    let stop = &told(&android, 2).await[1]["payload"]["data"];
    assert_eq!(stop["event"], "StopRinging");
    assert_eq!(stop["reason"], "acceptedElsewhere");
    assert_eq!(stop["callId"], id(&call));
    assert_eq!(stop.get("eventId"), None);

    let slower = json!({ "endpoint": "android" });
    let (status, refused) = verb(&comm, &bob, &call, "accept", &slower).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (409, &json!("CallAcceptedElsewhere"))
    );
    let (status, over) = verb(&comm, &alice, &call, "hangUp", &Value::Null).await;
    assert_eq!((status, &over["endReason"]), (200, &json!("hungUp")));
    settled(&comm, &alice, &call).await;
    assert_eq!(iphone.pushes().await.len(), 1, "it took the call itself");
    let wanted = [
        "CallStarted",
        "IncomingCall",
        "CallParticipantAdded",
        "CallParticipantRemoved",
        "CallEnded",
    ];
    let mut seen = events(&comm).await;
    let mut wanted = wanted.map(str::to_owned);
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn rejecting_stops_every_phone_and_ends_the_call() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let (iphone, android) = (phones.iphone("voip").await, phones.android().await);
    comm.register(&bob, "iphone", "APNS", &iphone.token).await;
    comm.register(&bob, "android", "FCM", &android.token).await;
    let call = place(&comm, &alice, &[&bob]).await;
    told(&iphone, 1).await;
    told(&android, 1).await;
    let (status, call) = verb(
        &comm,
        &bob,
        &call,
        "reject",
        &json!({ "endpoint": "android" }),
    )
    .await;
    assert_eq!((status, &call["endReason"]), (200, &json!("declined")));
    assert_eq!(call["legs"][0]["state"], "declined");
    let stop = &told(&iphone, 2).await[1];
    assert_eq!(stop["payload"]["data"]["reason"], "declined");
    assert_eq!(stop["headers"]["apns-expiration"], "0");
    assert_eq!(android.pushes().await.len(), 1);
}

#[tokio::test]
async fn nobody_answers_and_nobody_can_be_reached_are_told_apart() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob, carol) = (comm.user().await, comm.user().await, comm.user().await);
    let android = phones.android().await;
    comm.register(&bob, "android", "FCM", &android.token).await;
    comm.register(&carol, "gone", "APNS", "00fc").await;
    for (callee, reason, stops) in [(&bob, "noAnswer", 1), (&carol, "unreachable", 0)] {
        let call = place(&comm, &alice, &[callee]).await;
        settled(&comm, &alice, &call).await;
        comm.test.app.clock.advance(Duration::from_secs(30));
        let call = ended(&comm, &alice, &call).await;
        assert_eq!(call["endReason"], reason, "{call}");
        assert_eq!(call["legs"][0]["state"], "timedOut");
        let deliveries = settled(&comm, &alice, &call).await;
        let stopped = deliveries
            .iter()
            .filter(|one| one["event"] == "StopRinging");
        assert_eq!(stopped.count(), stops, "{deliveries:?}");
    }
}

#[tokio::test]
async fn a_call_that_rings_at_a_stop_is_still_ended_at_its_deadline() {
    let comm = Comm::start().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let early = place(&comm, &alice, &[&bob]).await;
    let comm = comm.restart().await;
    comm.test.app.clock.advance(Duration::from_secs(29));
    assert_eq!(show(&comm, &alice, &early).await["state"], "ringing");
    comm.test.app.clock.advance(Duration::from_secs(1));
    ended(&comm, &alice, &early).await;
}

#[tokio::test]
async fn a_ring_that_a_stop_interrupts_reaches_the_phone_after_the_start() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let iphone = phones.iphone("voip").await;
    comm.register(&bob, "iphone", "APNS", &iphone.token).await;
    fail(&phones).await;
    let call = place(&comm, &alice, &[&bob]).await;
    until(async || phones.stats().await.contains("503").then_some(())).await;
    phones.mend().await;
    // The clock stands, and with it the pause before the second attempt: only the start can send it.
    let comm = comm.restart().await;
    let ring = &told(&iphone, 1).await[0];
    assert_eq!(ring["payload"]["data"]["callId"], id(&call));
    assert_eq!(settled(&comm, &alice, &call).await[0]["state"], "accepted");
}

#[tokio::test]
async fn the_deliveries_list_says_why_nobody_was_pushed() {
    let comm = Comm::start().await;
    let (alice, bob, carol) = (comm.user().await, comm.user().await, comm.user().await);
    comm.register(&bob, "iphone", "APNS", "aa").await;
    let call = place(&comm, &alice, &[&bob, &carol]).await;
    let deliveries = deliveries(&comm, &alice, &call).await;
    let shown: Vec<_> = deliveries
        .iter()
        .map(|one| {
            (
                one["target"]["rawId"].as_str(),
                one["way"].as_str(),
                one["reason"].as_str(),
            )
        })
        .collect();
    let none = Some("none");
    let wanted = [
        (
            Some(bob.id.as_str()),
            none,
            Some("comm is not linked to a hub"),
        ),
        (
            Some(carol.id.as_str()),
            none,
            Some("the user has no device and no live connection"),
        ),
    ];
    assert_eq!(shown, wanted);
}

#[tokio::test]
async fn a_dead_token_is_not_rung_again() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let android = phones.android().await;
    comm.register(&bob, "android", "FCM", &android.token).await;
    android.becomes("unregistered").await;
    let first = place(&comm, &alice, &[&bob]).await;
    assert_eq!(
        settled(&comm, &alice, &first).await[0]["state"],
        "deadToken"
    );
    // The registrar hears of it just after the delivery is settled.
    let user = UserId::new(bob.id.as_str());
    until(async || {
        let devices = comm.test.app.devices_of(&user).await.unwrap();
        (devices[0].transports[0].health != Health::Good).then_some(())
    })
    .await;
    let second = place(&comm, &alice, &[&bob]).await;
    let deliveries = settled(&comm, &alice, &second).await;
    assert_eq!(deliveries[0]["state"], "notSent", "{deliveries:?}");
}

#[tokio::test]
async fn a_group_call_rings_on_for_the_others() {
    let comm = Comm::start().await;
    let (alice, bob, carol) = (comm.user().await, comm.user().await, comm.user().await);
    let call = place(&comm, &alice, &[&bob, &carol]).await;
    verb(&comm, &bob, &call, "accept", &Value::Null).await;
    let call = show(&comm, &carol, &call).await;
    assert_eq!(call["state"], "connected");
    assert_eq!(call["legs"][1]["state"], "ringing");
    let (status, call) = verb(&comm, &alice, &call, "hangUp", &Value::Null).await;
    assert_eq!((status, &call["state"]), (200, &json!("ended")));
    assert_eq!(call["legs"][1]["state"], "cancelled");
}

#[tokio::test]
async fn of_many_devices_that_accept_at_once_one_wins() {
    let comm = Comm::start().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let call = place(&comm, &alice, &[&bob]).await;
    let (comm, bob, call) = (&comm, &bob, &call);
    let accepts = (0..16).map(|n| async move {
        let body = json!({ "endpoint": format!("device {n}") });
        verb(comm, bob, call, "accept", &body).await.0
    });
    let mut statuses = futures_util::future::join_all(accepts).await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(
        statuses[1..].iter().all(|status| *status == 409),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let comm = Comm::start().await;
    let (alice, bob, eve) = (comm.user().await, comm.user().await, comm.user().await);
    let chat = comm.user_with(&["chat"]).await;
    let joiner = comm.user_with(&["voip.join"]).await;
    let target = json!({ "targets": [{ "rawId": bob.id }] });
    for (user, status) in [(&chat, 403), (&joiner, 403), (&alice, 201)] {
        let answer = comm.by(user, "POST", "/calling/calls", &target).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    let call = place(&comm, &alice, &[&bob, &joiner]).await;
    assert_eq!(
        verb(&comm, &joiner, &call, "accept", &Value::Null).await.0,
        200
    );
    for (user, name, status, code) in [
        (&eve, "accept", 404, "CallNotFound"),
        (&eve, "hangUp", 404, "CallNotFound"),
        (&alice, "accept", 403, "NotCalled"),
        (&alice, "reject", 403, "NotCalled"),
    ] {
        let (got, body) = verb(&comm, user, &call, name, &Value::Null).await;
        assert_eq!((got, &body["error"]["code"]), (status, &json!(code)));
    }
    let path = format!("/calling/calls/{}", id(&call));
    assert_eq!(comm.by(&eve, "GET", &path, &Value::Null).await.status, 404);
    assert_eq!(comm.test.get(&path).await.status, 401);
}

#[tokio::test]
async fn each_bad_input_is_refused_by_name() {
    let comm = Comm::start().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let target = json!({ "rawId": bob.id });
    for (body, status, field) in [
        (json!({}), 400, "targets"),
        (
            json!({ "targets": [{ "rawId": "4:+15550100" }] }),
            400,
            "targets[0]",
        ),
        (
            json!({ "targets": [target, { "rawId": "8:acs:a_b_c" }] }),
            400,
            "targets[1]",
        ),
        (
            json!({ "targets": [{ "rawId": "8:acs:a_b" }] }),
            404,
            "targets[0]",
        ),
        (
            json!({ "targets": [{ "rawId": alice.id }] }),
            400,
            "targets[0]",
        ),
        (
            json!({ "targets": [target], "ringTimeoutInSeconds": 4 }),
            400,
            "ringTimeoutInSeconds",
        ),
        (json!({ "targets": [target], "video": 1 }), 400, "video"),
    ] {
        let answer = comm.by(&alice, "POST", "/calling/calls", &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.json()["error"]["target"], field, "{}", answer.body);
    }
    let call = place(&comm, &alice, &[&bob]).await;
    let path = format!("/calling/calls/{}:signal", id(&call));
    for (body, status) in [
        (json!({ "signal": { "candidate": "…" } }), 202),
        (json!({ "signal": {}, "to": { "rawId": bob.id } }), 202),
        (json!({ "signal": {}, "to": { "rawId": "8:acs:a_b" } }), 400),
        (json!({}), 400),
    ] {
        let answer = comm.by(&alice, "POST", &path, &body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

/// APNs answers 503 from now on, and the clock stands: what is sent stays pending.
async fn fail(phones: &Phones) {
    phones
        .fault(json!({ "service": "apns", "kind": "status", "status": 503, "reason": "ServiceUnavailable" }))
        .await;
}

/// The events that a phone was told once APNs answers again, while the clock runs on through the pauses before each
/// further attempt.
async fn told_at_last(comm: &Comm, phones: &Phones, phone: &Phone<'_>, count: usize) -> Vec<Value> {
    phones.mend().await;
    until(async || {
        comm.test.app.clock.advance(Duration::from_millis(10));
        let pushes = phone.pushes().await;
        (pushes.len() >= count).then_some(pushes)
    })
    .await
}

fn events_of(pushes: &[Value]) -> Vec<&str> {
    pushes
        .iter()
        .map(|push| push["payload"]["data"]["event"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_queued_ring_is_taken_back_when_its_user_answers_though_others_ring_on() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob, carol) = (comm.user().await, comm.user().await, comm.user().await);
    let (of_bob, of_carol) = (phones.iphone("voip").await, phones.iphone("voip").await);
    comm.register(&bob, "iphone", "APNS", &of_bob.token).await;
    comm.register(&carol, "iphone", "APNS", &of_carol.token)
        .await;
    fail(&phones).await;
    let call = place(&comm, &alice, &[&bob, &carol]).await;
    let here = json!({ "endpoint": "browser" });
    let (status, _) = verb(&comm, &bob, &call, "accept", &here).await;
    assert_eq!(status, 200);
    // The clock stands: nothing but the answer ends the ring.
    let taken_back = until(async || {
        let deliveries = deliveries(&comm, &alice, &call).await;
        let ring = |user: &User| {
            deliveries.iter().find(|one| {
                one["event"] == "IncomingCall" && one["target"]["rawId"] == user.id.as_str()
            })
        };
        let (bobs, carols) = (ring(&bob)?.clone(), ring(&carol)?);
        assert_eq!(carols["state"], "pending", "{carols}");
        (bobs["state"] != "pending").then_some(bobs)
    })
    .await;
    assert_eq!(taken_back["state"], "expired", "{taken_back}");
    let pushes = told_at_last(&comm, &phones, &of_carol, 1).await;
    assert_eq!(events_of(&pushes), ["IncomingCall"]);
    let pushes = told_at_last(&comm, &phones, &of_bob, 1).await;
    assert_eq!(events_of(&pushes), ["StopRinging"]);
}

#[tokio::test]
async fn a_queued_stop_is_sent_though_the_call_ends_meanwhile() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob, carol) = (comm.user().await, comm.user().await, comm.user().await);
    let iphone = phones.iphone("voip").await;
    comm.register(&carol, "iphone", "APNS", &iphone.token).await;
    let call = place(&comm, &alice, &[&bob, &carol]).await;
    told(&iphone, 1).await;
    settled(&comm, &alice, &call).await;
    fail(&phones).await;
    let here = json!({ "endpoint": "browser" });
    verb(&comm, &carol, &call, "reject", &here).await;
    let (status, call) = verb(&comm, &bob, &call, "reject", &Value::Null).await;
    assert_eq!((status, &call["state"]), (200, &json!("ended")));
    let pushes = told_at_last(&comm, &phones, &iphone, 2).await;
    assert_eq!(events_of(&pushes), ["IncomingCall", "StopRinging"]);
}

#[tokio::test]
async fn a_ring_that_another_node_stopped_is_taken_back_within_a_second() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let iphone = phones.iphone("voip").await;
    comm.register(&bob, "iphone", "APNS", &iphone.token).await;
    fail(&phones).await;
    let call = place(&comm, &alice, &[&bob]).await;
    accept_on_another_node(&comm, &bob, &call).await;
    comm.test.app.clock.advance(Duration::from_secs(1));
    let rings = until(async || ended_rings(&comm, &alice, &call).await).await;
    assert_eq!(rings[0]["state"], "expired", "{rings:?}");
}

#[tokio::test]
async fn a_ring_left_pending_is_not_sent_after_the_start_if_the_user_answered() {
    let (comm, phones) = Comm::with_phones().await;
    comm.link().await;
    let (alice, bob) = (comm.user().await, comm.user().await);
    let iphone = phones.iphone("voip").await;
    comm.register(&bob, "iphone", "APNS", &iphone.token).await;
    fail(&phones).await;
    let call = place(&comm, &alice, &[&bob]).await;
    until(async || phones.stats().await.contains("503").then_some(())).await;
    accept_on_another_node(&comm, &bob, &call).await;
    phones.mend().await;
    // The clock stands: only the start can send it.
    let comm = comm.restart().await;
    let rings = until(async || ended_rings(&comm, &alice, &call).await).await;
    assert_eq!(rings[0]["state"], "expired", "{rings:?}");
    assert!(!events_of(&iphone.pushes().await).contains(&"IncomingCall"));
}

async fn accept_on_another_node(comm: &Comm, user: &User, call: &Value) {
    let other = comm.test.second_node().await;
    let accept = Verb::Accept {
        by: UserId::new(user.id.as_str()),
        endpoint: Some(RegistrationId::new("browser")),
        signal: None,
    };
    other.change_call(id(call), accept).await.unwrap();
    other.stop().await;
}

/// The deliveries that rang, once none of them is pending.
async fn ended_rings(comm: &Comm, user: &User, call: &Value) -> Option<Vec<Value>> {
    let mut rings = deliveries(comm, user, call).await;
    rings.retain(|one| one["event"] == "IncomingCall");
    let pending = rings.iter().any(|one| one["state"] == "pending");
    (!pending).then_some(rings)
}
