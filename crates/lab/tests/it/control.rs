//! The control API.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{TestLab, iphone};

#[tokio::test]
async fn a_device_is_made_shown_changed_and_removed() {
    let lab = TestLab::start().await;
    let phone = lab.device(json!({ "platform": "apns", "app": "com.example.app", "kind": "voip", "environment": "sandbox", "name": "Ann's iPhone" })).await;
    assert_eq!(phone["token"].as_str().unwrap().len(), 64);
    assert_eq!(
        (&phone["state"], &phone["online"]),
        (&json!("registered"), &json!(true))
    );
    assert_eq!(
        (&phone["kind"], &phone["environment"]),
        (&json!("voip"), &json!("sandbox"))
    );
    let path = format!("/lab/devices/{}", phone["id"].as_str().unwrap());
    assert_eq!(lab.control("GET", &path, Value::Null).await.1, phone);
    let (_, changed) = lab
        .control("PATCH", &path, json!({ "online": false, "name": "Ann" }))
        .await;
    assert_eq!(
        (&changed["online"], &changed["name"]),
        (&json!(false), &json!("Ann"))
    );
    let (_, all) = lab.control("GET", "/lab/devices", Value::Null).await;
    assert_eq!(all, json!({ "devices": [changed] }));
    assert_eq!(lab.control("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(lab.control("DELETE", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn bad_requests_are_refused_with_a_sentence() {
    let lab = TestLab::start().await;
    let phone = lab.device(iphone()).await;
    let log = format!(
        "/lab/devices/{}/notifications",
        phone["id"].as_str().unwrap()
    );
    for (method, path, body, status) in [
        ("POST", "/lab/devices", "{", 400),
        ("POST", "/lab/devices", "", 400),
        ("POST", "/lab/devices", r#"{"platform":"pager"}"#, 400),
        (
            "POST",
            "/lab/devices",
            r#"{"platform":"apns","color":"red"}"#,
            400,
        ),
        (
            "POST",
            "/lab/devices",
            r#"{"platform":"apns","app":""}"#,
            400,
        ),
        ("PATCH", "/lab/devices/nobody", "{}", 404),
        ("GET", &format!("{log}?after=x"), "", 400),
        ("GET", &format!("{log}?wait=-1"), "", 400),
        ("GET", &format!("{log}?wait=NaN"), "", 400),
        ("GET", &format!("{log}?hurry=1"), "", 400),
        (
            "POST",
            "/lab/faults",
            r#"{"service":"apns","kind":"status"}"#,
            400,
        ),
        (
            "POST",
            "/lab/faults",
            r#"{"service":"apns","kind":"status","status":418}"#,
            400,
        ),
        (
            "POST",
            "/lab/faults",
            r#"{"service":"apns","kind":"status","status":400,"reason":"Unregistered"}"#,
            400,
        ),
        (
            "POST",
            "/lab/faults",
            r#"{"service":"apns","kind":"goaway","reason":"Shutdown"}"#,
            400,
        ),
        (
            "POST",
            "/lab/faults",
            r#"{"service":"apns","kind":"delay"}"#,
            400,
        ),
        (
            "POST",
            "/lab/faults",
            r#"{"service":"apns","kind":"reset","code":"OOPS"}"#,
            400,
        ),
        (
            "POST",
            "/lab/faults",
            r#"{"service":"apns","kind":"drop","times":0}"#,
            400,
        ),
        (
            "POST",
            "/lab/faults",
            r#"{"service":"apns","kind":"drop","device":"nobody"}"#,
            400,
        ),
        ("DELETE", "/lab/faults/nothing", "", 404),
        ("GET", "/lab/nothing", "", 404),
        ("PUT", "/lab/devices", "", 405),
    ] {
        let (got, answer) = lab.control_text(method, path, body.to_owned()).await;
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        assert!(
            answer["error"]["code"].is_string() && answer["error"]["message"].is_string(),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn what_the_lab_cannot_play_yet_is_refused_with_the_reason() {
    let lab = TestLab::start().await;
    for fault in [
        json!({ "service": "apns", "kind": "settings", "maxConcurrentStreams": 1 }),
        json!({ "service": "apns", "kind": "goaway", "lastStreamId": 3 }),
        json!({ "service": "apns", "kind": "goaway", "reason": "Shutdown" }),
    ] {
        let (status, answer) = lab.control("POST", "/lab/faults", fault).await;
        assert_eq!(status, 400);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("docs/lab.md, Limits"), "{message}");
    }
}

#[tokio::test]
async fn credentials_outlive_the_lab_and_travel_with_its_directory() {
    let lab = TestLab::start().await;
    let (_, before) = lab.control("GET", "/lab/credentials", Value::Null).await;
    assert_eq!(before["apns"]["keyId"].as_str().unwrap().len(), 10);
    assert_eq!(before["apns"]["teamId"].as_str().unwrap().len(), 10);
    assert_eq!(before["fcm"]["type"], "service_account");
    let port = lab.lab.addresses().fcm.port();
    assert_eq!(
        before["fcm"]["token_uri"],
        format!("https://localhost:{port}/token")
    );
    let second = TestLab::start_in(lab.directory.clone()).await;
    let (_, after) = second.control("GET", "/lab/credentials", Value::Null).await;
    assert_eq!(after["apns"], before["apns"]);
    assert_eq!(after["fcm"]["private_key"], before["fcm"]["private_key"]);
}

#[tokio::test]
async fn a_poll_ends_at_its_deadline_and_when_the_device_goes() {
    let lab = TestLab::start().await;
    let phone = lab.device(iphone()).await;
    let id = phone["id"].as_str().unwrap();
    let path = format!("/lab/devices/{id}/notifications?after=0&wait=0.05");
    let (_, answer) = lab.control("GET", &path, Value::Null).await;
    assert_eq!(answer, json!({ "notifications": [] }));
    let long = format!("/lab/devices/{id}/notifications?wait=60");
    let device = format!("/lab/devices/{id}");
    let both = async {
        tokio::join!(biased; lab.control("GET", &long, Value::Null), lab.control("DELETE", &device, Value::Null))
    };
    let (polled, _) = tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .unwrap();
    assert_eq!(polled.0, 404);
}

#[tokio::test]
async fn faults_are_listed_and_end() {
    let lab = TestLab::start().await;
    let id = lab
        .fault(json!({ "service": "fcm", "kind": "delay", "delayMs": 5, "times": 3 }))
        .await;
    let (_, all) = lab.control("GET", "/lab/faults", Value::Null).await;
    assert_eq!(
        all["faults"][0],
        json!({ "id": id, "service": "fcm", "kind": "delay", "delayMs": 5, "times": 3 })
    );
    assert_eq!(
        lab.control("DELETE", &format!("/lab/faults/{id}"), Value::Null)
            .await
            .0,
        204
    );
    lab.fault(json!({ "service": "apns", "kind": "stall" }))
        .await;
    assert_eq!(
        lab.control("DELETE", "/lab/faults", Value::Null).await.0,
        204
    );
    assert_eq!(
        lab.control("GET", "/lab/faults", Value::Null).await.1,
        json!({ "faults": [] })
    );
}

#[test]
fn no_body_makes_the_control_api_fail() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let lab = runtime.block_on(TestLab::start());
    proptest!(ProptestConfig::with_cases(64), |(path in prop::sample::select(vec!["/lab/devices", "/lab/faults", "/lab/credentials/apns"]), body in prop::collection::vec(any::<u8>(), 0..200))| {
        let (status, _) = runtime.block_on(lab.control_text("POST", path, body));
        prop_assert!(status.as_u16() < 500);
    });
}

#[tokio::test]
async fn devices_outlive_the_lab() {
    let lab = TestLab::start().await;
    let (kept, gone) = (lab.device(iphone()).await, lab.device(iphone()).await);
    let browser = lab.device(json!({ "platform": "webpush" })).await;
    lab.patch(&kept, json!({ "state": "unregistered", "name": "Ann's" }))
        .await;
    let path = format!("/lab/devices/{}", gone["id"].as_str().unwrap());
    lab.control("DELETE", &path, Value::Null).await;
    let journal = lab.directory.path().join("lab-devices.jsonl");
    let cut = std::fs::read_to_string(&journal).unwrap() + "{\"device\":{\"dev";
    std::fs::write(&journal, cut).unwrap();
    for _ in 0..2 {
        let second = TestLab::start_in(lab.directory.clone()).await;
        let (_, all) = second.control("GET", "/lab/devices", Value::Null).await;
        assert_eq!(
            all["devices"],
            lab.control("GET", "/lab/devices", Value::Null).await.1["devices"]
        );
        assert_eq!(all["devices"][1], browser);
        let peer = second.apns().await;
        for device in [&kept, &gone] {
            let answer = second.ring(&peer, device).await;
            assert_eq!(answer.reason(), (410, "Unregistered".to_owned()));
        }
    }
}
