//! A listening port: accept, TLS handshake, HTTP/1.1 or HTTP/2, within limits, and a stop that lets requests end.

mod write_deadline;

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Limits;
use crate::failure::{Failure, Result};

use write_deadline::WriteDeadline;

/// How long to wait when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often an idle HTTP/2 connection is asked whether it lives, and how long it has to answer.
const PING: Duration = Duration::from_secs(30);
/// "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" (RFC 9113 section 3.4).
const PREFACE: usize = 24;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 256;

/// What answers the requests of a port.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request. Never fails: what goes wrong is a response.
    fn handle(&self, request: http::Request<Body>) -> impl Future<Output = Response> + Send;
}

/// The address that a request came from: an extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// A bound port that does not accept yet.
#[derive(Debug)]
pub struct Port {
    socket: TcpListener,
    /// Where it really is: port 0 has become a free one.
    pub address: SocketAddr,
}

impl Port {
    /// Binds the port that the option `flag` names. A taken one is an error that names it.
    pub async fn bind(flag: &str, address: SocketAddr) -> Result<Self> {
        let socket = TcpListener::bind(address)
            .await
            .map_err(|error| refused(flag, address, &error))?;
        let address = socket
            .local_addr()
            .map_err(|error| refused(flag, address, &error))?;
        Ok(Self { socket, address })
    }
}

fn refused(flag: &str, address: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::AddrInUse => Failure::failed(format!(
            "port {} on {} is taken by another process",
            address.port(),
            address.ip()
        ))
        .way_out(format!(
            "choose another with {flag} ADDR:PORT; port 0 takes a free one"
        )),
        ErrorKind::PermissionDenied => {
            Failure::failed(format!("this process may not listen on {address}"))
                .way_out(format!("choose a port above 1023 with {flag} ADDR:PORT"))
        }
        _ => Failure::failed(format!("cannot listen on {address}: {error}")).way_out(format!(
            "choose an address of this machine with {flag} ADDR:PORT"
        )),
    }
}

/// A port that serves, until it is stopped.
pub struct Listener {
    stopping: CancellationToken,
    abandon: CancellationToken,
    tasks: TaskTracker,
    drain: Duration,
}

impl Listener {
    /// Serves `handler` on `port`, with TLS if there is a configuration for it.
    pub fn start(
        port: Port,
        tls: Option<Arc<rustls::ServerConfig>>,
        limits: &Limits,
        handler: impl Handler,
    ) -> Self {
        let listener = Self {
            stopping: CancellationToken::new(),
            abandon: CancellationToken::new(),
            tasks: TaskTracker::new(),
            drain: limits.drain_timeout(),
        };
        let serve = Serve {
            tls: tls.map(TlsAcceptor::from),
            limits: limits.clone(),
            handler,
            stopping: listener.stopping.clone(),
        };
        let accept = serve.accept(
            port.socket,
            listener.tasks.clone(),
            listener.abandon.clone(),
        );
        listener.tasks.spawn(accept);
        listener
    }

    /// Accepts nothing more, lets requests under way end for a while, and cuts off the rest.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.drain, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.tasks.len(),
                "cutting off connections that did not end in time"
            );
            self.abandon.cancel();
            self.tasks.wait().await;
        }
    }
}

/// What each connection of a port needs.
#[derive(Clone)]
struct Serve<H> {
    tls: Option<TlsAcceptor>,
    limits: Limits,
    handler: H,
    stopping: CancellationToken,
}

impl<H: Handler> Serve<H> {
    async fn accept(self, socket: TcpListener, tasks: TaskTracker, abandon: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            // The slot comes first: without one, clients wait in the kernel's queue.
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, socket.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                () = self.stopping.cancelled() => return,
                next = next => next,
            };
            let (stream, peer) = match accepted {
                Ok((stream, address)) => (stream, Peer(address.ip())),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (serve, abandon) = (self.clone(), abandon.clone());
            tasks.spawn(async move {
                let _slot = slot;
                tokio::select! {
                    () = abandon.cancelled() => {}
                    () = serve.connection(stream, peer) => {}
                }
            });
        }
    }

    async fn connection(self, stream: TcpStream, peer: Peer) {
        // Without NODELAY small answers wait for the peer's delayed ACK. A socket that is gone shows at the first read.
        let _ = stream.set_nodelay(true);
        let stream = WriteDeadline::new(stream, self.limits.answer_timeout());
        let Some(tls) = &self.tls else {
            return self.http1(stream, peer).await;
        };
        let handshake = tls.accept(stream);
        let stream = match tokio::time::timeout(self.limits.handshake_timeout(), handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => return tracing::debug!("a TLS handshake took too long"),
        };
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.http2(stream, peer).await,
            _ => self.http1(stream, peer).await,
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
    ) {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout())
            .max_buf_size(self.limits.header_bytes)
            // A client that has sent its request may shut down its side and still wait for the answer.
            .half_close(true);
        let handler = self.handler.clone();
        let service = service_fn(move |request| answer(handler.clone(), peer, request));
        let mut connection = pin!(
            builder
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        note(ended);
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        peer: Peer,
    ) {
        let opened = self.stopping.run_until_cancelled(opened(stream));
        let stream = match tokio::time::timeout(self.limits.header_timeout(), opened).await {
            Ok(Some(Ok(stream))) => stream,
            Ok(Some(Err(error))) => return tracing::debug!(%error, "a connection ended early"),
            Ok(None) => return,
            Err(_) => return tracing::debug!("an HTTP/2 preface took too long"),
        };
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX));
        let handler = self.handler.clone();
        let service = service_fn(move |request| answer(handler.clone(), peer, request));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        note(ended);
    }
}

/// Waits for the client's connection preface, and gives it back unread. From there on PING finds out who has gone; hyper
/// waits for a preface for ever.
async fn opened(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let mut preface = [0; PREFACE];
    stream.read_exact(&mut preface).await?;
    let (rest, writer) = tokio::io::split(stream);
    let reader = io::Cursor::new(preface).chain(rest);
    Ok(tokio::io::join(reader, writer))
}

async fn answer(
    handler: impl Handler,
    peer: Peer,
    mut request: http::Request<Incoming>,
) -> std::result::Result<Response, Infallible> {
    request.extensions_mut().insert(peer);
    Ok(handler.handle(request.map(Body::new)).await)
}

/// What ends a connection early is the client's doing: worth a line only to somebody who looks for it.
fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
