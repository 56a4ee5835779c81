//! `Microsoft.EventGrid`: topics, system topics, event subscriptions, and the handshakes of their webhooks.

mod handshakes;
mod operations;
mod subscriptions;
mod topics;

use std::time::Duration;

use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::support::{Answer, TestApp};

const SUB: &str = "/subscriptions/00000000-0000-0000-0000-000000000000";
const GRID: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.EventGrid";
const COMM: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.Communication/communicationServices/comm";
const V: &str = "api-version=2025-02-15";

/// A server with the topic `orders` and the communication resource `comm`.
async fn app() -> TestApp {
    let app = TestApp::start().await;
    app.group().await;
    put(
        &app,
        &format!("{GRID}/topics/orders"),
        json!({ "location": "global" }),
    )
    .await;
    let body = json!({ "location": "Global", "properties": { "dataLocation": "United States" } });
    put(&app, COMM, body).await;
    app
}

async fn arm(app: &TestApp, method: &str, id: &str, body: Value) -> Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    app.arm(method, &format!("{id}?{V}"), &body).await
}

async fn put(app: &TestApp, id: &str, body: Value) -> Value {
    let version = if id.contains("Communication/") && !id.contains("EventGrid") {
        "api-version=2025-09-01"
    } else {
        V
    };
    let answer = app
        .arm("PUT", &format!("{id}?{version}"), &body.to_string())
        .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

async fn get(app: &TestApp, id: &str) -> Value {
    let answer = arm(app, "GET", id, Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Subscriptions to the communication resource that are in effect.
fn subscribed(app: &TestApp) -> usize {
    let of = app.app.subscriptions_of(&COMM.to_lowercase());
    of.iter().count()
}

fn error(answer: &Answer) -> (u16, String, String) {
    let error = &answer.json()["error"];
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("code"), text("message"))
}

fn webhook(url: &str) -> Value {
    json!({ "properties": { "destination": {
        "endpointType": "WebHook", "properties": { "endpointUrl": url } } } })
}

fn cloud(url: &str) -> Value {
    let mut body = webhook(url);
    body["properties"]["eventDeliverySchema"] = "CloudEventSchemaV1_0".into();
    body
}

fn state(resource: &Value) -> &str {
    resource["properties"]["provisioningState"]
        .as_str()
        .unwrap()
}

/// Path and query of the operation that an answer names.
fn operation(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.headers["retry-after"], "1");
    let url = answer.headers["azure-asyncoperation"].to_str().unwrap();
    url.strip_prefix("https://localhost:8443")
        .unwrap()
        .to_owned()
}

/// Polls an operation, as clients do, until it has another status than `InProgress`.
async fn ended(app: &TestApp, operation: &str) -> Value {
    for _ in 0..5_000 {
        let polled = app.arm("GET", operation, "").await;
        assert_eq!(polled.status, 200, "{}", polled.body);
        if polled.json()["status"] != "InProgress" {
            return polled.json();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{operation} does not end");
}

/// Waits until a subscription is in this state.
async fn comes_to(app: &TestApp, id: &str, wanted: &str) -> Value {
    for _ in 0..5_000 {
        let resource = get(app, id).await;
        if state(&resource) == wanted {
            return resource;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{id} does not come to {wanted}");
}

/// Waits for the first request that `wanted` takes.
async fn got(receiver: &Receiver, header: &str, value: &str) -> crate::receiver::Got {
    for _ in 0..5_000 {
        let mut all = receiver.got().into_iter();
        if let Some(found) = all.find(|got| got.header(header) == value) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("no request with {header}: {value}");
}
