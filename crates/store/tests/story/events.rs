//! Events, and their deliveries on the way to settled.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::Reason;
use domain::event::{Attempt, DeliveryState, Event, LastAttempt};
use domain::id::{DestinationId, EventId, NodeId, SourceId};
use domain::time::Timestamp;
use store::Store;
use store::batch::Limits;
use store::event_deliveries::{NewDelivery, Page, Settlement};
use store::events::{Publication, Recorded};
use tokio_util::task::TaskTracker;
use wire::event::InputSchema;

const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);
const LIMITS: Limits = Limits {
    queue: 64,
    batch: 16,
    patience: Duration::from_millis(5),
};
const VERSION: &str = "story.version";

fn event(id: &str) -> Arc<Event> {
    Arc::new(Event {
        id: EventId::new(id),
        source: SourceId::new("comm"),
        input: InputSchema::EventGrid,
        kind: "Microsoft.Communication.CallStarted".into(),
        subject: "call/x".into(),
        body: format!(r#"{{"id":"{id}"}}"#),
        published_at: NOW,
    })
}

fn delivery(event: &Arc<Event>, destination: &str, held: bool) -> NewDelivery {
    NewDelivery {
        event: Arc::clone(event),
        destination: Arc::new(DestinationId::new(destination)),
        urgent: false,
        held,
        due_at: NOW,
    }
}

fn settlement(event: &Arc<Event>, state: DeliveryState, due_at: Timestamp) -> Settlement {
    Settlement {
        event: Arc::clone(event),
        destination: Arc::new(DestinationId::new("d1")),
        state,
        held: false,
        due_at,
        attempts: 1,
        last: Some(LastAttempt {
            at: NOW,
            status: Some(503),
            outcome: "Busy".into(),
        }),
        reason: None,
        attempt: Some(Attempt {
            number: 1,
            began_at: NOW,
            took: Duration::from_millis(3),
            status: Some(503),
            outcome: "Busy".into(),
            error: None,
            request: "{}".into(),
            answer: Some("{}".into()),
        }),
    }
}

/// Ids of what is due for `d1` at `due_by`; in the order of acceptance without it.
async fn waiting(store: &Store, due_by: Option<Timestamp>) -> Vec<String> {
    let destination = DestinationId::new("d1");
    let page = Page {
        destination: &destination,
        urgent: false,
        due_by,
        limit: 10,
    };
    let waiting = store.backlog(page).await.unwrap();
    waiting
        .into_iter()
        .map(|one| one.event.id.into_string())
        .collect()
}

pub async fn chapter(store: &Store) {
    let node = NodeId::new("n1");
    let events = ["e1", "e2", "e3", "e4"].map(event);
    accepts(store, &node, &events).await;
    reads(store, &events).await;
    refills(store, &node).await;
    settles(store, &node, &events).await;
    tells(store, &events).await;
    forgets(store).await;
}

/// Events are written with their deliveries, unless subscriptions have changed since they were matched.
async fn accepts(store: &Store, node: &NodeId, events: &[Arc<Event>; 4]) {
    let mut tx = store.begin().await.unwrap();
    tx.set_meta(VERSION, "1").await.unwrap();
    assert_eq!(tx.meta(VERSION).await.unwrap().as_deref(), Some("1"));
    tx.insert_events(&events[..1]).await.unwrap();
    let own = [
        delivery(&events[0], "d1", false),
        delivery(&events[0], "d2", false),
    ];
    tx.insert_event_deliveries(&own, node).await.unwrap();
    tx.commit().await.unwrap();
    let writer = store.event_writer(node.clone(), VERSION, &TaskTracker::new(), LIMITS);
    let publication = |version: &str| Publication {
        version: Some(version.into()),
        events: events[1..].to_vec(),
        deliveries: vec![
            delivery(&events[1], "d1", false),
            delivery(&events[2], "d1", true),
            delivery(&events[3], "d1", false),
        ],
    };
    let outdated = writer.publish(publication("0")).await.unwrap();
    assert_eq!(outdated, Recorded::Outdated);
    assert!(store.event(&events[1].id).await.unwrap().is_none());
    let durable = writer.publish(publication("1")).await.unwrap();
    assert_eq!(durable, Recorded::Durable);
    let mut tx = store.begin().await.unwrap();
    let none: [Publication; 0] = [];
    let recorded = tx.record_publications(&none, VERSION, node).await.unwrap();
    assert!(recorded.is_empty());
}

async fn reads(store: &Store, events: &[Arc<Event>; 4]) {
    let all = store.events_after("", 10).await.unwrap();
    assert_eq!(
        all,
        events
            .iter()
            .map(|event| (**event).clone())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        store.events_after("e2", 1).await.unwrap()[0].id.as_str(),
        "e3"
    );
    let comm = SourceId::new("comm");
    let between = store.events_of(&comm, "e2", "e4", 10).await.unwrap();
    assert_eq!(between.len(), 2);
    let others = store
        .events_of(&SourceId::new("x"), "", "z", 10)
        .await
        .unwrap();
    assert!(others.is_empty());
    for (source, id, found) in [
        ("comm", "e2", Some("e2")),
        ("comm", "E2", None),
        ("comm", "e_", None),
        ("comm", "%", None),
        ("other", "e2", None),
    ] {
        let event = store.event_published_as(&SourceId::new(source), id).await;
        let event = event.unwrap().map(|event| event.id.into_string());
        assert_eq!(event.as_deref(), found, "{source} {id}");
    }
    assert_eq!(
        store.event(&events[0].id).await.unwrap().as_ref(),
        Some(&*events[0])
    );
    assert_eq!(
        store.last_event().await.unwrap(),
        events.last().map(|last| last.id.clone())
    );
    let mut behind = store.destinations_behind().await.unwrap();
    behind.sort();
    assert_eq!(behind, ["d1", "d2"].map(DestinationId::new));
}

/// A page of the backlog is what nobody holds; of two nodes that want it one gets it.
async fn refills(store: &Store, node: &NodeId) {
    let destination = DestinationId::new("d1");
    assert_eq!(waiting(store, Some(NOW)).await, ["e1", "e2", "e4"]);
    let before = NOW - Duration::from_secs(1);
    assert!(waiting(store, Some(before)).await.is_empty());
    assert_eq!(waiting(store, None).await, ["e1", "e2", "e4"]);
    assert_eq!(
        store.next_due(&destination, false).await.unwrap(),
        Some(NOW)
    );
    assert_eq!(store.next_due(&destination, true).await.unwrap(), None);
    let ids = ["e1", "e2"].map(EventId::new);
    let mut tx = store.begin().await.unwrap();
    // The second time it is not known whether the first was committed.
    for _ in 0..2 {
        let mut claimed = tx.claim_deliveries(&destination, &ids, node).await.unwrap();
        claimed.sort();
        assert_eq!(claimed, ids);
    }
    let other = NodeId::new("n2");
    let again = tx
        .claim_deliveries(&destination, &ids, &other)
        .await
        .unwrap();
    assert!(again.is_empty());
    tx.commit().await.unwrap();
    assert_eq!(waiting(store, None).await, ["e4"]);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.release_deliveries(&other).await.unwrap(), 0);
    assert_eq!(tx.release_deliveries(node).await.unwrap(), 3);
    tx.commit().await.unwrap();
    assert_eq!(waiting(store, None).await, ["e1", "e2", "e3", "e4"]);
}

