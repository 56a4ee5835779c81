//! Requests to customers' URLs: webhooks, handshakes, callbacks.
//!
//! The receiver is whoever a customer names, so it is trusted with nothing: not with where it leads ([`connect`]), not
//! with our time (one deadline over everything) nor with our memory (answers are cut off). Redirects are not followed,
//! proxies not asked. Start at [`Webhooks::send`].

mod connect;
mod origin;
mod pool;
mod target;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use domain::address::AddressPolicy;
use domain::delivery::Answer;
use domain::time::Timestamp;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::push::retry_after;

pub use connect::{PlainHttp, Resolver};
pub use target::{BadTarget, Target};

use self::connect::{Dialer, Reach};
use self::pool::{Lease, Pool};
use self::target::Place;
use crate::Clock;
use crate::http::{Trust, chain};

/// Who may be reached, who is believed, and how many connections are kept.
#[derive(Clone)]
pub struct WebhooksConfig {
    /// Which addresses may be reached beside public ones.
    pub addresses: AddressPolicy,
    /// Where unencrypted requests may go.
    pub plain_http: PlainHttp,
    /// How names become addresses.
    pub resolver: Resolver,
    /// Certificates of receivers that are believed beside the machine's.
    pub roots: Vec<rustls::pki_types::CertificateDer<'static>>,
    /// Connections to one scheme, host and port at once.
    pub connections: usize,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            addresses: AddressPolicy::default(),
            plain_http: PlainHttp::default(),
            resolver: Resolver::default(),
            roots: Vec::new(),
            connections: 1_024,
        }
    }
}

impl std::fmt::Debug for WebhooksConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhooksConfig")
            .field("addresses", &self.addresses)
            .field("plain_http", &self.plain_http)
            .field("roots", &self.roots.len())
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST`, or a handshake's `OPTIONS`.
    pub method: Method,
    /// Where to.
    pub target: Arc<Target>,
    /// Everything but `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How long everything may take: waiting for a connection, sending, and the head of the answer.
    pub deadline: Duration,
    /// Whether it does not wait for others that are sent to the same host.
    pub urgent: bool,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Answered {
    /// For [`domain::delivery`] to judge.
    pub answer: Answer,
    /// The headers of the answer; none without one.
    pub headers: HeaderMap,
    /// The beginning of the answer's body, at most [`KEPT`].
    pub body: Bytes,
    /// From the call to the answer.
    pub took: Duration,
    /// What happened, in words, if there was no answer.
    pub error: Option<String>,
}

