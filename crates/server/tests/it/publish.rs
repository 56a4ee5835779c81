//! Publishing to Event Grid topics: schemas, credentials, and every refusal with its words.

use std::sync::Arc;
use std::time::Duration;

use domain::resource::Actor;
use domain::topic::Topic;
use serde_json::{Value, json};
use service::control::Precondition;
use wire::arm::ResourceId;

use crate::calling::until;
use crate::support::{Answer, TestApp};

const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.EventGrid";
const KEY: &str = "c3ludGhldGljLXRlc3Qta2V5LTAwMDAwMDAwMDAwMDA=";
const OTHER_KEY: &str = "c3ludGhldGljLXRlc3Qta2V5LTExMTExMTExMTExMTE=";
const PATH: &str = "/topics/t1/api/events?api-version=2018-01-01";
const CLOUD_BATCH: &str = "application/cloudevents-batch+json; charset=utf-8";
/// By `@azure/eventgrid` 5.12.0 and by `azure-eventgrid` 4.22.1 with `KEY` for `t1`, good until 2027-06-05T12:09:03Z.
const TOKENS: [&str; 2] = [
    "r=https%3A%2F%2Flocalhost%3A8443%2Ftopics%2Ft1%2Fapi%2Fevents%3FapiVersion%3D2018-01-01&e=6%2F5%2F2027%2012%3A09%3A03%20PM&s=bxn%2BPNsttO9FNoTTBGvsyNn5N0nI%2Fh5ECpoeP0Bw7jA%3D",
    "r=https%3A%2F%2Flocalhost%3A8443%2Ftopics%2Ft1%2Fapi%2Fevents%3FapiVersion%3D2018-01-01&e=2027-06-05%2012%3A09%3A03.363946%2B00%3A00&s=9E0A8JITutt5uwLxQo8vgilSqokv2CwOsFZkWAad9qQ%3D",
];

/// The request of @azure/eventgrid 5.12.0.
fn event() -> Value {
    json!({"id": "7f6b", "subject": "/s/1", "data": {"hello": "world"}, "eventType": "Contoso.A",
        "eventTime": "2026-11-24T05:02:02.546Z", "dataVersion": "1.0"})
}

fn cloud_event() -> Value {
    json!({"id": "1", "source": "/src", "data": {"a": 1}, "type": "Contoso.A",
        "time": "2026-11-24T05:02:02.612Z", "specversion": "1.0", "subject": "s", "foo": "bar"})
}

/// A server with the topics `t1` (Event Grid), `cloud` (CloudEvents) and `custom`.
struct Topics {
    test: TestApp,
}

impl Topics {
    async fn start() -> Self {
        let test = TestApp::start().await;
        test.group().await;
        let topics = Self { test };
        topics.create("t1", json!({})).await;
        topics
            .create("cloud", json!({ "inputSchema": "CloudEventSchemaV1_0" }))
            .await;
        let mapping = json!({ "inputSchemaMappingType": "Json", "properties": {
            "eventType": { "sourceField": "kind" },
            "subject": { "sourceField": "about", "defaultValue": "none" },
        }});
        topics
            .create(
                "custom",
                json!({ "inputSchema": "CustomEventSchema", "inputSchemaMapping": mapping }),
            )
            .await;
        topics
    }

    async fn create(&self, name: &str, properties: Value) -> Arc<Topic> {
        let id = ResourceId::parse(&format!("{GROUP}/topics/{name}")).unwrap();
        let body = json!({ "location": "global", "properties": properties });
        let secrets = json!({ "key1": KEY, "key2": OTHER_KEY }).to_string();
        let draft = service::control::Draft {
            body: serde_json::from_value(body).unwrap(),
            secrets: Some(secrets.into()),
        };
        let app = &self.test.app;
        app.put_resource(&id, &Precondition::Always, &Actor::server(), |_| {
            Ok(draft.clone())
        })
        .await
        .unwrap();
        app.topic(name).unwrap()
    }

