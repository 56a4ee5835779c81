//! The one source of time. Tests hold a manual clock and move it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::time::Timestamp;
use tokio::sync::watch;

/// Where time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved.
    Manual(Arc<watch::Sender<Timestamp>>),
}

impl Clock {
    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(watch::Sender::new(now)))
    }

    /// The time now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since_epoch = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
            }
            Self::Manual(time) => *time.borrow(),
        }
    }

    /// A monotonic moment, for measuring durations only.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Moves a manual clock forward; does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(time) = self {
            time.send_modify(|now| *now = *now + by);
        }
    }

    /// Waits until `until` has come.
    pub async fn sleep_until(&self, until: Timestamp) {
        match self {
            Self::System => {
                let wait = until.since(self.now());
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            Self::Manual(time) => {
                // The sender lives in `self`, so waiting cannot fail.
                let _ = time.subscribe().wait_for(|now| *now >= until).await;
            }
        }
    }

    /// Waits for `by`.
    pub async fn sleep(&self, by: Duration) {
        self.sleep_until(self.now() + by).await;
    }

    /// The output of `work`, or `None` once `until` has come.
    pub async fn timeout_at<T>(
        &self,
        until: Timestamp,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let work = pin!(work);
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.sleep_until(until) => None,
        }
    }
}
