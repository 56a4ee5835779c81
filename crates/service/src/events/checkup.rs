//! Whether event subscriptions get what they want: of their webhooks the store tells, of the containers for dead letters the
//! storage itself.

use std::collections::BTreeMap;

use domain::event::Delivery;
use domain::resource::Resource;
use domain::time::Timestamp;
use futures_util::future::join_all;
use store::ResourceQuery;
use wire::event::subscription as spec;

use super::document::{
    EVENT_SUBSCRIPTIONS, SYSTEM_TOPIC_SUBSCRIPTIONS, State, Step, SubscriptionSecrets, broken,
};
use super::ids::destination_id;
use super::storage::{DeadLettersConfig, Reach};
use crate::Result;
use crate::checkup::Checkup;
use crate::http::Trust;

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
    /// Its webhook did not want events, for this reason.
    Refused(String),
    /// Its destination does not take this event.
    Failing(Delivery),
}

/// A container for dead letters.
pub struct CheckedContainer {
    /// The storage account.
    pub account: String,
    /// The container in it.
    pub container: String,
    /// The resource ids of the subscriptions whose letters it gets.
    pub subscriptions: Vec<String>,
    /// Whether it takes them.
    pub reach: Reach,
    /// Since when the oldest letter waits for it.
    pub waiting_since: Option<Timestamp>,
}

impl Checkup {
    /// How many event subscriptions there are, and the sick ones among them.
    pub async fn event_subscriptions(&self) -> Result<(usize, Vec<SickSubscription>)> {
        let all = self.subscription_resources().await?;
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

    /// The containers that subscriptions name for their dead letters. Each is begun to be written to.
    pub async fn dead_letters(
        &self,
        config: &DeadLettersConfig,
        trust: &Trust,
    ) -> Result<Vec<CheckedContainer>> {
        let mut named: BTreeMap<_, (spec::DeadLetter, Vec<Resource>)> = BTreeMap::new();
        for resource in self.subscription_resources().await? {
            let secrets = SubscriptionSecrets::of(&resource)?;
            let said = spec::Subscription::parse(secrets.state.shown()).map_err(broken)?;
            if let Some(letters) = said.dead_letter {
                let key = (
                    letters.account.name().to_lowercase(),
                    letters.container.clone(),
                );
                let (_, of) = named.entry(key).or_insert_with(|| (letters, Vec::new()));
                of.push(resource);
            }
        }
        let checked = named.into_values().map(async |(letters, of)| {
            let mut waiting_since = None;
            for resource in &of {
                let destination = destination_id(resource.id.key());
                let oldest = self.store.dead_events(&destination, self.clock.now(), 1);
                let oldest = oldest.await?.first().map(|(_, delivery)| delivery.due_at);
                waiting_since = [waiting_since, oldest].into_iter().flatten().min();
            }
            Result::Ok(CheckedContainer {
                account: letters.account.name().to_owned(),
                reach: config.probe(&letters, trust).await,
                subscriptions: of.iter().map(|one| one.id.as_str().to_owned()).collect(),
                waiting_since,
                container: letters.container,
            })
        });
        join_all(checked).await.into_iter().collect()
    }

    async fn subscription_resources(&self) -> Result<Vec<Resource>> {
        let mut all = Vec::new();
        for kind in [EVENT_SUBSCRIPTIONS, SYSTEM_TOPIC_SUBSCRIPTIONS] {
            let query = ResourceQuery {
                kind,
                ..ResourceQuery::default()
            };
            all.extend(self.store.resources(&query, u32::MAX).await?);
        }
        Ok(all)
    }

    async fn trouble(&self, resource: &Resource) -> Result<Option<Trouble>> {
        let secrets = SubscriptionSecrets::of(resource)?;
        match (&secrets.state, secrets.handshake.map(|it| it.step)) {
            (_, Some(Step::Awaiting)) => return Ok(Some(Trouble::NotValidated)),
            (State::Failed { .. }, Some(Step::Failed { message, .. })) => {
                return Ok(Some(Trouble::Refused(message)));
            }
            _ => {}
        }
        let destination = destination_id(resource.id.key());
        let failed = self.store.last_failed_delivery(&destination).await?;
        Ok(failed.map(Trouble::Failing))
    }
}
