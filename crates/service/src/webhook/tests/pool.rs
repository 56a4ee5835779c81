//! Who gets which connection, and when a new one is opened.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore};

use super::super::connect::CONNECT_WITHIN;
use super::super::origin::DIALS;
use super::*;

/// What is not urgent may open so many connections at once.
const BULK_DIALS: usize = DIALS / 4 * 3;

/// Answers requests as long as there are any, each when it may.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, may_answer: &Semaphore) {
    while !read_request(&mut stream).await.is_empty() {
        may_answer.acquire().await.unwrap().forget();
        if stream.write_all(OK.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_urgent_does_not_wait_for_connections_that_hang_and_those_who_wait_take_its_own() {
    let (acceptor, root) = certified();
    let number = AtomicUsize::new(0);
    let receiver = Receiver::start(move |socket| {
        let acceptor = acceptor.clone();
        let hangs = number.fetch_add(1, SeqCst) < BULK_DIALS;
        async move {
            if hangs {
                // The handshake gets no answer.
                let _socket = socket;
                return std::future::pending().await;
            }
            let free = Semaphore::new(Semaphore::MAX_PERMITS);
            serve(acceptor.accept(socket).await.unwrap(), &free).await;
        }
    })
    .await;
    let sender = Sender::with(WebhooksConfig {
        roots: vec![root],
        ..dev(local())
    });
    let bulk = sender.begin(100, &receiver.https_url(), false);
    receiver.connections(BULK_DIALS).await;
    let urgent = sender.begin(1, &receiver.https_url(), true);
    assert_eq!(urgent.join_all().await, [status(200)]);
    // No time has passed: all went over the one connection that works.
    assert_eq!(bulk.join_all().await, vec![status(200); 100]);
    receiver.connections(BULK_DIALS + 1).await;
    drop(receiver);
    sender.forgets_all().await;
}

#[tokio::test]
async fn a_connection_whose_handshake_hangs_is_given_up_and_the_next_have_their_turn() {
    let receiver = Receiver::start(|socket| async move {
        let _socket = socket;
        std::future::pending::<()>().await;
    })
    .await;
    let sender = Sender::with(dev(local()));
    let mut bulk = sender.begin(2 * BULK_DIALS, &receiver.https_url(), false);
    let urgent = sender.begin(100, &receiver.https_url(), true);
    receiver.connections(DIALS).await;
    sender.clock.advance(CONNECT_WITHIN);
    receiver.connections(2 * DIALS).await;
    for _ in 0..BULK_DIALS {
        let answered = bulk.join_next().await.unwrap();
        assert_eq!(answered.unwrap(), Answer::SocketError);
    }
    // Nobody wants an answer any more: what is being opened comes to its end, and nothing else is begun.
    drop((bulk, urgent));
    sender.forgets_all().await;
    receiver.connections(2 * DIALS).await;
}

#[tokio::test]
async fn whoever_waits_takes_a_connection_that_becomes_idle_and_leaves_the_new_one_to_others() {
    let (acceptor, root) = certified();
    let (number, may_answer) = (AtomicUsize::new(0), Arc::new(Semaphore::new(0)));
    let may_accept = Arc::new(Notify::new());
    let (answers, accepts) = (Arc::clone(&may_answer), Arc::clone(&may_accept));
    let receiver = Receiver::start(move |socket| {
        let (acceptor, is_first) = (acceptor.clone(), number.fetch_add(1, SeqCst) == 0);
        let (answers, accepts) = (Arc::clone(&answers), Arc::clone(&accepts));
        async move {
            if !is_first {
                accepts.notified().await;
            }
            serve(acceptor.accept(socket).await.unwrap(), &answers).await;
        }
    })
    .await;
    let sender = Sender::with(WebhooksConfig {
        roots: vec![root],
        ..dev(local())
    });
    let sending = sender.begin(2, &receiver.https_url(), false);
    receiver.connections(2).await;
    may_answer.add_permits(2);
    assert_eq!(sending.join_all().await, vec![status(200); 2]);
    may_accept.notify_one();
    until(|| sender.webhooks.pool.idle() == 2).await;
    let sending = sender.begin(2, &receiver.https_url(), false);
    receiver.connections(2).await;
    may_answer.add_permits(2);
    assert_eq!(sending.join_all().await, vec![status(200); 2]);
    drop(receiver);
    sender.forgets_all().await;
}

#[tokio::test]
async fn a_host_has_so_many_connections_and_a_part_is_for_what_is_urgent() {
    let (seen, may_answer) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(Semaphore::new(0)),
    );
    let (log, answers) = (Arc::clone(&seen), Arc::clone(&may_answer));
    let receiver = Receiver::start(move |mut socket| {
        let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
        async move {
            loop {
                let request = read_request(&mut socket).await;
                let path = request.split(' ').nth(1).map(str::to_owned);
                let Some(path) = path else { return };
                log.lock().unwrap().push(path);
                answers.acquire().await.unwrap().forget();
                socket.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let sender = Sender::with(WebhooksConfig {
        connections: 8,
        ..dev(Resolver::System)
    });
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", receiver.port);
    let bulk = sender.begin(10, &url("bulk"), false);
    receiver.connections(6).await;
    let urgent = sender.begin(3, &url("urgent"), true);
    receiver.connections(8).await;
    until(|| seen.lock().unwrap().len() == 8).await;
    // Whichever is answered, the next is urgent, and goes over its connection.
    may_answer.add_permits(1);
    until(|| seen.lock().unwrap().len() == 9).await;
    assert_eq!(seen.lock().unwrap()[8], "/urgent");
    may_answer.add_permits(100);
    assert_eq!(bulk.join_all().await, vec![status(200); 10]);
    assert_eq!(urgent.join_all().await, vec![status(200); 3]);
    receiver.connections(8).await;
    drop(receiver);
    sender.forgets_all().await;
}

#[tokio::test]
async fn whoever_finds_no_connection_in_time_is_told_so() {
    let receiver = Receiver::start(|mut socket| async move {
        read_request(&mut socket).await;
        std::future::pending::<()>().await;
    })
    .await;
    let sender = Sender::with(WebhooksConfig {
        connections: 1,
        ..dev(Resolver::System)
    });
    let url = receiver.url();
    let second = async {
        receiver.connections(1).await;
        sender
            .post_until_deadline(&url, tokio::task::yield_now())
            .await
    };
    let (first, second) = tokio::join!(sender.post(&url), second);
    let said = |answered: Answered| (answered.answer, answered.error.unwrap());
    let late = |what: &str| (Answer::TimedOut, format!("{what} within 30 seconds"));
    assert_eq!(said(first), late("no answer"));
    assert_eq!(said(second), late("no connection was free"));
    drop(receiver);
    sender.forgets_all().await;
}

/// Whatever receivers do with connections, everybody gets an answer, and nothing is left.
#[tokio::test]
async fn connections_that_end_badly_leave_nobody_waiting() {
    let number = AtomicUsize::new(0);
    let receiver = Receiver::start(move |mut socket| {
        let manner = number.fetch_add(1, SeqCst) % 4;
        async move {
            let last = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            match manner {
                0 => {}
                1 => drop(socket.write_all(last.as_bytes()).await),
                // Says nothing of it that it takes no other.
                2 => {
                    read_request(&mut socket).await;
                    drop(socket.write_all(OK.as_bytes()).await);
                }
                _ => {
                    for _ in 0..3 {
                        read_request(&mut socket).await;
                        drop(socket.write_all(OK.as_bytes()).await);
                    }
                }
            }
        }
    })
    .await;
    let sender = Sender::with(WebhooksConfig {
        connections: 5,
        ..dev(Resolver::System)
    });
    let mut sending = sender.begin(200, &receiver.url(), false);
    let mut urgent = sender.begin(200, &receiver.url(), true);
    let mut answers = Vec::new();
    for _ in 0..150 {
        answers.push(sending.join_next().await.unwrap().unwrap());
        answers.push(urgent.join_next().await.unwrap().unwrap());
    }
    // Some go before they have an answer.
    drop(urgent);
    answers.extend(sending.join_all().await);
    assert!(answers.contains(&status(200)));
    assert!(!answers.contains(&Answer::TimedOut));
    drop(receiver);
    sender.forgets_all().await;
}
