//! One HTTP/2 connection to a push service.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Connection as Protocol, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Uri};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::corked::Corked;
use crate::Clock;

/// Where a push service listens.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) authority: Authority,
    host: String,
    port: u16,
    name: ServerName<'static>,
}

impl Target {
    /// The target of an endpoint such as `https://api.push.apple.com:443`.
    pub(super) fn parse(endpoint: &str) -> Result<Self, String> {
        let refused = || format!("the endpoint {endpoint} is not an https URL of a host");
        let uri: Uri = endpoint.parse().map_err(|_| refused())?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(refused());
        }
        let authority = uri.authority().ok_or_else(refused)?.clone();
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| refused())?;
        Ok(Self {
            port: authority.port_u16().unwrap_or(443),
            authority,
            host,
            name,
        })
    }
}

/// The sending half of a connection.
pub(super) struct Connection {
    /// Names the connection within its lane.
    pub(super) id: u64,
    /// The lane counts here, under its own lock.
    pub(super) in_flight: AtomicUsize,
    /// The driver polls the protocol under this lock and a push starts under it, so that HEADERS never leave
    /// without their DATA.
    gate: Mutex<SendRequest<Bytes>>,
    /// The server's live MAX_CONCURRENT_STREAMS.
    limit: AtomicUsize,
    /// Whether a request has been answered: until then "only one stream is allowed" (APNs, token authentication).
    proven: AtomicBool,
    used: AtomicBool,
}

/// An answer as it came.
pub(super) struct Raw {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// No answer came.
#[derive(Debug)]
pub(super) enum Lost {
    /// The server says that it has not processed the request: "always safe to retry" (RFC 9113 section 8.7).
    Unprocessed(String),
    /// Nobody knows whether it was processed.
    Unknown(String),
}

impl Lost {
    fn from(error: &h2::Error) -> Self {
        let refused = error.reason() == Some(Reason::REFUSED_STREAM);
        let beyond_goaway = error.is_go_away() && error.is_remote();
        if error.is_remote() && (refused || beyond_goaway) {
            return Self::Unprocessed(error.to_string());
        }
        Self::Unknown(error.to_string())
    }
}

impl Connection {
    /// Opens a connection and waits until the server's SETTINGS have come. The second half must be driven at once.
    pub(super) async fn open(
        id: u64,
        target: &Target,
        tls: &TlsConnector,
    ) -> Result<(Arc<Self>, Driver), String> {
        let text = |step: &str, error: &dyn std::fmt::Display| format!("{step}: {error}");
        // Names are resolved anew for each connection, so that a change of address is followed at once.
        let tcp = TcpStream::connect((target.host.as_str(), target.port))
            .await
            .map_err(|error| text("connect", &error))?;
        tcp.set_nodelay(true)
            .map_err(|error| text("connect", &error))?;
        let io = tls
            .connect(target.name.clone(), tcp)
            .await
            .map_err(|error| text("TLS", &error))?;
        if let Some(other) = io.get_ref().1.alpn_protocol()
            && other != b"h2"
        {
            return Err("TLS: the server chose a protocol other than h2".into());
        }
        let (sender, mut protocol) = h2::client::Builder::new()
            .enable_push(false)
            .initial_max_send_streams(1)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_reset_streams(1_000)
            .handshake(Corked::new(io))
            .await
            .map_err(|error| text("HTTP/2", &error))?;
        let mut ping = protocol.ping_pong();
        // "The server connection preface consists of a potentially empty SETTINGS frame that MUST be the first frame
        // the server sends" (RFC 9113 section 3.4): once a PING is answered, the SETTINGS are known.
        {
            let mut pong = pin!(async {
                match &mut ping {
                    Some(ping) => ping.ping(Ping::opaque()).await.map(drop),
                    None => Ok(()),
                }
            });
            poll_fn(|cx| {
                if let Poll::Ready(ended) = Pin::new(&mut protocol).poll(cx) {
                    let error = ended.err().map(|error| error.to_string());
                    return Poll::Ready(Err(error.unwrap_or_else(|| "closed".into())));
                }
                pong.as_mut().poll(cx).map_err(|error| error.to_string())
            })
            .await
            .map_err(|error| text("HTTP/2", &error))?;
        }
        let connection = Arc::new(Self {
            id,
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(sender.current_max_send_streams()),
            gate: Mutex::new(sender),
            proven: AtomicBool::new(false),
            used: AtomicBool::new(false),
        });
        let driver = Driver {
            connection: Arc::downgrade(&connection),
            protocol,
            ping,
        };
        Ok((connection, driver))
    }

    /// How many requests the server allows now, and no more than `most`.
    pub(super) fn limit(&self, most: usize) -> usize {
        let allowed = self.limit.load(Relaxed).min(most);
        if self.proven() {
            allowed
        } else {
            allowed.min(1)
        }
    }

