//! `Microsoft.NotificationHubs` through HTTP: what the real clients send, and a life of a hub.

use serde_json::{Value, json};

use crate::support::{Answer, TestApp};

const REQUESTS: &str = include_str!("../../../../fixtures/notificationhubs/control-requests.jsonl");
const P8: &str = include_str!("../../../../fixtures/push/apns-key.p8");
const RSA: &str = include_str!("../../../../fixtures/push/fcm-key.pem");
const SUBSCRIPTION: &str = "/subscriptions/00000000-0000-0000-0000-000000000000";
const V2017: &str = "api-version=2017-04-01";
const V2023: &str = "api-version=2023-10-01-preview";

/// A server with a resource group, spoken to by one who is signed in.
struct Control {
    test: TestApp,
    bearer: String,
}

impl Control {
    async fn start() -> Self {
        let test = TestApp::start().await;
        let bearer = format!("Bearer {}", test.token().await);
        let control = Self { test, bearer };
        let group = format!("{SUBSCRIPTION}/resourceGroups/rg?api-version=2024-11-01");
        let body = json!({ "location": "global" });
        assert_eq!(
            control.send("PUT", &group, &body.to_string()).await.status,
            201
        );
        control
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let headers = [("authorization", self.bearer.as_str())];
        self.test.send(method, path, &headers, body).await
    }

    /// A request to the namespaces of the group, with the newest api-version.
    async fn ns(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, &format!("{}{path}?{V2023}", namespaces()), &body)
            .await
    }
}

fn namespaces() -> String {
    format!("{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.NotificationHubs/namespaces")
}

fn apns(key_id: &str) -> Value {
    json!({ "properties": {
        "endpoint": "https://api.push.apple.com:443/3/device", "keyId": key_id, "appId": "TEAM123456",
        "appName": "com.example.app", "token": P8,
    } })
}

fn fcm() -> Value {
    json!({ "properties": { "clientEmail": "a@b", "privateKey": RSA, "projectId": "p" } })
}

fn code(answer: &Answer) -> (u16, String) {
    let code = answer.json()["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status, code)
}

/// What the clients take for success (2017-04-01).
fn expected(method: &str, path: &str) -> u16 {
    match method {
        "PUT" if path.contains("/AuthorizationRules/") => 200,
        "PUT" => 201,
        // It goes to registrations, which this server does not keep yet.
        _ if path.ends_with("/debugsend") => 404,
        _ => 200,
    }
}

#[tokio::test]
async fn what_the_sdks_send_is_answered_as_they_want_it() {
    let control = Control::start().await;
    let mut sent = 0;
    for line in REQUESTS.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| request[name].as_str().unwrap();
        if text("client").starts_with("Java") {
            continue;
        }
        let rest = text("url").trim_start_matches("/subscriptions/");
        let url = match text("url").strip_prefix("/subscriptions/") {
            Some(_) => format!("{SUBSCRIPTION}/{}", rest.split_once('/').unwrap().1),
            None => text("url").to_owned(),
        };
        let mut body = text("body").to_owned();
        if body.contains("apnsCredential") {
            // Their keys are made up: refused, by the field.
            let answer = control.send(text("method"), &url, &body).await;
            assert_eq!(code(&answer), (400, "InvalidPnsCredential".into()));
            let mut real: Value = serde_json::from_str(&body).unwrap();
            real["properties"]["apnsCredential"] = apns("ABCDE12345");
            body = real.to_string();
        }
        let answer = control.send(text("method"), &url, &body).await;
        let path = url.split('?').next().unwrap();
        assert_eq!(
            answer.status,
            expected(text("method"), path),
            "{url}: {}",
            answer.body
        );
        sent += 1;
    }
    assert_eq!(sent, 34);
}

