//! Notifications: accepted once, pending until settled, found after a crash, swept.

use std::sync::Arc;
use std::time::Duration;

use domain::id::{CallId, NodeId, NotificationId, RegistrationId};
use domain::identity::UserId;
use domain::notification::{DeliveryState, Notification, NotificationHub, REPEAT_WINDOW, Target};
use domain::push::{Attempted, Lane, Outcome, Platform};
use domain::time::Timestamp;
use store::Store;
use store::batch::Limits;
use store::notifications::{Acceptance, Accepted, Settlement};
use tokio_util::task::TaskTracker;

const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

fn node() -> NodeId {
    NodeId::new("node")
}

fn notification(at: Timestamp, digest: u8, handles: &[&str]) -> Notification {
    Notification {
        id: NotificationId::accepted(at, [digest; 16]),
        hub: NotificationHub::Own("/subscriptions/s/hub".into()),
        platform: Platform::Apns,
        headers: [("apns-push-type".to_owned(), "voip".to_owned())].into(),
        body: r#"{"aps":{},"größe":"\u0000"}"#.into(),
        tag: Some("tag".into()),
        lane: Lane::Call,
        call: None,
        created_at: at,
        deadline: at + Duration::from_secs(30),
        targets: handles
            .iter()
            .map(|handle| Target {
                handle: (*handle).to_owned(),
                device: None,
            })
            .collect(),
    }
}

fn attempted(outcome: Outcome, status: u16) -> Attempted {
    Attempted {
        outcome,
        status,
        reason: Some("Reason".into()),
        provider_id: Some("id".into()),
        attempts: 2,
        written_at: Some(NOW),
        ended_at: NOW + Duration::from_millis(3),
    }
}

fn settlement(of: &Notification, ordinal: u32, attempted: Attempted) -> Settlement {
    Settlement {
        notification: of.id.clone(),
        ordinal,
        attempted,
    }
}

async fn accept(store: &Store, notification: Notification, previous: Option<u8>) -> Accepted {
    let before = notification.created_at - REPEAT_WINDOW;
    let acceptance = Acceptance {
        notification: Arc::new(notification),
        previous: previous.map(|digest| NotificationId::accepted(before, [digest; 16])),
    };
    let mut tx = store.begin().await.unwrap();
    let accepted = tx
        .accept_notifications(&node(), &[acceptance])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    accepted.into_iter().next().unwrap()
}

pub async fn chapter(store: &Store) {
    what_is_accepted_is_read_as_it_was(store).await;
    clear(store).await;
    a_repeat_within_five_minutes_is_answered_with_the_first(store).await;
    clear(store).await;
    many_are_accepted_and_settled_in_batches(store).await;
    clear(store).await;
    what_was_not_settled_is_pending(store).await;
    clear(store).await;
    each_outcome_is_read_as_it_was_and_stays(store).await;
    clear(store).await;
    the_sweep_takes_the_oldest_in_bounded_steps(store).await;
    clear(store).await;
}

async fn clear(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    tx.sweep_notifications(Timestamp::MAX, 1000).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.pending_deliveries(&node()).await.unwrap(), []);
}

async fn what_is_accepted_is_read_as_it_was(store: &Store) {
    let mut one = notification(NOW, 1, &["t0", "t1"]);
    one.targets[1].device = Some((UserId::new("8:acs:b"), RegistrationId::new("r")));
    one.call = Some(CallId::new("call"));
    one.hub = NotificationHub::Linked("/subscriptions/s/comm".into());
    let mut tx = store.begin().await.unwrap();
    tx.insert_notifications(&node(), std::slice::from_ref(&one))
        .await
        .unwrap();
    tx.commit().await.unwrap();

    let read = store.notification(&one.id).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{one:?}"));
    let unknown = NotificationId::new("none");
    assert!(store.notification(&unknown).await.unwrap().is_none());

    let of_call = store
        .deliveries_of_call(&CallId::new("call"))
        .await
        .unwrap();
    assert_eq!(of_call.len(), 2);
    assert_eq!(of_call[1].target, one.targets[1]);
    assert!(matches!(of_call[1].state, DeliveryState::Pending));
}

async fn a_repeat_within_five_minutes_is_answered_with_the_first(store: &Store) {
    let first = notification(NOW, 7, &["t"]);
    let id = first.id.clone();
    assert_eq!(accept(store, first, Some(7)).await, Accepted::New);
    let again = notification(NOW, 7, &["t"]);
    assert_eq!(
        accept(store, again, Some(7)).await,
        Accepted::Repeat(id.clone())
    );
    // In the next window of time, but less than five minutes later.
    let next = notification(NOW + REPEAT_WINDOW - Duration::from_secs(1), 7, &["t"]);
    assert_ne!(next.id, id);
    assert_eq!(accept(store, next, Some(7)).await, Accepted::Repeat(id));
    let later = notification(NOW + REPEAT_WINDOW, 7, &["t"]);
    assert_eq!(accept(store, later, Some(7)).await, Accepted::New);
    assert_eq!(store.pending_deliveries(&node()).await.unwrap().len(), 2);
}

