//! `Microsoft.EventGrid`: topics, system topics, event subscriptions, and the handshakes of their webhooks.

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

#[tokio::test]
async fn a_topic_is_made_changed_listed_and_deleted() {
    let app = app().await;
    let id = format!("{GRID}/topics/Topic-2");
    let made = put(
        &app,
        &id,
        json!({ "location": "global", "tags": { "a": "b" },
            "properties": { "inputSchema": "CloudEventSchemaV1_0", "unknown": 1 } }),
    )
    .await;
    assert_eq!(made["type"], "Microsoft.EventGrid/topics");
    let properties = &made["properties"];
    assert_eq!(
        properties["endpoint"],
        "https://localhost:8443/topics/Topic-2/api/events"
    );
    assert_eq!(properties["inputSchema"], "CloudEventSchemaV1_0");
    assert_eq!(state(&made), "Succeeded");
    assert_eq!(properties.get("unknown"), None);

    let patch =
        json!({ "properties": { "disableLocalAuth": true, "publicNetworkAccess": "Disabled" } });
    let patched = arm(&app, "PATCH", &id, patch).await;
    assert_eq!(patched.status, 201, "{}", patched.body);
    assert_eq!(patched.json()["properties"]["disableLocalAuth"], true);
    assert_eq!(patched.json()["tags"]["a"], "b");
    assert!(app.app.topic("TOPIC-2").unwrap().disable_local_auth);

    let change =
        json!({ "location": "global", "properties": { "inputSchema": "EventGridSchema" } });
    let refused = arm(&app, "PUT", &id, change).await;
    assert_eq!(error(&refused).1, "PropertyChangeNotAllowed");

    for scope in [
        format!("{SUB}/providers/Microsoft.EventGrid/topics"),
        format!("{GRID}/topics"),
    ] {
        let list = get(&app, &scope).await;
        let names: Vec<_> = list["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["orders", "Topic-2"]);
    }
    let one = app
        .arm(
            "GET",
            &format!("{GRID}/topics?{V}&$top=1&$filter=contains(name,'o')"),
            "",
        )
        .await
        .json();
    assert_eq!(one["value"].as_array().unwrap().len(), 1);
    let next = one["nextLink"].as_str().unwrap();
    let next = app
        .arm(
            "GET",
            next.strip_prefix("https://localhost:8443").unwrap(),
            "",
        )
        .await
        .json();
    assert_eq!(next["value"][0]["name"], "Topic-2");

    for _ in 0..2 {
        assert_eq!(arm(&app, "DELETE", &id, Value::Null).await.status, 204);
    }
    assert!(app.app.topic("topic-2").is_none());
    let gone = arm(&app, "GET", &id, Value::Null).await;
    assert_eq!(
        (gone.status, error(&gone).1.as_str()),
        (404, "ResourceNotFound")
    );
}

#[tokio::test]
async fn a_topic_has_two_keys_and_each_can_be_made_anew() {
    let app = app().await;
    let id = format!("{GRID}/topics/orders");
    let keys = arm(&app, "POST", &format!("{id}/listKeys"), Value::Null)
        .await
        .json();
    let regenerate = format!("{id}/regenerateKey");
    let anew = arm(&app, "POST", &regenerate, json!({ "keyName": "key2" })).await;
    assert_eq!(anew.status, 200);
    assert_eq!(anew.json()["key1"], keys["key1"]);
    assert_ne!(anew.json()["key2"], keys["key2"]);
    let again = arm(&app, "POST", &format!("{id}/listKeys"), Value::Null)
        .await
        .json();
    assert_eq!(again, anew.json());
    let other = arm(&app, "POST", &regenerate, json!({ "keyName": "key3" })).await;
    assert_eq!(error(&other).1, "InvalidRequest");
    let shown = get(&app, &id).await.to_string();
    assert!(!shown.contains(keys["key1"].as_str().unwrap()));
}

#[tokio::test]
async fn what_is_wrong_with_a_topic_is_named() {
    let app = app().await;
    let cases = [
        (
            "t",
            json!({ "location": "global" }),
            "InvalidRequest",
            "3 to 50",
        ),
        (
            "topic.2",
            json!({ "location": "global" }),
            "InvalidRequest",
            "3 to 50",
        ),
        ("t2x", json!({}), "LocationRequired", "location"),
        (
            "t2x",
            json!({ "location": "g", "properties": { "inputSchema": "Xml" } }),
            "InvalidRequest",
            "properties.inputSchema",
        ),
        (
            "t2x",
            json!({ "location": "g", "properties": { "inputSchema": "CustomEventSchema" } }),
            "InvalidRequest",
            "inputSchemaMapping",
        ),
        (
            "t2x",
            json!({ "location": "g", "properties": { "inputSchemaMapping": { "inputSchemaMappingType": "Json" } } }),
            "InvalidRequest",
            "inputSchemaMapping",
        ),
        (
            "t2x",
            json!({ "location": "g", "tags": { "a": 1 } }),
            "InvalidRequest",
            "'tags'",
        ),
    ];
    for (name, body, code, words) in cases {
        let answer = arm(&app, "PUT", &format!("{GRID}/topics/{name}"), body).await;
        let (status, given, message) = error(&answer);
        assert_eq!((status, given.as_str()), (400, code), "{message}");
        assert!(message.contains(words), "{message}");
    }
    let elsewhere =
        format!("{SUB}/resourceGroups/other/providers/Microsoft.EventGrid/topics/orders");
    let nowhere = arm(&app, "PUT", &elsewhere, json!({ "location": "global" })).await;
    assert_eq!(
        nowhere.status, 409,
        "a topic's name is its path on this server: {}",
        nowhere.body
    );
    let patch = arm(&app, "PATCH", &format!("{GRID}/topics/none"), json!({})).await;
    assert_eq!(error(&patch).1, "ResourceNotFound");
    let unversioned = app.arm("GET", &format!("{GRID}/topics/orders"), "").await;
    assert_eq!(error(&unversioned).1, "MissingApiVersionParameter");
}

#[tokio::test]
async fn a_subscription_waits_for_the_code_of_its_webhook() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    // As the JavaScript client writes a scope that begins with a slash.
    let id = format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions/Sub-1");
    let answer = arm(&app, "PUT", &format!("/{id}"), webhook(&receiver.url)).await;
    let operation = operation(&answer);
    let made = answer.json();
    assert_eq!(state(&made), "Creating");
    assert_eq!(made["id"], id);
    assert_eq!(made["type"], "Microsoft.EventGrid/eventSubscriptions");
    assert_eq!(made["properties"]["topic"], COMM);

    let done = ended(&app, &operation).await;
    assert_eq!(done["status"], "Succeeded", "{done}");
    let sub = get(&app, &id).await;
    assert_eq!(state(&sub), "Succeeded");
    let destination = &sub["properties"]["destination"]["properties"];
    assert_eq!(
        destination["endpointBaseUrl"],
        receiver.url.split('?').next().unwrap()
    );
    assert!(!sub.to_string().contains("secret"), "{sub}");

    let asked = got(&receiver, "aeg-event-type", "SubscriptionValidation").await;
    assert_eq!(asked.path, "/hook?code=secret");
    assert_eq!(asked.header("aeg-subscription-name"), "SUB-1");
    assert_eq!(asked.header("aeg-delivery-count"), "0");
    assert_eq!(
        asked.header("content-type"),
        "application/json; charset=utf-8"
    );
    assert_eq!(asked.headers.get("accept"), None);
    let event = &asked.body[0];
    assert_eq!(
        event["eventType"],
        "Microsoft.EventGrid.SubscriptionValidationEvent"
    );
    assert_eq!(
        (&event["topic"], &event["subject"]),
        (&json!(COMM), &json!(""))
    );
    assert_eq!(
        (&event["metadataVersion"], &event["dataVersion"]),
        (&json!("1"), &json!("1"))
    );

    let url = arm(&app, "POST", &format!("{id}/getFullUrl"), Value::Null).await;
    assert_eq!(url.json()["endpointUrl"], receiver.url);
    let of = app.app.subscriptions_of(&COMM.to_lowercase());
    assert_eq!(of.iter().count(), 1);
}

