//! The APNs stand-in.

use serde_json::{Value, json};

use crate::support::{Answer, Peer, TestLab, bearer, iphone};

const CALL: &str = r#"{"aps":{},"call":"1"}"#;

fn path(device: &Value) -> String {
    format!("/3/device/{}", device["token"].as_str().unwrap())
}

/// A call push to `device` with more fields, which go before the usual ones.
async fn ring(lab: &TestLab, peer: &Peer, device: &Value, more: &[(&str, &str)]) -> Answer {
    let bearer = lab.bearer();
    ring_as(&bearer, peer, device, more).await
}

async fn ring_as(bearer: &str, peer: &Peer, device: &Value, more: &[(&str, &str)]) -> Answer {
    let usual = [
        ("authorization", bearer),
        ("apns-topic", "com.example.app.voip"),
        ("apns-push-type", "voip"),
        ("apns-priority", "10"),
    ];
    let named = |name: &str| more.iter().any(|(other, _)| *other == name);
    let mut fields = more.to_vec();
    fields.extend(usual.into_iter().filter(|(name, _)| !named(name)));
    fields.retain(|(_, value)| *value != ABSENT);
    peer.post(&path(device), &fields, CALL).await.unwrap()
}

/// In place of a value: the field is left out.
const ABSENT: &str = "(absent)";

#[tokio::test]
async fn a_call_push_rings_the_phone() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    let id = "eabeae54-14a8-11e5-b60b-1697f925ec7b";
    let answer = ring(
        &lab,
        &peer,
        &phone,
        &[("apns-id", id), ("apns-expiration", "0")],
    )
    .await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.headers["apns-id"], id);
    assert!(
        !answer.headers.contains_key("apns-unique-id"),
        "that is for the sandbox"
    );
    let log = lab.log(&phone).await;
    assert_eq!(log[0]["outcome"], "delivered");
    assert_eq!(log[0]["payload"], json!({ "aps": {}, "call": "1" }));
    assert_eq!(log[0]["headers"]["apns-topic"], "com.example.app.voip");
    assert_eq!(log[0]["id"], id);
}

#[tokio::test]
async fn a_client_without_alpn_is_served_as_http2() {
    let lab = TestLab::start().await;
    let phone = lab.device(iphone()).await;
    let peer = lab.connect(lab.lab.addresses().apns, &[]).await;
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 200);
}

#[tokio::test]
async fn every_refusal_has_its_status_and_reason() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    let bearer = lab.bearer();
    for (fields, reason) in [
        (
            vec![("authorization", ABSENT)],
            (403, "MissingProviderToken"),
        ),
        (
            vec![("authorization", "bearer a.b.c")],
            (403, "InvalidProviderToken"),
        ),
        (
            vec![("authorization", "basic abc")],
            (403, "InvalidProviderToken"),
        ),
        (vec![("apns-id", "x")], (400, "BadMessageId")),
        (vec![("apns-topic", ABSENT)], (400, "MissingTopic")),
        (
            vec![("apns-topic", "com.example.other")],
            (400, "TopicDisallowed"),
        ),
        (
            vec![("apns-topic", "com.example.app")],
            (400, "DeviceTokenNotForTopic"),
        ),
        (vec![("apns-push-type", "alert")], (400, "InvalidPushType")),
        (vec![("apns-priority", "3")], (400, "BadPriority")),
        (
            vec![("apns-topic", "a"), ("apns-topic", "a")],
            (400, "DuplicateHeaders"),
        ),
    ] {
        let answer = ring_as(&bearer, &peer, &phone, &fields).await;
        assert_eq!(
            answer.reason(),
            (reason.0, reason.1.to_owned()),
            "{fields:?}"
        );
        assert_eq!(answer.headers["apns-id"].len(), 36);
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert!(
        lab.outcomes(&phone).await.is_empty(),
        "nothing refused reaches the phone"
    );
}