async fn many_are_accepted_and_settled_in_batches(store: &Store) {
    let tasks = TaskTracker::new();
    let limits = Limits {
        queue: 1000,
        batch: 500,
        patience: Duration::from_millis(5),
    };
    let writer = store.sends(node(), &tasks, limits);
    // 300 requests, of which every third is a repeat of the one before it.
    let digests: Vec<u8> = (0..=255).flat_map(|n| [n, n]).take(300).collect();
    let accepted = futures_util::future::join_all(digests.iter().map(|digest| {
        writer.accept(Acceptance {
            notification: Arc::new(notification(NOW, *digest, &["t0", "t1"])),
            previous: Some(NotificationId::accepted(NOW - REPEAT_WINDOW, [*digest; 16])),
        })
    }))
    .await;
    let new = accepted
        .iter()
        .filter(|one| *one.as_ref().unwrap() == Accepted::New)
        .count();
    assert_eq!(new, 150);
    let pending = store.pending_deliveries(&node()).await.unwrap();
    assert_eq!(pending.len(), 150);
    assert!(pending.iter().all(|(_, ordinals)| *ordinals == [0, 1]));

    let settled = futures_util::future::join_all(pending.iter().map(|(id, _)| {
        writer.settle(Settlement {
            notification: id.clone(),
            ordinal: 1,
            attempted: attempted(Outcome::Accepted, 200),
        })
    }))
    .await;
    assert!(settled.iter().all(Result::is_ok));
    let pending = store.pending_deliveries(&node()).await.unwrap();
    assert_eq!(pending.len(), 150);
    assert!(pending.iter().all(|(_, ordinals)| *ordinals == [0]));
}

async fn what_was_not_settled_is_pending(store: &Store) {
    let one = notification(NOW, 1, &["t0", "t1", "t2"]);
    accept(store, one.clone(), None).await;
    let mut tx = store.begin().await.unwrap();
    let ended = settlement(&one, 1, attempted(Outcome::Accepted, 200));
    tx.settle_deliveries(&[ended]).await.unwrap();
    tx.commit().await.unwrap();
    // Begun and never committed, as when the process is killed.
    let mut tx = store.begin().await.unwrap();
    let lost = settlement(&one, 0, attempted(Outcome::Accepted, 200));
    tx.settle_deliveries(&[lost]).await.unwrap();
    drop(tx);
    assert_eq!(
        store.pending_deliveries(&node()).await.unwrap(),
        vec![(one.id.clone(), vec![0, 2])]
    );
}

async fn each_outcome_is_read_as_it_was_and_stays(store: &Store) {
    let outcomes = [
        Outcome::Accepted,
        Outcome::DeadToken { since: Some(NOW) },
        Outcome::DeadToken { since: None },
        Outcome::SuspectToken,
        Outcome::RetryAfter(Duration::from_secs(9)),
        Outcome::CredentialRefused,
        Outcome::RequestRefused,
        Outcome::Unavailable,
        Outcome::Expired,
    ];
    let one = notification(NOW, 1, &["t"; 9]);
    accept(store, one.clone(), None).await;
    let ended: Vec<Settlement> = (0..)
        .zip(&outcomes)
        .map(|(n, outcome)| settlement(&one, n, attempted(outcome.clone(), 400)))
        .collect();
    let mut late = settlement(&one, 0, attempted(Outcome::Expired, 0));
    // A push service may say anything; PostgreSQL has no text with a NUL.
    late.attempted.reason = Some("\0".into());
    let mut tx = store.begin().await.unwrap();
    tx.settle_deliveries(&ended).await.unwrap();
    tx.settle_deliveries(&[late]).await.unwrap();
    tx.commit().await.unwrap();

    let mut read = store.deliveries(&one.id, 0, 5).await.unwrap();
    read.extend(store.deliveries(&one.id, 5, 5).await.unwrap());
    assert_eq!(read.len(), outcomes.len());
    for (delivery, outcome) in read.iter().zip(outcomes) {
        let DeliveryState::Settled(state) = &delivery.state else {
            panic!("{delivery:?} is not settled");
        };
        assert_eq!(*state, attempted(outcome, 400));
    }
}

async fn the_sweep_takes_the_oldest_in_bounded_steps(store: &Store) {
    for n in 0..5 {
        let at = NOW + REPEAT_WINDOW * u32::from(n);
        accept(store, notification(at, n, &["t0", "t1"]), None).await;
    }
    let before = NOW + REPEAT_WINDOW * 3;
    let mut swept = Vec::new();
    for _ in 0..3 {
        let mut tx = store.begin().await.unwrap();
        swept.push(tx.sweep_notifications(before, 2).await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(swept, [2, 1, 0]);
    assert_eq!(store.pending_deliveries(&node()).await.unwrap().len(), 2);
}