async fn settles(store: &Store, node: &NodeId, events: &[Arc<Event>; 4]) {
    let destination = DestinationId::new("d1");
    let later = NOW + Duration::from_secs(10);
    let writer = store.event_writer(node.clone(), VERSION, &TaskTracker::new(), LIMITS);
    let settled = vec![
        settlement(&events[0], DeliveryState::Delivered, NOW),
        settlement(&events[1], DeliveryState::Pending, later),
    ];
    writer.settle(settled).await.unwrap();
    assert_eq!(waiting(store, Some(later)).await, ["e3", "e4", "e2"]);
    let failed = store.last_failed_delivery(&destination).await.unwrap();
    let failed = failed.unwrap();
    assert_eq!((failed.event, failed.attempts), (events[1].id.clone(), 1));
    assert_eq!(failed.last.unwrap().status, Some(503));
    let well = store.last_failed_delivery(&DestinationId::new("d2")).await;
    assert_eq!(well.unwrap(), None);
    // What is delivered stays so.
    let mut tx = store.begin().await.unwrap();
    let late = [settlement(&events[0], DeliveryState::Dropped, later)];
    tx.settle_event_deliveries(&late, node).await.unwrap();
    tx.commit().await.unwrap();
    let first = store
        .event_delivery(&events[0].id, &destination)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.state, DeliveryState::Delivered);
    assert_eq!(first.last.unwrap().status, Some(503));
    let mut tx = store.begin().await.unwrap();
    let end = (DeliveryState::Dead, later);
    let expired = tx.expire_deliveries(&destination, false, NOW, NOW, end);
    assert_eq!(expired.await.unwrap(), 2);
    tx.commit().await.unwrap();
    let third = store
        .event_delivery(&events[2].id, &destination)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (third.state, third.reason),
        (DeliveryState::Dead, Some(Reason::TimeToLiveExceeded))
    );
    assert_eq!(third.due_at, later);
}

