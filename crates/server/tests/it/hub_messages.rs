//! Direct sends, batches, telemetry and deliveries of a hub, as clients send and read them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hub::{
    APPLE, BATCH, BODY, DIRECT, HANDLE, Hub, MULTIPART, batch, element, location, object,
    unreachable,
};

#[tokio::test]
async fn a_direct_send_answers_with_an_address_whose_telemetry_is_there_at_once() {
    let hub = Hub::start().await;
    let answer = hub.send("r1").await;
    let location = location(&answer);
    assert_eq!(answer.body, "");
    assert!(answer.headers.contains_key("trackingid"));
    // The JavaScript client: new URL(location).pathname.split('/')[3].
    let url = url::Url::parse(&location).unwrap();
    assert_eq!(url.query(), Some("api-version=2020-06"));
    let id = url.path().split('/').nth(3).unwrap();
    let details = hub.details(&location).await;
    assert_eq!(element(&details, "NotificationId"), id);
    assert_eq!(element(&details, "State"), "Enqueued");
    assert_eq!(element(&details, "TargetPlatforms"), "apple");
    assert!(!details.contains("OutcomeCounts"));
    let unknown = hub.request("GET", "/hub1/messages/none", &[], "").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.starts_with("<Error><Code>404</Code>"));
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_first_message_for_five_minutes() {
    let hub = Hub::start().await;
    let first = location(&hub.send("r1").await);
    assert_eq!(location(&hub.send("r1").await), first);
    assert_ne!(location(&hub.send("r2").await), first);
    hub.test.app.clock.advance(Duration::from_secs(299));
    assert_eq!(location(&hub.send("r1").await), first);

    let hub = hub.restart().await;
    assert_eq!(location(&hub.send("r1").await), first);
    hub.test.app.clock.advance(Duration::from_secs(1));
    assert_ne!(location(&hub.send("r1").await), first);

    // Java and .NET call it TrackingId; a request without an id is never a repeat.
    let tracked = [APPLE, HANDLE, ("TrackingId", "t1")];
    let once = hub.request("POST", DIRECT, &tracked, BODY).await;
    let again = hub.request("POST", DIRECT, &tracked, BODY).await;
    assert_eq!(location(&once), location(&again));
    let plain = hub.request("POST", DIRECT, &[APPLE, HANDLE], BODY).await;
    let other = hub.request("POST", DIRECT, &[APPLE, HANDLE], BODY).await;
    assert_ne!(location(&plain), location(&other));
}

#[tokio::test]
async fn what_a_stop_leaves_pending_is_sent_again_until_its_deadline() {
    let hub = Hub::start().await;
    let location = location(&hub.send("r1").await);
    let hub = hub.restart().await;
    assert_eq!(element(&hub.details(&location).await, "State"), "Enqueued");
    hub.test.app.clock.advance(Duration::from_secs(30 * 60));
    let hub = hub.restart().await;
    let path = location
        .replace("https://localhost:8443", "")
        .replace('?', "/deliveries?");
    let shown = hub.settled(&path).await;
    assert_eq!(
        shown["deliveries"][0]["outcome"], "AbandonedNotificationMessages",
        "{shown}"
    );
    assert_eq!(shown["deliveries"][0]["attempts"], 0);
    assert_eq!(element(&hub.details(&location).await, "State"), "Abandoned");
}

#[tokio::test]
async fn a_batch_is_one_message_with_a_delivery_for_each_handle() {
    let hub = Hub::start().await;
    let list: Vec<String> = (0..1000).map(|n| format!("t{}", n % 999)).collect();
    let body = batch(&json!(list));
    let location = location(&hub.request("POST", BATCH, &MULTIPART, &body).await);
    assert!(location.contains("/hub1/messages/0"), "{location}");
    let path = location.replace("https://localhost:8443", "");

    let mut page = path.replace('?', "/deliveries?top=400&");
    let mut handles = Vec::new();
    loop {
        let shown = hub.request("GET", &page, &[], "").await.json();
        for delivery in shown["deliveries"].as_array().unwrap() {
            assert_eq!(delivery["ordinal"], handles.len());
            handles.push(delivery["handle"].as_str().unwrap().to_owned());
        }
        let Some(next) = shown["nextLink"].as_str() else {
            break;
        };
        page = next.replace("https://localhost:8443", "");
    }
    assert_eq!(
        handles,
        list[..999],
        "the handle named twice is sent to once"
    );
}

