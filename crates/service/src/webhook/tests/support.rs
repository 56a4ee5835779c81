//! A receiver that does one thing with each connection, and whoever sends to it.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use domain::time::Timestamp;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

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
}

/// Reads one request; its text.
pub(super) async fn read_request(socket: &mut TcpStream) -> String {
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
        }
    }

    pub(super) async fn post(&self, url: &str) -> Answered {
        self.webhooks.send(self.request(url)).await
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
        roots: Vec::new(),
    }
}

pub(super) fn status(code: u16) -> Answer {
    Answer::Status {
        code,
        retry_after: None,
    }
}
