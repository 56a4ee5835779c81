//! Clients that misbehave: each is answered or cut off, and the server goes on.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Process, directory, rest, talk};

/// Bounds that a test can wait for.
const QUICK: &[(&str, &str)] = &[
    ("CARILLON_LIMITS__HEADER_SECONDS", "1"),
    ("CARILLON_LIMITS__BODY_SECONDS", "1"),
    ("CARILLON_LIMITS__ANSWER_SECONDS", "1"),
    ("CARILLON_LIMITS__HANDSHAKE_SECONDS", "1"),
];
const PATIENCE: Duration = Duration::from_secs(10);

async fn healthy(server: &Process) {
    let answer = talk(
        &mut server.connect(&["http/1.1"]).await,
        "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn alpn_decides_between_http_1_and_2() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream = server.connect(offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
    healthy(&server).await;
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let dir = directory();
    let server = Process::start(dir.path(), QUICK);
    let mut header = server.connect(&["http/1.1"]).await;
    header
        .write_all(b"GET /healthz HTTP/1.1\r\nhost:")
        .await
        .unwrap();
    let mut body = server.connect(&["http/1.1"]).await;
    body.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nab")
        .await
        .unwrap();
    let mut handshake = TcpStream::connect(("127.0.0.1", server.https_port()))
        .await
        .unwrap();
    handshake.write_all(&[22, 3, 1]).await.unwrap();

    // It has chosen HTTP/2 and does not begin with it.
    let mut preface = server.connect(&["h2"]).await;
    preface.write_all(b"PRI * HTTP/2").await.unwrap();

    let answer = tokio::time::timeout(PATIENCE, rest(&mut preface))
        .await
        .unwrap();
    assert_eq!(answer, "");
    let answer = tokio::time::timeout(PATIENCE, rest(&mut header))
        .await
        .unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    let answer = tokio::time::timeout(PATIENCE, rest(&mut body))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut bytes = Vec::new();
    // Closed or reset: either way it is over.
    let _ = tokio::time::timeout(PATIENCE, handshake.read_to_end(&mut bytes))
        .await
        .unwrap();
    healthy(&server).await;
}

/// It asks and asks, and its kernel goes on acknowledging: only a deadline ends it.
#[tokio::test]
async fn a_client_that_reads_no_answers_is_cut_off() {
    let dir = directory();
    let server = Process::start(dir.path(), QUICK);
    let mut deaf = server.connect(&["http/1.1"]).await;
    let asked = async {
        while deaf
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .is_ok()
        {}
    };
    tokio::time::timeout(4 * PATIENCE, asked).await.unwrap();
    healthy(&server).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let long = "x".repeat(200_000);
    for (text, status) in [
        (
            format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"),
            "431",
        ),
        (
            format!("GET /{long} HTTP/1.1\r\nhost: a\r\n\r\n"),
            "414|431",
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"
                .into(),
            "400",
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: a\r\nbad header: 1\r\n\r\n".into(),
            "400",
        ),
        ("\u{0}\u{1}\u{2}\r\n\r\n".into(), "400"),
        (
            "GET /healthz HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n".into(),
            "400",
        ),
    ] {
        let answer = talk(&mut server.connect(&["http/1.1"]).await, &text).await;
        let line = answer.lines().next().unwrap_or_default();
        assert!(
            status.split('|').any(|status| line.contains(status)),
            "{status}: {line}"
        );
    }
    healthy(&server).await;
}

#[tokio::test]
async fn harmless_oddities_are_answered() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let twice = "GET /healthz HTTP/1.1\r\nhost: a\r\nx-a: 1\r\nx-a: 2\r\nconnection: close\r\n\r\n";
    assert!(
        talk(&mut server.connect(&["http/1.1"]).await, twice)
            .await
            .starts_with("HTTP/1.1 200")
    );
    // A client that shuts down its side behind its request still gets the answer.
    let mut half = server.connect(&["http/1.1"]).await;
    half.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    half.shutdown().await.unwrap();
    assert!(rest(&mut half).await.starts_with("HTTP/1.1 200"));
    // One that goes away in the middle of its body takes nothing with it.
    let mut gone = server.connect(&["http/1.1"]).await;
    gone.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nab")
        .await
        .unwrap();
    drop(gone);
    healthy(&server).await;
}

/// What a stranger sends is not even waited for: its credential stands in the header.
#[tokio::test]
async fn a_credential_is_refused_before_the_body_comes() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let resource = server.env["communication"]["resource_id"].as_str().unwrap();
    let hub = server.env["hub"]["name"].as_str().unwrap();
    let link = format!("{resource}/linkNotificationHub?api-version=2025-09-01");
    let send = format!("/{hub}/messages?direct&api-version=2020-06");
    for path in [
        "/identities?api-version=2023-10-01",
        "/calling/callConnections?api-version=2023-10-15",
        "/calling/calls",
        "/registrar/prod/v2/registrations",
        "/topics/events/api/events?api-version=2018-01-01",
        &link,
        &send,
    ] {
        let mut stream = server.connect(&["http/1.1"]).await;
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n");
        let answer = tokio::time::timeout(PATIENCE, talk(&mut stream, &head));
        let answer = answer.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
}

/// Not every client looks for an answer before it has sent everything, and a connection that is closed on unread bytes
/// is reset.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let body = "x".repeat(3 << 20);
    for path in ["/identities?api-version=2023-10-01", "/nothing/is/here"] {
        let mut stream = server.connect(&["http/1.1"]).await;
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, rest(&mut stream));
        let answer = answer.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
    }
}

/// Other things need files as well: the database, push services, webhooks.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn connections_leave_files_for_the_rest() {
    let dir = directory();
    let server = Process::start_with_files(dir.path(), 128);
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(
            TcpStream::connect(("127.0.0.1", server.https_port()))
                .await
                .unwrap(),
        );
    }
    let files = || {
        std::fs::read_dir(format!("/proc/{}/fd", server.pid()))
            .unwrap()
            .count()
    };
    // Three eighths of 128, and what it had before.
    while files() < 48 {
        tokio::task::yield_now().await;
    }
    let ready = server
        .client()
        .build()
        .unwrap()
        .get(format!("{}/readyz", server.text("http_url")));
    assert_eq!(ready.send().await.unwrap().status(), 200);
    assert!(files() < 120, "{}", files());
}

#[tokio::test]
async fn a_full_port_lets_the_next_client_wait() {
    let dir = directory();
    let server = Process::start(dir.path(), &[("CARILLON_LIMITS__CONNECTIONS", "2")]);
    let first = server.connect(&["http/1.1"]).await;
    let second = server.connect(&["http/1.1"]).await;
    let waiting =
        tokio::time::timeout(Duration::from_millis(300), server.connect(&["http/1.1"])).await;
    assert!(waiting.is_err(), "a third connection was served");
    drop((first, second));
    healthy(&server).await;
}
