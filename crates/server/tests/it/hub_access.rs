//! Who may do what through which hub: shared access signatures against the directory.

use std::time::Duration;

use domain::hub::Right;
use domain::resource::Actor;
use serde_json::{Value, json};
use service::control::Precondition;
use service::hubs::{HubChange, SasRequest};
use wire::arm::ResourceId;
use wire::auth::sas::Key;

use crate::support::{NOW, TestApp};

const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.NotificationHubs";

/// A server with namespaces and one hub called `hub` in each; rules `listen`, `send` and `manage` at every hub.
struct Hubs {
    test: TestApp,
}

impl Hubs {
    async fn start(namespaces: &[&str]) -> Self {
        let hubs = Self {
            test: TestApp::start().await,
        };
        hubs.test.group().await;
        for namespace in namespaces {
            hubs.create(namespace).await;
            // The oldest namespace is the default one.
            hubs.test.app.clock.advance(Duration::from_secs(1));
        }
        hubs
    }

    async fn create(&self, namespace: &str) {
        let app = &self.test.app;
        let actor = Actor::server();
        let body = object(json!({ "location": "global" }));
        let space = id(&format!("namespaces/{namespace}"));
        let change = HubChange::new(&space, &body, &actor);
        app.put_namespace(change).await.unwrap();
        let hub = hub_id(namespace);
        let change = HubChange::new(&hub, &body, &actor);
        app.put_hub(change).await.unwrap();
        for right in ["Listen", "Send", "Manage"] {
            let body = object(json!({ "properties": { "rights": [right] } }));
            let name = right.to_lowercase();
            app.put_hub_rule(&hub, &name, &body, &actor).await.unwrap();
        }
    }

    /// A token of `rule` of the hub in `namespace` for `resource`.
    async fn token(&self, namespace: &str, rule: &str, resource: &str) -> String {
        let keys = self.test.app.hub_rule_keys(&hub_id(namespace), rule).await;
        Key::new(&keys.unwrap().rule.primary).sign(rule, resource, NOW.secs() + 3_600)
    }

    fn authorize(
        &self,
        host: &str,
        hub: &str,
        token: &str,
        right: Right,
    ) -> Result<String, String> {
        let path = format!("/{hub}/messages/");
        let request = SasRequest {
            host: Some(host),
            path: &path,
            authorization: Some(token),
        };
        match self.test.app.authorize_sas(request, hub, right) {
            Ok(caller) => Ok(caller.hub.namespace.clone()),
            Err(error) => Err(error.code.into_owned()),
        }
    }
}

fn id(path: &str) -> ResourceId {
    ResourceId::parse(&format!("{GROUP}/{path}")).unwrap()
}

