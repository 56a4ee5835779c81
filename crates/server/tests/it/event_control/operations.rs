//! What Azure does not have: deliveries, attempts, reasons, replay and dead letters, as their routes answer.

use domain::lane::Rate;
use serde_json::{Value, json};

use super::{GRID, V, app, arm, cloud, comes_to, ended, error, get, got, operation, put, webhook};
use crate::receiver::{Got, Receiver};
use crate::support::TestApp;

const HOOK: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.EventGrid/topics/orders/eventSubscriptions/hook";

/// Refuses the event `bad`, for good.
async fn choosy() -> Receiver {
    let is_bad = |got: &Got| got.body[0]["id"] == "bad";
    Receiver::start(
        move |got| axum::response::Response::builder().status(if is_bad(got) { 400 } else { 200 }),
        |got| {
            let code = &got.body[0]["data"]["validationCode"];
            json!({ "validationResponse": code, "why": "because" }).to_string()
        },
    )
    .await
}

/// Subscribes a receiver to events about `/s…`.
async fn subscribe(app: &TestApp, receiver: &Receiver) {
    let mut body = webhook(&receiver.url);
    body["properties"]["filter"] = json!({ "subjectBeginsWith": "/s" });
    body["properties"]["labels"] = json!(["kept", "carillon:sign=2"]);
    let answer = arm(app, "PUT", HOOK, body).await;
    let done = ended(app, &operation(&answer)).await;
    assert_eq!(done["status"], "Succeeded", "{done}");
}

