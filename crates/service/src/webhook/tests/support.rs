//! A receiver that does one thing with each connection, and whoever sends to it.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::super::origin::LONGEST_IDLE;
use super::super::*;

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_493_896);
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A receiver that does `behave` with each connection.
pub(super) struct Receiver {
    pub(super) port: u16,
    pub(super) connections: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn start<F, Fut>(behave: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                each.spawn(behave(socket));
            }
        });
        Self {
            port,
            connections,
            _task: task,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?code=s", self.port)
    }

    /// As whoever trusts [`certified`] knows it.
    pub(super) fn https_url(&self) -> String {
        format!("https://localhost:{}/hook", self.port)
    }

    /// Waits until there were so many connections, and sees that no more come.
    pub(super) async fn connections(&self, count: usize) {
        until(|| self.connections.load(SeqCst) >= count).await;
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.connections.load(SeqCst), count);
    }
}

/// A certificate of `localhost`, and who accepts with it.
pub(super) fn certified() -> (TlsAcceptor, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let root = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(server)), root)
}

/// Every name leads to this machine.
pub(super) fn local() -> Resolver {
    Resolver::Told(Arc::new(|_| Ok(vec!["127.0.0.1".parse().unwrap()])))
}

/// Waits, but not for ever.
pub(super) async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    waited.expect("it does not happen");
}

/// Reads one request; its text.
pub(super) async fn read_request(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = socket.read(&mut chunk).await.unwrap_or(0);
        text.extend_from_slice(&chunk[..read]);
        if read == 0 || text.ends_with(b"[]") {
            return String::from_utf8(text).unwrap();
        }
    }
}

pub(super) struct Sender {
    pub(super) webhooks: Arc<Webhooks>,
    pub(super) clock: Clock,
}

impl Sender {
    pub(super) fn with(config: WebhooksConfig) -> Self {
        let clock = Clock::manual(NOW);
        let webhooks = Webhooks::new(
            config,
            clock.clone(),
            &TaskTracker::new(),
            &CancellationToken::new(),
        );
        Self {
            webhooks: Arc::new(webhooks),
            clock,
        }
    }

    pub(super) fn dev() -> Self {
        Self::with(dev(Resolver::System))
    }

    pub(super) fn request(&self, url: &str) -> Request {
        Request {
            method: Method::POST,
            target: self.webhooks.target(url).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"[]"),
            deadline: DEADLINE,
            urgent: false,
        }
    }

    pub(super) async fn post(&self, url: &str) -> Answered {
        self.webhooks.send(self.request(url)).await
    }

    /// Posts that go on by themselves.
    pub(super) fn begin(&self, count: usize, url: &str, urgent: bool) -> JoinSet<Answer> {
        let mut sending = JoinSet::new();
        for _ in 0..count {
            let webhooks = Arc::clone(&self.webhooks);
            let request = Request {
                urgent,
                ..self.request(url)
            };
            sending.spawn(async move { webhooks.send(request).await.answer });
        }
        sending
    }

    /// Waits until nothing is known any more of any receiver.
    pub(super) async fn forgets_all(&self) {
        until(|| {
            self.clock.advance(LONGEST_IDLE);
            self.webhooks.pool.len() == 0
        })
        .await;
    }

    /// Posts, and moves the clock to the deadline once `ready` is.
    pub(super) async fn post_until_deadline(
        &self,
        url: &str,
        ready: impl Future<Output = ()>,
    ) -> Answered {
        let webhooks = Arc::clone(&self.webhooks);
        let request = self.request(url);
        let mut sending = JoinSet::new();
        sending.spawn(async move { webhooks.send(request).await });
        ready.await;
        self.clock.advance(DEADLINE);
        sending.join_next().await.unwrap().unwrap()
    }
}

pub(super) fn dev(resolver: Resolver) -> WebhooksConfig {
    WebhooksConfig {
        addresses: AddressPolicy {
            loopback: true,
            private: false,
        },
        plain_http: PlainHttp::Loopback,
        resolver,
        ..WebhooksConfig::default()
    }
}

pub(super) fn status(code: u16) -> Answer {
    Answer::Status {
        code,
        retry_after: None,
    }
}
