//! Whether the webhooks of event subscriptions take what they are sent: read from the store, nobody is asked.

use domain::event::Delivery;
use domain::resource::Resource;
use serde_json::Value;
use store::ResourceQuery;

use super::document::{EVENT_SUBSCRIPTIONS, SYSTEM_TOPIC_SUBSCRIPTIONS};
use super::ids::destination_id;
use crate::Result;
use crate::checkup::Checkup;

/// An event subscription that gets nothing, or not everything.
pub struct SickSubscription {
    /// Its resource id.
    pub resource_id: String,
    /// What is wrong.
    pub trouble: Trouble,
}

/// Why a subscription gets nothing, or not everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its webhook has not said yet that it wants events.
    NotValidated,
    /// Its webhook did not want events.
    Refused,
    /// Its destination does not take this event.
    Failing(Delivery),
}

impl Checkup {
    /// How many event subscriptions there are, and the sick ones among them.
    pub async fn event_subscriptions(&self) -> Result<(usize, Vec<SickSubscription>)> {
        let mut all = Vec::new();
        for kind in [EVENT_SUBSCRIPTIONS, SYSTEM_TOPIC_SUBSCRIPTIONS] {
            let query = ResourceQuery {
                kind,
                ..ResourceQuery::default()
            };
            all.extend(self.store.resources(&query, u32::MAX).await?);
        }
        let mut sick = Vec::new();
        for resource in &all {
            if let Some(trouble) = self.trouble(resource).await? {
                sick.push(SickSubscription {
                    resource_id: resource.id.as_str().to_owned(),
                    trouble,
                });
            }
        }
        Ok((all.len(), sick))
    }

    async fn trouble(&self, resource: &Resource) -> Result<Option<Trouble>> {
        let state = resource.property("provisioningState");
        match state.and_then(Value::as_str) {
            Some("AwaitingManualAction") => return Ok(Some(Trouble::NotValidated)),
            Some("Failed") => return Ok(Some(Trouble::Refused)),
            _ => {}
        }
        let destination = destination_id(resource.id.key());
        let failed = self.store.last_failed_delivery(&destination).await?;
        Ok(failed.map(Trouble::Failing))
    }
}
