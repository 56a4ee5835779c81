//! This process among those that share the database: its lease, and the work of nodes whose lease is over.
//!
//! A node sends what it accepted itself. While it renews its lease, nobody else sends that; when it is gone, exactly
//! one other node does. One that was only held up may send beside it: a push carries the same `apns-id` either way, and
//! the first end that is settled stays.

use std::time::Duration;

use domain::time::Timestamp;
use store::notifications::Pending;

use crate::{App, Result};

/// How often the lease is renewed, and how often nodes that are gone are looked for.
const ROUND: Duration = Duration::from_secs(3);
/// Without a renewal for so long, a node is gone. Longer than a database takes to fail over a connection, much longer
/// than clocks of a cluster differ.
const LEASE: Duration = Duration::from_secs(10);
/// After so long without a sign of life, a node is forgotten.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

impl App {
    /// Begins the lease, and sends what this node's last run and nodes that are gone left pending. Nothing new can have
    /// been accepted yet.
    pub(crate) async fn join_nodes(&self) -> Result<()> {
        self.renew_lease().await?;
        let own = self.store.pending_deliveries(&self.settings.node).await?;
        self.resume(own);
        self.resume(self.take_over().await?);
        Ok(())
    }

    /// Renews the lease and takes over from others, until the server stops. A database of this process alone needs
    /// neither.
    pub(crate) async fn keep_lease(self) {
        while self.store.is_shared() {
            let pause = self.clock.sleep(ROUND);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "the lease of this node could not be renewed");
            }
        }
    }

    /// Gives the lease back: what a stop left pending need not wait until it is over.
    pub(crate) async fn leave_nodes(&self) {
        if let Err(error) = self.give_lease_back().await {
            tracing::warn!(%error, "the lease of this node could not be given back");
        }
    }

    async fn round(&self) -> Result<()> {
        self.renew_lease().await?;
        self.resume(self.take_over().await?);
        Ok(())
    }

    async fn renew_lease(&self) -> Result<()> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        tx.renew_lease(&self.settings.node, now, now + LEASE)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn give_lease_back(&self) -> Result<()> {
        let mut tx = self.store.begin().await?;
        tx.give_lease_back(&self.settings.node).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn take_over(&self) -> Result<Pending> {
        let now: Timestamp = self.clock.now();
        let mut tx = self.store.begin().await?;
        let taken = tx.take_over(&self.settings.node, now).await?;
        tx.forget_nodes(now - REMEMBERED).await?;
        tx.commit().await?;
        Ok(taken)
    }
}
