//! The communication data plane and the lab's control, as an app's backend, an app and a phone use them.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use service::Clock;
use wire::auth::hmac;

use super::client::Client;
use super::json;
use crate::failure::{Failure, Result};

/// How long a phone is watched for one more notification.
const WATCH: Duration = Duration::from_secs(10);

/// A communication user with a token.
#[derive(Clone, Debug)]
pub struct User {
    /// `8:acs:…`.
    pub id: String,
    token: String,
}

impl User {
    /// A user whose token somebody else has got.
    pub fn new(id: String, token: String) -> Self {
        Self { id, token }
    }
}

/// A virtual phone of the lab.
#[derive(Clone, Debug)]
pub struct Phone {
    /// What it is called.
    pub name: &'static str,
    id: String,
    token: String,
}

/// A webhook receiver of the lab.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where it takes deliveries.
    pub url: String,
    id: String,
}

/// Requests to a server and its lab.
pub struct DataPlane<'c> {
    client: &'c Client,
}

impl<'c> DataPlane<'c> {
    /// Of the server that `client` speaks to.
    pub fn new(client: &'c Client) -> Self {
        Self { client }
    }

    /// A new user with a token for calls, made with the access key of the communication resource.
    pub async fn new_user(&self) -> Result<User> {
        let body = json!({ "createTokenWithScopes": ["voip"] }).to_string();
        let url = self.client.url("/identities?api-version=2023-10-01")?;
        let authority = url
            .authority()
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .to_owned();
        let request = hmac::Request {
            method: "POST",
            target: "/identities?api-version=2023-10-01",
            host: &authority,
        };
        let mut builder = self
            .client
            .http
            .post(url)
            .header("content-type", "application/json");
        for (name, value) in hmac::sign(
            request,
            body.as_bytes(),
            &self.access_key()?,
            Clock::System.now().secs(),
        ) {
            builder = builder.header(name, value);
        }
        let answer = self.send(builder.body(body)).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(User {
            id: text(&answer["identity"]["id"]),
            token: text(&answer["accessToken"]["token"]),
        })
    }

    fn access_key(&self) -> Result<Vec<u8>> {
        let environment = self.client.environment.as_ref();
        let key = environment
            .and_then(|environment| Some(environment.communication.as_ref()?.access_key.as_str()));
        let key = key.ok_or_else(|| {
            Failure::usage(
                "there is no communication resource in the server's env.json to make users with",
            )
            .way_out("give the caller's token with --token")
        })?;
        STANDARD.decode(key).map_err(Failure::failed)
    }

    /// A request with the token of `user`.
    pub async fn by(
        &self,
        user: &User,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let mut builder = self
            .client
            .http
            .request(method, self.client.url(path)?)
            .bearer_auth(&user.token);
        if let Some(body) = body {
            builder = builder
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        self.send(builder).await
    }

    /// The deliveries of a call.
    pub async fn deliveries(&self, user: &User, call: &str) -> Result<Vec<Value>> {
        let path = format!("/calling/calls/{call}/deliveries");
        let answer = self.by(user, Method::GET, &path, None).await?;
        Ok(answer["value"].as_array().cloned().unwrap_or_default())
    }

    /// A new phone, with the app that the lab's own credentials are for.
    async fn new_phone(&self, name: &'static str, platform: &str) -> Result<Phone> {
        let credentials = self.lab(Method::GET, "/credentials", None).await?;
        let mut body =
            json!({ "platform": platform, "app": credentials["apns"]["bundleId"], "name": name });
        if platform == "apns" {
            body["kind"] = json!("voip");
            body["environment"] = json!("production");
        }
        let device = self.lab(Method::POST, "/devices", Some(&body)).await?;
        let text = |key: &str| device[key].as_str().unwrap_or_default().to_owned();
        Ok(Phone {
            name,
            id: text("id"),
            token: text("token"),
        })
    }

    /// Registers a phone as a device of `user`, under its name.
    async fn register(&self, user: &User, phone: &Phone, transport: &str) -> Result<()> {
        let body = json!({
            "registrationId": phone.name,
            "clientDescription": { "appId": "Carillon", "templateKey": "Carillon_Call_1.0" },
            "transports": { transport: [{ "path": phone.token, "ttl": 3600 }] },
        });
        self.by(
            user,
            Method::POST,
            "/registrar/prod/v2/registrations",
            Some(&body),
        )
        .await?;
        Ok(())
    }

    /// A new user who has a virtual iPhone and a virtual Android phone.
    pub async fn new_user_with_phones(&self) -> Result<(User, [Phone; 2])> {
        let user = self.new_user().await?;
        let iphone = self.new_phone("iPhone", "apns").await?;
        let android = self.new_phone("Android", "fcm").await?;
        self.register(&user, &iphone, "APNS").await?;
        self.register(&user, &android, "FCM").await?;
        Ok((user, [iphone, android]))
    }

    /// The next notification of a phone behind `after`; `None` if there is none within ten seconds.
    pub async fn notification(&self, phone: &Phone, after: u64) -> Result<Option<Value>> {
        let path = format!(
            "/devices/{}/notifications?after={after}&wait={}",
            phone.id,
            WATCH.as_secs()
        );
        let answer = self.lab(Method::GET, &path, None).await?;
        Ok(answer["notifications"].get(0).cloned())
    }

    /// A new webhook receiver, which meets the handshake.
    pub async fn new_webhook(&self, name: &str) -> Result<Webhook> {
        let body = json!({ "name": name, "validation": "code" });
        let webhook = self.lab(Method::POST, "/webhooks", Some(&body)).await?;
        let text = |key: &str| webhook[key].as_str().unwrap_or_default().to_owned();
        Ok(Webhook {
            url: text("url"),
            id: text("id"),
        })
    }

    /// The requests of a webhook behind `after`; none if there is none within ten seconds.
    pub async fn webhook_requests(&self, webhook: &Webhook, after: u64) -> Result<Vec<Value>> {
        let path = format!(
            "/webhooks/{}/requests?after={after}&wait={}",
            webhook.id,
            WATCH.as_secs()
        );
        let answer = self.lab(Method::GET, &path, None).await?;
        Ok(answer["requests"].as_array().cloned().unwrap_or_default())
    }

    async fn lab(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let environment = self.client.environment.as_ref();
        let lab = environment.and_then(|environment| environment.lab.as_ref());
        let lab = lab.ok_or_else(|| Failure::failed("this server has no device lab"))?;
        let mut builder = self
            .client
            .http
            .request(method, format!("{}{path}", lab.control_url));
        if let Some(body) = body {
            builder = builder
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        self.send(builder).await
    }

    async fn send(&self, builder: reqwest::RequestBuilder) -> Result<Value> {
        let response = builder
            .send()
            .await
            .map_err(|error| self.client.unreachable(&error))?;
        let (url, status) = (response.url().clone(), response.status());
        let text = response
            .text()
            .await
            .map_err(|error| self.client.unreachable(&error))?;
        if !status.is_success() {
            return Err(Failure::failed(format!(
                "{} answers {status}{}",
                url.path(),
                json::error_of(&text)
            )));
        }
        if text.is_empty() || status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| {
            Failure::failed(format!("{} does not answer JSON: {error}", url.path()))
        })
    }
}