#[tokio::test]
async fn a_namespace_is_made_read_changed_listed_and_deleted() {
    let control = Control::start().await;
    let body =
        json!({ "location": "West Europe", "tags": { "a": "b" }, "sku": { "name": "Standard" } });
    let made = control.ns("PUT", "/Push1", body.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.headers.contains_key("etag"));
    let made = made.json();
    assert_eq!(made["type"], "Microsoft.NotificationHubs/namespaces");
    assert_eq!(
        made["sku"],
        json!({ "name": "Standard", "tier": "Standard" })
    );
    assert_eq!(made["properties"]["provisioningState"], "Succeeded");
    assert_eq!(made["properties"]["status"], "Created");
    assert_eq!(
        made["properties"]["serviceBusEndpoint"],
        "https://localhost:8443/"
    );
    let again = control.ns("PUT", "/push1", body).await;
    assert_eq!(
        (again.status, &again.json()["name"]),
        (200, &json!("Push1"))
    );

    let old = control
        .send("GET", &format!("{}/push1?{V2017}", namespaces()), "")
        .await;
    assert_eq!(old.json()["properties"]["status"], "Active");
    let patched = control
        .ns(
            "PATCH",
            "/push1",
            json!({ "tags": null, "sku": { "name": "Basic" } }),
        )
        .await;
    assert_eq!(patched.json()["sku"]["tier"], "Basic");
    assert_eq!(patched.json()["tags"], Value::Null);
    for list in [
        namespaces(),
        format!("{SUBSCRIPTION}/providers/microsoft.notificationhubs/Namespaces"),
    ] {
        let listed = control
            .send("GET", &format!("{list}?{V2023}"), "")
            .await
            .json();
        assert_eq!(listed["value"].as_array().unwrap().len(), 1, "{list}");
    }
    for path in [
        "/push1/privateEndpointConnections",
        "/push1/privateLinkResources",
    ] {
        assert_eq!(
            control.ns("GET", path, Value::Null).await.json(),
            json!({ "value": [] })
        );
    }
    let none = control
        .ns("GET", "/push1/notificationHubs", Value::Null)
        .await;
    assert_eq!(none.json(), json!({ "value": [] }));
    assert_eq!(
        control.ns("DELETE", "/push1", Value::Null).await.status,
        200
    );
    assert_eq!(
        control.ns("DELETE", "/push1", Value::Null).await.status,
        204
    );
    assert_eq!(
        code(&control.ns("GET", "/push1", Value::Null).await),
        (404, "ResourceNotFound".into())
    );
}

#[tokio::test]
async fn a_hub_shows_its_credentials_to_pns_credentials_alone() {
    let control = Control::start().await;
    control
        .ns("PUT", "/push1", json!({ "location": "global" }))
        .await;
    let body = json!({ "properties": { "registrationTtl": "P90D", "apnsCredential": apns("ABCDE12345") } });
    let made = control
        .ns("PUT", "/push1/notificationHubs/hub1", body)
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.json()["location"], "global");
    assert_eq!(made.json()["properties"]["registrationTtl"], "P90D");
    // A client that does not know FCM v1 does not take it away.
    let patch = json!({ "properties": { "FcmV1Credential": fcm() } });
    let patched = control
        .ns("PATCH", "/push1/notificationHubs/hub1", patch)
        .await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    let body = json!({ "properties": { "apnsCredential": apns("FGHIJ67890") } });
    let put = control
        .ns("PUT", "/push1/notificationHubs/hub1", body)
        .await;
    assert_eq!(put.status, 200);
    let shown = control
        .ns("GET", "/push1/notificationHubs/hub1", Value::Null)
        .await;
    for answer in [&made, &patched, &put, &shown] {
        assert!(!answer.body.contains("PRIVATE KEY"), "{}", answer.body);
        assert!(!answer.body.contains("rimaryKey"), "{}", answer.body);
    }
    let rules = shown.json()["properties"]["authorizationRules"].clone();
    assert_eq!(rules[0]["keyName"], "DefaultListenSharedAccessSignature");
    assert_eq!(rules[1]["rights"], json!(["Listen", "Manage", "Send"]));

    let pns = control
        .ns(
            "POST",
            "/push1/notificationHubs/hub1/pnsCredentials",
            Value::Null,
        )
        .await
        .json();
    let pns = &pns["properties"];
    assert_eq!(pns["apnsCredential"]["properties"]["keyId"], "FGHIJ67890");
    assert_eq!(
        pns["fcmV1Credential"]["properties"]["privateKey"],
        RSA.trim()
    );
    let gone = json!({ "properties": { "fcmV1Credential": null } });
    control
        .ns("PATCH", "/push1/notificationHubs/hub1", gone)
        .await;
    let pns = control
        .ns(
            "POST",
            "/push1/notificationHubs/hub1/pnsCredentials",
            Value::Null,
        )
        .await
        .json();
    assert_eq!(pns["properties"]["fcmV1Credential"], Value::Null);
}

