//! One subscription is far behind, for its endpoint is dead; another one does not notice.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use http::Response;
use serde_json::json;
use service::Clock;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::events::{COUNTED, Topic, subscribe_with};
use super::{Process, directory};
use crate::receiver::{Receiver, validation};

/// Events that the dead endpoint is behind.
const BEHIND: usize = 100_000;
/// Most that one request holds of them …
const PER_REQUEST: usize = 500;
/// … and requests at once.
const AT_ONCE: usize = 4;
const BLOCKS: usize = 5;
/// Events of a block at each server.
const EVENTS: usize = 300;
/// What the clock and the scheduler of a busy machine add to a figure by chance.
const CHANCE: Duration = Duration::from_millis(1);

/// A server with a live webhook, which says when it got something.
struct Side {
    server: Process,
    topic: Topic,
    _webhook: Receiver,
    arrived: UnboundedReceiver<()>,
    _dir: TempDir,
}

impl Side {
    async fn start() -> Self {
        let dir = directory();
        let server = Process::start(dir.path(), &[]);
        let (tell, arrived) = unbounded_channel();
        let answer = move |got: &crate::receiver::Got| {
            if got.header("aeg-event-type") == "Notification" {
                tell.send(()).unwrap();
            }
            Response::builder()
        };
        let webhook = Receiver::start(answer, validation).await;
        let filter = json!({ "filter": { "includedEventTypes": [COUNTED] } });
        subscribe_with(&server, "alive", &webhook, filter).await;
        Self {
            topic: Topic::of(&server),
            server,
            _webhook: webhook,
            arrived,
            _dir: dir,
        }
    }

    /// A subscription whose endpoint has died, and what it missed.
    async fn fall_behind(&self) {
        let endpoint = Receiver::willing().await;
        subscribe_with(&self.server, "dead", &endpoint, json!({})).await;
        drop(endpoint);
        let publish = |first| async move {
            let missed = first..first + PER_REQUEST;
            let answer = self.topic.publish_all("Contoso.Missed", missed, "").await;
            assert_eq!(answer.unwrap().status(), 200);
        };
        let requests = stream::iter((0..BEHIND).step_by(PER_REQUEST)).map(publish);
        requests.buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    /// How long an event takes from its publisher to the webhook.
    async fn event(&mut self, number: usize) -> Duration {
        let began = Clock::System.instant();
        let answer = self.topic.publish(number, "").await.unwrap();
        assert_eq!(answer.status(), 200);
        self.arrived.recv().await.unwrap();
        began.elapsed()
    }
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

// The two servers take turns: what else the machine does, it does to both. The calmest block counts, for a p99 is
// mostly chance on a machine that does something else.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_that_is_far_behind_slows_no_other() {
    let (mut beside, mut alone) = (Side::start().await, Side::start().await);
    beside.fall_behind().await;
    let mut more = Duration::MAX;
    for block in 0..BLOCKS {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for number in block * EVENTS..(block + 1) * EVENTS {
            with.push(beside.event(number).await);
            without.push(alone.event(number).await);
        }
        let (with, without) = (p99(with), p99(without));
        eprintln!("p99 {with:?} beside it, {without:?} alone");
        more = more.min(with.saturating_sub(without * 11 / 10));
    }
    assert!(
        more < CHANCE,
        "{more:?} more than a tenth, and that at best"
    );
}
