//! Calls: who rings, who stops ringing, and how a call ends, with virtual phones.

mod late;
mod outcomes;
mod refusals;

use std::time::Duration;

use serde_json::{Value, json};

use crate::comm::{Comm, User};
use crate::phones::Phone;

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
pub async fn settled(comm: &Comm, user: &User, call: &Value) -> Vec<Value> {
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
