//! An app with a topic, and a receiver on a socket that answers by a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::id::NodeId;
use domain::resource::Actor;
use domain::time::Timestamp;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use store::Store;
use store::seal::Seal;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wire::arm::ResourceId;
use wire::event::custom::{Mapping, Stamp};

use crate::control::{Draft, Precondition};
use crate::events::{DeadLettersConfig, Storage};
use crate::hubs::SendsConfig;
use crate::push::LanesConfig;
use crate::webhook::{PlainHttp, Resolver, WebhooksConfig};
use crate::{App, Clock, Random, Settings};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

/// A name that leads to a private network by now.
pub(super) const RENAMED: &str = "renamed.example.com";

/// An app with the topic `orders`.
pub(super) struct Server {
    pub(super) app: App,
    dir: TempDir,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with_topic("EventGridSchema").await
    }

    pub(super) async fn with_topic(schema: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let app = open(&dir, Clock::manual(NOW)).await;
        let body = object(json!({ "location": "global" }));
        let subscription = app.settings.subscriptions[0].id.clone();
        app.put_group(&subscription, "default", &body, &Actor::server())
            .await
            .unwrap();
        let server = Self { app, dir };
        let body = json!({ "location": "global", "properties": { "inputSchema": schema } });
        let (id, body) = (topic(), object(body));
        let (any, actor) = (Precondition::default(), Actor::server());
        let put = server.app.put_topic(&id, &body, &any, &actor);
        put.await.unwrap();
        server
    }

    /// Where its files are.
    pub(super) fn path(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Stops without a word to anybody, and starts again on what is on disk.
    pub(super) async fn restart(self) -> Self {
        let clock = self.app.clock.clone();
        self.app.stop().await;
        Self {
            app: open(&self.dir, clock).await,
            dir: self.dir,
        }
    }

    /// Subscribes a URL; `more` are other properties.
    pub(super) async fn subscribe(&self, name: &str, url: &str, more: Value) -> ResourceId {
        let mut said = json!({ "destination": {
            "endpointType": "WebHook", "properties": { "endpointUrl": url } } });
        merge(&mut said, more);
        let id = format!(
            "{}/providers/Microsoft.EventGrid/eventSubscriptions/{name}",
            topic()
        );
        let id = ResourceId::parse(&id).unwrap();
        let secrets = json!({ "state": "live", "said": said }).to_string();
        self.put(&id, json!({ "properties": {} }), secrets.into())
            .await;
        id
    }

    async fn put(&self, id: &ResourceId, body: Value, secrets: secrecy::SecretString) {
        let draft = Draft {
            body: object(body),
            secrets: Some(secrets),
        };
        let (any, actor) = (Precondition::default(), Actor::server());
        let put = self
            .app
            .put_resource(id, &any, &actor, |_| Ok(draft.clone()));
        put.await.unwrap();
    }

    /// Publishes events with these ids.
    pub(super) async fn publish(&self, ids: impl IntoIterator<Item = impl ToString>) {
        let events: Vec<_> = ids.into_iter().map(|id| event(&id.to_string())).collect();
        self.publish_all(json!(events)).await;
    }

    pub(super) async fn publish_all(&self, body: Value) {
        let topic = self.app.topic("orders").unwrap();
        let mut headers = HeaderMap::new();
        let kind = "application/cloudevents-batch+json";
        headers.insert("content-type", kind.parse().unwrap());
        let mut stamp = Stamp {
            topic: topic.id.as_str(),
            now: "2026-11-24T04:18:16Z",
            id: &mut || "made".to_owned(),
        };
        let body = body.to_string();
        let published = wire::event::read(
            topic.input,
            &Mapping::default(),
            &mut stamp,
            &headers,
            body.as_bytes(),
        );
        self.app
            .publish_events(&topic, published.unwrap())
            .await
            .unwrap();
    }

    /// Waits until nothing happens any more unless the clock moves.
    pub(super) async fn settled(&self) {
        let quiet = async {
            let mut rounds = 0;
            while rounds < 3 {
                tokio::task::yield_now().await;
                let now = self.app.clock.now();
                let lanes = self.app.deliveries.lanes.all();
                rounds = match lanes.iter().all(|lane| lane.is_quiet(now)) {
                    true => rounds + 1,
                    false => 0,
                };
            }
        };
        tokio::time::timeout(Duration::from_secs(20), quiet)
            .await
            .unwrap();
    }

    /// Moves the clock.
    pub(super) fn advance(&self, secs: u64) {
        self.app.clock.advance(Duration::from_secs(secs));
    }
}

/// An event in the Event Grid schema.
pub(super) fn event(id: &str) -> Value {
    json!({ "id": id, "subject": "/s", "eventType": "Contoso.Made", "eventTime": "2026-11-24T04:18:16Z",
            "data": { "thread": id.chars().next().map(String::from) }, "dataVersion": "1.0" })
}

