//! Users and their phones, for tests of whole processes: over HTTP, as an app's backend and an app make them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use wire::auth::hmac;

use super::{Process, run, stderr};

/// A communication user who may call.
pub struct User {
    pub id: String,
    pub token: String,
}

/// A virtual phone of the lab.
pub struct Phone {
    pub id: String,
    pub token: String,
}

/// What is asked of the lab for an iPhone that shows notifications, one that takes calls, and an Android phone.
pub const APNS: &str = r#"{"platform":"apns","kind":"alert","environment":"production"}"#;
pub const APNS_CALLS: &str = r#"{"platform":"apns","kind":"voip","environment":"production"}"#;
pub const FCM: &str = r#"{"platform":"fcm"}"#;

impl User {
    /// A new user of the resource with this access key.
    pub async fn new(server: &Process, access_key: &str) -> Self {
        let body = json!({ "createTokenWithScopes": ["voip"] }).to_string();
        let target = "/identities?api-version=2023-10-01";
        let host = format!("localhost:{}", server.https_port());
        let key = STANDARD.decode(access_key).unwrap();
        let request = hmac::Request {
            method: "POST",
            target,
            host: &host,
        };
        let mut builder = client(server)
            .post(format!("https://{host}{target}"))
            .header("content-type", "application/json");
        for (name, value) in hmac::sign(
            request,
            body.as_bytes(),
            &key,
            service::Clock::System.now().secs(),
        ) {
            builder = builder.header(name, value);
        }
        let created = answer(builder.body(body)).await;
        Self {
            id: text(&created["identity"]["id"]),
            token: text(&created["accessToken"]["token"]),
        }
    }
}

impl Phone {
    /// A new phone with the app that the lab's credentials are for.
    pub async fn new(server: &Process, wanted: &str) -> Self {
        let mut body: Value = serde_json::from_str(wanted).unwrap();
        body["app"] = credentials(server).await["apns"]["bundleId"].clone();
        let device = lab(server, Method::POST, "/devices", Some(body)).await;
        Self {
            id: text(&device["id"]),
            token: text(&device["token"]),
        }
    }

    /// Its app was removed.
    pub async fn dies(&self, server: &Process) {
        let body = json!({ "state": "unregistered" });
        let path = format!("/devices/{}", self.id);
        lab(server, Method::PATCH, &path, Some(body)).await;
    }

    /// The first notification it got; waits for it.
    pub async fn notification(&self, server: &Process) -> Value {
        let path = format!("/devices/{}/notifications?after=0&wait=10", self.id);
        let answer = lab(server, Method::GET, &path, None).await;
        answer["notifications"][0].clone()
    }
}

/// Registers a phone as a device of `user`.
pub async fn register(server: &Process, user: &User, transport: &str, token: &str) {
    let registration = json!({
        "registrationId": "phone",
        "clientDescription": { "appId": "test", "templateKey": "Test_Call_1.0" },
        "transports": { transport: [{ "path": token, "ttl": 3600 }] },
    });
    let url = format!(
        "{}/registrar/prod/v2/registrations",
        server.text("base_url")
    );
    let registered = client(server)
        .post(url)
        .bearer_auth(&user.token)
        .json(&registration);
    assert_eq!(registered.send().await.unwrap().status(), 202);
}

/// Does something with a call, e.g. `accept`, as `user`.
pub async fn call_verb(server: &Process, user: &User, call: &str, verb: &str) -> Value {
    let url = format!("{}/calling/calls/{call}:{verb}", server.text("base_url"));
    answer(client(server).post(url).bearer_auth(&user.token)).await
}

/// Links the hub of `carillon dev` to its communication resource.
pub fn link(server: &Process) {
    let (id, hub) = (
        &server.env["communication"]["resource_id"],
        &server.env["hub"],
    );
    let path = format!(
        "{}/linkNotificationHub?api-version=2020-08-20-preview",
        text(id)
    );
    let body = json!({ "connectionString": hub["connection_strings"]["send"], "resourceId": hub["resource_id"] });
    let linked = run(&[
        "post",
        &path,
        &body.to_string(),
        "--data-dir",
        server.data_dir(),
    ]);
    assert!(linked.status.success(), "{}", stderr(&linked));
}

/// What a hub needs to push to the lab.
pub async fn credentials(server: &Process) -> Value {
    lab(server, Method::GET, "/credentials", None).await
}

async fn lab(server: &Process, method: Method, path: &str, body: Option<Value>) -> Value {
    let url = format!("{}{path}", text(&server.env["lab"]["control_url"]));
    let builder = client(server).request(method, url);
    answer(match &body {
        Some(body) => builder.json(body),
        None => builder,
    })
    .await
}

fn client(server: &Process) -> reqwest::Client {
    server.client().build().unwrap()
}

async fn answer(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    response.json().await.unwrap()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
        .to_owned()
}
