//! The vocabulary of the journeys: a server in process, and requests to it.

use axum::body::Body;
use domain::id::NodeId;
use domain::time::Timestamp;
use http_body_util::BodyExt;
use rustls_pki_types::CertificateDer;
use service::{App, Clock, Random, Settings};
use store::Store;
use store::seal::Seal;
use tempfile::TempDir;

/// A server in process: requests go to its service without a socket; time stands still until it is moved.
pub struct TestApp {
    pub app: App,
    pub service: carillon::http::Service,
    dir: TempDir,
}

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Insists that it is an error with this status and code.
    #[track_caller]
    pub fn is_refused(&self, status: u16, code: &str) {
        let said = &self.json()["error"]["code"];
        assert_eq!((self.status, said), (status, &code.into()), "{}", self.body);
    }
}

const CALLBACK_KEY: &str = include_str!("../../../../fixtures/entra/client-key.pem");
const SIGNING_KEY: &str = include_str!("../../../../fixtures/entra/signing-key.pem");

/// The well-known app of the tests, and its secret.
pub const CLIENT_ID: &str = "22222222-2222-2222-2222-222222222222";
pub const CLIENT_SECRET: &str = "a secret of the tests";

/// 2026-11-24T04:18:16Z, the moment most golden vectors were made.
pub const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

impl TestApp {
    /// Starts on an empty SQLite database.
    pub async fn start() -> Self {
        Self::start_trusting(Clock::manual(NOW), Vec::new()).await
    }

    /// Starts on an empty SQLite database with other settings.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (url, clock) = (url_in(&dir), Clock::manual(NOW));
        Self::of(node_on(&url, "first", clock, Vec::new(), change).await, dir)
    }

    /// Starts with this clock, and believes these certificates: the lab's.
    pub async fn start_trusting(clock: Clock, roots: Vec<CertificateDer<'static>>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), clock, roots).await
    }

    /// Stops, and starts again on the same database with the same clock.
    pub async fn restart(self) -> Self {
        let clock = self.app.clock.clone();
        let roots = self.app.settings.push.roots.clone();
        self.app.stop().await;
        Self::start_in(self.dir, clock, roots).await
    }

    /// What a server that vanished leaves behind.
    pub fn into_dir(self) -> TempDir {
        self.dir
    }

    /// Starts on what is in `dir`.
    pub async fn start_in(dir: TempDir, clock: Clock, roots: Vec<CertificateDer<'static>>) -> Self {
        Self::of(
            node_on(&url_in(&dir), "first", clock, roots, |_| {}).await,
            dir,
        )
    }

    fn of(app: App, dir: TempDir) -> Self {
        let service = carillon::http::Service::new(app.clone(), carillon::http::table());
        Self { app, service, dir }
    }

    /// Starts the node `name` on the database at `url`.
    pub async fn start_node(
        url: &str,
        name: &str,
        clock: Clock,
        roots: Vec<CertificateDer<'static>>,
    ) -> Self {
        Self::of(
            node_on(url, name, clock, roots, |_| {}).await,
            tempfile::tempdir().unwrap(),
        )
    }

    /// Another node on the same database, with the same clock.
    pub async fn second_node(&self) -> App {
        let roots = self.app.settings.push.roots.clone();
        node_on(
            &url_in(&self.dir),
            "second",
            self.app.clock.clone(),
            roots,
            |_| {},
        )
        .await
    }

    /// The app registrations, from beside the server.
    pub async fn registrations(&self) -> service::control::Registrations {
        let store = Store::open(&url_in(&self.dir), Seal::new(&[1; 32]))
            .await
            .unwrap();
        service::control::Registrations::new(store, self.app.clock.clone(), Random::System)
    }

    /// Sends a request with these headers.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            request = request.header("host", "localhost:8443");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .service
            .handle(request.body(Body::from(body.to_owned())).unwrap())
            .await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[], body).await
    }

    /// Posts a form, as clients do to the token endpoint.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[kind], &body).await
    }

    /// An access token for the control plane, by the well-known app's secret.
    pub async fn token(&self) -> String {
        self.token_for("https://management.azure.com//.default")
            .await
    }

    /// An access token for this scope, by the well-known app's secret.
    pub async fn token_for(&self, scope: &str) -> String {
        let secret = CLIENT_SECRET.to_owned().into();
        self.app.ensure_dev_app(CLIENT_ID, &secret).await.unwrap();
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("scope", scope),
        ];
        let answer = self.form("/adfs/oauth2/token/", &fields).await;
        answer.json()["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer:?}"))
            .to_owned()
    }

    /// Makes the resource group `default`.
    pub async fn group(&self) {
        let body = serde_json::from_value(serde_json::json!({ "location": "global" })).unwrap();
        let subscription = &self.app.settings.subscriptions[0].id;
        self.app
            .put_group(
                subscription,
                "default",
                &body,
                &domain::resource::Actor::server(),
            )
            .await
            .unwrap();
    }

    /// Sends a request to the control plane, signed in.
    pub async fn arm(&self, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token().await);
        let headers = [("authorization", bearer.as_str())];
        self.send(method, path, &headers, body).await
    }
}

/// As in `carillon dev`: receivers are on this machine.
fn webhooks(roots: Vec<CertificateDer<'static>>) -> service::webhook::WebhooksConfig {
    service::webhook::WebhooksConfig {
        addresses: domain::address::AddressPolicy {
            loopback: true,
            private: false,
        },
        plain_http: service::webhook::PlainHttp::Loopback,
        roots,
        ..service::webhook::WebhooksConfig::default()
    }
}

fn url_in(dir: &TempDir) -> String {
    format!("sqlite:{}", dir.path().join("carillon.db").display())
}

async fn node_on(
    url: &str,
    name: &str,
    clock: Clock,
    roots: Vec<CertificateDer<'static>>,
    change: impl FnOnce(&mut Settings),
) -> App {
    let store = Store::open(url, Seal::new(&[1; 32])).await.unwrap();
    // Making an RSA key takes a debug build a while; the tests share one.
    store
        .secret_or_insert("control.signing-key", || SIGNING_KEY.to_owned())
        .await
        .unwrap();
    store
        .secret_or_insert("callautomation.signing-key", || CALLBACK_KEY.to_owned())
        .await
        .unwrap();
    let mut settings = Settings {
        node: NodeId::new(name),
        base_url: "https://localhost:8443".into(),
        hosts: vec!["localhost".into(), "127.0.0.1".into()],
        tenant_id: "11111111-1111-1111-1111-111111111111".into(),
        subscriptions: vec![service::Subscription {
            id: "00000000-0000-0000-0000-000000000000".into(),
            name: "Carillon".into(),
        }],
        dev: true,
        identity: service::identity::IdentityRates::default(),
        events: service::events::EventsConfig::default(),
        dead_letters: service::events::DeadLettersConfig::default(),
        webhooks: webhooks(roots.clone()),
        push: service::push::LanesConfig {
            roots,
            ..service::push::LanesConfig::default()
        },
        sends: service::hubs::SendsConfig::default(),
        calls: service::calling::CallsConfig::default(),
    };
    change(&mut settings);
    App::start(store, clock, Random::seeded(1), settings)
        .await
        .unwrap()
}
