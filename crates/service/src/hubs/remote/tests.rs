//! A remote hub that answers by a script.

use std::collections::VecDeque;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::pin;

use bytes::Bytes;
use domain::id::{CallId, NodeId, NotificationId, RegistrationId};
use domain::identity::UserId;
use domain::notification::{Delivery, DeliveryState, NotificationHub, Target};
use domain::push::Lane;
use domain::resource::Actor;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};
use store::Store;
use store::seal::Seal;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use wire::arm::ResourceId;

use super::*;
use crate::control::Precondition;
use crate::hubs::SendsConfig;
use crate::hubs::deliver::Flight;
use crate::push::LanesConfig;
use crate::{Clock, Random, Settings};

const CALLED: &str = "8:acs:b";
const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);
const GROUP: &str =
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers";
const KEY: &str = "bXlzZWNyZXRrZXkxMjM0NTY3ODkwYWJjZGVmZ2hpams=";

/// An answer: status, headers, body. Status 0 never answers.
type Reply = (u16, &'static [(&'static str, &'static str)], &'static str);

const TAKEN: Reply = (201, &[("location", "https://remote/hub1/messages/7")], "");

/// The requests that came: URI, headers, body.
type Seen = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

struct Remotely {
    app: App,
    communication: ResourceId,
    seen: Seen,
    _tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

impl Remotely {
    /// A server with a communication resource that is linked to a hub elsewhere, which answers with `script`.
    async fn start(script: &[Reply]) -> Self {
        let seen = Arc::default();
        let mut tasks = JoinSet::new();
        let (port, root) = serve(script, &seen, &mut tasks).await;
        let dir = tempfile::tempdir().unwrap();
        let app = app(dir.path(), root).await;
        let actor = Actor::server();
        let communication = format!("{GROUP}/Microsoft.Communication/communicationServices/comm");
        let communication = ResourceId::parse(&communication).unwrap();
        let body =
            object(json!({ "location": "global", "properties": { "dataLocation": "europe" } }));
        app.put_group(
            "00000000-0000-0000-0000-000000000000",
            "default",
            &object(json!({ "location": "global" })),
            &actor,
        )
        .await
        .unwrap();
        app.put_communication(&communication, &body, &Precondition::Always, &actor)
            .await
            .unwrap();
        let link = object(json!({
            "resourceId": format!("{GROUP}/Microsoft.NotificationHubs/namespaces/push/notificationHubs/hub1"),
            "connectionString":
                format!("Endpoint=sb://localhost:{port}/;SharedAccessKeyName=send-only;SharedAccessKey={KEY}"),
        }));
        app.link_notification_hub(&communication, &link, &actor)
            .await
            .unwrap();
        Self {
            app,
            communication,
            seen,
            _tasks: tasks,
            _dir: dir,
        }
    }

    /// Records a push for a call, as placing a call does, and hands it over.
    async fn ring(&self) -> CallId {
        let (call, notification) = self.recorded().await;
        self.app.deliver(vec![notification]);
        call
    }

