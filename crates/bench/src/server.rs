//! A server under load: `carillon dev` on a directory of its own, and connections to it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use service::Clock;
use service::http::Trust;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// The process; it ends when this is dropped.
pub struct Server {
    child: Child,
    directory: Arc<tempfile::TempDir>,
    environment: Value,
}

impl Server {
    /// Starts it on an empty directory; it believes `root`.
    pub fn start(program: &Path, root: Option<&CertificateDer<'_>>) -> anyhow::Result<Self> {
        Self::start_in(Arc::new(tempfile::tempdir()?), program, root)
    }

    /// Ends it and starts it on the directory that it leaves behind.
    pub fn again(self, program: &Path) -> anyhow::Result<Self> {
        let directory = Arc::clone(&self.directory);
        drop(self);
        Self::start_in(directory, program, None)
    }

    fn start_in(
        directory: Arc<tempfile::TempDir>,
        program: &Path,
        root: Option<&CertificateDer<'_>>,
    ) -> anyhow::Result<Self> {
        let data = directory.path().join("data");
        let ready = data.join("env.json");
        // One that was killed leaves it behind.
        let _ = std::fs::remove_file(&ready);
        let log = directory.path().join("log");
        let mut command = Command::new(program);
        command
            .args(["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?);
        if let Some(root) = root {
            // The server believes the machine's roots, which are what this variable says.
            let roots = directory.path().join("roots.pem");
            let pem = STANDARD.encode(root);
            std::fs::write(
                &roots,
                format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n"),
            )?;
            command.env("SSL_CERT_FILE", &roots);
        }
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started; build it first", program.display()))?;
        let mut server = Self {
            child,
            directory,
            environment: Value::Null,
        };
        let began = Clock::System.instant();
        while began.elapsed() < Duration::from_secs(30) {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                server.environment = serde_json::from_str(&text)?;
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        anyhow::bail!("the server did not start: {log}")
    }

    /// Its process.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// A text of its `env.json`.
    pub fn text(&self, pointer: &str) -> anyhow::Result<&str> {
        let value = self.environment.pointer(pointer).and_then(Value::as_str);
        value.with_context(|| format!("env.json has no {pointer}"))
    }

    /// Bytes of its database, with what is not yet in its place.
    pub fn database_bytes(&self) -> anyhow::Result<u64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.directory.path().join("data"))? {
            let entry = entry?;
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with("carillon.db")
            {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    /// How to connect to it.
    pub fn peer(&self) -> anyhow::Result<Peer> {
        let (_, authority) = self
            .text("/base_url")?
            .split_once("://")
            .context("no base URL")?;
        Ok(Peer {
            tls: TlsConnector::from(Arc::new(self.trust()?.tls(&[b"http/1.1"]))),
            authority: authority.to_owned(),
        })
    }

    /// A request to its control plane, signed in.
    pub async fn control(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let client = self.trust()?.client(Duration::from_secs(10))?;
        let base = self.text("/base_url")?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.text("/client_id")?),
            ("client_secret", self.text("/client_secret")?),
            ("scope", "https://management.azure.com/.default"),
        ];
        let url = format!("{base}/{}/oauth2/v2.0/token", self.text("/tenant_id")?);
        let answer = client.post(url).form(&form).send().await?;
        let token: Value = answer.error_for_status()?.json().await?;
        let token = token["access_token"].as_str().context("no access token")?;
        let mut request = client
            .request(method, format!("{base}{path}"))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Trust in its certificate.
    pub fn trust(&self) -> anyhow::Result<Trust> {
        let file = self.directory.path().join("data").join("ca.pem");
        Ok(Trust::new(
            CertificateDer::pem_file_iter(file)?.collect::<Result<_, _>>()?,
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is ours, and there is nothing to do about one that does not end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server to connect to over TLS.
pub struct Peer {
    tls: TlsConnector,
    /// Its host and port.
    pub authority: String,
}

impl Peer {
    /// A connection for HTTP/1.1, and the task that moves its bytes.
    pub async fn connect(&self) -> anyhow::Result<(SendRequest<Full<Bytes>>, JoinSet<()>)> {
        let tcp = TcpStream::connect(&self.authority).await?;
        tcp.set_nodelay(true)?;
        let host = self.authority.split(':').next().unwrap_or_default();
        let name = ServerName::try_from(host.to_owned())?;
        let io = TokioIo::new(self.tls.connect(name, tcp).await?);
        let (sender, connection) = http1::handshake(io).await?;
        let mut moving = JoinSet::new();
        moving.spawn(async move {
            // How it ends is seen by the requests on it.
            let _ = connection.await;
        });
        Ok((sender, moving))
    }
}
