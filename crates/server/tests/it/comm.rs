//! A server with the resources of `carillon dev`, and the requests of those who use its communication resource.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::resource::Actor;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use service::Clock;
use service::control::Seeded;
use wire::auth::hmac;

use crate::hub::object;
use crate::phones::{Phone, Phones};
use crate::support::{Answer, NOW, TestApp};

/// A server with the communication resource `comm` and the hub `hub`.
pub struct Comm {
    pub test: TestApp,
    pub seeded: Seeded,
}

/// A communication user with a token.
pub struct User {
    pub id: String,
    pub token: String,
}

impl Comm {
    /// With push services that cannot be reached.
    pub async fn start() -> Self {
        Self::of(TestApp::start().await, &crate::hub::unreachable()).await
    }

    /// With a device lab, to whose phones the linked hub leads.
    pub async fn with_phones() -> (Self, Phones) {
        let clock = Clock::manual(NOW);
        let phones = Phones::start(&clock).await;
        let test = TestApp::start_trusting(clock, vec![phones.root.clone()]).await;
        let comm = Self::of(test, &phones.hub()).await;
        comm.link().await;
        (comm, phones)
    }

    /// With the credentials of the hub body `hub`.
    pub async fn of(test: TestApp, hub: &Map<String, Value>) -> Self {
        let credentials = object(hub["properties"].clone());
        let seeded = test.app.seed_dev(&credentials).await.unwrap();
        Self { test, seeded }
    }

    pub async fn restart(self) -> Self {
        Self {
            test: self.test.restart().await,
            seeded: self.seeded,
        }
    }

    /// Links `comm` to `hub`.
    pub async fn link(&self) {
        let body = object(json!({
            "connectionString": self.seeded.hub_strings[1].expose_secret(),
            "resourceId": self.seeded.hub.as_str(),
        }));
        let app = &self.test.app;
        app.link_notification_hub(&self.seeded.communication, &body, &Actor::server())
            .await
            .unwrap();
    }

    /// A request signed with the access key of `comm`.
    pub async fn signed(&self, method: &str, path: &str, body: &str) -> Answer {
        let headers = self.signature(method, path, body);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.test.send(method, path, &headers, body).await
    }

    pub fn signature(&self, method: &str, path: &str, body: &str) -> hmac::Headers {
        let key = self.seeded.access_key.expose_secret();
        self.signature_with(key, method, path, body)
    }

    /// The headers that sign a request with the access key of a resource.
    pub fn signature_with(&self, key: &str, method: &str, path: &str, body: &str) -> hmac::Headers {
        let key = STANDARD.decode(key).unwrap();
        let request = hmac::Request {
            method,
            target: path,
            host: "localhost:8443",
        };
        hmac::sign(
            request,
            body.as_bytes(),
            &key,
            self.test.app.clock.now().secs(),
        )
    }

    /// A new user with a token for calls and chat.
    pub async fn user(&self) -> User {
        self.user_with(&["voip", "chat"]).await
    }

    pub async fn user_with(&self, scopes: &[&str]) -> User {
        let body = json!({ "createTokenWithScopes": scopes }).to_string();
        let answer = self.signed("POST", "/identities?api-version=2023-10-01", &body);
        let answer = answer.await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let created = answer.json();
        User {
            id: created["identity"]["id"].as_str().unwrap().to_owned(),
            token: created["accessToken"]["token"].as_str().unwrap().to_owned(),
        }
    }

    /// A request with the token of `user`.
    pub async fn by(&self, user: &User, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", user.token);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = [("authorization", bearer.as_str())];
        self.test.send(method, path, &headers, &body).await
    }

    /// New users, as many as are named.
    pub async fn users<const N: usize>(&self) -> [User; N] {
        let mut users = Vec::with_capacity(N);
        for _ in 0..N {
            users.push(self.user().await);
        }
        users.try_into().unwrap_or_else(|_| unreachable!())
    }

    /// A new iPhone of `user`, with the registration id `iphone`.
    pub async fn iphone<'l>(&self, user: &User, phones: &'l Phones) -> Phone<'l> {
        let phone = phones.iphone("voip").await;
        self.register(user, "iphone", "APNS", &phone.token).await;
        phone
    }

    /// A new Android phone of `user`, with the registration id `android`.
    pub async fn android<'l>(&self, user: &User, phones: &'l Phones) -> Phone<'l> {
        let phone = phones.android().await;
        self.register(user, "android", "FCM", &phone.token).await;
        phone
    }

    /// Registers a push token of `user` as the device `id`.
    pub async fn register(&self, user: &User, id: &str, kind: &str, token: &str) {
        let body = json!({
            "registrationId": id,
            "clientDescription": { "appId": "test", "templateKey": "AcsTest_Call_1.0" },
            "transports": { kind: [{ "path": token, "ttl": 3600 }] },
        });
        let path = "/registrar/prod/v2/registrations";
        let answer = self.by(user, "POST", path, &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, ""));
    }
}

/// A path segment with the colons of a user id escaped, as the clients send it.
pub fn segment(id: &str) -> String {
    id.replace(':', "%3A")
}
