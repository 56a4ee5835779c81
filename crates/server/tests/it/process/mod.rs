//! The real binary as a process: on free ports, in a temporary directory, stopped when the test ends.

mod backlog;
mod call;
mod commands;
mod connections;
mod crash;
mod dead_letters;
mod doctor;
mod env;
mod event_commands;
mod events;
mod lifetime;
mod outage;
mod people;
mod push;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A running `carillon dev` or `carillon lab`.
pub struct Process {
    child: Child,
    /// What env.json said when it was ready.
    pub env: Value,
    dir: PathBuf,
}

const STDOUT: &str = "stdout.log";

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon");

/// The command, told nothing by the environment of whoever runs the tests.
pub fn carillon(args: &[&str]) -> Command {
    by(PROGRAM, args)
}

/// A command that may start ours.
fn by(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    for (name, _) in std::env::vars() {
        if name.starts_with("CARILLON_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the command to its end.
pub fn run(args: &[&str]) -> Output {
    carillon(args).output().unwrap()
}

/// What a finished command said on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Sends a signal, e.g. `INT`, to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

impl Process {
    /// Starts `carillon dev` in `dir` on free ports and waits until it is ready.
    pub fn start(dir: &Path, variables: &[(&str, &str)]) -> Self {
        let ports = ["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        Self::spawn(carillon(&ports).envs(variables.iter().copied()), dir)
    }

    /// Starts `carillon dev` in `dir` as a process that may open so many files.
    pub fn start_with_files(dir: &Path, files: usize) -> Self {
        let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_carillon")]);
        shell.args(["dev", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        Self::spawn(&mut shell, dir)
    }

    /// Starts `carillon serve` in `dir` on free ports and waits until it is ready.
    pub fn serve(dir: &Path) -> Self {
        let ports = ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        Self::spawn(carillon(&ports).current_dir(dir), dir)
    }

    /// Starts `carillon lab` in `dir` on free ports and waits until it is ready.
    pub fn lab(dir: &Path) -> Self {
        let free = "127.0.0.1:0";
        Self::spawn(
            &mut carillon(&[
                "lab",
                "--http",
                free,
                "--apns",
                free,
                "--fcm",
                free,
                "--webpush",
                free,
            ]),
            dir,
        )
    }

    fn spawn(command: &mut Command, dir: &Path) -> Self {
        let data_dir = dir.to_str().unwrap();
        command.args(["--data-dir", data_dir]);
        let log = dir.join("stderr.log");
        let child = command
            .stdout(std::fs::File::create(dir.join(STDOUT)).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let ready = run(&["wait", "--data-dir", data_dir, "--timeout", "60"]);
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(ready.status.success(), "{}\n{}", stderr(&ready), said());
        let env = run(&["env", "--data-dir", data_dir, "--format", "json"]);
        Self {
            child,
            env: serde_json::from_slice(&env.stdout).unwrap(),
            dir: dir.to_owned(),
        }
    }

    /// A text of env.json.
    pub fn text(&self, name: &str) -> &str {
        self.env[name].as_str().unwrap()
    }

    /// Where its data is.
    pub fn data_dir(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    /// What it has said on standard output.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.dir.join(STDOUT)).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, e.g. `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end; whether it was a clean one.
    pub fn ended_well(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// A TLS configuration that trusts its authority and nobody else, offering these protocols.
    pub fn tls(&self, alpn: &[&str]) -> Arc<rustls::ClientConfig> {
        let pem = std::fs::read(self.dir.join("ca.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&pem).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// An HTTP client that trusts it.
    pub fn client(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured((*self.tls(&["h2", "http/1.1"])).clone())
    }

    pub fn https_port(&self) -> u16 {
        url::Url::parse(self.text("base_url"))
            .unwrap()
            .port()
            .unwrap()
    }

    /// A raw TLS connection to its https port.
    pub async fn connect(&self, alpn: &[&str]) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.https_port()))
            .await
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(self.tls(alpn))
            .connect(name, stream)
            .await
            .unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends bytes on a connection and reads until the other side closes.
pub async fn talk(stream: &mut TlsStream<TcpStream>, text: &str) -> String {
    // The server may close before it has read everything; what it answered still counts.
    let _ = stream.write_all(text.as_bytes()).await;
    rest(stream).await
}

/// Reads until the other side closes, however it does that.
pub async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A directory for a server, and for nobody else.
pub fn directory() -> TempDir {
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().permissions(own).tempdir().unwrap()
}
