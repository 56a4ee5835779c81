//! A lab on free ports with a clock of its own, its control API without a socket, and an HTTP/2 client that shows what
//! happens to a stream.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use lab::{Clock, Lab, LabConfig};
use ring::rand::SystemRandom;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tower::ServiceExt as _;

pub struct TestLab {
    pub lab: Lab,
    roots: rustls::RootCertStore,
    pub directory: Arc<tempfile::TempDir>,
    micros: Arc<AtomicI64>,
    bearer: std::sync::OnceLock<String>,
}

impl TestLab {
    pub async fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap())).await
    }

    pub async fn start_in(directory: Arc<tempfile::TempDir>) -> Self {
        let (tls, certificate) = certificate();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let micros = Arc::new(AtomicI64::new(1_800_000_000_000_000));
        let clock = micros.clone();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let lab = Lab::start(LabConfig {
            data_dir: directory.path().to_owned(),
            apns: any,
            fcm: any,
            webpush: any,
            tls,
            host: "localhost".to_owned(),
            clock: Clock::from_micros(move || clock.load(Ordering::Relaxed)),
        });
        Self {
            lab: lab.await.unwrap(),
            roots,
            directory,
            micros,
            bearer: Default::default(),
        }
    }

    pub fn advance_seconds(&self, seconds: i64) {
        self.micros
            .fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    pub fn now(&self) -> i64 {
        self.micros.load(Ordering::Relaxed) / 1_000_000
    }

    pub async fn control(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.control_text(method, path, text).await
    }

    pub async fn control_text(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost:8080");
        let answer = self
            .lab
            .control()
            .oneshot(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub async fn device(&self, body: Value) -> Value {
        let (status, device) = self.control("POST", "/lab/devices", body).await;
        assert_eq!(status, 201, "{device}");
        device
    }

    pub async fn patch(&self, device: &Value, change: Value) {
        let path = format!("/lab/devices/{}", device["id"].as_str().unwrap());
        let (status, answer) = self.control("PATCH", &path, change).await;
        assert_eq!(status, 200, "{answer}");
    }

    pub async fn fault(&self, fault: Value) -> String {
        let (status, answer) = self.control("POST", "/lab/faults", fault).await;
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// The outcomes a device saw so far.
    pub async fn log(&self, device: &Value) -> Vec<Value> {
        let path = format!(
            "/lab/devices/{}/notifications",
            device["id"].as_str().unwrap()
        );
        let (status, answer) = self.control("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        answer["notifications"].as_array().unwrap().clone()
    }

    pub async fn outcomes(&self, device: &Value) -> Vec<String> {
        let text = |it: &Value| it["outcome"].as_str().unwrap().to_owned();
        self.log(device).await.iter().map(text).collect()
    }

    /// An `authorization` header that APNs takes: the same one each time, as a good sender has it.
    pub fn bearer(&self) -> String {
        self.bearer.get_or_init(|| self.new_bearer()).clone()
    }

    pub fn new_bearer(&self) -> String {
        let key = self.lab.apns_key().unwrap();
        bearer(&serde_json::to_value(key).unwrap(), self.now())
    }

    /// A call push to an iPhone.
    pub async fn ring(&self, peer: &Peer, device: &Value) -> Answer {
        let path = format!("/3/device/{}", device["token"].as_str().unwrap());
        let bearer = self.bearer();
        let fields = [
            ("authorization", bearer.as_str()),
            ("apns-topic", "com.example.app.voip"),
            ("apns-push-type", "voip"),
        ];
        peer.post(&path, &fields, "{}").await.unwrap()
    }

    pub async fn apns(&self) -> Peer {
        self.connect(self.lab.addresses().apns, &[b"h2"]).await
    }

    /// What trusts the lab's certificate.
    pub fn client_tls(&self) -> rustls::ClientConfig {
        rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }

    /// A client that speaks HTTP/1.1.
    pub fn http1(&self) -> reqwest::Client {
        let tls = self.client_tls();
        reqwest::Client::builder()
            .use_preconfigured_tls(tls)
            .http1_only()
            .build()
            .unwrap()
    }

    pub async fn connect(&self, address: SocketAddr, alpn: &[&[u8]]) -> Peer {
        let mut tls = self.client_tls();
        tls.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = TlsConnector::from(Arc::new(tls))
            .connect(name, tcp)
            .await
            .unwrap();
        let (sender, connection) = h2::client::handshake(tls).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Peer {
            sender,
            driver,
            authority: format!("localhost:{}", address.port()),
        }
    }
}

/// The provider token of an APNs key as `GET /lab/credentials` shows it.
pub fn bearer(key: &Value, now: i64) -> String {
    let text = |name: &str| key[name].as_str().unwrap();
    let random = SystemRandom::new();
    let key =
        wire::push::apns::ProviderKey::parse(text("p8"), text("keyId"), text("teamId"), &random);
    format!("bearer {}", key.unwrap().token(now, &random).unwrap())
}

/// One HTTP/2 connection to a stand-in.
pub struct Peer {
    pub sender: h2::client::SendRequest<Bytes>,
    pub driver: JoinSet<Result<(), h2::Error>>,
    pub authority: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The status and APNs' reason.
    pub fn reason(&self) -> (u16, String) {
        (
            self.status,
            self.json()["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    }
}

impl Peer {
    pub async fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, h2::Error> {
        self.send("POST", path, fields, body).await
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, h2::Error> {
        let uri = format!("https://{}{path}", self.authority);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let body: Bytes = body.into();
        let mut sender = self.sender.clone().ready().await?;
        let (response, mut stream) =
            sender.send_request(request.body(()).unwrap(), body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        let response = response.await?;
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            bytes.extend(chunk);
        }
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: bytes.into(),
        })
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificate() -> (Arc<rustls::ServerConfig>, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    (Arc::new(tls), certificate)
}

/// An iPhone's call token.
pub fn iphone() -> Value {
    json!({ "platform": "apns", "app": "com.example.app", "kind": "voip", "environment": "production" })
}
