//! Group commit for sends: what is accepted and what is settled at the same time is durable together.

use std::sync::Arc;

use domain::id::NodeId;
use tokio_util::task::TaskTracker;

use super::{Acceptance, Accepted, Settlement};
use crate::batch::{Batcher, Limits};
use crate::{Error, Result, Store};

/// Records what is accepted and how it ended, in one queue: with two, each would wait for the other's commit.
pub struct Writer(Batcher<Write, Option<Accepted>>);

enum Write {
    Accept(Acceptance),
    Settle(Settlement),
}

impl Writer {
    /// Records a notification unless it repeats another; durable once this returns.
    pub async fn accept(&self, acceptance: Acceptance) -> Result<Accepted> {
        let accepted = self.0.submit(Write::Accept(acceptance)).await?;
        accepted.ok_or(Error::Stopping)
    }

    /// Records how a delivery ended; durable once this returns. It takes its time: who loses it in a crash sends again.
    pub async fn settle(&self, settlement: Settlement) -> Result<()> {
        self.0
            .submit_idly(Write::Settle(settlement))
            .await
            .map(drop)
    }
}

impl Store {
    /// Starts the writer of what `node` sends.
    pub fn sends(&self, node: NodeId, tasks: &TaskTracker, limits: Limits) -> Writer {
        let store = self.clone();
        Writer(Batcher::start(tasks, limits, move |writes| {
            let (store, node) = (store.clone(), node.clone());
            async move { store.write(&node, &writes).await }
        }))
    }

    async fn write(&self, node: &NodeId, writes: &[Arc<Write>]) -> Result<Vec<Option<Accepted>>> {
        let (mut acceptances, mut settlements) = (Vec::new(), Vec::new());
        for write in writes {
            match &**write {
                Write::Accept(acceptance) => acceptances.push(acceptance),
                Write::Settle(settlement) => settlements.push(settlement),
            }
        }
        let mut tx = self.begin().await?;
        let mut accepted = tx
            .accept_notifications(node, &acceptances)
            .await?
            .into_iter();
        tx.settle_deliveries(&settlements).await?;
        tx.commit().await?;
        let answer = |write: &Arc<Write>| match **write {
            Write::Accept(_) => accepted.next(),
            Write::Settle(_) => None,
        };
        Ok(writes.iter().map(answer).collect())
    }
}