    async fn publish(&self, topic: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let path = format!("/topics/{topic}/api/events?api-version=2018-01-01");
        let key = ("aeg-sas-key", KEY);
        let headers: Vec<_> = headers.iter().copied().chain([key]).collect();
        self.test.send("POST", &path, &headers, body).await
    }

    /// Publishes one good event with this credential.
    async fn with(&self, headers: &[(&str, &str)]) -> Answer {
        let body = json!([event()]).to_string();
        self.test.send("POST", PATH, headers, &body).await
    }
}

/// Asserts the envelope, and gives the sentence.
fn refused(answer: &Answer, status: u16, code: &str, detail: &str) -> String {
    let body = answer.json();
    let error = &body["error"];
    assert_eq!(
        (answer.status, error["code"].as_str()),
        (status, Some(code)),
        "{answer:?}"
    );
    assert_eq!(error["details"][0]["code"], detail, "{answer:?}");
    assert_eq!(error["details"][0]["message"], error["message"]);
    let message = error["message"].as_str().unwrap();
    let report = " (UTC)' to our forums for assistance or raise a support ticket.";
    assert_eq!(message.ends_with(report), status != 413, "{message}");
    assert!(answer.headers.contains_key("x-ms-request-id"));
    message.to_owned()
}

#[tokio::test]
async fn each_schema_is_taken_and_answered_with_an_empty_200() {
    let topics = Topics::start().await;
    let json_type = ("content-type", "application/json");
    let events = json!([event(), event()]).to_string();
    let batch = json!([cloud_event(), cloud_event()]).to_string();
    let one = cloud_event().to_string();
    let custom = json!([{ "kind": "K", "more": [1] }]).to_string();
    let attributes = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "T"),
    ];
    let binary: Vec<_> = attributes.into_iter().chain([json_type]).collect();
    for (topic, headers, body) in [
        ("t1", vec![json_type], events.as_str()),
        ("T1", vec![], &events),
        ("cloud", vec![("content-type", CLOUD_BATCH)], &batch),
        (
            "cloud",
            vec![("content-type", "application/cloudevents+json")],
            &one,
        ),
        ("cloud", vec![json_type], &one),
        ("cloud", binary, "{\"a\":1}"),
        ("custom", vec![json_type], &custom),
    ] {
        let answer = topics.publish(topic, &headers, body).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, ""),
            "{topic} {body}: {answer:?}"
        );
        assert!(answer.headers.contains_key("x-ms-request-id"));
    }
}

#[tokio::test]
async fn a_topic_is_named_by_the_path_or_the_host() {
    let topics = Topics::start().await;
    let body = json!([event()]).to_string();
    for (host, path) in [
        ("localhost:8443", "/topics/t1/api/events/"),
        ("127.0.0.1:8443", "//Topics/T1/API/events"),
        ("t1.localhost:8443", "/api/events"),
        ("T1.westeurope-1.eventgrid.azure.net", "/api/events/"),
    ] {
        let headers = [("host", host), ("aeg-sas-key", KEY)];
        let answer = topics.test.send("POST", path, &headers, &body).await;
        assert_eq!(answer.status, 200, "{host}{path}: {answer:?}");
    }
    for (host, path) in [
        ("localhost:8443", "/topics/t2/api/events"),
        ("localhost:8443", "/api/events"),
        ("t2.localhost:8443", "/api/events"),
        ("localhost:8443", "/somewhere/api/events"),
    ] {
        for method in ["POST", "OPTIONS"] {
            let headers = [("host", host), ("aeg-sas-key", KEY)];
            let answer = topics.test.send(method, path, &headers, &body).await;
            let message = refused(&answer, 404, "ResourceNotFound", "ResourceNotFound");
            let begins = format!(
                "No HTTP resource was found that matches the request URI 'https://{host}{path}'."
            );
            assert!(message.starts_with(&begins), "{message}");
        }
    }
}