/// The log, the dead letters, and what is delivered again.
async fn tells(store: &Store, events: &[Arc<Event>; 4]) {
    let destination = DestinationId::new("d1");
    let later = NOW + Duration::from_secs(10);
    let logged = store
        .event_attempts(&events[0].id, &destination)
        .await
        .unwrap();
    assert_eq!(logged.len(), 1);
    assert_eq!(
        Some(&logged[0]),
        settlement(&events[0], DeliveryState::Delivered, NOW)
            .attempt
            .as_ref()
    );
    let comm = SourceId::new("comm");
    let all = store
        .event_deliveries(&destination, &comm, "e1", None, 10)
        .await
        .unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(
        (&all[0].kind, &all[0].subject),
        (&events[1].kind, &events[1].subject)
    );
    let of_source = store.deliveries_of(&comm, 10).await.unwrap();
    assert!(of_source.is_sorted_by_key(|(event, _)| event.id.clone()));
    let here = of_source
        .iter()
        .filter(|(_, one)| one.destination == destination);
    let here: Vec<_> = here.map(|(event, one)| (event, &one.event)).collect();
    assert_eq!(here.len(), 4);
    assert_eq!(here[0], (&*events[0], &events[0].id));
    let dead = Some(DeliveryState::Dead);
    let dead = store
        .event_deliveries(&destination, &comm, "", dead, 10)
        .await
        .unwrap();
    assert_eq!(dead.len(), 2);
    assert!(
        store
            .dead_events(&destination, NOW, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let waiting_dead = store.dead_events(&destination, later, 10).await.unwrap();
    assert_eq!(waiting_dead.len(), 2);
    let (event, delivery) = &waiting_dead[0];
    assert_eq!((event, &delivery.event), (&*events[2], &events[2].id));
    let mut tx = store.begin().await.unwrap();
    tx.bury_event(&event.id, &destination, DeliveryState::DeadLettered)
        .await
        .unwrap();
    let ids = [&events[0].id, &events[1].id, &events[2].id];
    // The second is pending, and stays as it is.
    assert_eq!(
        tx.redeliver(&destination, &ids, false, later)
            .await
            .unwrap(),
        2
    );
    // What was tried before stays in the log.
    let again = [settlement(&events[0], DeliveryState::Pending, later)];
    let node = NodeId::new("n1");
    tx.settle_event_deliveries(&again, &node).await.unwrap();
    tx.commit().await.unwrap();
    let logged = store.event_attempts(&events[0].id, &destination).await;
    let numbers: Vec<_> = logged.unwrap().iter().map(|one| one.number).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(waiting(store, Some(later)).await, ["e1", "e2", "e3"]);
}

/// Nothing is forgotten that is still to be delivered or dead-lettered.
async fn forgets(store: &Store) {
    let end = EventId::new("f");
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.sweep_events(&end, 10).await.unwrap(), 0);
    tx.drop_deliveries(&DestinationId::new("d2")).await.unwrap();
    assert_eq!(tx.sweep_events(&end, 10).await.unwrap(), 0);
    let dropped = tx.drop_deliveries(&DestinationId::new("d1")).await;
    assert_eq!(dropped.unwrap(), 4);
    assert_eq!(tx.sweep_events(&end, 3).await.unwrap(), 3);
    assert_eq!(tx.sweep_events(&end, 3).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(store.events_after("", 10).await.unwrap().is_empty());
    assert!(store.destinations_behind().await.unwrap().is_empty());
}
