//! A push service that believes everything and answers at once: what it costs is not the sender's.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, Response};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::report::micros;

/// A sink in a process of its own; it ends when this is dropped.
pub struct Sink {
    child: Child,
    answers: BufReader<ChildStdout>,
    /// Where it listens.
    pub endpoint: String,
    /// What it shows.
    pub root: CertificateDer<'static>,
}

/// What the process says first.
#[derive(Serialize, Deserialize)]
struct Hello {
    port: u16,
    root: String,
}

/// What has arrived so far.
#[derive(Serialize, Deserialize, Default)]
pub struct Arrivals {
    /// How many.
    pub count: u64,
    /// When the last one came, in microseconds since the epoch.
    pub last: u64,
    /// From the moment in the payload to its arrival, microseconds.
    pub p50: u64,
    /// 99 of 100 took less.
    pub p99: u64,
    /// 999 of 1000 took less.
    pub p999: u64,
}

impl Sink {
    /// Starts the process and waits until it listens.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("the sink has no output")?;
        let mut answers = BufReader::new(stdout);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let hello: Hello = serde_json::from_str(&line).context("the sink did not start")?;
        Ok(Self {
            child,
            answers,
            endpoint: format!("https://localhost:{}", hello.port),
            root: STANDARD.decode(hello.root)?.into(),
        })
    }

    /// Its process.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// What has arrived.
    pub fn arrivals(&mut self) -> anyhow::Result<Arrivals> {
        self.ask("arrivals")
    }

    /// Begins to count anew.
    pub fn reset(&mut self) -> anyhow::Result<()> {
        self.ask(RESET).map(drop)
    }

    fn ask(&mut self, what: &str) -> anyhow::Result<Arrivals> {
        let input = self.child.stdin.as_mut().context("the sink has no input")?;
        writeln!(input, "{what}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends with its input; there is nothing to do about one that does not.
        let _ = self.child.wait();
    }
}

/// The process itself.
pub fn serve() -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let root = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(|error| anyhow::anyhow!(error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let hello = Hello {
        port: listener.local_addr()?.port(),
        root: STANDARD.encode(&root),
    };
    println!("{}", serde_json::to_string(&hello)?);
    let log = Arc::new(Mutex::new(Log::default()));
    let asked = log.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let mut log = lock(&asked);
            if line == RESET {
                *log = Log::default();
            }
            let arrivals = log.arrivals();
            drop(log);
            println!("{}", serde_json::to_string(&arrivals).unwrap_or_default());
        }
        std::process::exit(0);
    });
    runtime.block_on(accept(listener, acceptor, log))
}

/// Arrivals of payloads that say when they were sent.
struct Log {
    count: u64,
    took: Histogram<u64>,
    last: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            count: 0,
            took: micros(),
            last: 0,
        }
    }
}

impl Log {
    fn arrivals(&self) -> Arrivals {
        Arrivals {
            count: self.count,
            last: self.last,
            p50: self.took.value_at_quantile(0.5),
            p99: self.took.value_at_quantile(0.99),
            p999: self.took.value_at_quantile(0.999),
        }
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    log: Arc<Mutex<Log>>,
) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (tcp, _) = listener.accept().await?;
        let (acceptor, log) = (acceptor.clone(), log.clone());
        connections.spawn(async move {
            // A sender that goes away is seen by its own count.
            let _ = connection(tcp, acceptor, log).await;
        });
    }
}

async fn connection(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    log: Arc<Mutex<Log>>,
) -> anyhow::Result<()> {
    tcp.set_nodelay(true)?;
    let io = acceptor.accept(tcp).await?;
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(1_000)
        .initial_connection_window_size(1 << 24)
        .handshake::<_, Bytes>(io)
        .await?;
    let mut requests = JoinSet::new();
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let log = log.clone();
        requests.spawn(async move {
            read(request, &log).await;
            // Fails only when the sender has gone away.
            let _ = respond.send_response(Response::new(()), true);
        });
        while requests.try_join_next().is_some() {}
    }
    Ok(())
}

async fn read(request: Request<h2::RecvStream>, log: &Mutex<Log>) {
    let mut body = request.into_body();
    let mut sent = None;
    while let Some(Ok(chunk)) = body.data().await {
        let _ = body.flow_control().release_capacity(chunk.len());
        sent = sent.or_else(|| sent_at(&chunk));
    }
    let now = now_micros();
    let mut log = lock(log);
    log.count += 1;
    log.last = now;
    if let Some(sent) = sent {
        log.took += now.saturating_sub(sent);
    }
}

const RESET: &str = "reset";

/// What a payload begins with if its way is measured; what follows is microseconds since the epoch.
pub const SENT_AT: &str = r#"{"aps":{},"sentAt":"#;

fn sent_at(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(SENT_AT.as_bytes())?;
    let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Microseconds since the epoch, on the clock that all processes of a machine share.
pub fn now_micros() -> u64 {
    u64::try_from(service::Clock::System.now().micros()).unwrap_or_default()
}