#[tokio::test]
async fn paths_and_methods_are_checked_first() {
    let lab = TestLab::start().await;
    let peer = lab.apns().await;
    for (method, path, reason) in [
        ("POST", "/3/device/", (400, "MissingDeviceToken")),
        ("POST", "/3/device", (400, "MissingDeviceToken")),
        ("POST", "/3/devices/ab", (404, "BadPath")),
        ("POST", "/", (404, "BadPath")),
        ("GET", "/3/device/ab", (405, "MethodNotAllowed")),
    ] {
        let answer = peer.send(method, path, &[], "").await.unwrap();
        assert_eq!(
            answer.reason(),
            (reason.0, reason.1.to_owned()),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_token_that_nobody_has_is_bad_and_a_dead_one_says_since_when() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    for token in ["zz", "abc", &"ab".repeat(32)] {
        let nobody = json!({ "token": token });
        let answer = ring(&lab, &peer, &nobody, &[]).await;
        assert_eq!(
            answer.reason(),
            (400, "BadDeviceToken".to_owned()),
            "{token}"
        );
    }
    let died = lab.now() * 1000;
    lab.patch(&phone, json!({ "state": "unregistered" })).await;
    lab.advance_seconds(60);
    let answer = ring(&lab, &peer, &phone, &[]).await;
    assert_eq!(answer.reason(), (410, "Unregistered".to_owned()));
    assert_eq!(answer.json()["timestamp"], died);
}

#[tokio::test]
async fn a_deleted_device_answers_like_a_dead_one() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    let path = format!("/lab/devices/{}", phone["id"].as_str().unwrap());
    assert_eq!(lab.control("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 410);
    assert_eq!(lab.control("GET", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn apple_may_learn_late_that_the_app_is_gone() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.patch(
        &phone,
        json!({ "state": "unregistered", "reportedAfterSeconds": 100 }),
    )
    .await;
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 200);
    lab.advance_seconds(100);
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 410);
    assert_eq!(lab.outcomes(&phone).await, ["discarded"]);
}

#[tokio::test]
async fn only_the_newest_waits_for_an_offline_phone() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.patch(&phone, json!({ "online": false })).await;
    let later = (lab.now() + 600).to_string();
    for expiration in ["0", &later, &later] {
        let answer = ring(&lab, &peer, &phone, &[("apns-expiration", expiration)]).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(
        lab.outcomes(&phone).await,
        ["discarded", "stored", "discarded", "stored"]
    );
    lab.patch(&phone, json!({ "online": true })).await;
    let log = lab.log(&phone).await;
    assert_eq!((log.len(), &log[4]["outcome"]), (5, &json!("delivered")));
    assert_eq!(log[4]["id"], log[3]["id"]);
}

#[tokio::test]
async fn what_waits_too_long_is_lost() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.patch(&phone, json!({ "online": false })).await;
    let later = (lab.now() + 600).to_string();
    ring(&lab, &peer, &phone, &[("apns-expiration", &later)]).await;
    lab.advance_seconds(601);
    lab.patch(&phone, json!({ "online": true })).await;
    assert_eq!(lab.outcomes(&phone).await, ["stored", "discarded"]);
}

#[tokio::test]
async fn a_disabled_app_gets_nothing_and_the_sender_is_not_told() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.patch(&phone, json!({ "state": "disabled" })).await;
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 200);
    assert_eq!(lab.outcomes(&phone).await, ["discarded"]);
}

#[tokio::test]
async fn a_payload_has_its_size_and_is_an_object() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    let bearer = lab.bearer();
    let fields = [
        ("authorization", bearer.as_str()),
        ("apns-topic", "com.example.app.voip"),
        ("apns-push-type", "voip"),
    ];
    let of_size = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    for (body, reason) in [
        (of_size(5120), (200, "")),
        (of_size(5121), (413, "PayloadTooLarge")),
        (of_size(200_000), (413, "PayloadTooLarge")),
        (String::new(), (400, "PayloadEmpty")),
        ("[]".to_owned(), (400, "PayloadEmpty")),
        ("{".to_owned(), (400, "PayloadEmpty")),
    ] {
        let size = body.len();
        let answer = peer.post(&path(&phone), &fields, body).await.unwrap();
        assert_eq!(
            answer.reason(),
            (reason.0, reason.1.to_owned()),
            "{size} bytes"
        );
    }
    let alert = lab
        .device(json!({ "platform": "apns", "app": "com.example.app", "kind": "alert" }))
        .await;
    let fields = [
        fields[0],
        ("apns-topic", "com.example.app"),
        ("apns-push-type", "alert"),
    ];
    let answer = peer
        .post(&path(&alert), &fields, of_size(4097))
        .await
        .unwrap();
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_provider_token_lasts_an_hour() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    let bearer = lab.bearer();
    assert_eq!(ring_as(&bearer, &peer, &phone, &[]).await.status, 200);
    lab.advance_seconds(3600);
    assert_eq!(ring_as(&bearer, &peer, &phone, &[]).await.status, 200);
    lab.advance_seconds(1);
    let answer = ring_as(&bearer, &peer, &phone, &[]).await;
    assert_eq!(answer.reason(), (403, "ExpiredProviderToken".to_owned()));
    let renewed = ring_as(&lab.new_bearer(), &peer, &phone, &[]).await;
    assert_eq!(renewed.status, 200, "a new one is taken at once");
}

