//! A database that goes away and a disk that is full: what is not durable is answered 503, and nothing else is lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use tempfile::TempDir;

use super::crash::{Sender, lab_and_hub, received};
use super::events::{Topic, relabel, subscribe, until_complete};
use super::people::{APNS, Phone};
use super::{PROGRAM, Process, by, directory, signal};
use crate::receiver::Receiver;

/// A PostgreSQL of its own, which can be stopped while others use theirs.
struct Postgres {
    dir: TempDir,
    server: Child,
}

impl Postgres {
    /// `None`, and a line that says so, when PostgreSQL is not to be used (`make rust` uses it).
    fn start() -> Option<Self> {
        if std::env::var_os("TEST_POSTGRES").is_none() {
            eprintln!("NOT RUN on PostgreSQL: TEST_POSTGRES is not set (use `make rust`)");
            return None;
        }
        let dir = directory();
        let server = Self::run(&dir);
        Some(Self { dir, server })
    }

    fn run(dir: &TempDir) -> Child {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/postgres.sh");
        let mut command = Command::new(script);
        let quiet = command.arg(dir.path()).stdout(Stdio::null());
        let mut server = quiet.stderr(Stdio::null()).spawn().unwrap();
        let is_ready = || {
            let mut ask = Command::new("pg_isready");
            let ask = ask.args(["-q", "-U", "postgres", "-h"]).arg(dir.path());
            ask.status().unwrap().success()
        };
        while !is_ready() {
            assert!(server.try_wait().unwrap().is_none(), "PostgreSQL has ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn url(&self) -> String {
        let dir = self.dir.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://postgres@{dir}/postgres")
    }

    /// Stops at once: `INT` ends all sessions, `QUIT` is a crash.
    fn stop(&mut self, how: &str) {
        signal(self.server.id(), how);
        self.server.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.server = Self::run(&self.dir);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop("QUIT");
    }
}

/// What publishers have been answered.
#[derive(Default)]
struct Publishing {
    next: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

impl Publishing {
    /// Publishes one event after the other until told to stop; the numbers of those that were answered 200.
    async fn run(&self, topic: &Topic) -> Vec<usize> {
        let mut accepted = Vec::new();
        while !self.stop.load(SeqCst) {
            let number = self.next.fetch_add(1, SeqCst);
            let answer = topic.publish(number, "").await.unwrap();
            if answer.status() == StatusCode::OK {
                accepted.push(number);
                self.accepted.fetch_add(1, SeqCst);
            } else {
                assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
                assert!(answer.headers().contains_key("retry-after"));
                self.refused.fetch_add(1, SeqCst);
            }
        }
        accepted
    }

    /// Waits for so many more accepted.
    async fn goes_on(&self, count: usize) {
        let enough = self.accepted.load(SeqCst) + count;
        while self.accepted.load(SeqCst) < enough {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for another refusal.
    async fn fails(&self) {
        let before = self.refused.load(SeqCst);
        while self.refused.load(SeqCst) == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What a load balancer is told.
async fn ready(server: &Process) -> StatusCode {
    let http = server.client().build().unwrap();
    let url = format!("{}/readyz", server.text("http_url"));
    http.get(url).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_database_loses_no_event_and_is_answered_503() {
    let Some(mut database) = Postgres::start() else {
        return;
    };
    let dir = directory();
    let webhook = Receiver::willing().await;
    let server = Process::start(dir.path(), &[("CARILLON_DATABASE", &database.url())]);
    subscribe(&server, &webhook, &[]).await;
    let topic = Topic::of(&server);
    let publishing = Publishing::default();
    let restarts = async {
        for how in ["INT", "QUIT"] {
            publishing.goes_on(100).await;
            database.stop(how);
            publishing.fails().await;
            assert_eq!(ready(&server).await, StatusCode::SERVICE_UNAVAILABLE);
            database.start_again();
        }
        publishing.goes_on(100).await;
        publishing.stop.store(true, SeqCst);
    };
    let publishers = join_all((0..8).map(|_| publishing.run(&topic)));
    let (accepted, ()) = tokio::join!(publishers, restarts);
    let accepted: BTreeSet<usize> = accepted.into_iter().flatten().collect();
    until_complete(&webhook, &accepted).await;
    assert_eq!(ready(&server).await, StatusCode::OK);
    server.signal("TERM");
    assert!(server.ended_well());
}

/// Starts a server whose disk can be made full.
fn start_on_a_small_disk(dir: &Path, command: &str) -> Process {
    // Beside the error that a full disk gives too, a limit on files sends a signal, which would end the process.
    let shell = ["-c", "trap '' XFSZ; exec \"$@\"", "sh", PROGRAM, command];
    let free = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    Process::spawn(by("sh", &shell).args(free).current_dir(dir), dir)
}

/// Leaves no more room for the files of the server than this beyond what they have.
fn leave_room(server: &Process, bytes: Option<u64>) {
    let size = |name: &str| {
        let file = Path::new(server.data_dir()).join(name);
        file.metadata().map_or(0, |file| file.len())
    };
    let most = ["carillon.db", "carillon.db-wal"].map(size).into_iter();
    let most = most.max().unwrap_or_default();
    let limit = bytes.map_or("unlimited".to_owned(), |room| (most + room).to_string());
    let mut prlimit = Command::new("prlimit");
    let pid = server.pid().to_string();
    let done = prlimit.args(["--pid", &pid, &format!("--fsize={limit}:")]);
    assert!(done.status().unwrap().success());
}

/// Whether a request was accepted; if not, it was answered as it should be when the disk is full.
fn is_accepted(answer: &reqwest::Response) -> bool {
    if answer.status().is_success() {
        return true;
    }
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    false
}

/// Larger than what is left when there was not enough for another like it.
const LARGE: usize = 60_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_503_and_loses_no_event() {
    let dir = directory();
    let webhook = Receiver::willing().await;
    let server = start_on_a_small_disk(dir.path(), "dev");
    // What is accepted waits for the last start.
    subscribe(&server, &webhook, &["carillon:rate-limit=1/min"]).await;
    let (topic, data) = (Topic::of(&server), "x".repeat(LARGE));
    let mut accepted = BTreeSet::new();
    let mut numbers = 0..;
    let mut publish = async |text: &str| {
        let number = numbers.next().unwrap();
        let answer = topic.publish(number, text).await.unwrap();
        is_accepted(&answer) && accepted.insert(number)
    };
    for _ in 0..3 {
        leave_room(&server, Some(512 * 1024));
        while publish(&data).await {}
        for _ in 0..10 {
            assert!(!publish(&data).await, "there is no room for it");
        }
        leave_room(&server, None);
        assert!(publish("").await, "there is room again");
    }
    leave_room(&server, Some(512 * 1024));
    while publish(&data).await {}
    server.signal("KILL");
    assert!(!server.ended_well());
    assert!(accepted.len() > 20, "{} were accepted", accepted.len());

    let server = Process::start(dir.path(), &[]);
    relabel(&server, &[]);
    until_complete(&webhook, &accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_503_and_loses_no_send() {
    let (lab_dir, dir) = (directory(), directory());
    let (lab, env) = lab_and_hub(lab_dir.path(), dir.path()).await;
    let phone = Phone::new(&lab, APNS).await;
    let server = start_on_a_small_disk(dir.path(), "serve");
    let sender = Sender::of(&server, &env["hub"]);
    let mut accepted = BTreeSet::new();
    let mut numbers = 0..;
    let mut send = async || {
        let number = numbers.next().unwrap();
        let answer = sender.send(number, &phone).await.unwrap();
        is_accepted(&answer) && accepted.insert(number)
    };
    for _ in 0..3 {
        leave_room(&server, Some(128 * 1024));
        while send().await {}
        leave_room(&server, None);
        assert!(send().await, "there is room again");
    }
    let got = received(&lab, &phone.id, &accepted).await;
    assert!(accepted.is_subset(&got), "{accepted:?} but {got:?}");
}