    async fn recorded(&self) -> (CallId, Notification) {
        let call = CallId::new("call");
        let notification = Notification {
            id: NotificationId::accepted(NOW, [7; 16]),
            hub: NotificationHub::Linked(self.communication.key().to_owned()),
            platform: Platform::Apns,
            headers: [("apns-push-type".to_owned(), "voip".to_owned())].into(),
            body: Bytes::from_static(br#"{"aps":{}}"#),
            tag: None,
            lane: Lane::Call,
            call: Some(call.clone()),
            created_at: NOW,
            deadline: NOW + Duration::from_secs(30),
            targets: vec![Target {
                handle: "00fc".into(),
                device: Some((UserId::new(CALLED), RegistrationId::new("phone"))),
            }],
        };
        let mut tx = self.app.store.begin().await.unwrap();
        let node = &self.app.settings.node;
        tx.insert_notifications(node, std::slice::from_ref(&notification))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        (call, notification)
    }

    /// The delivery, once it has ended. The clock runs, no faster than sockets and disks can follow.
    async fn ended(&self, call: &CallId) -> Attempted {
        self.run(async {
            loop {
                let deliveries = self.app.deliveries_of_call(call).await.unwrap();
                if let [
                    Delivery {
                        state: DeliveryState::Settled(attempted),
                        ..
                    },
                ] = &deliveries[..]
                {
                    return attempted.clone();
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
    }

    async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        for _ in 0..10_000 {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(Duration::from_millis(1)) => {
                    self.app.clock.advance(Duration::from_millis(20));
                }
            }
        }
        panic!("not done in time");
    }

    fn seen(&self) -> Vec<(String, HeaderMap, Bytes)> {
        self.seen.lock().unwrap().clone()
    }
}

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

async fn app(dir: &std::path::Path, root: CertificateDer<'static>) -> App {
    let url = format!("sqlite:{}", dir.join("remote.db").display());
    let store = Store::open(&url, Seal::new(&[1; 32])).await.unwrap();
    let settings = Settings {
        node: NodeId::new("node"),
        base_url: "https://localhost:8443".into(),
        hosts: vec!["localhost".into()],
        tenant_id: "11111111-1111-1111-1111-111111111111".into(),
        subscriptions: vec![crate::Subscription {
            id: "00000000-0000-0000-0000-000000000000".into(),
            name: "Carillon".into(),
        }],
        dev: true,
        identity: crate::identity::IdentityRates::default(),
        dead_letters: crate::events::DeadLettersConfig::default(),
        push: LanesConfig {
            roots: vec![root],
            ..LanesConfig::default()
        },
        sends: SendsConfig::default(),
        events: crate::events::EventsConfig::default(),
        calls: crate::calling::CallsConfig::default(),
        webhooks: crate::webhook::WebhooksConfig::default(),
    };
    App::start(store, Clock::manual(NOW), Random::seeded(1), settings)
        .await
        .unwrap()
}

async fn serve(
    script: &[Reply],
    seen: &Seen,
    tasks: &mut JoinSet<()>,
) -> (u16, CertificateDer<'static>) {
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
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let script: Arc<Mutex<VecDeque<Reply>>> =
        Arc::new(Mutex::new(script.iter().copied().collect()));
    let seen = Arc::clone(seen);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, script, seen) = (acceptor.clone(), script.clone(), seen.clone());
            connections.spawn(async move {
                let io = TokioIo::new(acceptor.accept(tcp).await.unwrap());
                let answer = service_fn(|request| reply(request, script.clone(), seen.clone()));
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, answer)
                    .await;
            });
        }
    });
    (port, root)
}

async fn reply(
    request: Request<Incoming>,
    script: Arc<Mutex<VecDeque<Reply>>>,
    seen: Seen,
) -> std::result::Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    seen.lock()
        .unwrap()
        .push((parts.uri.to_string(), parts.headers, body));
    let (status, headers, body) = script.lock().unwrap().pop_front().unwrap_or(TAKEN);
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    Ok(response)
}

