//! A TLS listener for one stand-in: bounded connections, deadlines on slow peers, and the faults that need the
//! connection itself.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fault::{Fault, FaultKind, Scope, Service};
use crate::greeting::heard;
use crate::stats::Stats;

/// A stand-in: what it does with a request.
pub(crate) trait StandIn: Send + Sync + 'static {
    /// What it remembers about a connection.
    type Peer: Default + Send + Sync;

    /// Whose faults and counts are its own.
    const SERVICE: Service;

    /// What happens to a request.
    fn answer(
        &self,
        peer: &Self::Peer,
        request: Request<Incoming>,
    ) -> impl Future<Output = Answer> + Send;
}

/// What happens to a request.
pub(crate) enum Answer {
    /// It is answered.
    Response(Response<Full<Bytes>>),
    /// It is answered, and it was the last on this connection.
    LastResponse(Response<Full<Bytes>>),
    /// Its stream is reset (HTTP/1: the connection is closed).
    ResetStream(h2::Reason),
    /// The connection is reset.
    ResetConnection,
    /// It is never answered.
    Stall,
    /// Nothing on the connection is read or answered any more.
    StallConnection,
}

impl Answer {
    /// What a fault of the kinds that need no knowledge of the service makes of a request.
    pub(crate) fn of_fault(fault: &Fault) -> Option<Self> {
        let connection = fault.scope.map(|scope| scope == Scope::Connection);
        match fault.kind {
            FaultKind::Reset if fault.code.is_some() || connection == Some(false) => {
                let code = fault.code.as_deref().unwrap_or("REFUSED_STREAM");
                Some(Self::ResetStream(
                    reset_code(code).unwrap_or(h2::Reason::REFUSED_STREAM),
                ))
            }
            FaultKind::Reset => Some(Self::ResetConnection),
            FaultKind::Stall if connection == Some(true) => Some(Self::StallConnection),
            FaultKind::Stall => Some(Self::Stall),
            FaultKind::Status
            | FaultKind::Delay
            | FaultKind::Goaway
            | FaultKind::Settings
            | FaultKind::Drop => None,
        }
    }
}

/// The HTTP/2 error code with this name (RFC 9113 section 7).
pub(crate) fn reset_code(name: &str) -> Option<h2::Reason> {
    Some(match name {
        "NO_ERROR" => h2::Reason::NO_ERROR,
        "PROTOCOL_ERROR" => h2::Reason::PROTOCOL_ERROR,
        "INTERNAL_ERROR" => h2::Reason::INTERNAL_ERROR,
        "REFUSED_STREAM" => h2::Reason::REFUSED_STREAM,
        "CANCEL" => h2::Reason::CANCEL,
        "ENHANCE_YOUR_CALM" => h2::Reason::ENHANCE_YOUR_CALM,
        _ => return None,
    })
}

/// What every listener of the lab shares.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) stats: Arc<Stats>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
}

/// Takes connections until the lab stops.
pub(crate) async fn serve<S: StandIn>(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    stand_in: Arc<S>,
    house: House,
) {
    let acceptor = TlsAcceptor::from(tls);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let tcp = tokio::select! {
            () = house.stopping.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => tcp,
                // Out of file descriptors, or the peer is gone already: the next one may do better.
                Err(_) => { tokio::time::sleep(ACCEPT_PAUSE).await; continue }
            },
        };
        // Above the limit a connection is closed at once: its peer learns it now, not after a silence.
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let (acceptor, stand_in, inner) = (acceptor.clone(), stand_in.clone(), house.clone());
        house.tasks.spawn(async move {
            connection(tcp, acceptor, stand_in, inner).await;
            drop(permit);
        });
    }
}