#[tokio::test]
async fn a_hub_without_a_credential_uses_that_of_its_namespace() {
    let control = Control::start().await;
    let body = json!({ "location": "global", "properties": { "pnsCredentials": { "fcmV1Credential": fcm() } } });
    assert_eq!(control.ns("PUT", "/push1", body).await.status, 201);
    control
        .ns("PUT", "/push1/notificationHubs/hub1", json!({}))
        .await;
    let key = format!("{}/push1/notificationHubs/hub1", namespaces()).to_lowercase();
    let hub = control.test.app.hub(&key).unwrap();
    assert!(hub.fcm.is_some() && hub.apns.is_none() && !hub.apns_certificate);
    let certificate = json!({ "properties": { "apnsCredential": { "properties": {
        "endpoint": "gateway.push.apple.com", "apnsCertificate": "MIIK", "certificateKey": "k" } } } });
    control
        .ns("PATCH", "/push1/notificationHubs/hub1", certificate)
        .await;
    assert!(control.test.app.hub(&key).unwrap().apns_certificate);
}

#[tokio::test]
async fn rules_and_keys_of_a_hub_are_made_renewed_and_deleted() {
    let control = Control::start().await;
    control
        .ns("PUT", "/push1", json!({ "location": "global" }))
        .await;
    control
        .ns("PUT", "/push1/notificationHubs/hub1", json!({}))
        .await;
    let rule = |rest: &str| format!("/push1/notificationHubs/hub1/authorizationRules/send{rest}");
    let put = control
        .ns(
            "PUT",
            &rule(""),
            json!({ "properties": { "rights": ["send"] } }),
        )
        .await;
    assert_eq!(put.status, 200);
    assert_eq!(
        put.json()["type"],
        "Microsoft.NotificationHubs/namespaces/notificationHubs/AuthorizationRules"
    );
    assert_eq!(put.json()["properties"]["rights"], json!(["Send"]));
    let keys = control
        .ns("POST", &rule("/listKeys"), Value::Null)
        .await
        .json();
    let primary = keys["primaryKey"].as_str().unwrap();
    assert_eq!(
        (keys["keyName"].as_str(), primary.len()),
        (Some("send"), 44)
    );
    assert_eq!(
        keys["primaryConnectionString"],
        format!("Endpoint=sb://localhost:8443/;SharedAccessKeyName=send;SharedAccessKey={primary}")
    );
    let renewed = control
        .ns(
            "POST",
            &rule("/regenerateKeys"),
            json!({ "policyKey": "SecondaryKey" }),
        )
        .await
        .json();
    assert_eq!(renewed["primaryKey"], keys["primaryKey"]);
    assert_ne!(renewed["secondaryKey"], keys["secondaryKey"]);
    // New rights leave the keys as they are.
    control
        .ns(
            "PUT",
            &rule(""),
            json!({ "properties": { "rights": ["Manage"] } }),
        )
        .await;
    let shown = control.ns("GET", &rule(""), Value::Null).await.json();
    assert_eq!(
        shown["properties"]["rights"],
        json!(["Listen", "Manage", "Send"])
    );
    let kept = control
        .ns("POST", &rule("/listKeys"), Value::Null)
        .await
        .json();
    assert_eq!(kept["primaryKey"], keys["primaryKey"]);
    let listed = control
        .ns("GET", "/push1/AuthorizationRules", Value::Null)
        .await
        .json();
    assert_eq!(listed["value"][0]["name"], "RootManageSharedAccessKey");
    assert_eq!(
        control.ns("DELETE", &rule(""), Value::Null).await.status,
        200
    );
    assert_eq!(
        control.ns("DELETE", &rule(""), Value::Null).await.status,
        204
    );
    assert_eq!(control.ns("GET", &rule(""), Value::Null).await.status, 404);
}

