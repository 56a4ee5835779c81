//! Ends calls that nobody ends, forgets those that ended long enough ago, and the answers of requests that nobody repeats any more.

use std::time::Duration;

use domain::call::Verb;

use crate::callautomation::KEPT;
use crate::{App, Result};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(300);
/// Calls in one transaction: few enough that callers hardly wait behind it.
const STEP: u32 = 200;

impl App {
    /// Sweeps again and again, until the server stops.
    pub(crate) async fn sweep_calls(self) {
        loop {
            let pause = self.clock.sleep(EVERY);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if let Err(error) = self.end_long_calls().await {
                tracing::warn!(%error, "calls that last too long could not be ended; they are ended later");
            }
            if let Err(error) = self.sweep_calls_now().await {
                tracing::warn!(%error, "old calls could not be swept; they are swept later");
            }
        }
    }

    /// Ends calls that are connected for as long as calls may be. Whoever was in them is gone, and did not hang up.
    async fn end_long_calls(&self) -> Result<()> {
        let before = self.clock.now() - self.settings.calls.longest;
        while !self.stopping.is_cancelled() {
            let long = self.store.calls_connected_before(before, STEP).await?;
            for call in &long {
                self.change_call(call.as_str(), Verb::Expire).await?;
            }
            if long.len() < STEP as usize {
                break;
            }
        }
        Ok(())
    }

    async fn sweep_calls_now(&self) -> Result<()> {
        let now = self.clock.now();
        let before = now - self.settings.sends.retention;
        let mut tx = self.store.begin().await?;
        tx.sweep_executed(now - KEPT).await?;
        tx.sweep_callback_addresses(before).await?;
        tx.commit().await?;
        while !self.stopping.is_cancelled() {
            let mut tx = self.store.begin().await?;
            let swept = tx.sweep_calls(before, STEP).await?;
            tx.commit().await?;
            if swept < u64::from(STEP) {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