async fn connection<S: StandIn>(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    stand_in: Arc<S>,
    house: House,
) {
    let _ = tcp.set_nodelay(true);
    let switch = Arc::new(Switch::default());
    let socket = Socket {
        tcp,
        switch: switch.clone(),
    };
    let Ok(Ok(tls)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await else {
        return;
    };
    house.stats.opened(S::SERVICE);
    let heard = heard(tls, IDLE);
    if let Some(Ok(stream)) = house.stopping.run_until_cancelled(heard).await {
        speak(stream, switch, stand_in, &house).await;
    }
    house.stats.closed(S::SERVICE);
}

/// HTTP on one connection, HTTP/2 or HTTP/1.1 as its first bytes say: a client that offers no ALPN at all is served
/// as HTTP/2 if it speaks it, as Apple does.
async fn speak<S: StandIn>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    switch: Arc<Switch>,
    stand_in: Arc<S>,
    house: &House,
) {
    let (orders, mut ordered) = watch::channel(Order::GoOn);
    let peer = Arc::new(S::Peer::default());
    let service = service_fn(|request| {
        let (stand_in, peer, orders) = (stand_in.clone(), peer.clone(), orders.clone());
        let switch = switch.clone();
        async move { carry_out(stand_in.answer(&peer, request).await, &orders, &switch).await }
    });
    let builder = http_builder(house.tasks.clone());
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut stopped = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = house.stopping.cancelled(), if !stopped => {
                stopped = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(FAREWELL), if stopped => return,
            Ok(()) = ordered.changed() => match *ordered.borrow_and_update() {
                Order::GoOn => {}
                Order::GoAway => connection.as_mut().graceful_shutdown(),
                Order::Cut => return,
            },
        }
    }
}

async fn carry_out(
    answer: Answer,
    orders: &watch::Sender<Order>,
    switch: &Switch,
) -> Result<Response<Full<Bytes>>, Broken> {
    match answer {
        Answer::Response(response) => return Ok(response),
        Answer::LastResponse(response) => {
            orders.send_replace(Order::GoAway);
            return Ok(response);
        }
        Answer::ResetStream(reason) => return Err(Broken(reason.into())),
        Answer::ResetConnection => {
            switch.reset.store(true, Ordering::Release);
            orders.send_replace(Order::Cut);
        }
        Answer::StallConnection => switch.stalled.store(true, Ordering::Release),
        Answer::Stall => {}
    }
    tokio::time::sleep(STALL).await;
    orders.send_replace(Order::Cut);
    Err(Broken(h2::Reason::CANCEL.into()))
}

fn http_builder(tasks: TaskTracker) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(tasks));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(HEADERS.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(IDLE)
        .keep_alive_timeout(HANDSHAKE)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS as u32);
    builder
}

/// What a request asks of its connection.
#[derive(Clone, Copy)]
enum Order {
    GoOn,
    GoAway,
    Cut,
}

/// Why a stream ends without an answer. hyper looks for the HTTP/2 error among its sources.
#[derive(Debug, thiserror::Error)]
#[error("the stream is reset by a fault")]
struct Broken(#[source] h2::Error);

/// Runs hyper's tasks where a stop waits for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tracked {
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// How a fault reaches the socket below TLS and HTTP.
#[derive(Default)]
struct Switch {
    /// Closing sends RST instead of FIN.
    reset: AtomicBool,
    /// Nothing is read or written any more: the peer's window fills.
    stalled: AtomicBool,
}

struct Socket {
    tcp: TcpStream,
    switch: Arc<Switch>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.switch.reset.load(Ordering::Acquire) {
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.switch.stalled.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.switch.stalled.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

/// Connections at once, for each stand-in.
const CONNECTIONS: usize = 2000;
/// Streams at once on one connection: what Apple was seen to announce.
const STREAMS: u32 = 1000;
/// Bytes of header fields: what Apple was seen to announce as MAX_HEADER_LIST_SIZE.
const HEADERS: usize = 8000;
/// How long a TLS handshake, or the answer to a PING, may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be silent before it is asked (HTTP/2) or closed (HTTP/1.1).
const IDLE: Duration = Duration::from_secs(60);
/// How long a stalled request is held.
const STALL: Duration = Duration::from_secs(600);
/// How long open requests may take once the lab stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to wait after the system refused a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
