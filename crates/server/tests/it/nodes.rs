//! Several nodes on one PostgreSQL: each sends its own, and one that is gone is replaced by exactly one other.

use std::process::Command;
use std::time::Duration;

use domain::call::Verb;
use domain::identity::UserId;
use serde_json::{Value, json};
use service::Clock;
use tokio::runtime::{Builder, Runtime};
use wire::acs::calling::MAX_TARGETS;

use crate::calling::place;
use crate::comm::Comm;
use crate::hub::{APPLE, DIRECT, Hub, unreachable};
use crate::phones::{Phone, Phones};
use crate::support::{NOW, TestApp};

/// A database of its own on the server that `TEST_POSTGRES` names.
struct Database {
    server: String,
    name: String,
}

impl Database {
    /// `None`, and a line that says so, when no server is named (`make rust` names one).
    fn create(test: &str) -> Option<Self> {
        let Ok(server) = std::env::var("TEST_POSTGRES") else {
            eprintln!("NOT RUN on PostgreSQL: TEST_POSTGRES is not set (use `make rust`)");
            return None;
        };
        let database = Self {
            server,
            name: format!("{test}_{}", std::process::id()),
        };
        database.run(&format!("create database {}", database.name));
        Some(database)
    }

    fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    fn drop(self) {
        // A node that vanished left connections behind.
        self.run(&format!("drop database {} with (force)", self.name));
    }

    fn run(&self, statement: &str) {
        let mut psql = Command::new("psql");
        psql.arg("-qd").arg(format!("{}/postgres", self.server));
        let done = psql.arg("-c").arg(statement).status().unwrap();
        assert!(done.success(), "{statement}");
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Until `done`; push services and databases take real time, so this waits in real time, and not for long.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..10_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not done within ten seconds");
}

/// Lets time pass in steps, slowly enough for the leases of the nodes that live.
async fn pass(clock: &Clock, time: Duration) {
    let step = Duration::from_millis(100);
    for _ in 0..time.as_millis() / step.as_millis() {
        clock.advance(step);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn send(hub: &Hub, phone: &Phone<'_>, n: u32) {
    let handle = ("ServiceBusNotification-DeviceHandle", phone.token.as_str());
    let body = json!({ "aps": { "alert": "hi" }, "n": n }).to_string();
    let answer = hub.request("POST", DIRECT, &[APPLE, handle], &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
}

/// The numbers of the sends that reached the phone.
async fn reached(phone: &Phone<'_>) -> Vec<u64> {
    let pushes = phone.pushes().await;
    let mut reached: Vec<_> = pushes
        .iter()
        .map(|push| push["payload"]["n"].as_u64().unwrap())
        .collect();
    reached.sort_unstable();
    reached
}

/// The first node runs on a runtime of its own, which is torn down between two polls of each of its tasks. It does not
/// believe the lab: whatever it accepts stays pending.
#[test]
fn what_a_node_has_in_flight_is_sent_by_another_once_it_is_gone_and_no_sooner() {
    let Some(database) = Database::create("flight") else {
        return;
    };
    let url = database.url();
    let outside = runtime();
    let clock = Clock::manual(NOW);
    let phones = outside.block_on(Phones::start(&clock));
    let iphone = outside.block_on(phones.iphone("alert"));
    let roots = vec![phones.root.clone()];

    let first = runtime();
    let hub = first.block_on(async {
        let node = TestApp::start_node(&url, "first", clock.clone(), Vec::new());
        Hub::of(node.await, phones.hub()).await
    });
    let (second, third) = outside.block_on(async {
        for n in 0..8 {
            send(&hub, &iphone, n).await;
        }
        let second = TestApp::start_node(&url, "second", clock.clone(), roots.clone());
        let third = TestApp::start_node(&url, "third", clock.clone(), roots.clone());
        let (second, third) = tokio::join!(second, third);
        let token = hub.token.clone();
        let second = Hub {
            test: second,
            token,
        };
        send(&second, &iphone, 100).await;
        until(async || !reached(&iphone).await.is_empty()).await;
        assert_eq!(
            reached(&iphone).await,
            [100],
            "the first is sending the rest"
        );

        (second, third)
    });
    first.shutdown_timeout(Duration::from_secs(10));
    outside.block_on(async {
        pass(&clock, Duration::from_secs(16)).await;
        until(async || reached(&iphone).await.len() >= 9).await;
        second.test.app.stop().await;
        third.app.stop().await;
        assert_eq!(reached(&iphone).await, [0, 1, 2, 3, 4, 5, 6, 7, 100]);
    });
    drop(hub);
    database.drop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_end_a_call_once() {
    let Some(database) = Database::create("calls") else {
        return;
    };
    let url = database.url();
    let clock = Clock::manual(NOW);
    let phones = Phones::start(&clock).await;
    let roots = vec![phones.root.clone()];
    let first = TestApp::start_node(&url, "first", clock.clone(), roots.clone()).await;
    let comm = Comm::of(first, &phones.hub()).await;
    comm.link().await;
    let [alice, bob] = comm.users().await;
    let iphone = comm.iphone(&bob, &phones).await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        calls.push(place(&comm, &alice, &[&bob]).await);
    }
    until(async || iphone.pushes().await.len() == calls.len()).await;

    // It takes up the deadlines of every call that rings.
    let second = TestApp::start_node(&url, "second", clock.clone(), roots).await;
    pass(&clock, Duration::from_secs(30)).await;
    until(async || {
        for call in &calls {
            let path = format!("/calling/calls/{}", call["id"].as_str().unwrap());
            let shown = comm.by(&alice, "GET", &path, &Value::Null).await.json();
            if shown["state"] != "ended" {
                return false;
            }
        }
        true
    })
    .await;
    until(async || iphone.pushes().await.len() >= 2 * calls.len()).await;
    second.app.stop().await;
    comm.test.app.stop().await;

    let after = TestApp::start_node(&url, "first", clock, Vec::new()).await;
    let events = after.app.events_after("", 1_000);
    let ended = events.await.unwrap();
    let ended = ended
        .iter()
        .filter(|event| event.kind.ends_with("CallEnded"));
    assert_eq!(ended.count(), calls.len());
    assert_eq!(
        iphone.pushes().await.len(),
        2 * calls.len(),
        "one ring and one stop each"
    );
    after.app.stop().await;
    database.drop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_who_is_called_may_accept_at_once_at_either_node() {
    let Some(database) = Database::create("accepts") else {
        return;
    };
    let url = database.url();
    let clock = Clock::manual(NOW);
    let first = TestApp::start_node(&url, "first", clock.clone(), Vec::new()).await;
    let comm = Comm::of(first, &unreachable()).await;
    let second = TestApp::start_node(&url, "second", clock, Vec::new()).await;
    let alice = comm.user().await;
    let everybody: [_; MAX_TARGETS] = comm.users().await;
    let call = place(&comm, &alice, &everybody.iter().collect::<Vec<_>>()).await;
    let id = call["id"].as_str().unwrap();
    let nodes = [&comm.test.app, &second.app];
    let accepts = everybody.iter().zip(nodes.into_iter().cycle());
    let accepts = accepts.map(|(user, node)| {
        let accept = Verb::Accept {
            by: UserId::new(user.id.as_str()),
            endpoint: None,
            signal: None,
        };
        node.change_call(id, accept)
    });
    for accepted in futures_util::future::join_all(accepts).await {
        accepted.unwrap();
    }
    second.app.stop().await;
    comm.test.app.stop().await;
    database.drop();
}
