//! The long poll: `?after=SEQ&wait=SECONDS`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::control::Failure;

/// `after` and `wait` of a long poll.
pub(super) struct Poll {
    /// The last line the caller has.
    pub(super) after: u64,
    wait: Duration,
}

impl Poll {
    /// Reads the query.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Failure> {
        let mut poll = Self {
            after: 0,
            wait: Duration::ZERO,
        };
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let number = match &*name {
                "after" => value.parse().map(|after| poll.after = after).is_ok(),
                "wait" => parse_wait(&value).map(|wait| poll.wait = wait).is_some(),
                _ => {
                    let text = format!("{name} is not known; there are after and wait");
                    return Err(Failure::bad_request(text));
                }
            };
            if !number {
                let text = format!("{name} must be a number that is not negative");
                return Err(Failure::bad_request(text));
            }
        }
        Ok(poll)
    }

    /// The lines that `look` finds, as soon as there are any, and none after the wait. `None` if it has no place to look.
    pub(super) async fn lines<T>(
        &self,
        changed: impl Fn() -> Option<Arc<Notify>>,
        look: impl Fn(u64) -> Option<Vec<T>>,
    ) -> Option<Vec<T>> {
        let deadline = tokio::time::Instant::now() + self.wait;
        loop {
            let changed = changed()?;
            let mut next = std::pin::pin!(changed.notified());
            next.as_mut().enable();
            // Looked at only once the next line would be heard of, so that none falls in between.
            let lines = look(self.after)?;
            if !lines.is_empty() || tokio::time::timeout_at(deadline, next).await.is_err() {
                return Some(lines);
            }
        }
    }
}

fn parse_wait(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST_WAIT)))
}

/// Seconds a poll may wait.
const LONGEST_WAIT: f64 = 60.0;