#[tokio::test]
async fn a_remote_hub_is_asked_again_with_the_same_id_until_it_takes_the_push() {
    let unavailable: Reply = (503, &[], "");
    let throttled: Reply = (429, &[("retry-after", "2")], "");
    let remote = Remotely::start(&[unavailable, throttled]).await;
    let call = remote.ring().await;
    let attempted = remote.ended(&call).await;
    assert_eq!(attempted.outcome, Outcome::Accepted);
    assert_eq!((attempted.status, attempted.attempts), (201, 3));
    assert_eq!(
        attempted.provider_id.as_deref(),
        Some("https://remote/hub1/messages/7")
    );
    assert_eq!(remote.app.hub_status(remote.communication.key()), None);

    let seen = remote.seen();
    assert_eq!(seen.len(), 3);
    let first = seen[0].1["x-ms-client-request-id"].clone();
    for (uri, headers, body) in &seen {
        assert_eq!(uri, "/hub1/messages/?direct&api-version=2020-06");
        assert_eq!(headers["x-ms-client-request-id"], first);
        assert_eq!(headers["servicebusnotification-format"], "apple");
        assert_eq!(headers["servicebusnotification-devicehandle"], "00fc");
        assert_eq!(headers["apns-push-type"], "voip");
        assert_eq!(&body[..], br#"{"aps":{}}"#);
        let token = headers["authorization"].to_str().unwrap();
        let token = sas::Token::parse(token).unwrap();
        assert_eq!(token.rule(), "send-only");
        assert!(token.is_signed_by(&sas::Key::new(KEY)));
        assert!(token.covers("/hub1/messages/"));
    }
    remote.app.stop().await;
}

#[tokio::test]
async fn a_refused_signature_ends_the_push_and_is_noted_for_the_operator() {
    let refused: Reply = (
        401,
        &[],
        "<Error><Code>401</Code><Detail>InvalidSignature: no.TrackingId:x</Detail></Error>",
    );
    let remote = Remotely::start(&[refused]).await;
    let call = remote.ring().await;
    let attempted = remote.ended(&call).await;
    assert_eq!(attempted.outcome, Outcome::CredentialRefused);
    assert_eq!((attempted.status, attempted.attempts), (401, 1));
    let status = remote.app.hub_status(remote.communication.key()).unwrap();
    assert!(status.error.contains("InvalidSignature: no."));
    remote.app.stop().await;
}

#[tokio::test]
async fn a_flight_is_small_because_it_is_moved_for_each_push() {
    let remote = Remotely::start(&[]).await;
    let (_, notification) = remote.recorded().await;
    let flight = Flight::new(Arc::new(notification), None);
    let size = size_of_val(&remote.app.clone().fly(Arc::new(flight), 0));
    assert!(size <= 4 * 1024, "{size} bytes");
    remote.app.stop().await;
}

#[tokio::test]
async fn a_link_that_is_gone_counts_at_once() {
    let remote = Remotely::start(&[]).await;
    remote
        .app
        .unlink_notification_hub(&remote.communication, &Actor::server())
        .await
        .unwrap();
    let call = remote.ring().await;
    let attempted = remote.ended(&call).await;
    assert_eq!(attempted.outcome, Outcome::RequestRefused);
    assert_eq!(attempted.attempts, 0);
    assert!(remote.seen().is_empty());
    remote.app.stop().await;
}

#[tokio::test]
async fn a_push_for_a_call_that_was_answered_elsewhere_is_given_up() {
    let silent: Reply = (0, &[], "");
    let remote = Remotely::start(&[silent]).await;
    let (call, notification) = remote.recorded().await;
    remote.app.deliver_rings(vec![notification]);
    while remote.seen().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    remote.app.cancel_rings(&call, &UserId::new(CALLED));
    let attempted = remote.ended(&call).await;
    assert_eq!(attempted.outcome, Outcome::Expired);
    assert!(attempted.reason.unwrap().starts_with("cancelled"));
    remote.app.stop().await;
}

#[test]
fn a_remote_that_fails_again_and_again_is_left_alone_until_it_answers() {
    let remotes = Remotes::default();
    let remote = remotes.of("https://a");
    let now = Timestamp::from_secs(1_000);
    for _ in 1..FAILURES {
        remote.failed(now);
        assert!(remote.paused_until() <= now);
    }
    for pause in [1, 2, 4, 8, 15, 15] {
        remote.failed(now);
        assert_eq!(remote.paused_until(), now + Duration::from_secs(pause));
    }
    assert!(remotes.of("https://b").paused_until() <= now);
    remotes.of("https://a").answered();
    assert!(remote.paused_until() <= now);
}
