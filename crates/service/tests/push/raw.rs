//! What an HTTP/2 library does not let a server do: frames written by hand.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::push::{Outcome, Push};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::support::{Provider, Sender, apns, call, identity};

/// How the server behaves.
#[derive(Clone, Copy)]
enum Rule {
    /// "Only one stream is allowed until a request with a valid token was answered", then a thousand; and back to one
    /// for a while after every hundredth request.
    OneThenMany,
    /// The tenth request of the first connection meets a GOAWAY that leaves it and all later ones unprocessed.
    GoAwayAtTenth,
}

#[derive(Default)]
struct Log {
    /// Bodies processed, each of which is unique.
    processed: Mutex<Vec<String>>,
    /// Requests beyond what was allowed.
    violations: AtomicUsize,
    connections: AtomicUsize,
    most_at_once: AtomicUsize,
}

struct Raw {
    endpoint: String,
    root: CertificateDer<'static>,
    log: Arc<Log>,
    _tasks: JoinSet<()>,
}

impl Raw {
    async fn start(rule: Rule) -> Self {
        let (root, acceptor) = identity(&[]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Log::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, rule, log.clone()));
        Self {
            endpoint: format!("https://localhost:{port}"),
            root,
            log,
            _tasks: tasks,
        }
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, rule: Rule, log: Arc<Log>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, log) = (acceptor.clone(), log.clone());
        connections.spawn(async move {
            let Ok(mut io) = acceptor.accept(tcp).await else {
                return;
            };
            let first = log.connections.fetch_add(1, SeqCst) == 0;
            // Ends when the peer goes away.
            let _ = serve(&mut io, rule, first, &log).await;
        });
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn allow(streams: u32) -> Vec<u8> {
    let mut setting = vec![0, 3];
    setting.extend(streams.to_be_bytes());
    frame(SETTINGS, 0, 0, &setting)
}

async fn serve(
    io: &mut TlsStream<TcpStream>,
    rule: Rule,
    first: bool,
    log: &Log,
) -> std::io::Result<()> {
    let mut preface = [0; 24];
    io.read_exact(&mut preface).await?;
    let initially = match rule {
        Rule::OneThenMany => 1,
        Rule::GoAwayAtTenth => 1_000,
    };
    let mut allowed = usize::try_from(initially).unwrap();
    io.write_all(&allow(initially)).await?;
    io.write_all(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()))
        .await?;
    let mut open = BTreeSet::new();
    let mut complete = Vec::new();
    let mut requests = 0_u32;
    let mut last_stream = u32::MAX;
    loop {
        let mut head = [0; 9];
        // What has come completely is answered when nothing more comes for a moment, so that many are open at once.
        match tokio::time::timeout(Duration::from_millis(2), io.read_exact(&mut head)).await {
            Ok(read) => read?,
            Err(_) if complete.is_empty() => io.read_exact(&mut head).await?,
            Err(_) => {
                for (stream, body) in complete.drain(..) {
                    log.processed.lock().unwrap().push(body);
                    open.remove(&stream);
                    // `:status: 200` is entry 8 of the static table.
                    let answer = frame(HEADERS, END_STREAM | END_HEADERS, stream, &[0x88]);
                    io.write_all(&answer).await?;
                }
                if allowed == 1 {
                    allowed = 1_000;
                    io.write_all(&allow(1_000)).await?;
                }
                io.flush().await?;
                continue;
            }
        };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        io.read_exact(&mut payload).await?;
        match kind {
            SETTINGS if flags & ACK == 0 => io.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
            PING if flags & ACK == 0 => io.write_all(&frame(PING, ACK, 0, &payload)).await?,
            HEADERS if stream <= last_stream => {
                requests += 1;
                open.insert(stream);
                log.most_at_once.fetch_max(open.len(), SeqCst);
                if open.len() > allowed {
                    log.violations.fetch_add(1, SeqCst);
                    open.remove(&stream);
                    let refused = frame(RESET, 0, stream, &REFUSED_STREAM.to_be_bytes());
                    io.write_all(&refused).await?;
                }
                match rule {
                    Rule::OneThenMany if requests.is_multiple_of(100) => {
                        // What was sent before this arrives is not a violation: `allowed` follows when all is quiet.
                        io.write_all(&allow(1)).await?;
                        io.write_all(&allow(1_000)).await?;
                    }
                    Rule::GoAwayAtTenth if first && requests == 10 => {
                        last_stream = stream - 2;
                        open.remove(&stream);
                        let mut payload = last_stream.to_be_bytes().to_vec();
                        payload.extend([0; 4]);
                        payload.extend(br#"{"reason":"Shutdown"}"#);
                        io.write_all(&frame(GOAWAY, 0, 0, &payload)).await?;
                    }
                    _ => {}
                }
            }
            DATA if open.contains(&stream) && flags & END_STREAM != 0 => {
                complete.push((stream, String::from_utf8(payload).unwrap()));
            }
            _ => {}
        }
    }
}