#[tokio::test]
async fn a_webhook_that_answers_without_the_code_is_validated_by_hand_or_not_at_all() {
    let app = app().await;
    let receiver = Receiver::answering(200).await;
    let subs = format!("{GRID}/topics/orders/eventSubscriptions");
    let visited = format!("{subs}/visited");
    let visited_operation = operation(&arm(&app, "PUT", &visited, webhook(&receiver.url)).await);
    comes_to(&app, &visited, "AwaitingManualAction").await;
    let forgotten = format!("{subs}/forgotten");
    let forgotten_operation =
        operation(&arm(&app, "PUT", &forgotten, webhook(&receiver.url)).await);
    comes_to(&app, &forgotten, "AwaitingManualAction").await;

    let polled = app.arm("GET", &visited_operation, "").await;
    assert_eq!(polled.json()["status"], "InProgress");
    assert_eq!(polled.headers["retry-after"], "1");

    let url = got(&receiver, "aeg-subscription-name", "VISITED")
        .await
        .body[0]["data"]["validationUrl"]
        .clone();
    let url = url
        .as_str()
        .unwrap()
        .strip_prefix("https://localhost:8443")
        .unwrap()
        .to_owned();
    let stranger = app.get(&format!("{}x", url)).await;
    assert_eq!(stranger.status, 400, "{}", stranger.body);
    for _ in 0..2 {
        let visit = app.get(&url).await;
        assert_eq!(visit.status, 200, "{}", visit.body);
        assert!(visit.body.starts_with("Webhook successfully validated"));
    }
    assert_eq!(ended(&app, &visited_operation).await["status"], "Succeeded");
    assert_eq!(state(&get(&app, &visited).await), "Succeeded");

    let late = got(&receiver, "aeg-subscription-name", "FORGOTTEN")
        .await
        .body[0]["data"]["validationUrl"]
        .clone();
    let late = late
        .as_str()
        .unwrap()
        .strip_prefix("https://localhost:8443")
        .unwrap()
        .to_owned();
    app.app.clock.advance(Duration::from_secs(620));
    let failed = ended(&app, &forgotten_operation).await;
    assert_eq!(failed["status"], "Failed");
    assert_eq!(failed["error"]["code"], "Url validation");
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Webhook validation handshake failed for http://127.0.0.1:"),
        "{message}"
    );
    assert!(
        message.contains("within 10 minutes") && !message.contains("secret"),
        "{message}"
    );
    assert_eq!(state(&get(&app, &forgotten).await), "Failed");
    assert_eq!(app.get(&late).await.status, 400);
    let topic = format!("{GRID}/topics/orders").to_lowercase();
    assert_eq!(app.app.subscriptions_of(&topic).iter().count(), 1);
}