#[tokio::test]
async fn a_second_new_token_within_20_minutes_is_refused_on_its_connection_alone() {
    let lab = TestLab::start().await;
    let (phone, peer, other) = (
        lab.device(iphone()).await,
        lab.apns().await,
        lab.apns().await,
    );
    let first = lab.bearer();
    assert_eq!(ring_as(&first, &peer, &phone, &[]).await.status, 200);
    lab.advance_seconds(60);
    let second = lab.new_bearer();
    let answer = ring_as(&second, &peer, &phone, &[]).await;
    assert_eq!(
        answer.reason(),
        (429, "TooManyProviderTokenUpdates".to_owned())
    );
    assert_eq!(
        ring_as(&first, &peer, &phone, &[]).await.status,
        200,
        "the old one goes on"
    );
    assert_eq!(
        ring_as(&second, &other, &phone, &[]).await.status,
        200,
        "other connections go on"
    );
    lab.advance_seconds(20 * 60);
    assert_eq!(ring_as(&second, &peer, &phone, &[]).await.status, 200);
    assert_eq!(
        ring_as(&first, &peer, &phone, &[]).await.status,
        200,
        "still in flight"
    );
}

#[tokio::test]
async fn padded_base64_and_capitals_are_taken_as_apple_takes_them() {
    use base64::prelude::*;
    let lab = TestLab::start().await;
    let phone = lab.device(iphone()).await;
    let key = lab.lab.apns_key().unwrap();
    let header = BASE64_STANDARD.encode(json!({ "alg": "ES256", "kid": key.key_id }).to_string());
    let millis = (lab.now() * 1000).to_string();
    let claims = BASE64_STANDARD.encode(json!({ "iss": key.team_id, "iat": millis }).to_string());
    let body: String = key
        .p8
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    let der = BASE64_STANDARD.decode(body).unwrap();
    for algorithm in [
        &ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    ] {
        let random = ring::rand::SystemRandom::new();
        let pair = ring::signature::EcdsaKeyPair::from_pkcs8(algorithm, &der, &random).unwrap();
        let signed = format!("{header}.{claims}");
        let signature = pair.sign(&random, signed.as_bytes()).unwrap();
        let bearer = format!("Bearer {signed}.{}", BASE64_STANDARD.encode(signature));
        let answer = ring_as(&bearer, &lab.apns().await, &phone, &[]).await;
        assert_eq!(answer.reason(), (200, String::new()), "{algorithm:?}");
    }
}

#[tokio::test]
async fn a_key_of_the_sandbox_does_not_work_in_production() {
    let lab = TestLab::start().await;
    let phone = lab.device(iphone()).await;
    let sandbox = json!({ "platform": "apns", "app": "com.example.app", "kind": "voip", "environment": "sandbox" });
    let sandbox = lab.device(sandbox).await;
    let (status, key) = lab
        .control(
            "POST",
            "/lab/credentials/apns",
            json!({ "environment": "sandbox" }),
        )
        .await;
    assert_eq!(status, 201, "{key}");
    let bearer = bearer(&key, lab.now());
    let answer = ring_as(&bearer, &lab.apns().await, &phone, &[]).await;
    assert_eq!(
        answer.reason(),
        (403, "BadEnvironmentKeyIdInToken".to_owned())
    );
    let answer = ring_as(&bearer, &lab.apns().await, &sandbox, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["apns-unique-id"].len(), 36);
    let path = format!("/lab/credentials/apns/{}", key["keyId"].as_str().unwrap());
    assert_eq!(lab.control("DELETE", &path, Value::Null).await.0, 204);
    let answer = ring_as(&bearer, &lab.apns().await, &sandbox, &[]).await;
    assert_eq!(answer.reason(), (403, "InvalidProviderToken".to_owned()));
}

