//! Forgets events that have been kept long enough, and gives up what waits for subscriptions that are gone.

use std::collections::HashSet;
use std::time::Duration;

use domain::event::DeliveryState;
use domain::id::DestinationId;

use super::ids::{destination_id, lower_bound};
use crate::{App, Result};

impl App {
    /// Sweeps again and again, until the server stops.
    pub(crate) async fn sweep_events(self) {
        loop {
            let pause = self.clock.sleep(EVERY);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if let Err(error) = self.sweep_events_now().await {
                tracing::warn!(%error, "old events could not be swept; they are swept later");
            }
        }
    }

    pub(super) async fn sweep_events_now(&self) -> Result<()> {
        self.give_up_orphans().await?;
        let before = lower_bound(self.clock.now() - self.settings.sends.retention);
        while !self.stopping.is_cancelled() {
            let mut tx = self.store.begin().await?;
            let swept = tx.sweep_events(&before, STEP).await?;
            tx.commit().await?;
            if swept < u64::from(STEP) {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// A subscription may be out of effect for a while; nothing that waits for it is of use after the longest time to
    /// live.
    async fn give_up_orphans(&self) -> Result<()> {
        let snapshot = self.event_snapshot();
        let known: HashSet<DestinationId> = snapshot
            .subscriptions()
            .map(|one| destination_id(one.key()))
            .collect();
        let now = self.clock.now();
        let end = (DeliveryState::Dropped, now);
        for orphan in self.store.destinations_behind().await? {
            if known.contains(&orphan) {
                continue;
            }
            for urgent in [true, false] {
                let mut tx = self.store.begin().await?;
                tx.expire_deliveries(&orphan, urgent, now - LONGEST_LIFE, now, end)
                    .await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }

    /// Gives up whatever waits for a subscription that is deleted, and whose lane has ended with that.
    pub(crate) async fn forget_subscription(&self, key: &str) -> Result<()> {
        let mut tx = self.store.begin().await?;
        tx.drop_deliveries(&destination_id(key)).await?;
        Ok(tx.commit().await?)
    }
}

/// How often it looks.
const EVERY: Duration = Duration::from_secs(300);
/// Events in one transaction: few enough that publishers hardly wait behind it.
const STEP: u32 = 500;
/// The longest time to live, and an hour.
const LONGEST_LIFE: Duration = Duration::from_secs(25 * 3_600);
