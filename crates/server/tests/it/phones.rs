//! The device lab as the phones of a journey: on free ports, with the journey's clock.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use http_body_util::BodyExt;
use lab::{Lab, LabConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};
use service::Clock;
use tempfile::TempDir;
use tower::ServiceExt;

/// A lab with its virtual devices.
pub struct Phones {
    pub lab: Lab,
    /// What a sender must believe to reach it.
    pub root: CertificateDer<'static>,
    _dir: TempDir,
}

impl Phones {
    pub async fn start(clock: &Clock) -> Self {
        let (tls, root) = certificate();
        let dir = tempfile::tempdir().unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let clock = clock.clone();
        let lab = Lab::start(LabConfig {
            data_dir: dir.path().to_owned(),
            apns: any,
            fcm: any,
            webpush: any,
            tls,
            host: "localhost".to_owned(),
            clock: lab::Clock::from_micros(move || clock.now().micros()),
        });
        Self {
            lab: lab.await.unwrap(),
            root,
            _dir: dir,
        }
    }

    /// The body of a hub whose credentials reach these phones.
    pub fn hub(&self) -> Map<String, Value> {
        let apns = self.lab.apns_key().unwrap();
        let account = self.lab.service_account();
        let urls = self.lab.urls();
        let body = json!({ "location": "global", "properties": {
            "apnsCredential": { "properties": {
                "endpoint": urls["apns_url"], "keyId": apns.key_id, "appId": apns.team_id,
                "appName": apns.bundle_id, "token": apns.p8,
            } },
            "fcmV1Credential": { "properties": {
                "clientEmail": account.client_email, "privateKey": account.private_key, "projectId": account.project_id,
                "endpoint": urls["fcm_url"], "tokenUri": urls["fcm_token_url"],
            } },
        } });
        serde_json::from_value(body).unwrap()
    }

    /// The bundle id of the app on the phones.
    pub fn app(&self) -> String {
        self.lab.apns_key().unwrap().bundle_id
    }

    /// An iPhone with the app, registered for `kind` (`voip` or `alert`).
    pub async fn iphone(&self, kind: &str) -> Phone<'_> {
        let app = self.app();
        self.phone(
            json!({ "platform": "apns", "app": app, "kind": kind, "environment": "production" }),
        )
        .await
    }

    /// An Android phone with the app.
    pub async fn android(&self) -> Phone<'_> {
        let app = self.app();
        self.phone(json!({ "platform": "fcm", "app": app })).await
    }

    async fn phone(&self, body: Value) -> Phone<'_> {
        let device = self.control("POST", "/lab/devices", body).await;
        let text = |key: &str| device[key].as_str().unwrap().to_owned();
        Phone {
            lab: self,
            id: text("id"),
            token: text("token"),
        }
    }

    /// Makes a service misbehave, as the control API says it.
    pub async fn fault(&self, fault: Value) {
        self.control("POST", "/lab/faults", fault).await;
    }

    /// Ends all faults.
    pub async fn mend(&self) {
        self.control("DELETE", "/lab/faults", Value::Null).await;
    }

    /// What the services have answered, as JSON.
    pub async fn stats(&self) -> String {
        let stats = self.control("GET", "/lab/stats", Value::Null).await;
        stats.to_string()
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost:8080")
            .body(body)
            .unwrap();
        let answer = self.lab.control().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{method} {path}: {status} {body:?}");
        serde_json::from_slice(&body).unwrap_or_default()
    }
}

/// A certificate for localhost, and what believes it.
pub fn certificate() -> (Arc<rustls::ServerConfig>, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key)
        .unwrap();
    (Arc::new(tls), root)
}

/// One virtual device.
pub struct Phone<'l> {
    lab: &'l Phones,
    id: String,
    /// Its device token.
    pub token: String,
}

impl Phone<'_> {
    /// Everything pushed to it so far.
    pub async fn pushes(&self) -> Vec<Value> {
        let path = format!("/lab/devices/{}/notifications", self.id);
        let answer = self.lab.control("GET", &path, Value::Null).await;
        answer["notifications"].as_array().unwrap().clone()
    }

    /// Sets its state: `registered`, `unregistered` or `disabled`.
    pub async fn becomes(&self, state: &str) {
        let path = format!("/lab/devices/{}", self.id);
        self.lab
            .control("PATCH", &path, json!({ "state": state }))
            .await;
    }
}