    /// Whether a request was answered by somebody who believes us.
    pub(super) fn proven(&self) -> bool {
        self.proven.load(Relaxed)
    }

    /// A request was answered by somebody who believes us.
    pub(super) fn prove(&self) {
        self.proven.store(true, Relaxed);
    }

    /// Whether nothing was sent yet; the first request alone fills the server's header table.
    pub(super) fn first(&self) -> bool {
        !self.used.swap(true, Relaxed)
    }

    /// Hands a request to the connection. The answer is waited for with [`answered`].
    pub(super) fn start(&self, request: Request<()>, body: Bytes) -> Result<ResponseFuture, Lost> {
        let mut sender = self.gate();
        let empty = body.is_empty();
        let (answer, mut stream) = sender
            .send_request(request, empty)
            .map_err(|error| Lost::Unprocessed(error.to_string()))?;
        if !empty {
            stream
                .send_data(body, true)
                .map_err(|error| Lost::from(&error))?;
        }
        Ok(answer)
    }

    fn gate(&self) -> MutexGuard<'_, SendRequest<Bytes>> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the answer with its body.
pub(super) async fn answered(answer: ResponseFuture) -> Result<Raw, Lost> {
    let (parts, mut stream) = answer
        .await
        .map_err(|error| Lost::from(&error))?
        .into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.map_err(|error| Lost::from(&error))?;
        // A body that is longer than any answer of a push service is cut; its status still counts.
        if body.len() + chunk.len() > LONGEST_BODY {
            break;
        }
        body.extend_from_slice(&chunk);
        // Fails only if we give back more than came.
        let _ = stream.flow_control().release_capacity(chunk.len());
    }
    Ok(Raw {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    })
}

/// The half of a connection that moves bytes.
pub(super) struct Driver {
    connection: Weak<Connection>,
    protocol: Protocol<Corked<TlsStream<TcpStream>>>,
    ping: Option<PingPong>,
}

/// What a driver tells its lane.
pub(super) enum Change {
    /// The server allows more or fewer requests.
    Limit,
    /// The server takes no more requests; those in flight may still be answered.
    Draining,
}

impl Driver {
    /// Moves bytes until the connection ends, and says why. Ends by itself when nobody holds the connection any more
    /// and every answer has come.
    pub(super) async fn run(self, clock: &Clock, mut tell: impl FnMut(Change)) -> String {
        let Self {
            connection,
            mut protocol,
            ping,
        } = self;
        let mut draining = false;
        let bytes = async {
            loop {
                let mut moved = false;
                let ended = poll_fn(|cx| {
                    if std::mem::replace(&mut moved, true) {
                        return Poll::Ready(None);
                    }
                    poll(&connection, &mut protocol, cx, &mut draining, &mut tell).map(Some)
                });
                if let Some(ended) = ended.await {
                    return ended;
                }
                // Whoever else is about to send goes first, and all leave in one write. The runtime would rather run
                // us right behind the first who wakes us, once for each push.
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = bytes => ended,
            () = keep_alive(ping, clock) => "no answer to a PING".into(),
        }
    }
}

fn poll(
    connection: &Weak<Connection>,
    protocol: &mut Protocol<Corked<TlsStream<TcpStream>>>,
    cx: &mut Context<'_>,
    draining: &mut bool,
    tell: &mut impl FnMut(Change),
) -> Poll<String> {
    let end = |ended: Result<(), h2::Error>| match ended {
        Ok(()) => "closed".to_owned(),
        Err(error) => error.to_string(),
    };
    let Some(connection) = connection.upgrade() else {
        return Pin::new(protocol).poll(cx).map(end);
    };
    let mut sender = connection.gate();
    let polled = Pin::new(protocol).poll(cx);
    let goaway = matches!(sender.poll_ready(cx), Poll::Ready(Err(_)));
    let limit = sender.current_max_send_streams();
    drop(sender);
    if limit != connection.limit.swap(limit, Relaxed) {
        tell(Change::Limit);
    }
    if goaway && !std::mem::replace(draining, true) {
        tell(Change::Draining);
    }
    polled.map(end)
}

/// Returns when the peer has stopped answering.
///
/// A connection that something in between has forgotten looks alive until it is used; a call must not be what finds out.
async fn keep_alive(ping: Option<PingPong>, clock: &Clock) {
    let Some(mut ping) = ping else {
        return std::future::pending().await;
    };
    loop {
        clock.sleep(PING_EVERY).await;
        let until = clock.now() + PONG_WITHIN;
        let pong = ping.ping(Ping::opaque());
        if !matches!(clock.timeout_at(until, pong).await, Some(Ok(_))) {
            return;
        }
    }
}

const WINDOW: u32 = 1 << 20;
const LONGEST_BODY: usize = 64 * 1024;
const PING_EVERY: Duration = Duration::from_secs(60);
const PONG_WITHIN: Duration = Duration::from_secs(10);