fn hub_id(namespace: &str) -> ResourceId {
    id(&format!("namespaces/{namespace}/notificationHubs/hub"))
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

const ROOT: &str = "https://localhost:8443/";

#[tokio::test]
async fn each_rule_may_do_what_its_rights_say() {
    let hubs = Hubs::start(&["push"]).await;
    let forbidden = || Err("Forbidden".to_owned());
    let no_manage = || Err("Unauthorized".to_owned());
    let ok = || Ok("push".to_owned());
    for (rule, listen, send, manage) in [
        ("listen", ok(), forbidden(), no_manage()),
        ("send", forbidden(), ok(), no_manage()),
        ("manage", ok(), ok(), ok()),
        (
            "DefaultListenSharedAccessSignature",
            ok(),
            forbidden(),
            no_manage(),
        ),
        ("DefaultFullSharedAccessSignature", ok(), ok(), ok()),
    ] {
        let token = hubs.token("push", rule, ROOT).await;
        for (right, expected) in [
            (Right::Listen, listen),
            (Right::Send, send),
            (Right::Manage, manage),
        ] {
            let answer = hubs.authorize("localhost:8443", "hub", &token, right);
            assert_eq!(answer, expected, "{rule} for {right:?}");
        }
    }
}

#[tokio::test]
async fn the_host_or_else_the_signature_says_which_namespace() {
    let hubs = Hubs::start(&["first", "second"]).await;
    let of_first = hubs.token("first", "send", ROOT).await;
    let of_second = hubs.token("second", "send", ROOT).await;
    let authorize = |host, token| hubs.authorize(host, "HUB", token, Right::Send);
    assert_eq!(authorize("localhost:8443", &of_first), Ok("first".into()));
    assert_eq!(authorize("localhost", &of_second), Ok("second".into()));
    let host = "Second.servicebus.windows.net";
    assert_eq!(authorize(host, &of_second), Ok("second".into()));
    assert_eq!(authorize(host, &of_first), Err("InvalidSignature".into()));
}

#[tokio::test]
async fn a_rule_of_the_namespace_sends_through_its_hubs_and_manages_it() {
    let hubs = Hubs::start(&["push"]).await;
    let app = &hubs.test.app;
    let space = id("namespaces/push");
    let root = app.hub_rule_keys(&space, "rootmanagesharedaccesskey").await;
    let key = Key::new(&root.unwrap().rule.secondary);
    let token = key.sign("RootManageSharedAccessKey", ROOT, NOW.secs() + 60);
    assert!(
        hubs.authorize("localhost", "hub", &token, Right::Send)
            .is_ok()
    );
    let missing = hubs.authorize("localhost", "other", &token, Right::Send);
    assert_eq!(missing, Err("EndpointNotFound".into()));
    let request = SasRequest {
        host: None,
        path: "/",
        authorization: Some(&token),
    };
    assert_eq!(app.authorize_sas_namespace(request).unwrap().name, "push");
    let full = hubs.token("push", "manage", ROOT).await;
    let of_hub = SasRequest {
        authorization: Some(&full),
        ..request
    };
    assert!(app.authorize_sas_namespace(of_hub).is_err());
}

#[tokio::test]
async fn a_bad_token_is_refused_with_its_reason() {
    let hubs = Hubs::start(&["push"]).await;
    let authorize = |token: &str| hubs.authorize("localhost", "hub", token, Right::Send);
    let error = |code: &str| Err(code.to_owned());
    assert_eq!(authorize(""), error("MalformedToken"));
    assert_eq!(authorize("Bearer x"), error("MalformedToken"));
    let elsewhere = hubs.token("push", "send", "https://localhost/hub2").await;
    assert_eq!(authorize(&elsewhere), error("InvalidAudience"));
    let forged = Key::new("guess").sign("send", ROOT, i64::MAX);
    assert_eq!(authorize(&forged), error("InvalidSignature"));
    let unknown = Key::new("guess").sign("nobody", ROOT, i64::MAX);
    assert_eq!(authorize(&unknown), error("InvalidSignature"));
    let token = hubs.token("push", "send", ROOT).await;
    hubs.test
        .app
        .clock
        .advance(Duration::from_secs(3_600 + 299));
    assert!(authorize(&token).is_ok());
    hubs.test.app.clock.advance(Duration::from_secs(2));
    assert_eq!(authorize(&token), error("ExpiredToken"));
}

#[tokio::test]
async fn a_change_counts_for_the_next_request() {
    let hubs = Hubs::start(&["push"]).await;
    let app = &hubs.test.app;
    let actor = Actor::server();
    let token = hubs.token("push", "send", ROOT).await;
    let authorize = |token: &str| hubs.authorize("localhost", "hub", token, Right::Send);
    assert!(authorize(&token).is_ok());
    let body = object(json!({ "policyKey": "SecondaryKey" }));
    let other = app
        .regenerate_hub_rule_key(&hub_id("push"), "send", &body, &actor)
        .await;
    assert!(other.is_ok() && authorize(&token).is_ok());
    let body = object(json!({ "policyKey": "Primary Key" }));
    let keys = app
        .regenerate_hub_rule_key(&hub_id("push"), "send", &body, &actor)
        .await
        .unwrap();
    assert_eq!(authorize(&token), Err("InvalidSignature".into()));
    let renewed = Key::new(&keys.rule.primary).sign("send", ROOT, NOW.secs() + 3_600);
    assert!(authorize(&renewed).is_ok());
    assert!(
        app.delete_hub_rule(&hub_id("push"), "send", &actor)
            .await
            .unwrap()
    );
    assert!(
        !app.delete_hub_rule(&hub_id("push"), "send", &actor)
            .await
            .unwrap()
    );
    assert!(authorize(&renewed).is_err());
    let full = hubs.token("push", "manage", ROOT).await;
    assert!(authorize(&full).is_ok());
    app.delete_resource(&id("namespaces/push"), &Precondition::Always)
        .await
        .unwrap();
    assert!(authorize(&full).is_err());
    assert!(app.hub(hub_id("push").key()).is_none());
}

#[tokio::test]
async fn another_node_follows_within_seconds() {
    let hubs = Hubs::start(&["push"]).await;
    let other = hubs.test.second_node().await;
    let key = hub_id("push").key().to_owned();
    assert!(other.hub(&key).is_some());
    let (space, always) = (id("namespaces/push"), Precondition::Always);
    let gone = hubs.test.app.delete_resource(&space, &always).await;
    assert!(gone.unwrap());
    // The other node reads the store in real time once its clock has moved; this waits for it, and not for long.
    for _ in 0..5_000 {
        hubs.test.app.clock.advance(Duration::from_secs(2));
        if other.hub(&key).is_none() {
            other.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the other node did not follow within five seconds");
}