#[tokio::test]
async fn either_key_in_header_or_query_and_every_clients_signature_opens_the_topic() {
    let topics = Topics::start().await;
    let bearer = topics
        .test
        .token_for("https://eventgrid.azure.net/.default")
        .await;
    let bearer = format!("Bearer {bearer}");
    let signature = format!("SharedAccessSignature {}", TOKENS[0]);
    for credential in [
        ("aeg-sas-key", KEY),
        ("Aeg-Sas-Key", OTHER_KEY),
        ("aeg-sas-token", TOKENS[0]),
        ("aeg-sas-token", TOKENS[1]),
        ("authorization", &signature),
        ("authorization", &bearer),
    ] {
        let answer = topics.with(&[credential]).await;
        assert_eq!(answer.status, 200, "{credential:?}: {answer:?}");
    }
    let query: String = url::form_urlencoded::byte_serialize(KEY.as_bytes()).collect();
    let path = format!("{PATH}&aeg-sas-key={query}");
    let body = json!([event()]).to_string();
    assert_eq!(topics.test.post(&path, &body).await.status, 200);
    // "Order of precedence: bearer, then key, then SAS."
    let answer = topics
        .with(&[("authorization", "Bearer x"), ("aeg-sas-key", KEY)])
        .await;
    refused(&answer, 401, "Unauthorized", "Unauthorized");
    let answer = topics
        .with(&[("aeg-sas-token", "garbage"), ("aeg-sas-key", KEY)])
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_credential_that_does_not_open_the_topic_is_refused_with_its_reason() {
    let topics = Topics::start().await;
    let unauthorized = async |headers: &[(&str, &str)]| {
        let answer = topics.with(headers).await;
        refused(&answer, 401, "Unauthorized", "Unauthorized")
    };
    let missing = unauthorized(&[]).await;
    assert!(missing.starts_with(
        "Request must contain one of the following authorization signature: aeg-sas-token, aeg-sas-key. Report '"
    ));
    let scheme = unauthorized(&[("authorization", "Basic dTpw")]).await;
    assert!(scheme.starts_with(
        "Request has an unsupported Authorization scheme (must be SharedAccessSignature or Bearer)."
    ));
    let management = topics.test.token().await;
    let management = format!("Bearer {management}");
    let forged = TOKENS[0].replace("2027", "2028");
    // Signed by `KEY`, for `t1`.
    let elsewhere = "/topics/cloud/api/events";
    for (headers, reason) in [
        (vec![("aeg-sas-key", "bm90IGEga2V5")], "not one of"),
        (vec![("aeg-sas-key", "no base64!")], "not one of"),
        (vec![("aeg-sas-token", forged.as_str())], "not by one of"),
        (vec![("aeg-sas-token", "r=a")], "no field 's'"),
        (
            vec![("authorization", "SharedAccessSignature r=a&e=b&s=c")],
            "'e' is malformed",
        ),
        (
            vec![("authorization", management.as_str())],
            "wrong audience",
        ),
        (vec![("authorization", "Bearer x")], "invalid"),
    ] {
        let message = unauthorized(&headers).await;
        let begins = "The request authorization key is not authorized for LOCALHOST. This is due to the reason: ";
        assert!(message.starts_with(begins), "{message}");
        assert!(message.contains(reason), "{reason}: {message}");
    }
    let headers = [("aeg-sas-token", TOKENS[0])];
    let answer = topics.test.send("POST", elsewhere, &headers, "[]").await;
    let message = refused(&answer, 401, "Unauthorized", "Unauthorized");
    assert!(message.contains("another resource"), "{message}");
    let answer = topics.with(&[("aeg-sas-key", "")]).await;
    let message = refused(&answer, 400, "InvalidSas", "InvalidSas");
    assert!(
        message.starts_with("Request must have a value for aeg-sas-key."),
        "{message}"
    );
}

#[tokio::test]
async fn a_signature_ends_when_it_says() {
    let topics = Topics::start().await;
    // From 2026-11-24T04:18:16Z to 2027-06-05T12:09:03Z.
    let left = Duration::from_secs(1_812_197_343 - 1_795_493_896);
    topics.test.app.clock.advance(left);
    let headers = [("aeg-sas-token", TOKENS[0])];
    assert_eq!(topics.with(&headers).await.status, 200);
    topics.test.app.clock.advance(Duration::from_secs(1));
    let message = refused(
        &topics.with(&headers).await,
        401,
        "Unauthorized",
        "Unauthorized",
    );
    assert!(message.contains("expired"), "{message}");
}

#[tokio::test]
async fn without_local_auth_only_a_bearer_opens_the_topic() {
    let topics = Topics::start().await;
    topics
        .create("t1", json!({ "disableLocalAuth": true }))
        .await;
    for header in [("aeg-sas-key", KEY), ("aeg-sas-token", TOKENS[0])] {
        let message = refused(
            &topics.with(&[header]).await,
            401,
            "Unauthorized",
            "Unauthorized",
        );
        assert!(message.contains("disableLocalAuth"), "{message}");
    }
    let scope = "https://eventgrid.azure.net/.default";
    let bearer = format!("Bearer {}", topics.test.token_for(scope).await);
    assert_eq!(topics.with(&[("authorization", &bearer)]).await.status, 200);
}

#[tokio::test]
async fn what_is_not_of_the_topics_schema_is_refused_in_its_words() {
    let topics = Topics::start().await;
    let json_type: &[_] = &[("content-type", "application/json")];
    let batch: &[_] = &[("content-type", CLOUD_BATCH)];
    let array = json!([cloud_event()]).to_string();
    let token = "Token Expected: StartObject, Actual Token Received: StartArray.";
    for (topic, name, headers, body, more) in [
        ("t1", "EventGridEvent", json_type, "", ""),
        ("t1", "EventGridEvent", json_type, "[]", ""),
        ("t1", "EventGridEvent", json_type, "{}", ""),
        ("t1", "EventGridEvent", json_type, "[{]", ""),
        ("t1", "EventGridEvent", json_type, "\"\\ud800\"", ""),
        ("cloud", "CloudEventV10", batch, "[]", ""),
        ("cloud", "CloudEventV10", batch, "[1]", ""),
        ("cloud", "CloudEventV10", json_type, &array, token),
        ("custom", "CustomEvent", json_type, "[]", ""),
        ("custom", "CustomEvent", json_type, "{\"kind\":\"K\"}", ""),
    ] {
        let answer = topics.publish(topic, headers, body).await;
        let message = refused(&answer, 400, "BadRequest", "InputJsonInvalid");
        let begins = format!(
            "This resource is configured to receive event in '{name}' schema. The JSON received does not conform to the expected schema."
        );
        assert!(message.starts_with(&begins), "{body}: {message}");
        assert!(message.contains(more), "{body}: {message}");
    }
    let deep = "[".repeat(100_000);
    let answer = topics.publish("t1", json_type, &deep).await;
    refused(&answer, 400, "BadRequest", "InputJsonInvalid");
}

#[tokio::test]
async fn a_missing_property_is_named_the_first_in_azures_order() {
    let topics = Topics::start().await;
    let missing = async |topic: &str, schema: &str, event: &Value, property: &str| {
        let headers: &[_] = match topic {
            "cloud" => &[("content-type", CLOUD_BATCH)],
            _ => &[("content-type", "application/json")],
        };
        let body = json!([event]).to_string();
        let answer = topics.publish(topic, headers, &body).await;
        let message = refused(&answer, 400, "BadRequest", "InputJsonInvalid");
        let begins = format!(
            "This resource is configured for '{schema}' schema and requires '{property}' property to be set."
        );
        assert!(message.starts_with(&begins), "{message}");
    };
    let mut incomplete = event();
    for property in ["eventTime", "eventType", "id", "subject"] {
        incomplete.as_object_mut().unwrap().remove(property);
        missing("t1", "EventGridEvent", &incomplete, property).await;
    }
    let mut incomplete = cloud_event();
    for (attribute, property) in [
        ("id", "id"),
        ("source", "source"),
        ("type", "eventType"),
        ("specversion", "specversion"),
    ] {
        incomplete.as_object_mut().unwrap().remove(attribute);
        missing("cloud", "CloudEventV10", &incomplete, property).await;
    }
    missing(
        "custom",
        "CustomEvent",
        &json!({ "about": "x" }),
        "eventType",
    )
    .await;
}

#[tokio::test]
async fn a_request_is_taken_whole_or_not_at_all() {
    let topics = Topics::start().await;
    let mut bad = event();
    bad["id"] = json!("");
    let body = json!([event(), bad]).to_string();
    let answer = topics.publish("t1", &[], &body).await;
    let message = refused(&answer, 400, "BadRequest", "InputJsonInvalid");
    assert!(message.contains("(event 1)"), "{message}");
    assert_eq!(recorded(&topics).await, 0);
    let body = json!([event(), event()]).to_string();
    assert_eq!(topics.publish("t1", &[], &body).await.status, 200);
    assert_eq!(recorded(&topics).await, 2);
}

/// `carillon app` writes beside a running server.
#[tokio::test]
async fn what_another_process_changes_holds_up_nothing_that_is_published() {
    let topics = Topics::start().await;
    assert_eq!(topics.with(&[("aeg-sas-key", KEY)]).await.status, 200);
    let app = &topics.test.app;
    let version = || app.event_snapshot().version().map(str::to_owned);
    let before = version();
    let apps = topics.test.registrations().await;
    apps.create("ci").await.unwrap();
    until(async || {
        app.clock.advance(Duration::from_secs(2));
        (version() != before).then_some(())
    })
    .await;
    assert_eq!(topics.with(&[("aeg-sas-key", KEY)]).await.status, 200);
    assert_eq!(recorded(&topics).await, 2);
}

async fn recorded(topics: &Topics) -> usize {
    let events = topics.test.app.events_after("", 100).await;
    events.unwrap().len()
}

#[tokio::test]
async fn another_content_type_at_a_cloud_events_topic_is_415() {
    let topics = Topics::start().await;
    let body = json!([cloud_event()]).to_string();
    for headers in [&[][..], &[("content-type", "text/plain")]] {
        let answer = topics.publish("cloud", headers, &body).await;
        let message = refused(&answer, 415, "UnsupportedMediaType", "InvalidContentType");
        assert!(message.starts_with(
            "The Content-Type header is either missing or it doesn't have a valid value."
        ));
    }
}

#[tokio::test]
async fn sizes_are_bounded() {
    let topics = Topics::start().await;
    let of = |bytes: usize| {
        let mut event = event();
        event["data"] = json!("x".repeat(bytes));
        event
    };
    let too_large = async |body: String, most: usize| {
        let answer = topics.publish("t1", &[], &body).await;
        let message = refused(
            &answer,
            413,
            "RequestEntityTooLarge",
            "RequestEntityTooLarge",
        );
        assert_eq!(
            message,
            format!("The maximum size ({most}) has been exceeded.")
        );
    };
    too_large(json!([of(1_536_000)]).to_string(), 1_536_000).await;
    too_large(json!([of(1_049_600)]).to_string(), 1_049_600).await;
    let largest = json!([of(1_000_000), of(500_000)]).to_string();
    assert_eq!(topics.publish("t1", &[], &largest).await.status, 200);
    let many = vec![event(); 5_001];
    let answer = topics.publish("t1", &[], &json!(many).to_string()).await;
    refused(&answer, 400, "BadRequest", "InputJsonInvalid");
}

#[tokio::test]
async fn other_methods_are_405_and_options_says_what_is_taken() {
    let topics = Topics::start().await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let answer = topics.test.send(method, PATH, &[], "").await;
        refused(&answer, 405, "MethodNotAllowed", "MethodNotAllowed");
        assert_eq!(answer.headers["allow"], "OPTIONS, POST");
    }
    for (topic, schema) in [
        ("t1", "EventGridEvent"),
        ("cloud", "CloudEventV10"),
        ("custom", "CustomEvent"),
    ] {
        let path = format!("/topics/{topic}/api/events");
        let answer = topics.test.send("OPTIONS", &path, &[], "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["allow"], "POST, OPTIONS");
        assert_eq!(answer.headers["api-supported-versions"], "2018-01-01");
        assert_eq!(answer.headers["aeg-input-event-schema"], schema);
    }
}
