//! A push service that believes everything and answers at once: what it costs is not the sender's.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A sink in a process of its own; it ends when this is dropped.
pub struct Sink {
    child: Child,
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

impl Sink {
    /// Starts the process and waits until it listens.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("the sink has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let hello: Hello = serde_json::from_str(&line).context("the sink did not start")?;
        Ok(Self {
            child,
            endpoint: format!("https://localhost:{}", hello.port),
            root: STANDARD.decode(hello.root)?.into(),
        })
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
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    runtime.block_on(accept(listener, acceptor))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (tcp, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            if let Err(error) = connection(tcp, acceptor).await {
                eprintln!("sink: {error}");
            }
        });
    }
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor) -> anyhow::Result<()> {
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
        requests.spawn(async move {
            read(request).await;
            // Fails only when the sender has gone away.
            let _ = respond.send_response(Response::new(()), true);
        });
        while requests.try_join_next().is_some() {}
    }
    Ok(())
}

async fn read(request: Request<h2::RecvStream>) {
    let mut body = request.into_body();
    while let Some(Ok(chunk)) = body.data().await {
        let _ = body.flow_control().release_capacity(chunk.len());
    }
}
