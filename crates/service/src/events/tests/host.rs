//! A host whose paths behave each in its own way, all of them badly but `/well`.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The host; gone with the value.
pub(super) struct Host {
    pub(super) port: u16,
    /// Ids of the events that `/well` got.
    well: Arc<Mutex<Vec<String>>>,
    _connections: JoinSet<()>,
}

impl Host {
    /// `redirect` is where `/redirects` wants to have its requests.
    pub(super) async fn start(redirect: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let well = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&well);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (log, redirect) = (Arc::clone(&log), redirect.clone());
                connections.spawn(async move {
                    // Whoever calls may hang up.
                    let _ = serve(socket, &log, &redirect).await;
                });
            }
        });
        Self {
            port,
            well,
            _connections: accepting,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(super) fn well(&self) -> Vec<String> {
        self.well.lock().unwrap().clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    well: &Mutex<Vec<String>>,
    redirect: &str,
) -> std::io::Result<()> {
    while let Some((path, body)) = request(&mut socket).await? {
        let answer = match path.as_str() {
            "/well" => {
                let id = body[0]["id"].as_str().unwrap();
                well.lock().unwrap().push(id.to_owned());
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            "/redirects" => {
                format!("HTTP/1.1 307 X\r\nlocation: {redirect}\r\ncontent-length: 0\r\n\r\n")
            }
            "/resets" => {
                socket.set_zero_linger()?;
                return Ok(());
            }
            "/drips" => drip(&mut socket, "HTTP/1.1 200 OK\r\nx-slow: ").await?,
            "/drips-a-body" => {
                drip(
                    &mut socket,
                    "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nabc",
                )
                .await?
            }
            "/never-ends" => flood(&mut socket, "HTTP/1.1 200 OK\r\nx: ", "x").await?,
            "/never-ends-a-body" => {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                flood(&mut socket, head, "1\r\nx\r\n").await?
            }
            _ => std::future::pending().await,
        };
        socket.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// Byte by byte, and then no more.
async fn drip(socket: &mut TcpStream, answer: &str) -> std::io::Result<String> {
    for byte in answer.bytes() {
        socket.write_all(&[byte]).await?;
    }
    std::future::pending().await
}

async fn flood(socket: &mut TcpStream, head: &str, rest: &str) -> std::io::Result<String> {
    socket.write_all(head.as_bytes()).await?;
    let rest = rest.repeat(4_096);
    loop {
        socket.write_all(rest.as_bytes()).await?;
    }
}

/// The next request's path and body.
async fn request(socket: &mut TcpStream) -> std::io::Result<Option<(String, Value)>> {
    let mut text = String::new();
    let mut chunk = [0; 4_096];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            let path = head.split(' ').nth(1).unwrap_or_default();
            return Ok(Some((path.to_owned(), body)));
        }
        match socket.read(&mut chunk).await? {
            0 => return Ok(None),
            read => text.push_str(std::str::from_utf8(&chunk[..read]).unwrap()),
        }
    }
}
