//! A server with one hub, and the requests of those who send through it.

use std::time::Duration;

use domain::resource::Actor;
use serde_json::{Map, Value, json};
use service::hubs::HubChange;
use wire::arm::ResourceId;
use wire::auth::sas::Key;

use crate::support::{Answer, TestApp};

pub const HUB: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.NotificationHubs/namespaces/push/notificationHubs/hub1";
pub const RULE: &str = "DefaultFullSharedAccessSignature";
const P8: &str = include_str!("../../../../fixtures/push/apns-key.p8");
const RSA: &str = include_str!("../../../../fixtures/push/fcm-key.pem");
pub const BODY: &str = r#"{"aps":{"alert":"hi"}}"#;

/// A server with the hub `hub1`.
pub struct Hub {
    pub test: TestApp,
    /// A signature that may do everything.
    pub token: String,
}

impl Hub {
    /// With push services that cannot be reached: what is accepted stays pending.
    pub async fn start() -> Self {
        Self::of(TestApp::start().await, unreachable()).await
    }

    /// With the credentials in `body`.
    pub async fn of(test: TestApp, body: Map<String, Value>) -> Self {
        let hub = ResourceId::parse(HUB).unwrap();
        let namespace = hub.parent().unwrap();
        let actor = Actor::server();
        let location = object(json!({ "location": "global" }));
        test.group().await;
        let change = HubChange::new(&namespace, &location, &actor);
        test.app.put_namespace(change).await.unwrap();
        let change = HubChange::new(&hub, &body, &actor);
        test.app.put_hub(change).await.unwrap();
        let keys = test.app.hub_rule_keys(&hub, RULE).await.unwrap();
        let expiry = test.app.clock.now().secs() + 86_400;
        let token = Key::new(&keys.rule.primary).sign(RULE, "https://localhost:8443/", expiry);
        Self { test, token }
    }

    /// Makes another hub beside it; answers a token for it.
    pub async fn other(&self, name: &str, body: Map<String, Value>) -> String {
        let id = ResourceId::parse(&HUB.replace("hub1", name)).unwrap();
        let actor = Actor::server();
        let change = HubChange::new(&id, &body, &actor);
        self.test.app.put_hub(change).await.unwrap();
        let keys = self.test.app.hub_rule_keys(&id, RULE).await.unwrap();
        let expiry = self.test.app.clock.now().secs() + 86_400;
        let resource = format!("https://localhost:8443/{name}");
        Key::new(&keys.rule.primary).sign(RULE, &resource, expiry)
    }

    pub async fn restart(self) -> Self {
        Self {
            test: self.test.restart().await,
            token: self.token,
        }
    }

    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut headers = headers.to_vec();
        headers.push(("authorization", &self.token));
        self.test.send(method, path, &headers, body).await
    }

    /// A direct send to an Apple device, with the id that its client gives the request.
    pub async fn send(&self, request_id: &str) -> Answer {
        let headers = [APPLE, HANDLE, ("x-ms-client-request-id", request_id)];
        self.request("POST", DIRECT, &headers, BODY).await
    }

    /// The deliveries at `path`, once the first has been settled. The store writes in real time, so this waits in
    /// real time, and not for long.
    pub async fn settled(&self, path: &str) -> Value {
        for _ in 0..5_000 {
            let shown = self.request("GET", path, &[], "").await.json();
            if shown["deliveries"][0]["state"] == "settled" {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{path} was not settled within five seconds");
    }

    pub async fn details(&self, location: &str) -> String {
        let path = location.strip_prefix("https://localhost:8443").unwrap();
        let answer = self.request("GET", path, &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }
}

/// Both credentials, for push services where nobody listens.
pub fn unreachable() -> Map<String, Value> {
    object(json!({ "location": "global", "properties": {
        "apnsCredential": { "properties": {
            "endpoint": "https://localhost:9", "keyId": "ABC1234DEF", "appId": "TEAM123456",
            "appName": "com.example.app", "token": P8,
        } },
        "fcmV1Credential": { "properties": {
            "clientEmail": "push@my-project.iam.gserviceaccount.com", "privateKey": RSA, "projectId": "my-project",
            "endpoint": "https://localhost:9", "tokenUri": "https://localhost:9/token",
        } },
    } }))
}

pub const DIRECT: &str = "/hub1/messages/?api-version=2020-06&direct=true";
pub const BATCH: &str = "/hub1/messages/$batch?direct&api-version=2020-06";
pub const APPLE: (&str, &str) = ("ServiceBusNotification-Format", "apple");
pub const HANDLE: (&str, &str) = ("ServiceBusNotification-DeviceHandle", "00fc13adff785122");

pub const MULTIPART: [(&str, &str); 2] =
    [APPLE, ("content-type", "multipart/mixed; boundary = \"b\"")];

/// The body of a batch to these devices.
pub fn batch(devices: &Value) -> String {
    format!(
        "--b\r\nContent-Type: application/json\r\nContent-Disposition: inline; name=notification\r\n\r\n{BODY}\r\n\
         --b\r\nContent-Disposition: inline; name=devices\r\n\r\n{devices}\r\n--b--"
    )
}

pub fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

pub fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.headers["location"].to_str().unwrap().to_owned()
}

/// The text of the first element of this name.
pub fn element<'x>(xml: &'x str, name: &str) -> &'x str {
    let (_, rest) = xml
        .split_once(&format!("<{name}>"))
        .unwrap_or_else(|| panic!("no {name} in {xml}"));
    rest.split('<').next().unwrap()
}
