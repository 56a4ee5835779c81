//! A push service that answers by a script, and the lanes that push to it.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::push::{ApnsCredential, Attempted, Credential, FcmCredential, Lane, Push};
use domain::time::Timestamp;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use service::push::{Lanes, LanesConfig};
use service::{Clock, Random};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);

/// What the service does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    Answer(u16, Vec<(&'static str, String)>, String),
    Reset(h2::Reason),
    /// GOAWAY, and this request is answered 200.
    GoAway,
    /// The TCP connection breaks.
    Break,
    /// No answer, ever.
    Stall,
}

impl Reply {
    pub fn ok() -> Self {
        Self::Answer(200, Vec::new(), String::new())
    }

    pub fn reason(status: u16, reason: &str) -> Self {
        Self::Answer(status, Vec::new(), format!(r#"{{"reason":"{reason}"}}"#))
    }
}

/// A request as the service got it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub connection: usize,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// A push service on a socket: answers with the script, then with 200.
pub struct Provider {
    pub endpoint: String,
    pub root: CertificateDer<'static>,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    script: Mutex<VecDeque<Reply>>,
    always: Mutex<Option<Reply>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    streams: u32,
}

impl Provider {
    pub async fn start(script: Vec<Reply>) -> Self {
        Self::with_streams(script, 100).await
    }

    pub async fn with_streams(script: Vec<Reply>, streams: u32) -> Self {
        let (root, acceptor) = identity(&[b"h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            script: Mutex::new(script.into()),
            streams,
            ..State::default()
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, state.clone()));
        Self {
            endpoint: format!("https://localhost:{port}"),
            root,
            state,
            _tasks: tasks,
        }
    }

    /// Adds to the script.
    pub fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.script.lock().unwrap().extend(replies);
    }

    /// The answer to everything, once the script is over.
    pub fn always(&self, reply: Reply) {
        *self.state.always.lock().unwrap() = Some(reply);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Waits until this holds.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(10);
        tokio::time::timeout(limit, waiting).await.unwrap();
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }
}

/// A certificate for localhost and the acceptor that shows it.
pub fn identity(alpn: &[&[u8]]) -> (CertificateDer<'static>, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    (root, TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(serve(tcp, acceptor.clone(), state.clone()));
    }
}

async fn serve(tcp: TcpStream, acceptor: TlsAcceptor, state: Arc<State>) {
    let Ok(io) = acceptor.accept(tcp).await else {
        return;
    };
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(state.streams);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(io).await else {
        return;
    };
    let number = state.connections.fetch_add(1, SeqCst);
    let (orders, mut ordered) = mpsc::unbounded_channel();
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let (state, orders) = (state.clone(), orders.clone());
                requests.spawn(reply(number, request, respond, state, orders));
            }
            Some(order) = ordered.recv() => match order {
                Order::GoAway => connection.graceful_shutdown(),
                Order::Break => return,
            },
        }
    }
}

enum Order {
    GoAway,
    Break,
}

async fn reply(
    connection: usize,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    state: Arc<State>,
    orders: mpsc::UnboundedSender<Order>,
) {
    let (parts, mut body) = request.into_parts();
    let mut text = Vec::new();
    while let Some(Ok(chunk)) = body.data().await {
        let _ = body.flow_control().release_capacity(chunk.len());
        text.extend_from_slice(&chunk);
    }
    state.seen.lock().unwrap().push(Seen {
        connection,
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: String::from_utf8(text).unwrap(),
    });
    let scripted = state.script.lock().unwrap().pop_front();
    let always = state.always.lock().unwrap().clone();
    match scripted.or(always).unwrap_or_else(Reply::ok) {
        Reply::Answer(status, headers, body) => answer(&mut respond, status, headers, body),
        Reply::Reset(reason) => respond.send_reset(reason),
        Reply::GoAway => {
            orders.send(Order::GoAway).unwrap();
            answer(&mut respond, 200, Vec::new(), String::new());
        }
        Reply::Break => orders.send(Order::Break).unwrap(),
        Reply::Stall => std::future::pending().await,
    }
}

fn answer(
    respond: &mut SendResponse<Bytes>,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
) {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let response = response.body(()).unwrap();
    let empty = body.is_empty();
    if let Ok(mut stream) = respond.send_response(response, empty)
        && !empty
    {
        let _ = stream.send_data(body.into(), true);
    }
}

/// Lanes with a manual clock.
pub struct Sender {
    pub lanes: Lanes,
    pub clock: Clock,
    pub stopping: CancellationToken,
    pub tasks: TaskTracker,
}

impl Sender {
    pub fn new(roots: Vec<CertificateDer<'static>>) -> Self {
        Self::with(LanesConfig {
            roots,
            ..LanesConfig::default()
        })
    }

    pub fn with(config: LanesConfig) -> Self {
        let clock = Clock::manual(NOW);
        let stopping = CancellationToken::new();
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(config, clock.clone(), Random::seeded(1), &tasks, &stopping);
        Self {
            lanes,
            clock,
            stopping,
            tasks,
        }
    }

    /// Sends while the clock runs, a hundred times as fast as the sockets need.
    pub async fn send(&self, push: Push) -> Attempted {
        self.run(self.lanes.send(push)).await
    }

    /// The output of `work`, while the clock runs.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                // Sockets live in real time: the clock may only run as fast as they can follow.
                () = tokio::time::sleep(Duration::from_millis(1)) => {
                    self.clock.advance(Duration::from_millis(50));
                }
            }
        }
    }
}

pub const KEY: &str = include_str!("../../../../fixtures/push/apns-key.p8");
pub const RSA: &str = include_str!("../../../../fixtures/push/fcm-key.pem");

pub fn apns(endpoint: &str) -> Arc<Credential> {
    Arc::new(Credential::Apns(ApnsCredential {
        endpoint: endpoint.to_owned(),
        key_id: "ABC1234DEF".into(),
        team_id: "TEAM123456".into(),
        bundle_id: "com.example.app".into(),
        key: KEY.to_owned().into(),
    }))
}

/// A service account whose tokens come from the same server.
pub fn fcm(endpoint: &str) -> Arc<Credential> {
    fcm_with_tokens_of(endpoint, endpoint)
}

pub fn fcm_with_tokens_of(endpoint: &str, authority: &str) -> Arc<Credential> {
    Arc::new(Credential::Fcm(FcmCredential {
        endpoint: endpoint.to_owned(),
        token_uri: format!("{authority}/token"),
        project_id: "my-project".into(),
        client_email: "push@my-project.iam.gserviceaccount.com".into(),
        private_key: RSA.to_owned().into(),
    }))
}

/// A call push that is good for 30 seconds.
pub fn call(credential: &Arc<Credential>) -> Push {
    let headers = [
        ("apns-expiration", "0"),
        ("apns-priority", "10"),
        ("apns-push-type", "voip"),
        ("apns-topic", "com.example.app.voip"),
    ];
    let headers: BTreeMap<_, _> = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    Push {
        id: uuid::Uuid::from_u128(7),
        credential: credential.clone(),
        handle: "00fc13adff785122".into(),
        headers,
        body: Bytes::from_static(br#"{"aps":{},"callId":"1"}"#),
        lane: Lane::Call,
        deadline: NOW + Duration::from_secs(30),
    }
}

/// A push that can wait for an hour.
pub fn bulk(credential: &Arc<Credential>) -> Push {
    Push {
        lane: Lane::Bulk,
        deadline: NOW + Duration::from_secs(3600),
        ..call(credential)
    }
}
