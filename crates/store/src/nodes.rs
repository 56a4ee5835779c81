//! The processes that share the database: a lease for each, and what becomes of the work of one that is gone.
//!
//! A node's row is also the lock of its work: whoever finds the lease over has the row until the work is its own, and
//! a node that comes back waits for that. So what a dead node left pending is taken over by exactly one other.

use std::collections::HashSet;

use domain::id::{NodeId, NotificationId};
use domain::time::Timestamp;

use crate::db::{Engine, tx};
use crate::notifications::{PENDING, Pending, pending_of};
use crate::{Result, Store, Tx};

const RENEW: &str = "insert into nodes (id, seen_at, lease_until) values ($1, $2, $3) \
    on conflict (id) do update set seen_at = excluded.seen_at, lease_until = excluded.lease_until";
const GIVE_BACK: &str = "update nodes set lease_until = 0 where id = $1";
const OVER: &str = "update nodes set lease_until = 0 where lease_until <= $1 returning id";
pub(crate) const TAKE: &str = "update notifications set node = $1 where node = $2 and id in \
    (select notification_id from deliveries where outcome is null) returning id";
const FORGET: &str = "delete from nodes where seen_at < $1 and lease_until = 0";

impl Store {
    /// Whether other processes may use the database at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }
}

impl Tx {
    /// Renews a node's lease, or begins it.
    pub async fn renew_lease(
        &mut self,
        node: &NodeId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(RENEW)
                .bind(node.as_str())
                .bind(now.micros())
                .bind(until.micros())
        )?;
        Ok(())
    }

    /// Ends a node's lease: others may have what it left pending.
    pub async fn give_lease_back(&mut self, node: &NodeId) -> Result<()> {
        tx!(self, execute, sqlx::query(GIVE_BACK).bind(node.as_str()))?;
        Ok(())
    }

    /// Makes `node` the sender of everything that nodes whose lease is over at `now` left pending; says what that is.
    pub async fn take_over(&mut self, node: &NodeId, now: Timestamp) -> Result<Pending> {
        let over: Vec<String> = tx!(self, fetch_all, sqlx::query_scalar(OVER).bind(now.micros()))?;
        let mut taken = HashSet::new();
        for gone in over {
            let ids: Vec<String> = tx!(
                self,
                fetch_all,
                sqlx::query_scalar(TAKE)
                    .bind(node.as_str())
                    .bind(gone.as_str())
            )?;
            taken.extend(ids.into_iter().map(NotificationId::new));
            // Whoever refills the backlog of a destination finds these there.
            self.release_deliveries(&NodeId::new(gone)).await?;
        }
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let rows = tx!(
            self,
            fetch_all,
            sqlx::query_as::<_, (String, i64)>(PENDING).bind(node.as_str())
        )?;
        let mut pending = pending_of(rows)?;
        pending.retain(|(id, _)| taken.contains(id));
        Ok(pending)
    }

    /// Forgets nodes that are gone since `before`.
    pub async fn forget_nodes(&mut self, before: Timestamp) -> Result<()> {
        tx!(self, execute, sqlx::query(FORGET).bind(before.micros()))?;
        Ok(())
    }
}