#[tokio::test]
async fn a_webhook_that_refuses_or_is_not_there_fails_the_operation() {
    let app = app().await;
    let subs = format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions");
    for status in [202, 204, 301, 400, 500] {
        let receiver = Receiver::answering(status).await;
        let id = format!("{subs}/status-{status}");
        let operation = operation(&arm(&app, "PUT", &id, webhook(&receiver.url)).await);
        let failed = ended(&app, &operation).await;
        assert_eq!(failed["status"], "Failed", "{failed}");
        let message = failed["error"]["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("the status {status}")),
            "{message}"
        );
        assert_eq!(receiver.got().len(), 1);
    }
    let nobody = Receiver::answering(200).await.url.clone();
    let id = format!("{subs}/nobody");
    let path = operation(&arm(&app, "PUT", &id, webhook(&nobody)).await);
    // Three attempts, five seconds apart.
    for _ in 0..200 {
        app.app.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
        if app.arm("GET", &path, "").await.json()["status"] != "InProgress" {
            break;
        }
    }
    let failed = ended(&app, &path).await;
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.contains("could not be reached"), "{message}");
    // What failed can be tried again.
    let willing = Receiver::willing().await;
    let again = operation(&arm(&app, "PUT", &id, webhook(&willing.url)).await);
    assert_eq!(ended(&app, &again).await["status"], "Succeeded");
}

#[tokio::test]
async fn receivers_of_cloud_events_consent_to_options() {
    let app = app().await;
    let subs = format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions");
    let consenting = Receiver::start(
        |_| {
            axum::response::Response::builder()
                .header("webhook-allowed-origin", "eventgrid.azure.net")
                .header("webhook-allowed-rate", "120")
        },
        |_| String::new(),
    )
    .await;
    let path = operation(&arm(&app, "PUT", &format!("{subs}/yes"), cloud(&consenting.url)).await);
    assert_eq!(ended(&app, &path).await["status"], "Succeeded");
    let asked = &consenting.got()[0];
    assert_eq!(asked.method, "OPTIONS");
    assert_eq!(
        asked.header("webhook-request-origin"),
        "eventgrid.azure.net"
    );

    // A function that is bound to events of the other schema.
    let other = Receiver::answering(409).await;
    let path = operation(&arm(&app, "PUT", &format!("{subs}/other"), cloud(&other.url)).await);
    let failed = ended(&app, &path).await;
    assert!(
        failed["error"]["message"]
            .as_str()
            .unwrap()
            .contains("WebHook-Allowed-Origin"),
        "{failed}"
    );

    // Polite, and consenting later by the callback.
    let later = Receiver::answering(200).await;
    let path = operation(&arm(&app, "PUT", &format!("{subs}/later"), cloud(&later.url)).await);
    comes_to(&app, &format!("{subs}/later"), "AwaitingManualAction").await;
    let callback = later.got()[0].header("webhook-request-callback").to_owned();
    let callback = callback.strip_prefix("https://localhost:8443").unwrap();
    assert_eq!(app.post(callback, "").await.status, 200);
    assert_eq!(ended(&app, &path).await["status"], "Succeeded");
}

