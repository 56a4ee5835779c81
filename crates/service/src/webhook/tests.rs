//! Against receivers that mean us ill: raw sockets that do one thing each.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

mod pool;
mod support;

use support::*;

#[tokio::test]
async fn a_request_is_sent_whole_and_its_connection_used_again() {
    let (seen, requests) = (Arc::new(Mutex::new(Vec::new())), 3);
    let log = Arc::clone(&seen);
    let receiver = Receiver::start(move |mut socket| {
        let log = Arc::clone(&log);
        async move {
            for _ in 0..requests {
                let request = read_request(&mut socket).await;
                log.lock().unwrap().push(request);
                socket.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let sender = Sender::dev();
    for _ in 0..requests {
        let answered = sender.post(&receiver.url()).await;
        assert_eq!(answered.answer, status(200), "{:?}", answered.error);
        assert_eq!(answered.body, "ok");
    }
    assert_eq!(receiver.connections.load(SeqCst), 1);
    let first = seen.lock().unwrap()[0].to_lowercase();
    assert!(
        first.starts_with("post /hook?code=s http/1.1\r\n"),
        "{first}"
    );
    assert!(first.contains(&format!("host: 127.0.0.1:{}\r\n", receiver.port)));
    assert!(first.contains("content-length: 2\r\n"));
    // "Real Azure omits an Accept header": some firewalls refuse one.
    assert!(!first.contains("accept"), "{first}");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_no_failure() {
    // One request a connection, and no word that it ends.
    let receiver = Receiver::start(|mut socket| async move {
        read_request(&mut socket).await;
        socket.write_all(OK.as_bytes()).await.unwrap();
        let mut rest = [0; 1];
        // Closes only when the next request has begun to arrive.
        let _ = socket.read(&mut rest).await;
    })
    .await;
    let sender = Sender::dev();
    for _ in 0..4 {
        assert_eq!(sender.post(&receiver.url()).await.answer, status(200));
    }
}

/// A receiver that begins this answer, byte by byte, and never ends it; with word that it has come so far.
async fn stuck(answer: &'static str) -> (Receiver, Arc<tokio::sync::Notify>) {
    let reached = Arc::new(tokio::sync::Notify::new());
    let tell = Arc::clone(&reached);
    let receiver = Receiver::start(move |mut socket| {
        let tell = Arc::clone(&tell);
        async move {
            read_request(&mut socket).await;
            for byte in answer.bytes() {
                socket.write_all(&[byte]).await.unwrap();
                socket.flush().await.unwrap();
            }
            tell.notify_one();
            std::future::pending::<()>().await;
        }
    })
    .await;
    (receiver, reached)
}

#[tokio::test]
async fn a_receiver_that_hangs_times_out_at_the_deadline() {
    let (receiver, arrived) = stuck("").await;
    let sender = Sender::dev();
    let answered = sender
        .post_until_deadline(&receiver.url(), arrived.notified())
        .await;
    assert_eq!(answered.answer, Answer::TimedOut);
    assert_eq!(
        answered.error.as_deref(),
        Some("no answer within 30 seconds")
    );
}

/// The head of an answer at 600 bytes a minute: each byte is progress, and the deadline comes all the same.
#[tokio::test]
async fn an_answer_that_drips_is_cut_off_at_the_deadline() {
    let (receiver, dripped) = stuck("HTTP/1.1 200 OK\r\nx-slow: ").await;
    let sender = Sender::dev();
    let answered = sender
        .post_until_deadline(&receiver.url(), dripped.notified())
        .await;
    assert_eq!(answered.answer, Answer::TimedOut);
}

#[tokio::test]
async fn a_body_that_drips_does_not_hold_up_the_verdict() {
    let head = "HTTP/1.1 202 Accepted\r\ncontent-length: 1000\r\n\r\nabc";
    let (receiver, dripped) = stuck(head).await;
    let sender = Sender::dev();
    let webhooks = Arc::clone(&sender.webhooks);
    let request = sender.request(&receiver.url());
    let mut sending = JoinSet::new();
    sending.spawn(async move { webhooks.send(request).await });
    dripped.notified().await;
    // However often the clock is looked at: the body has its own short time.
    let answered = loop {
        tokio::select! {
            done = sending.join_next() => break done.unwrap().unwrap(),
            () = tokio::task::yield_now() => sender.clock.advance(Duration::from_millis(100)),
        }
    };
    assert_eq!(answered.answer, status(202));
    assert!(answered.body.len() <= 3);
}

#[tokio::test]
async fn an_endless_body_is_cut_off_and_its_connection_dropped() {
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let receiver = Receiver::start(move |mut socket| {
        let counted = Arc::clone(&counted);
        async move {
            read_request(&mut socket).await;
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            socket.write_all(head.as_bytes()).await.unwrap();
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
            while socket.write_all(chunk.as_bytes()).await.is_ok() {
                counted.fetch_add(4096, SeqCst);
            }
        }
    })
    .await;
    let sender = Sender::dev();
    for _ in 0..2 {
        let answered = sender.post(&receiver.url()).await;
        assert_eq!(answered.answer, status(200));
        assert_eq!(answered.body.len(), KEPT);
    }
    assert_eq!(receiver.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn an_endless_head_is_a_failure() {
    let receiver = Receiver::start(|mut socket| async move {
        read_request(&mut socket).await;
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
        while socket.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let answered = Sender::dev().post(&receiver.url()).await;
    assert_eq!(answered.answer, Answer::SocketError);
}

#[tokio::test]
async fn a_reset_and_a_closed_port_are_socket_errors() {
    let receiver = Receiver::start(|mut socket| async move {
        read_request(&mut socket).await;
        drop(socket);
    })
    .await;
    let sender = Sender::dev();
    assert_eq!(
        sender.post(&receiver.url()).await.answer,
        Answer::SocketError
    );
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let answered = sender.post(&format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(answered.answer, Answer::SocketError);
    assert!(answered.error.unwrap().contains("127.0.0.1"));
}

#[tokio::test]
async fn what_is_no_http_is_a_socket_error() {
    for answer in [
        "hello\r\n\r\n",
        "HTTP/1.1 999999 no\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        let receiver = Receiver::start(move |mut socket| async move {
            read_request(&mut socket).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        })
        .await;
        let answered = Sender::dev().post(&receiver.url()).await;
        assert_eq!(answered.answer, Answer::SocketError, "{answer:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let metadata = Receiver::start(|_| std::future::pending()).await;
    let to = metadata.url();
    let receiver = Receiver::start(move |mut socket| {
        let to = to.clone();
        async move {
            read_request(&mut socket).await;
            let answer = format!("HTTP/1.1 307 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    assert_eq!(
        Sender::dev().post(&receiver.url()).await.answer,
        status(307)
    );
    assert_eq!(metadata.connections.load(SeqCst), 0);
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let receiver = Receiver::start(|mut socket| async move {
        read_request(&mut socket).await;
        let answer = "HTTP/1.1 429 Slow\r\nretry-after: 77\r\ncontent-length: 0\r\n\r\n";
        socket.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let answered = Sender::dev().post(&receiver.url()).await;
    let expected = Answer::Status {
        code: 429,
        retry_after: Some(Duration::from_secs(77)),
    };
    assert_eq!(answered.answer, expected);
}

#[test]
fn a_url_is_refused_before_anything_is_sent() {
    let tracker = TaskTracker::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let strict = Webhooks::new(
        WebhooksConfig::default(),
        Clock::manual(NOW),
        &tracker,
        &CancellationToken::new(),
    );
    let refused = |url: &str| strict.target(url).unwrap_err();
    let address = |text: &str| BadTarget::Address(text.parse().unwrap());
    assert_eq!(refused("http://example.com/"), BadTarget::NotHttps);
    assert_eq!(refused("https://127.0.0.1/"), address("127.0.0.1"));
    assert_eq!(refused("https://[::1]/"), address("::1"));
    assert_eq!(
        refused("https://169.254.169.254/latest"),
        address("169.254.169.254")
    );
    assert_eq!(refused("https://0x0a000001/"), address("10.0.0.1"));
    assert!(strict.target("https://example.com/").is_ok());

    let dev = Webhooks::new(
        dev(Resolver::System),
        Clock::manual(NOW),
        &tracker,
        &CancellationToken::new(),
    );
    assert!(dev.target("http://127.0.0.1:7071/").is_ok());
    assert_eq!(
        dev.target("http://93.184.216.34/").unwrap_err(),
        BadTarget::NotHttps
    );
    assert_eq!(
        dev.target("http://10.0.0.1/").unwrap_err(),
        address("10.0.0.1")
    );
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let receiver = Receiver::start(|_| std::future::pending()).await;
    let told = |addresses: Vec<IpAddr>| Resolver::Told(Arc::new(move |_| Ok(addresses.clone())));
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
    for address in [loopback, mapped] {
        let config = WebhooksConfig {
            plain_http: PlainHttp::Always,
            resolver: told(vec![address]),
            ..WebhooksConfig::default()
        };
        let url = format!("http://hooks.example.com:{}/", receiver.port);
        let answered = Sender::with(config).post(&url).await;
        assert_eq!(answered.answer, Answer::ResolutionError);
        assert!(answered.error.unwrap().contains("may not be reached"));
    }
    assert_eq!(receiver.connections.load(SeqCst), 0);
}

/// A name that answers well when it is looked up first, and otherwise when it is connected to.
#[tokio::test]
async fn a_name_that_changes_its_mind_is_checked_at_each_connect() {
    let receiver = Receiver::start(|mut socket| async move {
        read_request(&mut socket).await;
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let _ = socket.write_all(answer.as_bytes()).await;
    })
    .await;
    let answers: [&[&str]; 3] = [
        &["127.0.0.1"],
        &["10.0.0.1"],
        &["169.254.169.254", "127.0.0.1"],
    ];
    let answers: Mutex<VecDeque<_>> = Mutex::new(answers.into());
    let resolver = Resolver::Told(Arc::new(move |_| {
        let next = answers.lock().unwrap().pop_front().unwrap();
        Ok(next.iter().map(|text| text.parse().unwrap()).collect())
    }));
    let sender = Sender::with(dev(resolver));
    let url = format!("http://hooks.example.com:{}/", receiver.port);
    assert_eq!(sender.post(&url).await.answer, status(200));
    assert_eq!(sender.post(&url).await.answer, Answer::ResolutionError);
    // Of several addresses only those are used that may be reached.
    assert_eq!(sender.post(&url).await.answer, status(200));
    assert_eq!(receiver.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_to_be_tried_again() {
    let resolver = Resolver::Told(Arc::new(|_| Err(std::io::Error::other("NXDOMAIN"))));
    let sender = Sender::with(dev(resolver));
    let answered = sender.post("https://gone.example.com/").await;
    assert_eq!(answered.answer, Answer::ResolutionError);
    assert!(answered.error.unwrap().contains("NXDOMAIN"));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let (acceptor, root) = certified();
    let receiver = Receiver::start(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(socket).await else {
                return;
            };
            let mut chunk = [0; 1024];
            let _ = stream.read(&mut chunk).await;
            let _ = stream.write_all(OK.as_bytes()).await;
            let _ = stream.flush().await;
        }
    })
    .await;
    let url = format!("https://localhost:{}/", receiver.port);
    let refused = Sender::with(dev(local())).post(&url).await;
    assert_eq!(refused.answer, Answer::SocketError);
    assert!(refused.error.unwrap().contains("TLS"));
    let trusting = Sender::with(WebhooksConfig {
        roots: vec![root],
        ..dev(local())
    });
    assert_eq!(trusting.post(&url).await.answer, status(200));
}