#[tokio::test]
async fn names_are_available_until_they_are_taken() {
    let control = Control::start().await;
    let check = format!(
        "{SUBSCRIPTION}/providers/Microsoft.NotificationHubs/checkNamespaceAvailability?{V2017}"
    );
    let namespace = || control.send("POST", &check, r#"{"name":"Push1","sku":{"name":"Free"}}"#);
    assert_eq!(namespace().await.json()["isAvailiable"], true);
    control
        .ns("PUT", "/push1", json!({ "location": "global" }))
        .await;
    assert_eq!(namespace().await.json()["isAvailiable"], false);
    let hub = || {
        control.ns(
            "POST",
            "/push1/checkNotificationHubAvailability",
            json!({ "name": "hub1" }),
        )
    };
    assert_eq!(hub().await.json()["isAvailiable"], true);
    control
        .ns("PUT", "/push1/notificationHubs/hub1", json!({}))
        .await;
    assert_eq!(hub().await.json()["isAvailiable"], false);

    let other = format!("{SUBSCRIPTION}/resourceGroups/other");
    control
        .send(
            "PUT",
            &format!("{other}?api-version=2024-11-01"),
            r#"{"location":"global"}"#,
        )
        .await;
    let elsewhere =
        format!("{other}/providers/Microsoft.NotificationHubs/namespaces/PUSH1?{V2017}");
    let taken = control
        .send("PUT", &elsewhere, r#"{"location":"global"}"#)
        .await;
    assert_eq!(code(&taken), (409, "NamespaceUnavailable".into()));
}

#[tokio::test]
async fn a_bad_request_is_refused_by_its_field() {
    let control = Control::start().await;
    control
        .ns("PUT", "/push1", json!({ "location": "global" }))
        .await;
    control
        .ns("PUT", "/push1/notificationHubs/hub1", json!({}))
        .await;
    let apns = |field: &str, value: Value| {
        let mut credential = apns("ABCDE12345");
        credential["properties"][field] = value;
        json!({ "properties": { "apnsCredential": credential } })
    };
    let hub = "/push1/notificationHubs/hub1";
    let rule = "/push1/AuthorizationRules/r";
    let at = "properties.apnsCredential.properties";
    for (method, path, body, code, target) in [
        (
            "PUT",
            "/1push",
            json!({ "location": "x" }),
            "InvalidNamespaceName",
            "namespaceName".to_owned(),
        ),
        (
            "PUT",
            "/push2",
            json!({}),
            "LocationRequired",
            "location".into(),
        ),
        (
            "PUT",
            "/push2",
            json!({ "location": 1 }),
            "InvalidRequestContent",
            "location".into(),
        ),
        (
            "PUT",
            "/push2",
            json!({ "location": "x", "sku": { "name": "Gold" } }),
            "InvalidSku",
            "sku.name".into(),
        ),
        (
            "PATCH",
            "/push1",
            json!({ "tags": { "a": 1 } }),
            "InvalidRequestContent",
            "tags".into(),
        ),
        (
            "PATCH",
            "/push1",
            json!({ "properties": [] }),
            "InvalidRequestContent",
            "properties".into(),
        ),
        (
            "PUT",
            "/push1/notificationHubs/-x",
            json!({}),
            "InvalidNotificationHubName",
            "notificationHubName".into(),
        ),
        (
            "PATCH",
            hub,
            apns("keyId", json!("short")),
            "InvalidPnsCredential",
            format!("{at}.keyId"),
        ),
        (
            "PATCH",
            hub,
            apns("token", json!(RSA)),
            "InvalidPnsCredential",
            format!("{at}.token"),
        ),
        (
            "PATCH",
            hub,
            apns("appName", json!(7)),
            "InvalidPnsCredential",
            format!("{at}.appName"),
        ),
        (
            "PATCH",
            hub,
            apns("apnsCertificate", json!("c")),
            "InvalidPnsCredential",
            format!("{at}.token"),
        ),
        (
            "PUT",
            rule,
            json!({ "properties": { "rights": [] } }),
            "InvalidAuthorizationRuleRights",
            "properties.rights".into(),
        ),
        (
            "PUT",
            rule,
            json!({ "properties": { "rights": ["Fly"] } }),
            "InvalidAuthorizationRuleRights",
            "properties.rights".into(),
        ),
    ] {
        let answer = control.ns(method, path, body).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status, &error["code"], &error["target"]),
            (400, &json!(code), &json!(target)),
            "{path}"
        );
    }
    let version = control.send("GET", &namespaces(), "").await;
    assert_eq!(code(&version), (400, "MissingApiVersionParameter".into()));
    let missing = control
        .ns("PUT", "/nope/notificationHubs/hub1", json!({}))
        .await;
    assert_eq!(missing.status, 404, "{}", missing.body);
    let stranger = control
        .test
        .send("GET", &format!("{}?{V2017}", namespaces()), &[], "")
        .await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn deleting_the_group_closes_its_hubs_at_once() {
    let control = Control::start().await;
    control
        .ns("PUT", "/push1", json!({ "location": "global" }))
        .await;
    control
        .ns("PUT", "/push1/notificationHubs/hub1", json!({}))
        .await;
    let key = format!("{}/push1/notificationHubs/hub1", namespaces()).to_lowercase();
    assert!(control.test.app.hub(&key).is_some());
    let group = format!("{SUBSCRIPTION}/resourceGroups/rg?api-version=2024-11-01");
    assert_eq!(control.send("DELETE", &group, "").await.status, 200);
    assert!(control.test.app.hub(&key).is_none());
}
