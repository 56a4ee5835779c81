//! Group commit for events: what is published and what is settled at the same time is durable together.

use std::sync::Arc;

use domain::id::NodeId;
use tokio_util::task::TaskTracker;

use super::{Publication, Recorded};
use crate::batch::{Batcher, Limits};
use crate::event_deliveries::Settlement;
use crate::{Error, Result, Store};

/// Records what is published and what becomes of it, in one queue: with two, each would wait for the other's commit.
pub struct EventWriter(Batcher<Write, Option<Recorded>>);

enum Write {
    Publish(Publication),
    /// What one request to an endpoint carried.
    Settle(Vec<Settlement>),
}

impl EventWriter {
    /// Records a publication unless it was matched with subscriptions that have changed; durable once this returns.
    pub async fn publish(&self, publication: Publication) -> Result<Recorded> {
        let recorded = self.0.submit(Write::Publish(publication)).await?;
        recorded.ok_or(Error::Stopping)
    }

    /// Records what follows from one request; durable once this returns. It takes its time: who loses it in a crash
    /// delivers again.
    pub async fn settle(&self, settled: Vec<Settlement>) -> Result<()> {
        self.0.submit_idly(Write::Settle(settled)).await.map(drop)
    }
}

impl Store {
    /// Starts the writer of what `node` publishes and delivers. `version` is the name in `meta` that changes with the
    /// subscriptions.
    pub fn event_writer(
        &self,
        node: NodeId,
        version: &'static str,
        tasks: &TaskTracker,
        limits: Limits,
    ) -> EventWriter {
        let store = self.clone();
        EventWriter(Batcher::start(tasks, limits, move |writes| {
            let (store, node) = (store.clone(), node.clone());
            async move { store.write_events(&node, version, &writes).await }
        }))
    }

    async fn write_events(
        &self,
        node: &NodeId,
        version: &str,
        writes: &[Arc<Write>],
    ) -> Result<Vec<Option<Recorded>>> {
        let (mut publications, mut settled) = (Vec::new(), Vec::new());
        for write in writes {
            match &**write {
                Write::Publish(publication) => publications.push(publication),
                Write::Settle(settlements) => settled.extend(settlements),
            }
        }
        let mut tx = self.begin().await?;
        let recorded = tx.record_publications(&publications, version, node).await?;
        tx.settle_event_deliveries(&settled, node).await?;
        tx.commit().await?;
        let mut recorded = recorded.into_iter();
        let answer = |write: &Arc<Write>| match **write {
            Write::Publish(_) => recorded.next(),
            Write::Settle(_) => None,
        };
        Ok(writes.iter().map(answer).collect())
    }
}
