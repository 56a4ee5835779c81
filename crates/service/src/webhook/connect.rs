//! From a target to a connection, past the policy: what is checked is the address that is connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::address::{AddressPolicy, Place as Where};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Failure;
use super::origin::Connection;
use super::target::{Place, Target};
use crate::Clock;
use crate::http::{Trust, chain};
use crate::stop::given_up;

/// Where unencrypted requests may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlainHttp {
    /// Nowhere.
    #[default]
    Never,
    /// To this machine: on in `carillon dev`.
    Loopback,
    /// Wherever https may go.
    Always,
}

/// How names become addresses.
#[derive(Clone, Default)]
pub enum Resolver {
    /// As the machine is configured.
    #[default]
    System,
    /// As told, for tests.
    Told(Arc<Told>),
}

/// What a test's resolver says of a name.
type Told = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Who may be reached, and how.
#[derive(Clone, Default)]
pub(super) struct Reach {
    pub(super) addresses: AddressPolicy,
    pub(super) plain_http: PlainHttp,
    pub(super) resolver: Resolver,
}

/// Whoever opens connections.
pub(super) struct Dialer {
    pub(super) reach: Reach,
    pub(super) trust: Trust,
    pub(super) tls: OnceLock<Arc<ClientConfig>>,
    pub(super) clock: Clock,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

impl Reach {
    /// Whether a connection to `address` may be made.
    pub(super) fn allows(&self, tls: bool, address: IpAddr) -> bool {
        let plain = match self.plain_http {
            PlainHttp::Never => false,
            PlainHttp::Loopback => Where::of(address) == Where::Loopback,
            PlainHttp::Always => true,
        };
        self.addresses.allows(address) && (tls || plain)
    }

    /// The addresses of `target` that may be connected to. A name that also has others is served by these.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, Failure> {
        let all = match &target.host {
            Place::Address(address) => vec![*address],
            Place::Name(name) => {
                self.resolver
                    .look_up(name, target.port)
                    .await
                    .map_err(|error| {
                        Failure::Resolution(format!("{name} does not resolve: {error}"))
                    })?
            }
        };
        let allowed: Vec<_> = all
            .iter()
            .copied()
            .filter(|address| self.allows(target.tls, *address))
            .collect();
        if !allowed.is_empty() {
            return Ok(allowed);
        }
        let shown = target.authority.to_str().unwrap_or_default();
        Err(Failure::Resolution(match all.first() {
            None => format!("{shown} has no address"),
            Some(address) => {
                format!("{shown} leads to {address}, which may not be reached")
            }
        }))
    }
}

impl Resolver {
    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        match self {
            Self::System => {
                let found = tokio::net::lookup_host((name, port)).await?;
                Ok(found.map(|address| address.ip()).collect())
            }
            Self::Told(answer) => answer(name),
        }
    }
}

impl Dialer {
    /// A new connection to `target`, within a time of its own.
    pub(super) async fn connect(&self, target: &Target) -> Result<Connection, Failure> {
        let until = self.clock.now() + CONNECT_WITHIN;
        let late = || {
            let seconds = CONNECT_WITHIN.as_secs();
            Failure::Socket(format!("no connection within {seconds} seconds"))
        };
        tokio::select! {
            made = self.clock.timeout_at(until, self.open(target)) => made.unwrap_or_else(|| Err(late())),
            () = given_up(self.stopping.clone(), GRACE) => Err(Failure::Socket("the server stops".to_owned())),
        }
    }

    async fn open(&self, target: &Target) -> Result<Connection, Failure> {
        let socket = self.dial(target).await?;
        if !target.tls {
            return self.speak(socket).await;
        }
        let name = match &target.host {
            Place::Address(address) => ServerName::from(*address),
            Place::Name(name) => ServerName::try_from(name.clone())
                .map_err(|error| Failure::Resolution(error.to_string()))?,
        };
        let tls = TlsConnector::from(self.tls());
        let stream = tls
            .connect(name, socket)
            .await
            .map_err(|error| Failure::Socket(format!("no TLS connection: {}", chain(&error))))?;
        self.speak(stream).await
    }

    async fn dial(&self, target: &Target) -> Result<TcpStream, Failure> {
        let mut last = None;
        for address in self.reach.addresses(target).await? {
            let until = self.clock.now() + DIAL_WITHIN;
            let dial = TcpStream::connect(SocketAddr::new(address, target.port));
            match self.clock.timeout_at(until, dial).await {
                Some(Ok(socket)) => {
                    // A request leaves whole; waiting for an acknowledgement would only delay it.
                    let _ = socket.set_nodelay(true);
                    return Ok(socket);
                }
                Some(Err(error)) => last = Some(format!("no connection to {address}: {error}")),
                None => last = Some(format!("{address} did not accept a connection in time")),
            }
        }
        Err(Failure::Socket(last.unwrap_or_default()))
    }

    /// HTTP/1.1 alone: receivers that share a host then share no flow control either.
    async fn speak<S>(&self, stream: S) -> Result<Connection, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut http = http1::Builder::new();
        http.max_buf_size(LARGEST_HEAD);
        let (front, connection) = http
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::Socket(chain(&error)))?;
        let over = given_up(self.stopping.clone(), GRACE);
        self.tasks.spawn(async move {
            tokio::select! {
                // Its end is seen by whoever waits for an answer.
                _ = connection => {}
                () = over => {}
            }
        });
        Ok(front)
    }

    /// Made when it is first needed: reading the machine's roots takes a while.
    fn tls(&self) -> Arc<ClientConfig> {
        let tls = self
            .tls
            .get_or_init(|| Arc::new(self.trust.tls(&[b"http/1.1"])));
        Arc::clone(tls)
    }
}

/// A connection has this long, whoever waits for it: looking the name up, connecting, and the TLS handshake.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// One address of several has this long.
const DIAL_WITHIN: Duration = Duration::from_secs(5);
/// The largest head of an answer.
const LARGEST_HEAD: usize = 64 * 1024;
/// Requests under way have this long when the server stops.
const GRACE: Duration = Duration::from_secs(3);