#[tokio::test]
async fn a_token_of_the_other_environment_is_bad_where_the_host_says_which() {
    let lab = TestLab::start().await;
    let phone = lab.device(iphone()).await;
    let mut peer = lab.apns().await;
    peer.authority = "sandbox.localhost".to_owned();
    let answer = ring(&lab, &peer, &phone, &[]).await;
    assert_eq!(answer.reason(), (400, "BadDeviceToken".to_owned()));
    peer.authority = "api.push.apple.com".to_owned();
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 200);
}

#[tokio::test]
async fn faults_come_as_often_as_asked() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.fault(json!({ "service": "apns", "kind": "status", "status": 503, "times": 2 }))
        .await;
    lab.fault(json!({ "service": "apns", "kind": "status", "reason": "TooManyRequests", "retryAfter": 7, "count": 1, "device": phone["id"] })).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let answer = ring(&lab, &peer, &phone, &[]).await;
        seen.push((answer.reason(), answer.headers.get("retry-after").cloned()));
    }
    let unavailable = ((503, "ServiceUnavailable".to_owned()), None);
    let limited = (
        (429, "TooManyRequests".to_owned()),
        Some("7".parse().unwrap()),
    );
    assert_eq!(
        seen,
        [
            unavailable.clone(),
            unavailable,
            limited,
            ((200, String::new()), None)
        ]
    );
}

#[tokio::test]
async fn a_dropped_push_is_accepted_and_never_arrives() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.fault(json!({ "service": "apns", "kind": "drop", "times": 1 }))
        .await;
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 200);
    assert_eq!(lab.outcomes(&phone).await, ["discarded"]);
}

#[tokio::test]
async fn a_stream_can_be_refused_and_the_connection_goes_on() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.fault(json!({ "service": "apns", "kind": "reset", "scope": "request", "times": 1 }))
        .await;
    let error = peer.post(&path(&phone), &[], CALL).await.unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::REFUSED_STREAM));
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 200);
}

#[tokio::test]
async fn a_connection_can_be_reset() {
    let lab = TestLab::start().await;
    let (phone, mut peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.fault(json!({ "service": "apns", "kind": "reset", "times": 1 }))
        .await;
    assert!(peer.post(&path(&phone), &[], CALL).await.is_err());
    let end = peer.driver.join_next().await.unwrap().unwrap().unwrap_err();
    assert!(end.is_io(), "{end}");
    assert_eq!(ring(&lab, &lab.apns().await, &phone, &[]).await.status, 200);
}

#[tokio::test]
async fn goaway_lets_the_request_finish_and_takes_no_other() {
    let lab = TestLab::start().await;
    let (phone, mut peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.fault(json!({ "service": "apns", "kind": "goaway", "times": 1 }))
        .await;
    assert_eq!(ring(&lab, &peer, &phone, &[]).await.status, 200);
    peer.driver.join_next().await.unwrap().unwrap().unwrap();
    assert!(peer.post(&path(&phone), &[], CALL).await.is_err());
}

#[tokio::test]
async fn a_stalled_request_leaves_the_others_alone() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    lab.fault(json!({ "service": "apns", "kind": "stall", "times": 1 }))
        .await;
    let device = path(&phone);
    let mut stalled = std::pin::pin!(peer.post(&device, &[], CALL));
    tokio::select! {
        biased;
        answer = &mut stalled => panic!("answered: {answer:?}"),
        // The stalled request is written before this one, which is answered.
        answer = async { ring(&lab, &peer, &phone, &[]).await } => assert_eq!(answer.status, 200),
    }
}

#[tokio::test]
async fn connections_announce_the_streams_that_apple_was_seen_to_allow() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    ring(&lab, &peer, &phone, &[]).await;
    assert_eq!(peer.sender.current_max_send_streams(), 1000);
}

#[tokio::test]
async fn answers_are_counted() {
    let lab = TestLab::start().await;
    let (phone, peer) = (lab.device(iphone()).await, lab.apns().await);
    ring(&lab, &peer, &phone, &[]).await;
    ring(&lab, &peer, &phone, &[]).await;
    ring(&lab, &peer, &phone, &[("apns-id", "x")]).await;
    let (_, stats) = lab.control("GET", "/lab/stats", Value::Null).await;
    let answers = json!([
        { "status": 200, "reason": "", "count": 2 },
        { "status": 400, "reason": "BadMessageId", "count": 1 },
    ]);
    assert_eq!(stats["apns"]["answers"], answers);
    assert_eq!(
        (&stats["apns"]["connections"], &stats["apns"]["open"]),
        (&json!(1), &json!(1))
    );
}
