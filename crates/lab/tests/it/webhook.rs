//! Webhook receivers.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::support::TestLab;

async fn webhook(lab: &TestLab, body: Value) -> (String, String) {
    let (status, made) = lab.control("POST", "/lab/webhooks", body).await;
    assert_eq!(status, 201, "{made}");
    let url = made["url"].as_str().unwrap();
    let path = url
        .strip_prefix("http://localhost:8080")
        .unwrap()
        .to_owned();
    (made["id"].as_str().unwrap().to_owned(), path)
}

async fn post(lab: &TestLab, path: &str, kind: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header("aeg-event-type", kind)
        .header("x-twice", "a")
        .header("x-twice", "b");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let answer = lab.lab.control().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_subscriber_meets_the_handshake_and_records_deliveries() {
    let lab = TestLab::start().await;
    let (id, path) = webhook(
        &lab,
        json!({ "name": "mine", "validation": "code", "answers": [503, 200] }),
    )
    .await;
    let handshake = json!([{ "data": { "validationCode": "abc" } }]);
    let met = post(&lab, &path, "SubscriptionValidation", handshake.clone()).await;
    assert_eq!(
        met,
        (StatusCode::OK, json!({ "validationResponse": "abc" }))
    );
    let event = json!([{ "eventType": "Test" }]);
    assert_eq!(
        post(&lab, &path, "Notification", event.clone()).await.0,
        503
    );
    assert_eq!(
        post(&lab, &path, "Notification", event.clone()).await.0,
        200
    );
    let requests = format!("/lab/webhooks/{id}/requests?after=1&wait=5");
    let (_, answer) = lab.control("GET", &requests, Value::Null).await;
    let got = answer["requests"].as_array().unwrap();
    assert_eq!(
        (
            got.len(),
            &got[0]["seq"],
            &got[0]["answered"],
            &got[1]["answered"]
        ),
        (2, &json!(2), &json!(503), &json!(200))
    );
    assert_eq!(
        (&got[0]["method"], &got[0]["body"]),
        (&json!("POST"), &event)
    );
    assert_eq!(
        (
            &got[0]["headers"]["aeg-event-type"],
            &got[0]["headers"]["x-twice"]
        ),
        (&json!("Notification"), &json!("a, b"))
    );
    assert_eq!(
        lab.control("DELETE", &format!("/lab/webhooks/{id}"), Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(post(&lab, &path, "Notification", event).await.0, 404);
}

#[tokio::test]
async fn cloud_events_consent_names_the_origin() {
    let lab = TestLab::start().await;
    let (_, path) = webhook(&lab, json!({ "validation": "options" })).await;
    let request = Request::options(&path)
        .header("webhook-request-origin", "eventgrid.azure.net")
        .header("webhook-request-rate", "120");
    let answer = lab
        .lab
        .control()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["webhook-allowed-origin"],
        "eventgrid.azure.net"
    );
    assert_eq!(answer.headers()["webhook-allowed-rate"], "120");
}

#[tokio::test]
async fn a_webhook_has_faults_of_its_own() {
    let lab = TestLab::start().await;
    let (id, path) = webhook(&lab, json!({})).await;
    let (_, other) = webhook(&lab, json!({})).await;
    lab.fault(
        json!({ "service": "webhook", "kind": "status", "status": 429, "device": id, "times": 1 }),
    )
    .await;
    assert_eq!(post(&lab, &other, "Notification", json!([])).await.0, 200);
    assert_eq!(post(&lab, &path, "Notification", json!([])).await.0, 429);
    assert_eq!(post(&lab, &path, "Notification", json!([])).await.0, 200);
    let goaway = json!({ "service": "webhook", "kind": "goaway" });
    assert_eq!(lab.control("POST", "/lab/faults", goaway).await.0, 400);
}

#[tokio::test]
async fn a_webhook_can_break_its_connection() {
    let lab = TestLab::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(axum::serve(listener, lab.lab.control()).into_future());
    let (_, path) = webhook(&lab, json!({})).await;
    lab.fault(json!({ "service": "webhook", "kind": "reset", "times": 1 }))
        .await;
    let client = lab.http1();
    let broken = async {
        client
            .post(format!("{url}{path}"))
            .body("[]")
            .send()
            .await?
            .bytes()
            .await
    };
    let broken = broken.await;
    assert!(broken.is_err());
    let answer = client
        .post(format!("{url}{path}"))
        .body("[]")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_receiver_that_cannot_be_is_refused() {
    let lab = TestLab::start().await;
    for body in [
        json!({ "validation": "maybe" }),
        json!({ "answers": [99] }),
        json!({ "answers": [200, 600] }),
        json!({ "url": "x" }),
    ] {
        assert_eq!(lab.control("POST", "/lab/webhooks", body).await.0, 400);
    }
}