#[tokio::test]
async fn each_bad_input_is_refused_by_name() {
    let hub = Hub::start().await;
    let large = format!(r#"{{"aps":{{"alert":"{}"}}}}"#, "x".repeat(4096));
    let huge = "x".repeat(64 * 1024 + 1);
    let fcm = ("ServiceBusNotification-Format", "fcmV1");
    let browser = ("ServiceBusNotification-Format", "browser");
    for (path, headers, body, status, named) in [
        (
            DIRECT,
            vec![HANDLE],
            BODY,
            400,
            "ServiceBusNotification-Format",
        ),
        (DIRECT, vec![browser, HANDLE], BODY, 400, "browser"),
        (
            DIRECT,
            vec![APPLE],
            BODY,
            400,
            "ServiceBusNotification-DeviceHandle",
        ),
        (
            DIRECT,
            vec![APPLE, HANDLE, ("apns-priority", "7")],
            BODY,
            400,
            "apns-priority",
        ),
        (DIRECT, vec![APPLE, HANDLE], "{", 400, "body"),
        (DIRECT, vec![APPLE, HANDLE], "", 400, "body"),
        (DIRECT, vec![APPLE, HANDLE], &large, 413, "body"),
        (DIRECT, vec![APPLE, HANDLE], &huge, 413, "65536"),
        (DIRECT, vec![fcm, HANDLE], BODY, 400, "aps"),
        (
            DIRECT,
            vec![fcm, HANDLE],
            r#"{"message":{"data":{"n":1}}}"#,
            400,
            "message.data.n",
        ),
        (BATCH, vec![APPLE], BODY, 400, "Content-Type"),
        (
            BATCH,
            vec![APPLE, ("content-type", "multipart/mixed;boundary=b")],
            BODY,
            400,
            "notification",
        ),
        (
            "/hub1/messages?api-version=2020-06",
            vec![APPLE],
            BODY,
            400,
            "not served yet",
        ),
        (
            "/hub1/registrations/?api-version=2020-06",
            vec![],
            BODY,
            400,
            "not served yet",
        ),
        ("/hub1/installations/i", vec![], BODY, 400, "not served yet"),
        (
            "/hub1/schedulednotifications",
            vec![APPLE],
            BODY,
            400,
            "not served yet",
        ),
    ] {
        let answer = hub.request("POST", path, &headers, body).await;
        assert_eq!(answer.status, status, "{named}: {}", answer.body);
        assert!(answer.body.starts_with("<Error><Code>"), "{}", answer.body);
        assert!(answer.body.contains(named), "{named}: {}", answer.body);
    }
    let answer = hub.send("r1").await;
    let path = location(&answer)
        .replace("https://localhost:8443", "")
        .replace('?', "/deliveries?top=no&");
    let answer = hub.request("GET", &path, &[], "").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("&apos;top&apos;"), "{}", answer.body);
}

#[tokio::test]
async fn a_hub_without_the_credential_says_so_at_once() {
    let hub = Hub::start().await;
    let bare = hub
        .other("bare", object(json!({ "location": "global" })))
        .await;
    let headers = [APPLE, HANDLE, ("authorization", bare.as_str())];
    let path = DIRECT.replace("hub1", "bare");
    let answer = hub.test.send("POST", &path, &headers, BODY).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("has no APNs credential"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_hub_whose_room_is_full_answers_429_and_another_hub_does_not() {
    let hub = Hub::start().await;
    let list: Vec<String> = (0..1000).map(|n| format!("t{n}")).collect();
    let body = batch(&json!(list));
    let mut answer = hub.request("POST", BATCH, &MULTIPART, &body).await;
    for _ in 0..20 {
        if answer.status != 201 {
            break;
        }
        answer = hub.request("POST", BATCH, &MULTIPART, &body).await;
    }
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert_eq!(answer.headers["retry-after"], "1");

    let other = hub.other("other", unreachable()).await;
    let headers = [APPLE, HANDLE, ("authorization", other.as_str())];
    let path = DIRECT.replace("hub1", "other");
    location(&hub.test.send("POST", &path, &headers, BODY).await);
}

/// Every send that a real client was seen to make is answered as it needs.
#[tokio::test]
async fn the_observed_requests_of_real_clients_are_answered() {
    let hub = Hub::start().await;
    let observed = include_str!("../../../../fixtures/notificationhubs/observed-sends.jsonl");
    let mut direct = 0;
    for line in observed.lines() {
        let seen: Value = serde_json::from_str(line).unwrap();
        let headers = seen["headers"].as_object().unwrap();
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(name, _)| {
                !name.starts_with(':') && *name != "authorization" && *name != "host"
            })
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let [method, url, body] =
            ["method", "url", "body"].map(|key| seen[key].as_str().unwrap_or_default());
        let answer = hub.request(method, url, &headers, body).await;
        let format = seen["headers"]["servicebusnotification-format"].as_str();
        if url.contains("direct") && matches!(format, Some("apple" | "fcmv1" | "gcm")) {
            assert!(location(&answer).starts_with("https://localhost:8443/hub1/messages/0"));
            direct += 1;
        } else {
            // Telemetry of an unknown id; what is not served yet is said in a form that clients show.
            let expected = if method == "GET" { 404 } else { 400 };
            assert_eq!(answer.status, expected, "{method} {url}: {}", answer.body);
            assert!(answer.body.starts_with("<Error><Code>"), "{}", answer.body);
        }
    }
    assert_eq!(direct, 6, "three of JavaScript, three of Java");
}
