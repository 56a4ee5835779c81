//! Forgets notifications and deliveries that have been kept long enough.

use std::time::Duration;

use crate::{App, Result};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(300);

/// Notifications in one transaction: few enough that senders hardly wait behind it.
const STEP: u32 = 500;

impl App {
    /// Sweeps again and again, until the server stops.
    pub(crate) async fn sweep_notifications(self) {
        loop {
            if let Err(error) = self.sweep_now().await {
                tracing::warn!(%error, "old notifications could not be swept; they are swept later");
            }
            let pause = self.clock.sleep(EVERY);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    async fn sweep_now(&self) -> Result<()> {
        let before = self.clock.now() - self.settings.sends.retention;
        while !self.stopping.is_cancelled() {
            let mut tx = self.store.begin().await?;
            let swept = tx.sweep_notifications(before, STEP).await?;
            tx.commit().await?;
            if swept < u64::from(STEP) {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
