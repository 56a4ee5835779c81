//! A topic, its publishers and its webhook, for tests of whole processes; and SIGKILL in the middle of both.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use axum::response::Response;
use serde_json::{Value, json};

use super::crash::kill_amid;
use super::{Process, directory, run, stderr};
use crate::receiver::{Got, Receiver};

/// The type of the events that are counted.
pub const COUNTED: &str = "Contoso.Counted";
/// The subscription of whoever needs only one.
const HOOK: &str = "hook";
const EVENTS: usize = 2_000;
/// Accepted events after which the server is killed.
const ENOUGH: usize = 1_000;
/// Requests that the server is killed amid.
const UNDER_WAY: usize = 16;
/// So slow that most of what is accepted is still to be delivered.
const SLOWLY: &str = "carillon:rate-limit=50/s";

/// The topic of `carillon dev`, as publishers see it.
pub struct Topic {
    http: reqwest::Client,
    endpoint: String,
    key: String,
}

impl Topic {
    pub fn of(server: &Process) -> Self {
        let topic = &server.env["eventgrid"];
        Self {
            http: server.client().build().unwrap(),
            endpoint: topic["endpoint"].as_str().unwrap().to_owned(),
            key: topic["key"].as_str().unwrap().to_owned(),
        }
    }

    /// Publishes the event with this number.
    pub async fn publish(&self, number: usize, data: &str) -> reqwest::Result<reqwest::Response> {
        self.publish_all(COUNTED, number..number + 1, data).await
    }

    /// Publishes events of a type, with these numbers, in one request.
    pub async fn publish_all(
        &self,
        kind: &str,
        numbers: Range<usize>,
        data: &str,
    ) -> reqwest::Result<reqwest::Response> {
        let event = |number: usize| {
            json!({ "id": number.to_string(), "subject": "/s", "eventType": kind,
                "eventTime": "2026-11-24T04:18:16Z", "data": { "text": data }, "dataVersion": "1" })
        };
        let events: Vec<_> = numbers.map(event).collect();
        let request = self.http.post(&self.endpoint).json(&events);
        request.header("aeg-sas-key", &self.key).send().await
    }
}

/// Subscribes a webhook to that topic with these labels, and waits until it is asked and has agreed.
pub async fn subscribe(server: &Process, webhook: &Receiver, labels: &[&str]) {
    subscribe_with(server, HOOK, webhook, json!({ "labels": labels })).await;
}

/// Subscribes a webhook under a name, with more than its destination.
pub async fn subscribe_with(server: &Process, name: &str, webhook: &Receiver, more: Value) {
    let mut properties = more;
    properties["destination"] =
        json!({ "endpointType": "WebHook", "properties": { "endpointUrl": webhook.url } });
    let body = json!({ "properties": properties });
    control(server, "put", name, &body);
    let state =
        || control(server, "get", name, &Value::Null)["properties"]["provisioningState"].take();
    while state() != "Succeeded" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Gives that subscription other labels.
pub fn relabel(server: &Process, labels: &[&str]) {
    control(server, "patch", HOOK, &json!({ "labels": labels }));
}

fn control(server: &Process, verb: &str, name: &str, body: &Value) -> Value {
    let (subscription, group) = (
        server.text("subscription_id"),
        server.text("resource_group"),
    );
    let path = format!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid/topics/events\
         /eventSubscriptions/{name}?api-version=2025-02-15"
    );
    let body = body.to_string();
    let args = [verb, &path, &body, "--data-dir", server.data_dir()];
    let args: Vec<_> = match verb {
        "get" => args.into_iter().filter(|arg| *arg != body).collect(),
        _ => args.into(),
    };
    let done = run(&args);
    assert!(done.status.success(), "{}", stderr(&done));
    serde_json::from_slice(&done.stdout).unwrap_or_default()
}

/// Each event that the webhook got, with the server's ids that it came with, once for each time.
pub fn received(webhook: &Receiver) -> BTreeMap<usize, Vec<String>> {
    let mut all: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for got in webhook.got() {
        if got.header("aeg-event-type") == "Notification" {
            let id = got.header("aeg-output-event-id").to_owned();
            let number = got.body[0]["id"].as_str().unwrap().parse().unwrap();
            all.entry(number).or_default().push(id);
        }
    }
    all
}