async fn publish(app: &TestApp, id: &str, subject: &str) {
    let path = format!("{GRID}/topics/orders/listKeys");
    let keys = arm(app, "POST", &path, Value::Null).await.json();
    let key = keys["key1"].as_str().unwrap();
    let events = json!([{ "id": id, "subject": subject, "eventType": "Contoso.Made",
        "eventTime": "2026-11-24T04:18:16Z", "data": {}, "dataVersion": "1" }]);
    let path = "/topics/orders/api/events?api-version=2018-01-01";
    let headers = [("aeg-sas-key", key)];
    let answer = app.send("POST", path, &headers, &events.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Asks below the subscription, with more of a query.
async fn ask(app: &TestApp, below: &str, query: &str) -> Value {
    let path = format!("{HOOK}{below}?{V}{query}");
    let answer = app.arm("GET", &path, "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// Does something with the subscription, and takes the answer.
async fn act(app: &TestApp, below: &str, body: Value) -> Value {
    let answer = arm(app, "POST", &format!("{HOOK}{below}"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// The deliveries, once there are so many that are not pending.
async fn settled(app: &TestApp, count: usize) -> Vec<Value> {
    for _ in 0..5_000 {
        let list = ask(app, "/deliveries", "").await;
        let all = list["value"].as_array().unwrap();
        let is_settled = |one: &&Value| one["state"] != "pending";
        if all.iter().filter(is_settled).count() == count {
            return all.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("{}", ask(app, "/deliveries", "").await);
}

#[tokio::test]
async fn deliveries_are_listed_explained_and_had_again() {
    let app = app().await;
    let receiver = choosy().await;
    subscribe(&app, &receiver).await;
    for (id, subject) in [("good", "/s"), ("bad", "/s"), ("other", "/x")] {
        publish(&app, id, subject).await;
    }
    let all = settled(&app, 2).await;
    let (good, bad) = (&all[0], &all[1]);
    assert_eq!(
        (&good["state"], &bad["state"]),
        (&json!("delivered"), &json!("dropped"))
    );
    assert_eq!(bad["lastHttpStatusCode"], 400);
    assert_eq!(bad["deadLetterReason"], "UndeliverableDueToClientError");

    // Page by page, and in one state.
    let first = ask(&app, "/deliveries", "&$top=1").await;
    assert_eq!(first["value"], json!([good]));
    let after = first["after"].as_str().unwrap();
    let second = ask(&app, "/deliveries", &format!("&$top=2&after={after}")).await;
    assert_eq!(
        (&second["value"], &second["after"]),
        (&json!([bad]), &Value::Null)
    );
    for (from, count) in [("2026-11-24T04:18:16Z", 2), ("2026-11-24T04:18:17Z", 0)] {
        let later = ask(&app, "/deliveries", &format!("&from={from}")).await;
        assert_eq!(later["value"].as_array().unwrap().len(), count, "{from}");
        let later = ask(&app, "/deadLetters", &format!("&from={from}")).await;
        assert_eq!(
            later["value"].as_array().unwrap().len(),
            count / 2,
            "{from}"
        );
    }
    let dropped = ask(&app, "/deliveries", "&state=dropped").await;
    assert_eq!(dropped["value"], json!([bad]));
    assert_eq!(ask(&app, "/deadLetters", "").await["value"], json!([bad]));

    let attempts = |one: &Value| format!("/deliveries/{}/attempts", one["event"].as_str().unwrap());
    let tried = &ask(&app, &attempts(bad), "").await["value"];
    let [attempt] = tried.as_array().unwrap().as_slice() else {
        panic!("{tried}")
    };
    assert_eq!(
        (&attempt["attempt"], &attempt["status"]),
        (&json!(1), &json!(400))
    );
    let request = attempt["request"].to_string();
    assert!(
        request.contains("/hook") && !request.contains("secret"),
        "{request}"
    );
    assert!(
        attempt["answer"]["body"]
            .as_str()
            .unwrap()
            .contains("because")
    );
    assert_eq!(ask(&app, &attempts(good), "").await["value"], json!([]));

    // Why not, and then all the same.
    let other = app.app.events_after("", 10).await.unwrap().remove(2).id;
    let why = act(&app, "/explain", json!({ "event": other })).await;
    assert_eq!(
        (&why["matches"], &why["delivery"]),
        (&json!(false), &Value::Null)
    );
    assert!(
        why["because"]
            .as_str()
            .unwrap()
            .contains("subjectBeginsWith")
    );
    // Nobody got it, so its publisher knows no other id than its own.
    let same = act(&app, "/explain", json!({ "event": "other" })).await;
    assert_eq!(same, why);
    let again = act(&app, "/deadLetters/resend", Value::Null).await;
    assert_eq!(again["events"], 1);
    settled(&app, 2).await;
    let tried = ask(&app, &attempts(bad), "").await;
    let numbers: Vec<_> = tried["value"].as_array().unwrap().iter().collect();
    let numbers: Vec<_> = numbers.iter().map(|one| &one["attempt"]).collect();
    assert_eq!(numbers, [1, 2]);
    for (body, count) in [
        (json!({ "events": [good["event"], "unknown"] }), 1),
        // Until now, which is when they were accepted, and not any more.
        (json!({ "from": "2026-11-24T00:00:00Z" }), 0),
        (
            json!({ "from": "2026-11-24T00:00:00Z", "to": "2026-11-25T00:00:00Z" }),
            2,
        ),
        (
            json!({ "from": "2026-11-24T00:00:00Z", "to": "2026-11-24T00:00:01Z" }),
            0,
        ),
        (
            json!({ "from": "2026-11-24T00:00:00Z", "to": "2026-11-25T00:00:00Z", "filter": { "subjectBeginsWith": "/x" } }),
            1,
        ),
    ] {
        let replayed = act(&app, "/replay", body.clone()).await;
        assert_eq!(replayed["events"], count, "{body}");
        settled(&app, if body["filter"].is_null() { 2 } else { 3 }).await;
    }
    let secrets = act(&app, "/listSigningSecrets", Value::Null).await;
    assert_eq!(secrets["value"].as_array().unwrap().len(), 2, "{secrets}");
    let rotated = act(&app, "/rotateSigningSecret", Value::Null).await;
    assert_eq!(rotated["value"][1], secrets["value"][0]);
    assert_ne!(rotated["value"][0], secrets["value"][0]);
    assert_eq!(act(&app, "/listSigningSecrets", Value::Null).await, rotated);
    let labels = get(&app, HOOK).await["properties"]["labels"].clone();
    assert_eq!(labels, json!(["kept", "carillon:sign=3"]));
}

#[tokio::test]
async fn what_is_wrong_with_an_operation_is_named() {
    let app = app().await;
    let receiver = choosy().await;
    subscribe(&app, &receiver).await;
    for (method, below, body, status, target) in [
        ("GET", "/deliveries", "&state=lost", 400, "state"),
        ("GET", "/deliveries", "&$top=0", 400, "$top"),
        ("GET", "/deliveries", "&from=yesterday", 400, "from"),
        ("GET", "/deadLetters", "&from=2026-11-24", 400, "from"),
        ("GET", "/deliveries/unknown/attempts", "", 404, ""),
        ("POST", "/replay", "{}", 400, "from"),
        ("POST", "/replay", "{'from':'yesterday'}", 400, "from"),
        ("POST", "/replay", "{'events':'all'}", 400, "events"),
        ("POST", "/replay", "{'events':[1]}", 400, "events"),
        (
            "POST",
            "/replay",
            "{'from':'2026-11-24T00:00:00Z','filter':{'advancedFilters':[{'operatorType':'Like'}]}}",
            400,
            "filter",
        ),
        (
            "POST",
            "/replay",
            "{'from':'2026-11-24T00:00:00Z','filter':{'subjectBeginWith':'/s'}}",
            400,
            "filter.subjectBeginWith",
        ),
        (
            "POST",
            "/deadLetters/resend",
            "{'events':{}}",
            400,
            "events",
        ),
        ("POST", "/explain", "{'event':'unknown'}", 404, ""),
        ("POST", "/explain", "[", 400, ""),
    ] {
        let (query, body) = match method {
            "GET" => (body, ""),
            _ => ("", body),
        };
        let path = format!("{HOOK}{below}?{V}{query}");
        let answer = app.arm(method, &path, body).await;
        assert_eq!(answer.status, status, "{below} {body}: {}", answer.body);
        let named = answer.json()["error"]["target"].clone();
        let named = named.as_str().unwrap_or_default().to_owned();
        assert!(named.contains(target), "{below} {body}: {}", answer.body);
    }
    let path = format!("{HOOK}/deliveries?{V}");
    assert_eq!(app.get(&path).await.status, 401);
    for (method, below) in [
        ("GET", "/deliveries"),
        ("GET", "/deliveries/e/attempts"),
        ("GET", "/deadLetters"),
        ("POST", "/deadLetters/resend"),
        ("POST", "/replay"),
        ("POST", "/explain"),
        ("POST", "/listSigningSecrets"),
        ("POST", "/rotateSigningSecret"),
    ] {
        let path = format!("{GRID}/topics/orders/eventSubscriptions/none{below}");
        let body = json!({ "from": "2026-11-24T00:00:00Z" });
        let answer = arm(&app, method, &path, body).await;
        assert_eq!(error(&answer).1, "ResourceNotFound", "{below}");
    }
}

#[tokio::test]
async fn a_subscription_that_is_not_in_effect_says_why() {
    let app = app().await;
    let silent = Receiver::answering(200).await;
    let refusing = Receiver::answering(500).await;
    arm(&app, "PUT", HOOK, webhook(&silent.url)).await;
    comes_to(&app, HOOK, "AwaitingManualAction").await;
    let answer = arm(&app, "GET", &format!("{HOOK}/deliveries"), Value::Null).await;
    let (status, code, message) = error(&answer);
    assert_eq!((status, code.as_str()), (409, "NotInEffect"));
    assert!(
        message.starts_with("The event subscription 'hook' is not in effect."),
        "{message}"
    );
    assert!(message.contains("visit the validation URL"), "{message}");
    arm(&app, "DELETE", HOOK, Value::Null).await;
    let answer = arm(&app, "PUT", HOOK, webhook(&refusing.url)).await;
    ended(&app, &operation(&answer)).await;
    let body = json!({ "event": "e" });
    let (_, code, message) = error(&arm(&app, "POST", &format!("{HOOK}/explain"), body).await);
    assert_eq!(code, "NotInEffect");
    assert!(message.contains("the status 500"), "{message}");
}

#[tokio::test]
async fn an_endpoint_that_asks_for_a_rest_is_said_to_have_one() {
    let app = app().await;
    let receiver = Receiver::start(
        |got| {
            let is_delivery = got.header("aeg-event-type") == "Notification";
            let builder = axum::response::Response::builder();
            match is_delivery {
                true => builder.status(429).header("retry-after", "50"),
                false => builder,
            }
        },
        |got| {
            let code = &got.body[0]["data"]["validationCode"];
            json!({ "validationResponse": code }).to_string()
        },
    )
    .await;
    subscribe(&app, &receiver).await;
    assert_eq!(ask(&app, "/deliveries", "").await["probation"], Value::Null);
    publish(&app, "a", "/s").await;
    got(&receiver, "aeg-event-type", "Notification").await;
    let mut list = ask(&app, "/deliveries", "").await;
    while list["value"][0]["attempts"] != 1 {
        tokio::task::yield_now().await;
        list = ask(&app, "/deliveries", "").await;
    }
    let expected = json!({ "until": "2026-11-24T04:19:06.000Z", "failures": 1 });
    assert_eq!(list["probation"], expected, "{list}");
}

/// "WebHook-Request-Rate … WebHook-Allowed-Rate": what was asked for and granted binds.
#[tokio::test]
async fn a_receiver_of_cloud_events_is_asked_for_a_rate_and_its_grant_is_kept() {
    let app = app().await;
    let receiver = Receiver::start(
        |_| {
            axum::response::Response::builder()
                .header("webhook-allowed-origin", "*")
                .header("webhook-allowed-rate", "60")
        },
        |_| String::new(),
    )
    .await;
    let mut body = cloud(&receiver.url);
    body["properties"]["labels"] = json!(["carillon:rate-limit=10/s"]);
    let answer = arm(&app, "PUT", HOOK, body).await;
    let done = ended(&app, &operation(&answer)).await;
    assert_eq!(done["status"], "Succeeded", "{done}");
    assert_eq!(receiver.got()[0].header("webhook-request-rate"), "600");
    one_a_second_is_sent(&app).await;
    // "The sender MUST use the WebHook-Request-Origin request header for each delivery request."
    let delivery = got(&receiver, "aeg-event-type", "Notification").await;
    let origin = delivery.header("webhook-request-origin");
    assert_eq!(origin, "eventgrid.azure.net");
}

/// "The delivery target MAY include the WebHook-Allowed-Rate response in the callback", by GET or POST.
#[tokio::test]
async fn a_rate_that_is_granted_by_the_callback_is_kept_if_it_was_asked_for() {
    let app = app().await;
    let receiver = Receiver::answering(200).await;
    for (method, label, kept) in [
        ("GET", "carillon:rate-limit=10/s", Some(60)),
        ("POST", "nothing", None),
        ("POST", "carillon:rate-limit=10/s", Some(60)),
    ] {
        arm(&app, "DELETE", HOOK, Value::Null).await;
        let asked = receiver.got().len();
        let mut body = cloud(&receiver.url);
        body["properties"]["labels"] = json!([label]);
        let answer = arm(&app, "PUT", HOOK, body).await;
        comes_to(&app, HOOK, "AwaitingManualAction").await;
        let callback = receiver.got()[asked]
            .header("webhook-request-callback")
            .to_owned();
        let callback = callback.strip_prefix("https://localhost:8443").unwrap();
        let rate = [("webhook-allowed-rate", "60")];
        let visit = app.send(method, callback, &rate, "").await;
        assert_eq!(visit.status, 200, "{}", visit.body);
        let done = ended(&app, &operation(&answer)).await;
        assert_eq!(done["status"], "Succeeded", "{done}");
        let snapshot = app.app.event_snapshot();
        let at = "/topics/orders/providers/microsoft.eventgrid/eventsubscriptions/hook";
        let key = format!("{}{at}", GRID.to_lowercase());
        let granted = snapshot.subscription(&key).unwrap().granted;
        assert_eq!(granted.map(Rate::per_minute), kept, "{method} {label}");
    }
    one_a_second_is_sent(&app).await;
}

async fn one_a_second_is_sent(app: &TestApp) {
    publish(app, "a", "/s").await;
    publish(app, "b", "/s").await;
    settled(app, 1).await;
    app.app.clock.advance(std::time::Duration::from_millis(999));
    settled(app, 1).await;
    app.app.clock.advance(std::time::Duration::from_millis(2));
    settled(app, 2).await;
}

#[tokio::test]
async fn a_system_topic_and_its_subscriptions_go_with_their_source() {
    let app = app().await;
    let comm = super::COMM;
    let system = format!("{GRID}/systemTopics/system");
    let body = json!({ "location": "global", "properties": {
        "source": comm, "topicType": "Microsoft.Communication.CommunicationServices" } });
    put(&app, &system, body).await;
    let receiver = Receiver::willing().await;
    let sub = format!("{system}/eventSubscriptions/sub");
    let answer = arm(&app, "PUT", &sub, webhook(&receiver.url)).await;
    ended(&app, &operation(&answer)).await;
    // "GET returns the expanded default list."
    let shown = get(&app, &sub).await;
    let types = shown["properties"]["filter"]["includedEventTypes"].as_array();
    let types = types.unwrap();
    assert!(types.contains(&json!("Microsoft.Communication.IncomingCall")));
    assert!(types.contains(&json!("Microsoft.Communication.SMSReceived")));

    let path = format!("{comm}?api-version=2025-09-01");
    let deleted = app.arm("DELETE", &path, "").await;
    assert!(deleted.status < 300, "{}", deleted.body);
    for gone in [&system, &sub] {
        assert_eq!(arm(&app, "GET", gone, Value::Null).await.status, 404);
    }
    let farewell = got(&receiver, "aeg-event-type", "SubscriptionDeletion").await;
    assert_eq!(farewell.header("aeg-subscription-name"), "SUB");
}
