//! A server that vanishes in the middle of its work.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use service::Clock;
use tokio::runtime::{Builder, Runtime};

use crate::hub::{APPLE, DIRECT, Hub};
use crate::phones::Phones;
use crate::support::{NOW, TestApp};

const SENDS: usize = 2_000;
const IN_FLIGHT: usize = 64;
/// The server vanishes when so many were answered.
const ANSWERED: usize = 700;

/// The server has a runtime of its own, which is torn down between two polls of each of its tasks: nothing is
/// finished, flushed or closed, as when the process is killed.
#[test]
fn nothing_that_was_answered_is_missing_when_the_server_vanishes() {
    let outside = runtime();
    let clock = Clock::manual(NOW);
    let phones = outside.block_on(Phones::start(&clock));
    let iphone = outside.block_on(phones.iphone("alert"));

    let server = runtime();
    let roots = vec![phones.root.clone()];
    let hub = server.block_on(async {
        let test = TestApp::start_trusting(clock.clone(), roots.clone()).await;
        Arc::new(Hub::of(test, phones.hub()).await)
    });
    let answered = Arc::new(Mutex::new(BTreeSet::new()));
    let next = Arc::new(AtomicUsize::new(0));
    for _ in 0..IN_FLIGHT {
        let (hub, next) = (Arc::clone(&hub), Arc::clone(&next));
        let (answered, token) = (Arc::clone(&answered), iphone.token.clone());
        server.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= SENDS {
                    return;
                }
                let handle = ("ServiceBusNotification-DeviceHandle", token.as_str());
                let body = format!(r#"{{"aps":{{"alert":"hi"}},"n":{n}}}"#);
                let answer = hub.request("POST", DIRECT, &[APPLE, handle], &body).await;
                assert_eq!(answer.status, 201, "{}", answer.body);
                answered.lock().unwrap().insert(n);
            }
        });
    }
    // From somewhere on the push service fails, and the lane waits for a clock that stands still: much stays pending.
    wait(|| answered.lock().unwrap().len() >= ANSWERED / 4);
    outside.block_on(phones.fault(failing()));
    wait(|| answered.lock().unwrap().len() >= ANSWERED);
    server.shutdown_timeout(Duration::from_secs(10));
    let answered = answered.lock().unwrap().clone();
    assert!(answered.len() < SENDS, "it vanished too late to tell");

    let hub = Arc::into_inner(hub).expect("every task is gone with its runtime");
    let dir = hub.test.into_dir();
    let pushed = || -> BTreeSet<usize> {
        outside
            .block_on(iphone.pushes())
            .iter()
            .map(|push| usize::try_from(push["payload"]["n"].as_u64().unwrap()).unwrap())
            .collect()
    };
    assert!(
        !answered.is_subset(&pushed()),
        "nothing was left to recover"
    );
    outside.block_on(phones.mend());
    let again = outside.block_on(TestApp::start_in(dir, clock, roots));
    wait(|| answered.is_subset(&pushed()));
    outside.block_on(again.app.stop());
}

fn failing() -> Value {
    json!({ "service": "apns", "kind": "status", "status": 503, "reason": "ServiceUnavailable" })
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Waits until `done`; sockets and disks live in real time.
fn wait(done: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not done within twenty seconds");
}