/// Waits until the webhook got at least so many different events.
async fn until_received(webhook: &Receiver, count: usize) {
    while received(webhook).len() < count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the webhook got all of them, but not for ever.
pub async fn until_complete(webhook: &Receiver, accepted: &BTreeSet<usize>) {
    let mut missing = accepted.clone();
    for _ in 0..600 {
        let received = received(webhook);
        missing.retain(|number| !received.contains_key(number));
        if missing.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!(
        "{} of {} answered 200 are missing: {missing:?}",
        missing.len(),
        accepted.len()
    );
}

// More than one thread: the requests go on while the test waits for the killed process.
#[tokio::test(flavor = "multi_thread")]
async fn no_event_answered_200_is_lost_when_the_server_is_killed() {
    let dir = directory();
    let webhook = Receiver::willing().await;
    let server = Process::start(dir.path(), &[]);
    subscribe(&server, &webhook, &[SLOWLY]).await;
    webhook.hang(UNDER_WAY);
    let topic = Topic::of(&server);
    let publish = |number| {
        let topic = &topic;
        async move {
            let answer = topic.publish(number, "").await.ok()?;
            (answer.status() == 200).then_some(number)
        }
    };
    let accepted = kill_amid(server, (0..EVENTS).map(publish), ENOUGH).await;
    let accepted: BTreeSet<usize> = accepted.into_iter().collect();
    assert!(accepted.len() < EVENTS, "{} were accepted", accepted.len());

    // The next run is killed while it delivers what the first one left.
    let again = Process::start(dir.path(), &[]);
    until_received(&webhook, received(&webhook).len() + UNDER_WAY).await;
    again.signal("KILL");
    assert!(!again.ended_well());
    let delivered = received(&webhook);
    assert!(!accepted.iter().all(|number| delivered.contains_key(number)));

    let last = Process::start(dir.path(), &[]);
    relabel(&last, &[]);
    until_complete(&webhook, &accepted).await;
    let mut repeated = 0;
    for (number, ids) in received(&webhook) {
        assert!(
            ids.iter().all(|id| *id == ids[0]),
            "event {number}: {ids:?}"
        );
        repeated += usize::from(ids.len() > 1);
    }
    assert!(repeated >= UNDER_WAY, "{repeated} came more than once");
}

/// What `/metrics` says, line by line.
async fn metrics(server: &Process) -> String {
    let http = server.client().build().unwrap();
    let answer = http.get(format!("{}/metrics", server.text("http_url")));
    answer.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn refusals_filters_and_probation_are_counted() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let is_delivery = |got: &Got| got.header("aeg-event-type") == "Notification";
    let busy = move |got: &Got| match is_delivery(got) {
        true => Response::builder().status(429).header("retry-after", "60"),
        false => Response::builder(),
    };
    let code = |got: &Got| {
        let code = &got.body[0]["data"]["validationCode"];
        json!({ "validationResponse": code }).to_string()
    };
    let webhook = Receiver::start(busy, code).await;
    let filters = json!([
        { "operatorType": "StringIn", "key": "data.text", "values": ["wanted"] },
        { "operatorType": "IsNotNull", "key": "data.text" },
    ]);
    let more = json!({ "filter": { "advancedFilters": filters } });
    subscribe_with(&server, HOOK, &webhook, more).await;
    let topic = Topic::of(&server);
    for (text, status) in [
        ("wanted", 200),
        ("other", 200),
        (&"x".repeat(1_600_000), 413),
    ] {
        assert_eq!(topic.publish(0, text).await.unwrap().status(), status);
    }
    until_received(&webhook, 1).await;
    for line in [
        r#"carillon_publish_success_total{topic="events"} 2"#,
        r#"carillon_publish_fail_total{topic="events",error_type="client",error="RequestEntityTooLarge"} 1"#,
        r#"carillon_event_matched_total{topic="events"} 1"#,
        r#"carillon_event_unmatched_total{topic="events"} 1"#,
        r#"carillon_event_advanced_filter_evaluations_total{topic="events"} 3"#,
        r#"carillon_event_delivery_attempt_fail_total{subscription="hook",error="Busy"} 1"#,
        r#"carillon_event_probation{subscription="hook"} 1"#,
    ] {
        let mut said = metrics(&server).await;
        // The answer may still be on its way.
        for _ in 0..200 {
            if said.contains(line) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            said = metrics(&server).await;
        }
        assert!(said.lines().any(|one| one == line), "no {line} in {said}");
    }
}
