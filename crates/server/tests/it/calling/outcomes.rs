//! Who rings, who stops ringing, and how a call ends.

use std::time::Duration;

use domain::device::Health;
use domain::identity::UserId;
use domain::time::Timestamp;
use serde_json::{Value, json};
use wire::acs::calling::MAX_TARGETS;

use super::{deliveries, ended, events, id, place, settled, show, told, until, verb};
use crate::comm::Comm;
use crate::hub::unreachable;
use crate::support::TestApp;

#[tokio::test]
async fn two_phones_ring_and_the_one_that_is_slower_stops() {
    let (comm, phones) = Comm::with_phones().await;
    let [alice, bob] = comm.users().await;
    let iphone = comm.iphone(&bob, &phones).await;
    let android = comm.android(&bob, &phones).await;

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
        "CallParticipantAdded",
        "CallParticipantRemoved",
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
    let [alice, bob] = comm.users().await;
    let iphone = comm.iphone(&bob, &phones).await;
    let android = comm.android(&bob, &phones).await;
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
    let [alice, bob, carol] = comm.users().await;
    comm.android(&bob, &phones).await;
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
    let [alice, bob] = comm.users().await;
    let early = place(&comm, &alice, &[&bob]).await;
    let comm = comm.restart().await;
    comm.test.app.clock.advance(Duration::from_secs(29));
    assert_eq!(show(&comm, &alice, &early).await["state"], "ringing");
    comm.test.app.clock.advance(Duration::from_secs(1));
    ended(&comm, &alice, &early).await;
}

#[tokio::test]
async fn the_deliveries_list_says_why_nobody_was_pushed() {
    let comm = Comm::start().await;
    let [alice, bob, carol] = comm.users().await;
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
    let [alice, bob] = comm.users().await;
    let android = comm.android(&bob, &phones).await;
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
    let [alice, bob, carol] = comm.users().await;
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
    let [alice, bob] = comm.users().await;
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
async fn everybody_who_is_called_may_accept_at_once() {
    let comm = Comm::start().await;
    let alice = comm.user().await;
    let everybody: [_; MAX_TARGETS] = comm.users().await;
    let call = place(&comm, &alice, &everybody.iter().collect::<Vec<_>>()).await;
    let accepts = everybody
        .iter()
        .map(|user| verb(&comm, user, &call, "accept", &Value::Null));
    for (status, body) in futures_util::future::join_all(accepts).await {
        assert_eq!(status, 200, "{body}");
    }
    let legs = show(&comm, &alice, &call).await["legs"].clone();
    let legs = legs.as_array().unwrap();
    assert!(legs.iter().all(|leg| leg["state"] == "accepted"));
}

#[tokio::test]
async fn a_call_whose_devices_are_gone_ends_when_it_is_as_long_as_calls_may_be() {
    let longest = Duration::from_secs(3_600);
    let test = TestApp::start_with(|settings| settings.calls.longest = longest).await;
    let comm = Comm::of(test, &unreachable()).await;
    let [alice, bob] = comm.users().await;
    let call = place(&comm, &alice, &[&bob]).await;
    verb(&comm, &bob, &call, "accept", &Value::Null).await;
    let over = until(async || {
        // It is looked for every five minutes.
        comm.test.app.clock.advance(Duration::from_secs(300));
        let call = show(&comm, &alice, &call).await;
        (call["state"] == "ended").then_some(call)
    })
    .await;
    assert_eq!(over["endReason"], "tooLong");
    assert_eq!(over["endedBy"], Value::Null);
    let time = |member: &str| Timestamp::parse(over[member].as_str().unwrap()).unwrap();
    assert!(time("endedAt").since(time("createdAt")) >= longest);
}

#[tokio::test]
async fn the_configuration_says_how_long_a_call_rings() {
    let ring = Duration::from_secs(7);
    let test = TestApp::start_with(|settings| settings.calls.ring = ring).await;
    let comm = Comm::of(test, &unreachable()).await;
    let [alice, bob] = comm.users().await;
    let call = place(&comm, &alice, &[&bob]).await;
    let time = |member: &str| Timestamp::parse(call[member].as_str().unwrap()).unwrap();
    assert_eq!(time("ringDeadline").since(time("createdAt")), ring);
}
