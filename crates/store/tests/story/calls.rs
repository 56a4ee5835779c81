//! Chapter: calls, their legs, and who was rung how.

use std::time::Duration;

use domain::call::{Call, Leg, Round, Shown, State, Verb};
use domain::fanout::{Ring, RingEvent, Way};
use domain::id::{CallId, NotificationId, RegistrationId, RoundId};
use domain::identity::UserId;
use domain::push::Platform;
use domain::time::Timestamp;
use serde_json::{Map, json};
use store::Store;
use wire::acs::callautomation::CustomContext;

const NOW: Timestamp = Timestamp::from_secs(1000);

fn user(name: &str) -> UserId {
    UserId::new(format!("8:acs:r_{name}"))
}

fn call() -> Call {
    Call {
        id: CallId::new("c1"),
        communication: "/subscriptions/s/comm".into(),
        from: user("a"),
        display_name: "Alice".into(),
        video: true,
        signal: Some(json!({ "sdp": "offer" })),
        created_at: NOW,
        ring_deadline: NOW + Duration::from_secs(30),
        state: State::Ringing,
        caller_left: None,
        legs: vec![
            Leg::ringing(user("b"), round("round b", 40)),
            Leg::ringing(user("c"), round("round c", 30)),
        ],
        muted: Vec::new(),
        roster: 0,
    }
}

fn round(id: &str, secs: u64) -> Round {
    Round {
        id: RoundId::new(id),
        since: NOW,
        deadline: NOW + Duration::from_secs(secs),
        hops: 1,
        shown: Shown {
            display_name: Some("Alice of Support".into()),
            custom: CustomContext {
                sip: Map::new(),
                voip: Map::from_iter([("ticket".into(), json!("42"))]),
            },
        },
    }
}

pub async fn chapter(store: &Store) {
    let call = call();
    let mut tx = store.begin().await.unwrap();
    tx.insert_call(&call).await.unwrap();
    tx.commit().await.unwrap();
    let read = store.call(&call.id).await.unwrap().unwrap();
    assert_eq!(read.call, call);
    let ringing = store.ringing_calls().await.unwrap();
    let first = NOW + Duration::from_secs(30);
    assert_eq!(ringing, [(call.id.clone(), first)]);
    assert!(store.call(&CallId::new("c2")).await.unwrap().is_none());

    one_of_two_writers_is_told(store, &call).await;
    every_state_survives(store, &call.id).await;
    rings(store, &call.id).await;
    forgets(store).await;
}

async fn one_of_two_writers_is_told(store: &Store, call: &Call) {
    let mut first = store.call(&call.id).await.unwrap().unwrap();
    let mut second = first.clone();
    let accept = Verb::Accept {
        by: user("b"),
        endpoint: Some(RegistrationId::new("r1")),
        signal: Some(json!({ "sdp": "answer" })),
    };
    first.call.apply(accept.clone(), NOW).unwrap();
    second.call.apply(accept, NOW).unwrap();
    let mut tx = store.begin().await.unwrap();
    assert!(tx.update_call(&first).await.unwrap());
    assert!(!tx.update_call(&second).await.unwrap());
    let seen = tx.call(&call.id).await.unwrap().unwrap();
    assert_eq!(seen.call, first.call);
    tx.commit().await.unwrap();
    assert_eq!(
        store.ringing_calls().await.unwrap().len(),
        1,
        "c still rings"
    );
    let connected = async |before| store.calls_connected_before(before, 10).await.unwrap();
    assert!(connected(NOW).await.is_empty());
    let later = NOW + Duration::from_secs(1);
    assert_eq!(connected(later).await, std::slice::from_ref(&call.id));
}

async fn every_state_survives(store: &Store, id: &CallId) {
    let time_out = Verb::TimeOut {
        reached: Vec::new(),
    };
    let later = NOW + Duration::from_secs(60);
    let invite = |name: &str| Verb::Invite {
        target: user(name),
        round: round("again", 90),
    };
    let mute = Verb::Mute {
        targets: vec![user("b")],
    };
    let cancel = Verb::Cancel { target: user("d") };
    let hang_up = |name: &str| Verb::HangUp {
        by: user(name),
        endpoint: None,
    };
    // Muting comes first, for whoever leaves is not muted any more; `d` is a leg that the call did not have at first.
    for verb in [mute, time_out, invite("d"), cancel, hang_up("b")] {
        let mut read = store.call(id).await.unwrap().unwrap();
        read.call.apply(verb, later).unwrap();
        let mut tx = store.begin().await.unwrap();
        assert!(tx.update_call(&read).await.unwrap());
        tx.commit().await.unwrap();
        let again = store.call(id).await.unwrap().unwrap();
        assert_eq!(again.call, read.call);
    }
    let ended = store.call(id).await.unwrap().unwrap().call;
    assert!(matches!(ended.state, State::Ended(_)));
    let long = store.calls_connected_before(later, 10).await.unwrap();
    assert!(long.is_empty(), "it is over");
    assert!(store.ringing_calls().await.unwrap().is_empty());
}

async fn rings(store: &Store, id: &CallId) {
    let ring = |place, event, way, delivery| Ring {
        event,
        place,
        target: user("b"),
        round: RoundId::new("round b"),
        device: RegistrationId::new("r1"),
        way,
        delivery,
        at: NOW,
    };
    let pushed = |event| {
        let way = Way::Push(Platform::Apns, "aa".into());
        ring(0, event, way, Some((NotificationId::new("n1"), 7)))
    };
    let rings = [
        pushed(RingEvent::IncomingCall),
        pushed(RingEvent::StopRinging),
        ring(1, RingEvent::IncomingCall, Way::Live("conn".into()), None),
        ring(
            2,
            RingEvent::IncomingCall,
            Way::None("no device".into()),
            None,
        ),
    ];
    let mut tx = store.begin().await.unwrap();
    tx.insert_rings(id, &rings).await.unwrap();
    assert_eq!(tx.rings_of(id).await.unwrap(), rings);
    tx.commit().await.unwrap();
    assert_eq!(store.rings_of(id).await.unwrap(), rings);
}

/// A call is forgotten with all that belongs to it, once it has ended long enough ago.
async fn forgets(store: &Store) {
    let old = Call {
        id: CallId::new("old"),
        ..call()
    };
    let ringing = Call {
        id: CallId::new("rings"),
        ..call()
    };
    let mut tx = store.begin().await.unwrap();
    for call in [&old, &ringing] {
        tx.insert_call(call).await.unwrap();
    }
    let mut read = tx.call(&old.id).await.unwrap().unwrap();
    let end = Verb::End {
        by: old.from.clone(),
    };
    read.call.apply(end, NOW).unwrap();
    assert!(tx.update_call(&read).await.unwrap());
    assert_eq!(tx.sweep_calls(NOW, 10).await.unwrap(), 0);
    let later = NOW + Duration::from_secs(1);
    assert_eq!(tx.sweep_calls(later, 10).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(store.call(&old.id).await.unwrap().is_none());
    assert!(store.call(&ringing.id).await.unwrap().is_some());
}