/// Sends so many different pushes at once; returns how often the unluckiest was sent.
async fn burst(sender: &Sender, endpoint: &str, count: usize) -> u32 {
    let credential = apns(endpoint);
    let mut pushes = JoinSet::new();
    for number in 0..count {
        let push = Push {
            id: uuid::Uuid::from_u128(u128::try_from(number).unwrap()),
            body: Bytes::from(format!(r#"{{"aps":{{}},"number":{number}}}"#)),
            ..call(&credential)
        };
        let lanes = sender.lanes.clone();
        pushes.spawn(async move { lanes.send(push).await });
    }
    let mut most = 0;
    for attempted in pushes.join_all().await {
        assert_eq!(attempted.outcome, Outcome::Accepted, "{attempted:?}");
        most = most.max(attempted.attempts);
    }
    most
}

fn assert_each_once(log: &Log, count: usize) {
    let processed = log.processed.lock().unwrap();
    let different: BTreeSet<_> = processed.iter().collect();
    assert_eq!((processed.len(), different.len()), (count, count));
}

#[tokio::test]
async fn a_cold_start_with_one_stream_allowed_loses_nothing() {
    let server = Raw::start(Rule::OneThenMany).await;
    let sender = Sender::new(vec![server.root.clone()]);
    let attempts = burst(&sender, &server.endpoint, 500).await;
    assert_eq!(attempts, 1);
    assert_each_once(&server.log, 500);
    assert_eq!(server.log.violations.load(SeqCst), 0);
    assert!(
        server.log.most_at_once.load(SeqCst) > 50,
        "it follows the server when that allows more"
    );
}

#[tokio::test]
async fn what_a_goaway_left_unprocessed_is_sent_elsewhere_once() {
    let server = Raw::start(Rule::GoAwayAtTenth).await;
    let sender = Sender::new(vec![server.root.clone()]);
    burst(&sender, &server.endpoint, 200).await;
    assert_each_once(&server.log, 200);
}

/// Passes bytes on and counts the TLS records that the client sends.
async fn recorder(to: u16) -> (u16, Arc<Mutex<Vec<u8>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let records = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    let seen = records.clone();
    tasks.spawn(async move {
        let mut pipes = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let seen = seen.clone();
            pipes.spawn(async move {
                let mut head = [0; 5];
                while from_client.read_exact(&mut head).await.is_ok() {
                    seen.lock().unwrap().push(head[0]);
                    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
                    let mut body = vec![0; length];
                    from_client.read_exact(&mut body).await.unwrap();
                    to_server
                        .write_all(&[&head, &body[..]].concat())
                        .await
                        .unwrap();
                }
            });
            pipes.spawn(async move {
                let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
            });
        }
    });
    (port, records, tasks)
}

#[tokio::test]
async fn a_push_leaves_in_one_tls_record() {
    let provider = Provider::start(Vec::new()).await;
    let port = provider
        .endpoint
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let (port, records, _tasks) = recorder(port).await;
    let sender = Sender::new(vec![provider.root.clone()]);
    let credential = apns(&format!("https://localhost:{port}"));
    // Both connections are open and have nothing more to say to each other.
    for _ in 0..8 {
        sender.lanes.send(call(&credential)).await;
    }
    assert_eq!(provider.connections(), 2);
    for bytes in [0, 10, 786, 1_500, 4_096, 5_120] {
        let before = records.lock().unwrap().len();
        let push = Push {
            body: Bytes::from(vec![b'x'; bytes]),
            ..call(&credential)
        };
        let attempted = sender.lanes.send(push).await;
        assert_eq!(attempted.outcome, Outcome::Accepted);
        let records = records.lock().unwrap()[before..].to_vec();
        // 23 is application data (RFC 8446 section 5.1).
        assert_eq!(records, [23], "{bytes} bytes");
    }
}
