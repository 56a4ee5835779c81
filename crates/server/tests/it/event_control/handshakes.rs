//! Handshakes: what a webhook says before it gets events.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    COMM, GRID, SUB, app, arm, cloud, comes_to, ended, error, get, got, operation, put, state,
    subscribed, webhook,
};
use crate::receiver::Receiver;
use crate::support::TestApp;

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
    assert_eq!(subscribed(&app), 1);
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
    let subscription = format!("{topic}/eventSubscriptions/function");
    let sub = put(&app, &subscription, body).await;
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
    arm(&app, "DELETE", &subscription, Value::Null).await;
    let farewell = got(&host, "aeg-event-type", "Unsubscribe").await;
    assert_eq!(farewell.path, delivered.path);
}
