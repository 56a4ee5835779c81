//! Nodes: each has a lease, and what one left pending goes to exactly one other.

use std::time::Duration;

use domain::id::{NodeId, NotificationId};
use domain::notification::{Notification, NotificationHub, Target};
use domain::push::{Attempted, Lane, Outcome, Platform};
use domain::time::Timestamp;
use store::Store;
use store::notifications::{Pending, Settlement};

const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);
const LEASE: Duration = Duration::from_secs(10);

pub async fn chapter(store: &Store) {
    assert_eq!(store.is_shared(), store.engine_name() == "postgres");
    what_a_node_left_pending_goes_to_one_other(store).await;
    a_node_that_comes_back_has_only_what_it_accepts_then(store).await;
    what_came_without_a_lease_is_not_lost(store).await;
    if store.is_shared() {
        of_many_that_take_over_at_once_each_gets_what_no_other_got(store).await;
    }
}

fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

/// Records a notification to two phones that `node` has to send.
async fn accept(store: &Store, name: &str, digest: u8) -> NotificationId {
    let id = NotificationId::accepted(NOW, [digest; 16]);
    let target = |handle: &str| Target {
        handle: handle.to_owned(),
        device: None,
    };
    let notification = Notification {
        id: id.clone(),
        hub: NotificationHub::Own("/subscriptions/s/hub".into()),
        platform: Platform::Apns,
        headers: [].into(),
        body: "{}".into(),
        tag: None,
        lane: Lane::Bulk,
        call: None,
        created_at: NOW,
        deadline: NOW + Duration::from_secs(30),
        targets: vec![target("t0"), target("t1")],
    };
    let mut tx = store.begin().await.unwrap();
    tx.insert_notifications(&node(name), &[notification])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

async fn settle(store: &Store, id: &NotificationId, ordinal: u32) {
    let attempted = Attempted {
        outcome: Outcome::Accepted,
        status: 200,
        reason: None,
        provider_id: None,
        attempts: 1,
        written_at: Some(NOW),
        ended_at: NOW,
    };
    let ended = Settlement {
        notification: id.clone(),
        ordinal,
        attempted,
    };
    let mut tx = store.begin().await.unwrap();
    tx.settle_deliveries(&[ended]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn renew(store: &Store, name: &str, now: Timestamp) {
    let mut tx = store.begin().await.unwrap();
    tx.renew_lease(&node(name), now, now + LEASE).await.unwrap();
    tx.commit().await.unwrap();
}

async fn take_over(store: &Store, name: &str, now: Timestamp) -> Pending {
    let mut tx = store.begin().await.unwrap();
    tx.renew_lease(&node(name), now, now + LEASE).await.unwrap();
    let taken = tx.take_over(&node(name), now).await.unwrap();
    tx.commit().await.unwrap();
    taken
}

async fn what_a_node_left_pending_goes_to_one_other(store: &Store) {
    renew(store, "a", NOW).await;
    let (sent, half) = (accept(store, "a", 1).await, accept(store, "a", 2).await);
    settle(store, &sent, 0).await;
    settle(store, &sent, 1).await;
    settle(store, &half, 1).await;
    let own = accept(store, "b", 3).await;

    let last_moment = NOW + LEASE - Duration::from_micros(1);
    assert_eq!(take_over(store, "b", last_moment).await, [], "it lives");
    let late = NOW + LEASE;
    assert_eq!(take_over(store, "b", late).await, [(half.clone(), vec![0])]);
    assert_eq!(take_over(store, "c", late).await, [], "b has it");
    let pending = store.pending_deliveries(&node("b")).await.unwrap();
    assert_eq!(pending, [(half, vec![0]), (own, vec![0, 1])]);

    // A stop need not be waited for.
    let mut tx = store.begin().await.unwrap();
    tx.give_lease_back(&node("b")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(take_over(store, "c", late).await, pending);
}

async fn a_node_that_comes_back_has_only_what_it_accepts_then(store: &Store) {
    let late = NOW + LEASE;
    assert_eq!(store.pending_deliveries(&node("a")).await.unwrap(), []);
    renew(store, "a", late).await;
    let new = accept(store, "a", 4).await;
    assert_eq!(take_over(store, "c", late).await, [], "it lives again");
    let pending = store.pending_deliveries(&node("a")).await.unwrap();
    assert_eq!(pending, [(new, vec![0, 1])]);
}

/// A node that was held up accepts on before it renews its lease.
async fn what_came_without_a_lease_is_not_lost(store: &Store) {
    let late = NOW + LEASE + LEASE;
    assert_eq!(take_over(store, "c", late).await.len(), 1, "what a had");
    let held_up = accept(store, "a", 5).await;
    assert_eq!(take_over(store, "c", late).await, [(held_up, vec![0, 1])]);

    let mut tx = store.begin().await.unwrap();
    tx.forget_nodes(late + LEASE).await.unwrap();
    tx.commit().await.unwrap();
    renew(store, "c", NOW).await;
    let taken = take_over(store, "a", late).await;
    assert!(
        !taken.is_empty(),
        "c was forgotten, though its lease was not over"
    );
    for (id, _) in taken {
        settle(store, &id, 0).await;
        settle(store, &id, 1).await;
    }
}

async fn of_many_that_take_over_at_once_each_gets_what_no_other_got(store: &Store) {
    renew(store, "dead", NOW).await;
    for digest in 100..150 {
        accept(store, "dead", digest).await;
    }
    let late = NOW + LEASE + LEASE;
    let takers = (0..8).map(|n| async move { take_over(store, &format!("taker{n}"), late).await });
    let taken = futures_util::future::join_all(takers).await.concat();
    let ids: std::collections::BTreeSet<_> = taken.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!((taken.len(), ids.len()), (50, 50));
}
