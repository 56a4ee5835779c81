//! What waits in the store: read into lanes page by page, found again after a restart, and given up when it is too old.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::delivery::{Reason, has_expired};
use domain::event::DeliveryState;
use domain::id::{DestinationId, EventId};
use domain::time::Timestamp;
use store::event_deliveries::{Page, Waiting};

use super::destination::{Destination, Order};
use super::ids::destination_id;
use super::lane::{Cargo, Lane};
use crate::{App, Result};

impl App {
    /// Takes back what this node held when it last stopped. Called before anything new is accepted.
    pub(crate) async fn recover_events(&self) -> Result<()> {
        if let Some(last) = self.store.last_event().await? {
            self.deliveries.ids.go_on_after(&last, self.clock.now());
        }
        let mut tx = self.store.begin().await?;
        let released = tx.release_deliveries(&self.settings.node).await?;
        tx.commit().await?;
        if released > 0 {
            tracing::info!(
                deliveries = released,
                "delivering events that the last run left pending"
            );
        }
        self.look_behind().await
    }

    /// Looks again and again for what waits in the store and nobody here knows of: other nodes leave it there.
    pub(crate) async fn follow_backlogs(self) {
        loop {
            let pause = self.clock.sleep(LOOK);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if let Err(error) = self.look_behind().await {
                tracing::warn!(%error, "the backlogs of events could not be looked for");
            }
        }
    }

    async fn look_behind(&self) -> Result<()> {
        let behind = self.store.destinations_behind().await?;
        if behind.is_empty() {
            return Ok(());
        }
        let mut behind: HashSet<DestinationId> = behind.into_iter().collect();
        let now = self.clock.now();
        for subscription in self.event_snapshot().subscriptions() {
            if behind.remove(&destination_id(subscription.key())) {
                let lane = self.lane_of(subscription);
                lane.note(now);
                self.drive(lane);
            }
        }
        self.look_behind_callbacks(behind.iter()).await
    }

    /// Reads the next page of a lane's backlog.
    pub(super) async fn refill(self, lane: Arc<Lane>, rows: u32) {
        let now = self.clock.now();
        if let Err(error) = self.try_refill(&lane, rows, now).await {
            tracing::error!(%error, subscription = lane.key, "a backlog of events could not be read; it is tried again");
            lane.note(now + AGAIN);
        }
    }

    async fn try_refill(&self, lane: &Lane, rows: u32, now: Timestamp) -> Result<()> {
        let destination = lane.destination();
        let ordered = destination.order != Order::None;
        for urgent in [true, false] {
            let page = Page {
                destination: &lane.id,
                urgent,
                due_by: (!ordered).then_some(now),
                limit: rows,
            };
            let waiting = self.store.backlog(page).await?;
            let is_old = |one: &Waiting| has_expired(destination.policy, one.since, now);
            if waiting.iter().any(is_old) && self.expire(&destination, urgent, now).await? {
                // There may be more of them: the next turn goes on here.
                lane.note(now);
                return Ok(());
            }
            let bytes = waiting.iter().map(|one| one.event.body.len()).sum();
            lane.size_pages(waiting.len(), bytes);
            for one in self.claim(lane, waiting).await? {
                let cargo = Cargo {
                    event: Arc::new(one.event),
                    attempts: one.attempts,
                    since: one.since,
                };
                lane.push(cargo, urgent, one.due_at, now);
            }
            if let Some(due_at) = self.store.next_due(&lane.id, urgent).await? {
                lane.note(if ordered { now } else { due_at });
            }
        }
        Ok(())
    }

    /// Those of a page that no other node was faster to take.
    async fn claim(&self, lane: &Lane, mut waiting: Vec<Waiting>) -> Result<Vec<Waiting>> {
        if waiting.is_empty() {
            return Ok(waiting);
        }
        let ids: Vec<&EventId> = waiting.iter().map(|one| &one.event.id).collect();
        let claimed = loop {
            match self.try_claim(&lane.id, &ids).await {
                // A commit that was not answered may have been made: what is claimed then is nobody's but this node's.
                Err(store::Error::Unavailable(error)) => {
                    tracing::warn!(%error, subscription = lane.key, "a part of a backlog could not be claimed; it is tried again");
                    let pause = self.clock.sleep(AGAIN);
                    if self.stopping.run_until_cancelled(pause).await.is_none() {
                        return Ok(Vec::new());
                    }
                }
                claimed => break claimed?,
            }
        };
        let claimed: HashSet<EventId> = claimed.into_iter().collect();
        waiting.retain(|one| claimed.contains(&one.event.id));
        Ok(waiting)
    }

    async fn try_claim(
        &self,
        destination: &DestinationId,
        events: &[&EventId],
    ) -> store::Result<Vec<EventId>> {
        let mut tx = self.store.begin().await?;
        let node = &self.settings.node;
        let claimed = tx.claim_deliveries(destination, events, node).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Gives up what has come due too late, without reading it; whether there was any.
    async fn expire(
        &self,
        destination: &Destination,
        urgent: bool,
        now: Timestamp,
    ) -> Result<bool> {
        let began_by = now - destination.policy.time_to_live;
        let end = (destination.given_up(), now);
        let mut tx = self.store.begin().await?;
        let expired = tx
            .expire_deliveries(&destination.id, urgent, began_by, now, end)
            .await?;
        tx.commit().await?;
        let reason = Reason::TimeToLiveExceeded;
        let dead = end.0 == DeliveryState::Dead;
        destination.meters.given_up(reason, dead, expired);
        Ok(expired > 0)
    }
}

/// How often a node looks for what others have left in the store.
const LOOK: Duration = Duration::from_secs(10);
/// When a backlog that could not be read is read again.
const AGAIN: Duration = Duration::from_secs(5);