/// Why there was no answer.
#[derive(Debug)]
enum Failure {
    Resolution(String),
    Socket(String),
    /// What there was not in time.
    TimedOut(&'static str),
}

/// The way out; one for all receivers.
pub struct Webhooks {
    pool: Arc<Pool>,
    clock: Clock,
}

impl Webhooks {
    /// Starts with no connection.
    pub fn new(
        config: WebhooksConfig,
        clock: Clock,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) -> Self {
        let dialer = Dialer {
            reach: Reach {
                addresses: config.addresses,
                plain_http: config.plain_http,
                resolver: config.resolver,
            },
            trust: Trust::new(config.roots),
            tls: OnceLock::new(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            stopping: stopping.clone(),
        };
        let pool = Arc::new(Pool::new(dialer, config.connections));
        tasks.spawn(Arc::clone(&pool).run());
        Self { pool, clock }
    }

    /// Reads a customer's URL, and says what can be said against it before anything is sent there. Where a name leads
    /// is looked at when a connection is made.
    pub fn target(&self, url: &str) -> Result<Arc<Target>, BadTarget> {
        let target = Target::parse(url)?;
        let reach = &self.pool.dialer.reach;
        if !target.tls && reach.plain_http == PlainHttp::Never {
            return Err(BadTarget::NotHttps);
        }
        if let Place::Address(address) = target.host
            && !reach.allows(target.tls, address)
        {
            // An address that https may reach is refused for its scheme.
            return Err(if reach.addresses.allows(address) {
                BadTarget::NotHttps
            } else {
                BadTarget::Address(address)
            });
        }
        Ok(Arc::new(target))
    }

    /// Sends a request. Never fails: what went wrong is the answer.
    pub async fn send(&self, request: Request) -> Answered {
        let began = self.clock.instant();
        let until = self.clock.now() + request.deadline;
        let answered = match self.exchange(&request, until).await {
            Err(failure) => Answered::without(failure, request.deadline),
            Ok((response, lease)) => self.answered(response, lease).await,
        };
        Answered {
            took: self.since(began),
            ..answered
        }
    }

    /// Sends the request and waits for the head of the answer.
    async fn exchange(
        &self,
        request: &Request,
        until: Timestamp,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut fresh = false;
        loop {
            let lease = self.pool.lease(&request.target, request.urgent, fresh);
            let lease = self.clock.timeout_at(until, lease).await;
            let mut lease = lease.ok_or(Failure::TimedOut("no connection was free"))??;
            let sent = lease.send(request.http());
            let sent = self.clock.timeout_at(until, sent).await;
            match sent.ok_or(Failure::TimedOut("no answer"))? {
                Ok(response) => return Ok((response, lease)),
                // A receiver may close an idle connection in the moment it is used again: that says nothing about the
                // receiver, so it is asked once more. It may see the request twice, as after any retry.
                Err(error) if lease.rested && !error.is_parse() => fresh = true,
                Err(error) => return Err(Failure::Socket(chain(&error))),
            }
        }
    }

    /// The verdict stands with the head of the answer; of its body a little is read, for the log and for handshakes.
    async fn answered(&self, response: Response<Incoming>, lease: Lease) -> Answered {
        let (head, mut incoming) = response.into_parts();
        let now = self.clock.now();
        let mut body = BytesMut::new();
        let read = read(&mut incoming, &mut body);
        let read_whole = self.clock.timeout_at(now + BODY_WITHIN, read).await;
        if read_whole == Some(true) {
            lease.give_back();
        }
        let asked = head.headers.get(RETRY_AFTER);
        let asked = asked.and_then(|value| value.to_str().ok());
        Answered {
            answer: Answer::Status {
                code: head.status.as_u16(),
                retry_after: asked.and_then(|value| retry_after(value, now.secs())),
            },
            headers: head.headers,
            body: body.freeze(),
            took: Duration::ZERO,
            error: None,
        }
    }

    fn since(&self, began: Instant) -> Duration {
        self.clock.instant().saturating_duration_since(began)
    }
}

impl Request {
    fn http(&self) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.path.clone();
        *request.headers_mut() = self.headers.clone();
        let host = self.target.authority.clone();
        request.headers_mut().insert(HOST, host);
        request
    }
}

impl Answered {
    /// Nothing was sent, for there is nowhere to send it.
    pub fn unsent(problem: String) -> Self {
        Self::without(Failure::Resolution(problem), Duration::ZERO)
    }

    fn without(failure: Failure, deadline: Duration) -> Self {
        let (answer, error) = match failure {
            Failure::Resolution(error) => (Answer::ResolutionError, error),
            Failure::Socket(error) => (Answer::SocketError, error),
            Failure::TimedOut(what) => {
                let error = format!("{what} within {} seconds", deadline.as_secs());
                (Answer::TimedOut, error)
            }
        };
        Self {
            answer,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            took: Duration::ZERO,
            error: Some(error),
        }
    }
}

/// Reads a body into `kept`; whether it ended well and soon enough for the connection to be used again.
async fn read(body: &mut Incoming, kept: &mut BytesMut) -> bool {
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let Some(data) = frame.data_ref() else {
            continue;
        };
        seen += data.len();
        kept.extend_from_slice(&data[..data.len().min(KEPT - kept.len())]);
        if seen > READ {
            return false;
        }
    }
    true
}

/// How much of an answer's body is kept.
pub const KEPT: usize = 4 * 1024;
/// How much of it is read before the connection is given up instead.
const READ: usize = 64 * 1024;
/// How long a body may take once its head is there.
const BODY_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