pub(super) fn topic() -> ResourceId {
    let types = [("topics", "orders")];
    let subscription = "00000000-0000-0000-0000-000000000000";
    ResourceId::of_resource(subscription, "default", "Microsoft.EventGrid", &types).unwrap()
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// A directory, and for the account `cloud` whatever listens at the port in `cloud.port`.
fn dead_letters(dir: &TempDir) -> DeadLettersConfig {
    let port = std::fs::read_to_string(dir.path().join("cloud.port"));
    let s3 = |port: String| Storage::S3 {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        region: "eu-west-1".into(),
        access_key_id: "id".into(),
        secret_access_key: "key".to_owned().into(),
    };
    DeadLettersConfig {
        after: Duration::from_secs(300),
        directory: Some(dir.path().join("dead-letters")),
        accounts: port
            .into_iter()
            .map(|port| ("cloud".to_owned(), s3(port)))
            .collect(),
    }
}

async fn open(dir: &TempDir, clock: Clock) -> App {
    let url = format!("sqlite:{}", dir.path().join("events.db").display());
    let store = Store::open(&url, Seal::new(&[1; 32])).await.unwrap();
    let key = include_str!("../../../../../fixtures/entra/signing-key.pem");
    store
        .secret_or_insert("control.signing-key", || key.to_owned())
        .await
        .unwrap();
    let settings = Settings {
        identity: crate::identity::IdentityRates::default(),
        events: crate::events::EventsConfig::default(),
        webhooks: WebhooksConfig {
            addresses: domain::address::AddressPolicy {
                loopback: true,
                private: false,
            },
            plain_http: PlainHttp::Loopback,
            resolver: Resolver::Told(Arc::new(|name| match name {
                RENAMED => Ok(vec!["10.0.0.1".parse().unwrap()]),
                _ => Err(std::io::Error::other("NXDOMAIN")),
            })),
            ..WebhooksConfig::default()
        },
        node: NodeId::new("node"),
        base_url: "https://localhost:8443".into(),
        hosts: vec!["localhost".into()],
        tenant_id: "11111111-1111-1111-1111-111111111111".into(),
        subscriptions: vec![crate::Subscription {
            id: "00000000-0000-0000-0000-000000000000".into(),
            name: "Carillon".into(),
        }],
        dev: true,
        dead_letters: dead_letters(dir),
        push: LanesConfig::default(),
        sends: SendsConfig::default(),
        calls: crate::calling::CallsConfig::default(),
    };
    App::start(store, clock, Random::seeded(1), settings)
        .await
        .unwrap()
}

/// What a receiver does with one request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Status(u16),
    /// With `Retry-After`.
    After(u16, u64),
    /// No answer, ever.
    Hang,
}

/// A request as a receiver got it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The ids of the events in it.
    pub(super) fn ids(&self) -> Vec<String> {
        let one = std::slice::from_ref(&self.body);
        let events = self.body.as_array().map_or(one, Vec::as_slice);
        events
            .iter()
            .map(|event| event["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A receiver that answers with the script, then with 200.
pub(super) struct Receiver {
    port: u16,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Reply>>,
    refused: Mutex<Option<String>>,
    always: Mutex<Option<Reply>>,
    seen: Mutex<Vec<Seen>>,
    changed: tokio::sync::Notify,
}

impl Receiver {
    pub(super) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            ..State::default()
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Self {
            port,
            state,
            _tasks: tasks,
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?code=s3cret", self.port)
    }

    /// The answer to everything that the script does not answer.
    pub(super) fn always(&self, reply: Option<Reply>) {
        *self.state.always.lock().unwrap() = reply;
    }

    /// Answers 500 to the first request with this event, whichever comes first.
    pub(super) fn refuse(&self, id: &str) {
        *self.state.refused.lock().unwrap() = Some(id.to_owned());
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The ids of all events so far, in the order of arrival.
    pub(super) fn ids(&self) -> Vec<String> {
        self.seen().iter().flat_map(Seen::ids).collect()
    }

    /// Waits until there were `count` requests; the requests.
    pub(super) async fn requests(&self, count: usize) -> Vec<Seen> {
        let enough = async {
            loop {
                let changed = self.state.changed.notified();
                let seen = self.seen();
                if seen.len() >= count {
                    return seen;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), enough)
            .await
            .unwrap_or_else(|_| panic!("{count} requests, got {:?}", self.ids()))
    }
}

impl State {
    fn reply(&self, seen: &Seen) -> Option<Reply> {
        let refuses = |id: &mut String| seen.ids().contains(id);
        if self.refused.lock().unwrap().take_if(refuses).is_some() {
            return Some(Reply::Status(500));
        }
        let next = self.script.lock().unwrap().pop_front();
        next.or_else(|| self.always.lock().unwrap().clone())
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(request, Arc::clone(&state)));
        connections.spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            let _ = http.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(
    request: http::Request<hyper::body::Incoming>,
    state: Arc<State>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let body = serde_json::from_str(&text).unwrap();
    let seen = Seen {
        path: parts.uri.path().to_owned(),
        text,
        headers: parts.headers,
        body,
    };
    let reply = state.reply(&seen);
    state.seen.lock().unwrap().push(seen);
    state.changed.notify_waiters();
    let mut response = Response::new(Full::default());
    // Storage says so of what it has stored.
    response
        .headers_mut()
        .insert("etag", "\"1\"".parse().unwrap());
    match reply.unwrap_or(Reply::Status(200)) {
        Reply::Status(status) => *response.status_mut() = status.try_into().unwrap(),
        Reply::After(status, secs) => {
            *response.status_mut() = status.try_into().unwrap();
            response.headers_mut().insert("retry-after", secs.into());
        }
        Reply::Hang => std::future::pending().await,
    }
    Ok(response)
}
