//! Chapter: events.

use domain::event::Event;
use domain::id::EventId;
use domain::time::Timestamp;
use serde_json::json;
use store::Store;

pub async fn chapter(store: &Store) {
    let event = |id: &str, secs| Event {
        id: EventId::new(id),
        topic: "/subscriptions/s/comm".into(),
        kind: "Microsoft.Communication.CallStarted".into(),
        subject: "call/x".into(),
        data: json!({ "serverCallId": "x" }),
        at: Timestamp::from_secs(secs),
    };
    let events = [event("e2", 10), event("e3", 10), event("e1", 11)];
    let mut tx = store.begin().await.unwrap();
    tx.insert_events(&events).await.unwrap();
    tx.commit().await.unwrap();
    let all = store.events_after(Timestamp::from_secs(0), "", 10).await;
    assert_eq!(all.unwrap(), events);
    let rest = store.events_after(Timestamp::from_secs(10), "e2", 1).await;
    assert_eq!(rest.unwrap(), events[1..2]);
}
