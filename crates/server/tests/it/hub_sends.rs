//! Direct sends that reach phones, and how it is told when they do not.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use service::Clock;

use crate::hub::{APPLE, BATCH, BODY, DIRECT, Hub, MULTIPART, batch, element, location};
use crate::phones::Phones;
use crate::support::{Answer, NOW, TestApp};

const FCM: (&str, &str) = ("ServiceBusNotification-Format", "fcmv1");
const GCM: (&str, &str) = ("ServiceBusNotification-Format", "gcm");
const WAIT: (&str, &str) = ("Prefer", "wait=10");

async fn start() -> (Hub, Phones) {
    let clock = Clock::manual(NOW);
    let phones = Phones::start(&clock).await;
    let test = TestApp::start_trusting(clock, vec![phones.root.clone()]).await;
    (Hub::of(test, phones.hub()).await, phones)
}

/// A direct send to `handle` that waits for the verdict.
async fn send(hub: &Hub, handle: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut headers = headers.to_vec();
    headers.extend([("ServiceBusNotification-DeviceHandle", handle), WAIT]);
    hub.request("POST", DIRECT, &headers, body).await
}

async fn delivery(hub: &Hub, answer: &Answer) -> Value {
    let path = location(answer).replace("https://localhost:8443", "");
    let page = hub.settled(&path.replace('?', "/deliveries?")).await;
    page["deliveries"][0].clone()
}

/// The output of `work` while the clock runs, no faster than sockets can follow.
async fn running<T>(hub: &Hub, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_millis(1)) => {
                hub.test.app.clock.advance(Duration::from_millis(50));
            }
        }
    }
}

