//! Hubs managed as Java and .NET do: Atom entries, signed by a rule of the namespace.

use domain::resource::Actor;
use serde_json::{Value, json};
use service::hubs::HubChange;
use wire::arm::ResourceId;
use wire::auth::sas::Key;

use crate::support::{NOW, TestApp};

const NAMESPACE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.NotificationHubs/namespaces/push";
const REQUESTS: &str = include_str!("../../../../fixtures/notificationhubs/control-requests.jsonl");
const RSA: &str = include_str!("../../../../fixtures/push/fcm-key.pem");

/// A server with a namespace, and a token of its root rule.
async fn namespace() -> (TestApp, String) {
    let test = TestApp::start().await;
    test.group().await;
    let id = ResourceId::parse(NAMESPACE).unwrap();
    let body = serde_json::from_value(json!({ "location": "global" })).unwrap();
    let actor = Actor::server();
    let change = HubChange::new(&id, &body, &actor);
    test.app.put_namespace(change).await.unwrap();
    let rule = "RootManageSharedAccessKey";
    let keys = test.app.hub_rule_keys(&id, rule).await.unwrap();
    let key = Key::new(&keys.rule.primary);
    let token = key.sign(rule, "https://localhost:8443/", NOW.secs() + 60);
    (test, token)
}

#[tokio::test]
async fn what_java_sends_is_answered_as_it_wants_it() {
    let (test, token) = namespace().await;
    let mut statuses = Vec::new();
    for line in REQUESTS.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| request[name].as_str().unwrap();
        if !text("client").starts_with("Java") {
            continue;
        }
        let headers = [("authorization", token.as_str())];
        let answer = test
            .send(text("method"), text("url"), &headers, text("body"))
            .await;
        let titled = answer.body.contains("<title type=\"text\">hubj</title>");
        assert_eq!(titled, text("method") != "DELETE", "{}", answer.body);
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [201, 200, 200, 200]);
}

#[tokio::test]
async fn an_entity_sets_fcm_v1_and_rules_with_their_keys() {
    let (test, token) = namespace().await;
    let headers = [("authorization", token.as_str())];
    let property = |name: &str, value: &str| {
        format!("<Property><Name>{name}</Name><Value>{value}</Value></Property>")
    };
    let entity = |project: &str| {
        let fcm = [
            property("ClientEmail", "a@b"),
            property("PrivateKey", RSA),
            property("ProjectId", project),
        ];
        format!(
            "<entry><content><NotificationHubDescription><AuthorizationRules><AuthorizationRule><Rights>\
             <AccessRights>Send</AccessRights></Rights><KeyName>mine</KeyName><PrimaryKey>c2VjcmV0</PrimaryKey>\
             </AuthorizationRule></AuthorizationRules><FcmV1Credential><Properties>{}</Properties></FcmV1Credential>\
             </NotificationHubDescription></content></entry>",
            fcm.concat()
        )
    };
    let made = test
        .send("PUT", "/hub1?api-version=2020-06", &headers, &entity("p1"))
        .await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.body.contains("<PrimaryKey>c2VjcmV0</PrimaryKey>"));
    let key = format!("{NAMESPACE}/notificationHubs/hub1").to_lowercase();
    let hub = test.app.hub(&key).unwrap();
    assert!(hub.fcm.is_some() && hub.rule("mine").is_some());
    assert!(hub.rule("DefaultFullSharedAccessSignature").is_none());

    let again = test.send("PUT", "/hub1", &headers, &entity("p1")).await;
    assert_eq!(again.status, 409);
    assert!(
        again.body.contains("SubCode=40900. Conflict."),
        "{}",
        again.body
    );
    let if_match = [headers[0], ("if-match", "*")];
    let changed = test.send("PUT", "/hub1", &if_match, &entity("p2")).await;
    assert_eq!(changed.status, 200);
    assert!(changed.body.contains("<Value>p2</Value>"));
    assert_eq!(
        test.send("PUT", "/hub2", &if_match, &entity("p"))
            .await
            .status,
        404
    );

    let bad = test.send("PUT", "/hub2", &headers, &entity("a/b")).await;
    assert_eq!(bad.status, 400);
    assert!(
        bad.body.contains("fcmV1Credential.properties.projectId"),
        "{}",
        bad.body
    );
    for body in ["", "<entry/>", "<!DOCTYPE a><a/>"] {
        assert_eq!(
            test.send("PUT", "/hub2", &headers, body).await.status,
            400,
            "{body}"
        );
    }
    let send = Key::new("c2VjcmV0").sign("mine", "https://localhost:8443/hub1", NOW.secs() + 60);
    let sender = test
        .send("DELETE", "/hub1", &[("authorization", &send)], "")
        .await;
    assert_eq!(sender.status, 401);
    assert!(
        sender
            .body
            .contains("Manage claim is required for this operation.")
    );
    assert_eq!(test.send("DELETE", "/hub1", &headers, "").await.status, 200);
    assert_eq!(test.send("DELETE", "/hub1", &headers, "").await.status, 404);
}