#[tokio::test]
async fn an_update_leaves_the_old_webhook_in_effect_until_the_new_one_is_validated() {
    let app = app().await;
    let id = format!("{GRID}/topics/orders/providers/Microsoft.EventGrid/eventSubscriptions/sub");
    let key = id.to_lowercase();
    let (first, second) = (Receiver::willing().await, Receiver::willing().await);
    let path = operation(&arm(&app, "PUT", &id, webhook(&first.url)).await);
    ended(&app, &path).await;

    // The endpoint is the same: nobody is asked.
    let patched = arm(
        &app,
        "PATCH",
        &id,
        json!({ "labels": ["z"], "retryPolicy": { "maxDeliveryAttempts": 2 } }),
    )
    .await;
    assert_eq!(patched.status, 201, "{}", patched.body);
    assert_eq!(patched.headers.get("azure-asyncoperation"), None);
    assert_eq!(state(&patched.json()), "Succeeded");
    assert_eq!(patched.json()["properties"]["labels"], json!(["z"]));
    // What was read can be written back: the URL that it does not show stays.
    let read = get(&app, &id).await;
    let written = arm(&app, "PUT", &id, read).await;
    assert_eq!(written.status, 201, "{}", written.body);
    assert_eq!(written.headers.get("azure-asyncoperation"), None);
    assert_eq!(first.got().len(), 1);

    let effective = |app: &TestApp| {
        let snapshot = app.app.event_snapshot();
        let one = snapshot.subscription(&key).unwrap();
        let wire::event::subscription::Endpoint::Webhook { url, .. } = &one.destination.endpoint
        else {
            panic!("{one:?}");
        };
        (url.to_string(), one.retry.max_attempts)
    };
    let refusing = Receiver::answering(500).await;
    let destination = |url: &str| webhook(url)["properties"].clone();
    let update = arm(&app, "PATCH", &id, destination(&refusing.url)).await;
    assert_eq!(state(&update.json()), "Updating");
    assert_eq!(ended(&app, &operation(&update)).await["status"], "Failed");
    assert_eq!(effective(&app), (first.url.clone(), 2));
    let after = get(&app, &id).await;
    assert_eq!(state(&after), "Succeeded");

    let update = arm(&app, "PATCH", &id, destination(&second.url)).await;
    assert_eq!(
        ended(&app, &operation(&update)).await["status"],
        "Succeeded"
    );
    assert_eq!(effective(&app), (second.url.clone(), 2));
}

#[tokio::test]
async fn another_body_while_a_webhook_is_asked_is_a_conflict_and_the_same_is_the_same_operation() {
    let app = app().await;
    let receiver = Receiver::answering(200).await;
    let id = format!("{GRID}/topics/orders/eventSubscriptions/sub");
    let first = operation(&arm(&app, "PUT", &id, webhook(&receiver.url)).await);
    comes_to(&app, &id, "AwaitingManualAction").await;
    let same = arm(&app, "PUT", &id, webhook(&receiver.url)).await;
    assert_eq!(operation(&same), first);
    let mut other = webhook(&receiver.url);
    other["properties"]["labels"] = json!(["x"]);
    assert_eq!(error(&arm(&app, "PUT", &id, other).await).0, 409);
    let patch = arm(&app, "PATCH", &id, json!({ "labels": ["x"] })).await;
    assert_eq!(error(&patch).1, "Conflict");
    assert_eq!(receiver.got().len(), 1);
    assert_eq!(arm(&app, "DELETE", &id, Value::Null).await.status, 204);
    assert_eq!(app.arm("GET", &first, "").await.status, 404);
}

