//! Pushes that could not be sent at once: taken back, sent after all, or sent after a start.

use std::time::Duration;

use domain::call::Verb;
use domain::id::RegistrationId;
use domain::identity::UserId;
use serde_json::{Value, json};

use super::{deliveries, id, place, settled, told, until, verb};
use crate::comm::{Comm, User};
use crate::phones::{Phone, Phones};

#[tokio::test]
async fn a_ring_that_a_stop_interrupts_reaches_the_phone_after_the_start() {
    let (comm, phones) = Comm::with_phones().await;
    let [alice, bob] = comm.users().await;
    let iphone = comm.iphone(&bob, &phones).await;
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
async fn a_queued_ring_is_taken_back_when_its_user_answers_though_others_ring_on() {
    let (comm, phones) = Comm::with_phones().await;
    let [alice, bob, carol] = comm.users().await;
    let of_bob = comm.iphone(&bob, &phones).await;
    let of_carol = comm.iphone(&carol, &phones).await;
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
    let [alice, bob, carol] = comm.users().await;
    let iphone = comm.iphone(&carol, &phones).await;
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
    let [alice, bob] = comm.users().await;
    comm.iphone(&bob, &phones).await;
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
    let [alice, bob] = comm.users().await;
    let iphone = comm.iphone(&bob, &phones).await;
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