#[tokio::test]
async fn a_phone_gets_the_push_and_the_sender_the_verdict() {
    let (hub, phones) = start().await;
    let iphone = phones.iphone("voip").await;
    let headers = [
        APPLE,
        ("ServiceBusNotification-Apns-Push-Type", "voip"),
        ("apns-expiration", "0"),
    ];
    let answer = send(&hub, &iphone.token, &headers, r#"{"aps":{},"callId":"c"}"#).await;
    assert_eq!(answer.headers["preference-applied"], "wait=10");
    assert_eq!(element(&answer.body, "Success"), "1");
    assert_eq!(element(&answer.body, "PnsHandle"), iphone.token);

    let pushes = iphone.pushes().await;
    assert_eq!(pushes.len(), 1);
    let topic = format!("{}.voip", phones.app());
    assert_eq!(pushes[0]["headers"]["apns-topic"], topic);
    assert_eq!(pushes[0]["headers"]["apns-expiration"], "0");
    assert_eq!(pushes[0]["payload"]["callId"], "c");

    let delivery = delivery(&hub, &answer).await;
    assert_eq!(delivery["outcome"], "Success");
    assert_eq!(delivery["status"], 200);
    assert_eq!(delivery["attempts"], 1);
    assert_eq!(delivery["providerId"], pushes[0]["headers"]["apns-id"]);
    let details = hub.details(&location(&answer)).await;
    assert_eq!(element(&details, "State"), "Completed");
    assert!(details.contains("<ApnsOutcomeCounts><Outcome><Name>Success</Name><Count>1</Count>"));
}

/// Its retry is told that it was sent, and so it was.
#[tokio::test]
async fn a_send_whose_client_hangs_up_reaches_the_phone() {
    let (hub, phones) = start().await;
    let iphone = phones.iphone("alert").await;
    let headers = [
        APPLE,
        ("ServiceBusNotification-DeviceHandle", iphone.token.as_str()),
        ("x-ms-client-request-id", "r1"),
    ];
    {
        let mut sending = pin!(hub.request("POST", DIRECT, &headers, BODY));
        assert!(futures_util::poll!(&mut sending).is_pending());
    }
    let again = hub.request("POST", DIRECT, &headers, BODY).await;
    assert_eq!(again.status, 201);
    let delivery = delivery(&hub, &again).await;
    assert_eq!(delivery["outcome"], "Success");
    assert_eq!(iphone.pushes().await.len(), 1);
}

#[tokio::test]
async fn fcm_and_gcm_bodies_reach_an_android_phone_with_its_token() {
    let (hub, phones) = start().await;
    let android = phones.android().await;
    let v1 = r#"{"message":{"android":{"priority":"HIGH","ttl":"30s"},"data":{"callId":"c"}}}"#;
    let legacy = r#"{"data":{"n":1},"priority":"high"}"#;
    for (format, body) in [(FCM, v1), (GCM, legacy)] {
        let answer = send(&hub, &android.token, &[format], body).await;
        assert_eq!(element(&answer.body, "Success"), "1", "{}", answer.body);
        let name = &delivery(&hub, &answer).await["providerId"];
        assert!(name.as_str().unwrap().starts_with("projects/"), "{name}");
    }
    let pushes = android.pushes().await;
    assert_eq!(pushes[0]["payload"]["data"]["callId"], "c");
    assert_eq!(pushes[0]["payload"]["token"], android.token);
    assert_eq!(pushes[1]["payload"]["data"]["n"], "1");
    assert_eq!(pushes[1]["payload"]["android"]["priority"], "HIGH");
}

#[tokio::test]
async fn a_handle_that_does_not_work_is_told_with_its_reason() {
    let (hub, phones) = start().await;
    let gone = phones.iphone("alert").await;
    gone.becomes("unregistered").await;
    let gone_android = phones.android().await;
    gone_android.becomes("unregistered").await;
    let voip = phones.iphone("voip").await;
    let message = r#"{"message":{"data":{}}}"#;
    let alert = phones.iphone("alert").await;
    let ring = [APPLE, ("apns-push-type", "voip")];
    for (headers, handle, body, outcome, reason) in [
        (
            &ring[..1],
            gone.token.as_str(),
            BODY,
            "ExpiredChannel",
            "Unregistered",
        ),
        (&ring[..1], "00fc", BODY, "BadChannel", "BadDeviceToken"),
        (
            &ring[..1],
            &voip.token,
            BODY,
            "WrongToken",
            "TopicDisallowed",
        ),
        (
            &ring,
            &alert.token,
            BODY,
            "WrongToken",
            "DeviceTokenNotForTopic",
        ),
        (
            &[FCM],
            &gone_android.token,
            message,
            "ExpiredChannel",
            "UNREGISTERED",
        ),
    ] {
        let answer = send(&hub, handle, headers, body).await;
        assert_eq!(element(&answer.body, "Failure"), "1", "{}", answer.body);
        assert!(answer.body.contains(reason), "{reason}: {}", answer.body);
        let delivery = delivery(&hub, &answer).await;
        assert_eq!(delivery["outcome"], outcome, "{delivery}");
        assert_eq!(delivery["reason"], reason, "{delivery}");
    }
}

#[tokio::test]
async fn a_test_send_counts_the_devices_of_a_batch() {
    let (hub, phones) = start().await;
    let good = phones.iphone("alert").await;
    let devices = json!([good.token, "00fc"]);
    let path = format!("{BATCH}&test=true");
    let answer = hub
        .request("POST", &path, &MULTIPART, &batch(&devices))
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(element(&answer.body, "Success"), "1", "{}", answer.body);
    assert_eq!(element(&answer.body, "Failure"), "1");
    assert_eq!(answer.body.matches("<RegistrationResult>").count(), 2);
    let details = hub.details(&location(&answer)).await;
    assert!(
        details.contains("<Name>BadChannel</Name><Count>1</Count>"),
        "{details}"
    );
}

#[tokio::test]
async fn a_push_service_that_fails_is_tried_again() {
    let (hub, phones) = start().await;
    let iphone = phones.iphone("alert").await;
    phones
        .fault(json!({ "service": "apns", "kind": "status", "status": 503, "reason": "ServiceUnavailable", "times": 2 }))
        .await;
    let answer = running(&hub, send(&hub, &iphone.token, &[APPLE], BODY)).await;
    let delivery = delivery(&hub, &answer).await;
    assert_eq!(delivery["outcome"], "Success", "{delivery}");
    assert_eq!(delivery["attempts"], 3);
    assert_eq!(iphone.pushes().await.len(), 1);
}

#[tokio::test]
async fn what_a_stop_leaves_pending_reaches_the_phone_after_the_start_under_the_same_id() {
    let (hub, phones) = start().await;
    let iphone = phones.iphone("alert").await;
    phones
        .fault(json!({ "service": "apns", "kind": "status", "status": 503, "reason": "ServiceUnavailable" }))
        .await;
    let headers = [
        APPLE,
        ("ServiceBusNotification-DeviceHandle", iphone.token.as_str()),
    ];
    let answer = hub.request("POST", DIRECT, &headers, BODY).await;
    let path = location(&answer);
    // The first attempt has failed, the second is some time away.
    while !phones.stats().await.contains("ServiceUnavailable") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    phones.mend().await;
    let hub = hub.restart().await;
    let delivery = delivery(&hub, &answer).await;
    assert_eq!(delivery["outcome"], "Success", "{delivery}");
    let pushes = iphone.pushes().await;
    assert_eq!(pushes.len(), 1);
    assert_eq!(pushes[0]["headers"]["apns-id"], delivery["providerId"]);
    assert_eq!(element(&hub.details(&path).await, "State"), "Completed");
}

#[tokio::test]
async fn a_message_that_nobody_took_in_its_time_is_abandoned() {
    let (hub, phones) = start().await;
    let iphone = phones.iphone("voip").await;
    phones
        .fault(json!({ "service": "apns", "kind": "status", "status": 503, "reason": "ServiceUnavailable" }))
        .await;
    let headers = [APPLE, ("apns-push-type", "voip"), ("apns-expiration", "0")];
    let answer = running(&hub, send(&hub, &iphone.token, &headers, r#"{"aps":{}}"#)).await;
    let path = location(&answer);
    let delivery = running(&hub, delivery(&hub, &answer)).await;
    assert_eq!(delivery["outcome"], "PnsUnavailable", "{delivery}");
    assert_eq!(element(&hub.details(&path).await, "State"), "Abandoned");
    let late = hub.test.app.clock.now().since(NOW);
    assert!(late < Duration::from_secs(35), "{late:?}");
}