#[tokio::test]
async fn the_paths_of_a_topics_subscription_lead_to_the_same_one() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    let nested = format!("{GRID}/topics/orders/eventSubscriptions/Sub");
    let old = format!("{GRID}/topics/orders/providers/Microsoft.EventGrid/eventSubscriptions/Sub");
    let answer = arm(&app, "PUT", &nested, webhook(&receiver.url)).await;
    ended(&app, &operation(&answer)).await;
    for (id, kind) in [
        (&nested, "Microsoft.EventGrid/topics/eventSubscriptions"),
        (&old, "Microsoft.EventGrid/eventSubscriptions"),
    ] {
        let one = get(&app, id).await;
        assert_eq!((&one["id"], &one["type"]), (&json!(id), &json!(kind)));
        let (list, _) = id.rsplit_once('/').unwrap();
        let list = get(&app, list).await;
        assert_eq!(list["value"], json!([one]));
        for version in [V, "api-version=2099-01-01"] {
            let there = app.arm("HEAD", &format!("{id}?{version}"), "").await;
            assert_eq!(there.status, 204, "{version}");
        }
    }
    // Gone with its topic.
    arm(
        &app,
        "DELETE",
        &format!("{GRID}/topics/orders"),
        Value::Null,
    )
    .await;
    let farewell = got(&receiver, "aeg-event-type", "SubscriptionDeletion").await;
    assert_eq!(farewell.body[0]["data"]["eventSubscriptionId"], old);
    assert_eq!(arm(&app, "GET", &old, Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_system_topic_stands_for_its_source() {
    let app = app().await;
    let id = format!("{GRID}/systemTopics/system");
    let body = json!({ "location": "global", "properties": {
        "source": COMM, "topicType": "microsoft.communication.communicationservices" } });
    let made = put(&app, &id, body.clone()).await;
    assert_eq!(
        made["properties"]["topicType"],
        "Microsoft.Communication.CommunicationServices"
    );
    assert_eq!(state(&made), "Succeeded");
    let patched = arm(&app, "PATCH", &id, json!({ "tags": { "a": "b" } })).await;
    assert_eq!(
        (patched.status, &patched.json()["tags"]["a"]),
        (201, &json!("b"))
    );

    let second = arm(&app, "PUT", &format!("{GRID}/systemTopics/second"), body).await;
    assert!(
        error(&second).2.starts_with("Only one system topic"),
        "{}",
        second.body
    );
    let elsewhere = json!({ "location": "global", "properties": { "source": format!("{COMM}x"),
        "topicType": "Microsoft.Communication.CommunicationServices" } });
    let elsewhere = arm(
        &app,
        "PUT",
        &format!("{GRID}/systemTopics/third"),
        elsewhere,
    )
    .await;
    assert_eq!(error(&elsewhere).1, "ResourceNotFound");

    let receiver = Receiver::willing().await;
    let sub = format!("{id}/eventSubscriptions/sub");
    let answer = arm(&app, "PUT", &sub, webhook(&receiver.url)).await;
    ended(&app, &operation(&answer)).await;
    let sub = get(&app, &sub).await;
    assert_eq!(
        sub["type"],
        "Microsoft.EventGrid/systemTopics/eventSubscriptions"
    );
    assert_eq!(sub["properties"]["topic"], COMM);
    let list = get(&app, &format!("{id}/eventSubscriptions")).await;
    assert_eq!(list["value"], json!([sub]));
    let deliveries = format!("{id}/eventSubscriptions/sub/deliveries");
    assert_eq!(get(&app, &deliveries).await["value"], json!([]));
    let too_many = app
        .arm("GET", &format!("{deliveries}?{V}&$top=501"), "")
        .await;
    assert_eq!(too_many.status, 400, "{}", too_many.body);
    assert_eq!(
        app.app
            .subscriptions_of(&COMM.to_lowercase())
            .iter()
            .count(),
        1
    );
    assert_eq!(arm(&app, "DELETE", &id, Value::Null).await.status, 204);
    assert_eq!(
        app.app
            .subscriptions_of(&COMM.to_lowercase())
            .iter()
            .count(),
        0
    );
}

#[tokio::test]
async fn subscriptions_are_listed_by_scope_group_location_topic_type_and_name() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    let at = [
        format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions/call-events"),
        format!(
            "{GRID}/topics/orders/providers/Microsoft.EventGrid/eventSubscriptions/topic-events"
        ),
        format!(
            "{SUB}/resourceGroups/default/providers/Microsoft.EventGrid/eventSubscriptions/group-events"
        ),
        format!("{SUB}/providers/Microsoft.EventGrid/eventSubscriptions/all-events"),
    ];
    for id in &at {
        let answer = arm(&app, "PUT", id, webhook(&receiver.url)).await;
        ended(&app, &operation(&answer)).await;
    }
    let names = async |path: String, query: &str| -> Vec<String> {
        let answer = app.arm("GET", &format!("{path}?{V}{query}"), "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let list = answer.json();
        let mut names: Vec<_> = list["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                one["name"]
                    .as_str()
                    .unwrap()
                    .split('-')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        names.sort();
        names
    };
    let group = format!("{SUB}/resourceGroups/default");
    let grid = "providers/Microsoft.EventGrid";
    let communication = "topicTypes/Microsoft.Communication.CommunicationServices";
    assert_eq!(
        names(format!("{SUB}/{grid}/eventSubscriptions"), "").await,
        ["all", "call", "group", "topic"]
    );
    assert_eq!(
        names(format!("{group}/{grid}/eventSubscriptions"), "").await,
        ["call", "group", "topic"]
    );
    assert_eq!(
        names(format!("{COMM}/{grid}/eventSubscriptions"), "").await,
        ["call"]
    );
    assert_eq!(
        names(
            format!("{SUB}/{grid}/{communication}/eventSubscriptions"),
            ""
        )
        .await,
        ["call"]
    );
    assert_eq!(
        names(
            format!("{group}/{grid}/topicTypes/Microsoft.EventGrid.Topics/eventSubscriptions"),
            ""
        )
        .await,
        ["topic"]
    );
    assert_eq!(
        names(
            format!("{group}/{grid}/locations/global/{communication}/eventSubscriptions"),
            ""
        )
        .await,
        ["call"]
    );
    assert!(
        names(
            format!("{SUB}/{grid}/locations/westus2/eventSubscriptions"),
            ""
        )
        .await
        .is_empty()
    );
    let filter =
        "&$filter=contains(name,%27events%27)%20and%20name%20ne%20%27all-events%27&$top=100";
    assert_eq!(
        names(format!("{SUB}/{grid}/eventSubscriptions"), filter).await,
        ["call", "group", "topic"]
    );
    let bad = app
        .arm(
            "GET",
            &format!("{SUB}/{grid}/eventSubscriptions?{V}&$top=0"),
            "",
        )
        .await;
    assert_eq!(error(&bad).1, "InvalidRequest");
    let generic = app
        .arm(
            "GET",
            &format!("{group}/resources?api-version=2024-11-01"),
            "",
        )
        .await
        .json();
    assert_eq!(generic["value"].as_array().unwrap().len(), 2, "{generic}");
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_is_named_before_anybody_is_asked() {
    let app = app().await;
    put(
        &app,
        &format!("{GRID}/topics/cloud"),
        json!({ "location": "global",
        "properties": { "inputSchema": "CloudEventSchemaV1_0" } }),
    )
    .await;
    let subs = format!("{GRID}/topics/orders/eventSubscriptions");
    let with = |name: &str, value: Value| {
        let mut body = webhook("https://hooks.example.com/");
        body["properties"][name] = value;
        body
    };
    let function = json!({ "endpointType": "AzureFunction", "properties": {
        "resourceId": format!("{SUB}/resourceGroups/g/providers/Microsoft.Web/sites/app/functions/f") } });
    let cases = [
        ("ab", webhook("https://hooks.example.com/"), "3 to 64"),
        ("sub_1", webhook("https://hooks.example.com/"), "3 to 64"),
        ("sub", json!({}), "'properties' is required"),
        (
            "sub",
            json!({ "properties": {} }),
            "'destination' is required",
        ),
        ("sub", webhook("http://8.8.8.8/"), "must be https"),
        (
            "sub",
            webhook("https://10.0.0.1/"),
            "10.0.0.1 may not be reached",
        ),
        (
            "sub",
            webhook("https://user:pass@hooks.example.com/"),
            "user name or password",
        ),
        ("sub", with("destination", function), "[events.functions]"),
        (
            "sub",
            with("expirationTimeUtc", json!("2026-11-24T04:18:16Z")),
            "a time to come",
        ),
        (
            "sub",
            with("retryPolicy", json!({ "maxDeliveryAttempts": 31 })),
            "from 1 to 30",
        ),
        (
            "sub",
            with("eventDeliverySchema", json!("CustomInputSchema")),
            "cannot be CustomInputSchema",
        ),
        (
            "sub",
            with(
                "filter",
                json!({ "advancedFilters": [{ "operatorType": "StringLike", "key": "a", "values": ["b"] }] }),
            ),
            "StringLike",
        ),
    ];
    for (name, body, words) in cases {
        let answer = arm(&app, "PUT", &format!("{subs}/{name}"), body).await;
        let (status, code, message) = error(&answer);
        assert_eq!(
            (status, code.as_str()),
            (400, "InvalidRequest"),
            "{message}"
        );
        assert!(message.contains(words), "{message}");
    }
    let cloud_subs = format!("{GRID}/topics/cloud/eventSubscriptions");
    let to_grid = with("eventDeliverySchema", json!("EventGridSchema"));
    let refused = arm(&app, "PUT", &format!("{cloud_subs}/sub"), to_grid).await;
    assert!(
        error(&refused)
            .2
            .contains("the topic takes CloudEventSchemaV1_0"),
        "{}",
        refused.body
    );
    let nowhere = format!("{GRID}/topics/none/eventSubscriptions/sub");
    let nowhere = arm(&app, "PUT", &nowhere, webhook("https://hooks.example.com/")).await;
    assert_eq!(error(&nowhere).1, "ParentResourceNotFound");
    let patch = arm(&app, "PATCH", &format!("{subs}/none"), json!({})).await;
    assert_eq!(error(&patch).1, "ResourceNotFound");
    let stranger = app.send("GET", &format!("{subs}?{V}"), &[], "").await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn secret_attributes_are_shown_by_their_operation_alone() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    let id = format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions/sub");
    let mut body = webhook(&receiver.url);
    body["properties"]["destination"]["properties"]["deliveryAttributeMappings"] = json!([
        { "name": "X-Key", "type": "Static", "properties": { "value": "s3cret", "isSecret": true } },
        { "name": "X-Thread", "type": "Dynamic", "properties": { "sourceField": "data.threadId" } },
    ]);
    let answer = arm(&app, "PUT", &id, body.clone()).await;
    ended(&app, &operation(&answer)).await;
    let shown = get(&app, &id).await;
    let mappings = &shown["properties"]["destination"]["properties"]["deliveryAttributeMappings"];
    assert_eq!(
        mappings[0]["properties"],
        json!({ "value": null, "isSecret": true })
    );
    let all = arm(
        &app,
        "POST",
        &format!("{id}/getDeliveryAttributes"),
        Value::Null,
    )
    .await
    .json();
    assert_eq!(
        all["value"],
        body["properties"]["destination"]["properties"]["deliveryAttributeMappings"]
    );
    // A receiver that wants the secret wants it in the handshake too.
    assert_eq!(receiver.got()[0].header("x-key"), "s3cret");
}

#[tokio::test]
async fn a_subscription_ends_when_it_said_and_goes_with_what_it_is_at() {
    let app = app().await;
    let receiver = Receiver::willing().await;
    let subs = format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions");
    let mut ends = webhook(&receiver.url);
    ends["properties"]["expirationTimeUtc"] = "2026-11-24T05:00:00Z".into();
    for (name, body) in [("ends", ends), ("stays", webhook(&receiver.url))] {
        let answer = arm(&app, "PUT", &format!("{subs}/{name}"), body).await;
        ended(&app, &operation(&answer)).await;
    }
    app.app.clock.advance(Duration::from_secs(3_600));
    let farewell = got(&receiver, "aeg-event-type", "SubscriptionDeletion").await;
    assert_eq!(farewell.header("aeg-subscription-name"), "ENDS");
    let list = get(&app, &subs).await;
    assert_eq!(list["value"].as_array().unwrap().len(), 1);

    let deleted = app
        .arm("DELETE", &format!("{COMM}?api-version=2025-09-01"), "")
        .await;
    assert_eq!(deleted.status, 200);
    got(&receiver, "aeg-subscription-name", "STAYS").await;
    assert_eq!(
        app.app
            .subscriptions_of(&COMM.to_lowercase())
            .iter()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_handshake_goes_on_after_a_restart() {
    let app = app().await;
    let nobody = Receiver::answering(200).await.url.clone();
    let id = format!("{COMM}/providers/Microsoft.EventGrid/eventSubscriptions/sub");
    let path = operation(&arm(&app, "PUT", &id, webhook(&nobody)).await);
    assert_eq!(
        app.arm("GET", &path, "").await.json()["status"],
        "InProgress"
    );
    let app = app.restart().await;
    // Asked again; and whoever asks no more is found out.
    for _ in 0..300 {
        app.app.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ended(&app, &path).await["status"], "Failed");
}

#[tokio::test]
async fn events_go_to_the_webhook_that_wants_them_and_failures_to_who_follows_the_group() {
    let app = app().await;
    let (willing, silent) = (Receiver::willing().await, Receiver::answering(200).await);
    let subs = format!("{GRID}/topics/orders/eventSubscriptions");
    let path = operation(
        &arm(
            &app,
            "PUT",
            &format!("{subs}/willing"),
            webhook(&willing.url),
        )
        .await,
    );
    ended(&app, &path).await;
    arm(&app, "PUT", &format!("{subs}/silent"), webhook(&silent.url)).await;
    comes_to(&app, &format!("{subs}/silent"), "AwaitingManualAction").await;
    let follower = Receiver::willing().await;
    let follow = format!(
        "{SUB}/resourceGroups/default/providers/Microsoft.EventGrid/eventSubscriptions/failures"
    );
    let path = operation(&arm(&app, "PUT", &follow, webhook(&follower.url)).await);
    ended(&app, &path).await;

    let keys = arm(
        &app,
        "POST",
        &format!("{GRID}/topics/orders/listKeys"),
        Value::Null,
    )
    .await;
    let key = keys.json()["key1"].as_str().unwrap().to_owned();
    let event = json!([{ "id": "1", "subject": "/orders/1", "eventType": "Contoso.Ordered",
        "eventTime": "2026-11-24T04:18:16Z", "data": { "n": 1 }, "dataVersion": "1.0" }]);
    let published = app
        .send(
            "POST",
            "/topics/orders/api/events?api-version=2018-01-01",
            &[
                ("aeg-sas-key", key.as_str()),
                ("content-type", "application/json"),
            ],
            &event.to_string(),
        )
        .await;
    assert_eq!(published.status, 200, "{}", published.body);
    let delivered = got(&willing, "aeg-event-type", "Notification").await;
    assert_eq!(delivered.body[0]["data"], json!({ "n": 1 }));
    assert_eq!(delivered.body[0]["topic"], format!("{GRID}/topics/orders"));
    assert_eq!(silent.got().len(), 1, "it was asked and said nothing");

    app.app.clock.advance(Duration::from_secs(620));
    let failure = got(&follower, "aeg-event-type", "Notification").await.body[0].clone();
    assert_eq!(
        failure["eventType"],
        "Microsoft.Resources.ResourceWriteFailure"
    );
    let about =
        format!("{GRID}/topics/orders/providers/Microsoft.EventGrid/eventSubscriptions/silent");
    assert_eq!(
        (&failure["subject"], &failure["data"]["resourceUri"]),
        (&json!(about), &json!(about))
    );
    assert_eq!(failure["data"]["statusCode"], "Url validation");
}

#[tokio::test]
async fn what_there_is_to_subscribe_to_is_listed() {
    let app = app().await;
    let types = "/providers/Microsoft.EventGrid/topicTypes";
    let list = get(&app, types).await;
    let name = "Microsoft.Communication.CommunicationServices";
    assert_eq!(list["value"][0]["name"], name);
    assert_eq!(
        get(&app, &format!("{types}/{name}")).await,
        list["value"][0]
    );
    let events = get(&app, &format!("{types}/{name}/eventTypes")).await;
    let events = events["value"].as_array().unwrap();
    assert!(
        events
            .iter()
            .any(|one| one["name"] == "Microsoft.Communication.IncomingCall")
    );
    let at = get(
        &app,
        &format!("{COMM}/providers/Microsoft.EventGrid/eventTypes"),
    )
    .await;
    assert_eq!(at["value"].as_array().unwrap(), events);
    let topic = format!("{GRID}/topics/orders/providers/Microsoft.EventGrid");
    assert_eq!(
        get(&app, &format!("{topic}/eventTypes")).await["value"],
        json!([])
    );
    let extension = get(&app, &format!("{topic}/extensionTopics/default")).await;
    assert_eq!(extension["name"], "default");
    let other = arm(
        &app,
        "GET",
        &format!("{types}/Microsoft.Storage.StorageAccounts"),
        Value::Null,
    )
    .await;
    assert_eq!(error(&other).0, 404);
    let operations = get(&app, "/providers/Microsoft.EventGrid/operations").await;
    let operations = operations["value"].as_array().unwrap();
    assert!(
        operations
            .iter()
            .any(|one| one["name"] == "Microsoft.EventGrid/topics/listKeys/action")
    );
}

#[tokio::test]
async fn a_function_is_found_by_the_configuration_and_not_asked() {
    let host = Receiver::answering(202).await;
    let functions = format!("{SUB}/resourceGroups/g/providers/Microsoft.Web/sites/app");
    let base = host.url.trim_end_matches("/hook?code=secret").to_owned();
    let app = TestApp::start_with(|settings| {
        let known = &mut settings.events.functions;
        known.insert(functions.to_lowercase(), base);
    })
    .await;
    app.group().await;
    let topic = format!("{GRID}/topics/orders");
    put(&app, &topic, json!({ "location": "global" })).await;
    let body = json!({ "properties": { "destination": { "endpointType": "AzureFunction",
        "properties": { "resourceId": format!("{functions}/functions/OnOrder") } } } });
    let sub = put(&app, &format!("{topic}/eventSubscriptions/function"), body).await;
    assert_eq!(state(&sub), "Succeeded");
    let topic = app.app.topic("orders").unwrap();
    let published = wire::event::Published {
        kind: "Contoso.Ordered".to_owned(),
        subject: "/orders/1".to_owned(),
        body: json!({ "id": "1", "subject": "/orders/1", "eventType": "Contoso.Ordered" })
            .to_string(),
    };
    app.app
        .publish_events(&topic, vec![published])
        .await
        .unwrap();
    let delivered = got(&host, "aeg-event-type", "Notification").await;
    assert_eq!(
        delivered.path,
        "/runtime/webhooks/EventGrid?functionName=OnOrder"
    );
}
