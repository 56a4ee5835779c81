//! How sends through linked hubs fare. A failure is written down when it begins and when it ends, not in between: so it
//! shows at every node and after a start, and sends that go well cost nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::time::Timestamp;
use serde::Serialize;
use store::Store;

use crate::{App, Result};

/// What the last send through a resource's linked hub failed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HubStatus {
    /// Why.
    pub error: String,
    /// Since when.
    pub at: Timestamp,
}

/// The failures of every link, as the store has them or is about to.
#[derive(Default)]
pub(crate) struct HubStatuses {
    known: Mutex<Known>,
    /// One reading or writing at a time.
    storing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    failing: HashMap<String, HubStatus>,
    /// Changes that are not written down yet.
    unsaved: usize,
}

impl HubStatuses {
    /// Takes up what other nodes wrote down, unless something here is newer.
    pub(super) async fn refresh(&self, store: &Store) -> Result<()> {
        let _one = self.storing.lock().await;
        let failures = store.hub_failures().await?;
        let mut known = self.known();
        if known.unsaved == 0 {
            let status = |(key, error, at)| (key, HubStatus { error, at });
            known.failing = failures.into_iter().map(status).collect();
        }
        Ok(())
    }

    /// Forgets a failure that is written down no more.
    pub(super) fn forget(&self, communication: &str) {
        self.known().failing.remove(communication);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// Notes how a send through the linked hub of a resource ended.
    pub fn note_hub_status(&self, communication: &str, outcome: std::result::Result<(), String>) {
        let mut known = self.control.hub_statuses.known();
        let failing = &mut known.failing;
        match (failing.get(communication), outcome) {
            (None, Ok(())) => return,
            (Some(held), Err(error)) if held.error == error => return,
            (Some(_), Ok(())) => {
                tracing::info!(communication, "sends through the linked hub go well again");
                failing.remove(communication);
            }
            (_, Err(error)) => {
                tracing::warn!(communication, error, "a send through the linked hub failed");
                let at = self.clock.now();
                failing.insert(communication.to_owned(), HubStatus { error, at });
            }
        }
        known.unsaved += 1;
        drop(known);
        self.tasks
            .spawn(self.clone().save_hub_status(communication.to_owned()));
    }

    /// What sends through the linked hub of a resource fail with, if they do.
    pub fn hub_status(&self, communication: &str) -> Option<HubStatus> {
        let known = self.control.hub_statuses.known();
        known.failing.get(communication).cloned()
    }

    /// Writes down how it stands now, which may be newer than what the task was started for.
    async fn save_hub_status(self, communication: String) {
        let statuses = &self.control.hub_statuses;
        let _one = statuses.storing.lock().await;
        let status = self.hub_status(&communication);
        if let Err(error) = self.write_hub_status(&communication, status).await {
            tracing::warn!(%error, %communication, "the status of a linked hub could not be written down");
        }
        statuses.known().unsaved -= 1;
    }

    async fn write_hub_status(&self, communication: &str, status: Option<HubStatus>) -> Result<()> {
        let mut tx = self.store.begin().await?;
        match status {
            Some(status) => {
                tx.put_hub_failure(communication, &status.error, status.at)
                    .await?;
            }
            None => tx.delete_hub_failure(communication).await?,
        }
        tx.commit().await?;
        Ok(())
    }
}
