//! Resources and resource groups of every type: read, list, write, delete, with ARM's rules and texts.

use domain::resource::{Actor, Resource, Touch};
use secrecy::SecretString;
use serde_json::{Map, Value};
use store::ResourceQuery;
use wire::arm::ResourceId;

use crate::{App, Error, Kind, Result, Subscription};

/// How many resources one page lists.
pub const PAGE: u32 = 200;

/// How often a write starts anew because another one was quicker.
const ATTEMPTS: usize = 8;

/// What a resource is to become.
#[derive(Clone, Debug)]
pub struct Draft {
    /// `location`, `tags`, `properties`, …
    pub body: Map<String, Value>,
    /// What is never listed.
    pub secrets: Option<SecretString>,
}

/// `If-Match` and `If-None-Match`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// None was given.
    #[default]
    Always,
    /// `If-Match: *`: there must be one.
    Exists,
    /// `If-Match: "etag"`: it must be this one.
    Is(String),
    /// `If-None-Match: *`: there must be none.
    Absent,
}

/// A resource as it was written.
#[derive(Clone, Debug)]
pub struct PutOutcome {
    /// The resource.
    pub resource: Resource,
    /// Whether it is new.
    pub created: bool,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

impl App {
    /// The subscription `id`, refused with ARM's codes if it is none of ours.
    pub fn subscription(&self, id: &str) -> Result<&Subscription> {
        if uuid::Uuid::try_parse(id).is_err() {
            return Err(Error::invalid(
                "InvalidSubscriptionId",
                format!("The provided subscription identifier '{id}' is malformed or invalid."),
            ));
        }
        let mut known = self.settings.subscriptions.iter();
        known
            .find(|known| known.id.eq_ignore_ascii_case(id))
            .ok_or_else(|| {
                Error::not_found(
                    "SubscriptionNotFound",
                    format!("The subscription '{id}' could not be found."),
                )
            })
    }

    /// The resource group, refused with ARM's codes if it or its subscription is not there.
    pub async fn resource_group(&self, subscription: &str, group: &str) -> Result<Resource> {
        self.subscription(subscription)?;
        let missing = || {
            Error::not_found(
                "ResourceGroupNotFound",
                format!("Resource group '{group}' could not be found."),
            )
        };
        let id = ResourceId::of_group(subscription, group).map_err(|_| missing())?;
        self.store.resource(&id).await?.ok_or_else(missing)
    }

    /// The resource, refused in ARM's order: subscription, group, resource.
    pub async fn resource(&self, id: &ResourceId) -> Result<Resource> {
        self.find_resource(id).await?.ok_or_else(|| not_found(id))
    }

    /// The resource if there is one; its subscription and group must be there.
    pub async fn find_resource(&self, id: &ResourceId) -> Result<Option<Resource>> {
        match id.group() {
            Some(group) => drop(self.resource_group(id.subscription(), group).await?),
            None => drop(self.subscription(id.subscription())?),
        }
        Ok(self.store.resource(id).await?)
    }

    /// A page of the resources that `query` names.
    pub async fn list_resources(&self, query: &ResourceQuery<'_>) -> Result<Page<Resource>> {
        let mut items = self.store.resources(query, PAGE + 1).await?;
        let more = items.len() > PAGE as usize;
        items.truncate(PAGE as usize);
        let last = items.last().filter(|_| more);
        Ok(Page {
            next: last.map(|last| last.id.key().to_owned()),
            items,
        })
    }

    /// Every resource that `query` names.
    pub async fn every_resource(&self, query: &ResourceQuery<'_>) -> Result<Vec<Resource>> {
        Ok(self.store.resources(query, u32::MAX).await?)
    }

    /// Writes a resource: `draft` makes it from what is there now, and may be asked again if another write was
    /// quicker. Subscription, group and parent must be there.
    pub async fn put_resource(
        &self,
        id: &ResourceId,
        precondition: &Precondition,
        actor: &Actor,
        draft: impl Fn(Option<&Resource>) -> Result<Draft> + Send + Sync,
    ) -> Result<PutOutcome> {
        if let Some(parent) = id.parent().filter(|parent| parent.namespace().is_some()) {
            self.parent_resource(&parent).await?;
        }
        self.find_resource(id).await?;
        self.write_resource(id, precondition, actor, draft).await
    }

    /// Changes a resource that is there: `draft` makes it from what it is now, and may be asked again if another write
    /// was quicker.
    pub async fn change_resource(
        &self,
        id: &ResourceId,
        precondition: &Precondition,
        actor: &Actor,
        draft: impl Fn(&Resource) -> Result<Draft> + Send + Sync,
    ) -> Result<Resource> {
        // Asked first for its 404, which comes before any 412.
        self.resource(id).await?;
        let put = self.put_resource(id, precondition, actor, |current| {
            draft(current.ok_or_else(|| not_found(id))?)
        });
        Ok(put.await?.resource)
    }

    /// [`App::put_resource`] without looking where it is put.
    pub(super) async fn write_resource(
        &self,
        id: &ResourceId,
        precondition: &Precondition,
        actor: &Actor,
        draft: impl Fn(Option<&Resource>) -> Result<Draft> + Send + Sync,
    ) -> Result<PutOutcome> {
        for _ in 0..ATTEMPTS {
            let current = self.store.resource(id).await?;
            precondition.check(current.as_ref())?;
            let made = draft(current.as_ref())?;
            let resource = self.written(id, current.as_ref(), made, actor);
            let mut tx = self.store.begin().await?;
            let done = match &current {
                Some(current) => tx.update_resource(&resource, &current.etag).await?,
                None => tx.insert_resource(&resource).await?,
            };
            if done {
                self.commit_control(tx).await?;
                let created = current.is_none();
                return Ok(PutOutcome { resource, created });
            }
        }
        Err(Error::new(
            Kind::Conflict,
            "Conflict",
            format!("'{id}' is being changed by others all the time. Try again."),
        ))
    }

    /// Deletes a resource and what is inside it; `false` if there was none. Its subscription and group must be there.
    pub async fn delete_resource(
        &self,
        id: &ResourceId,
        precondition: &Precondition,
    ) -> Result<bool> {
        let current = self.find_resource(id).await?;
        if *precondition != Precondition::Always {
            precondition.check(current.as_ref())?;
        }
        if current.is_none() {
            return Ok(false);
        }
        self.delete_inside(id).await
    }

    /// Deletes a resource or group with what is inside; `false` if there was nothing.
    pub(super) async fn delete_inside(&self, id: &ResourceId) -> Result<bool> {
        let topics = self.system_topics_of(id).await?;
        let snapshot = self.event_snapshot();
        let mut subscriptions = snapshot.inside(id);
        let mut tx = self.store.begin().await?;
        let deleted = tx.delete_resource(id).await?;
        for topic in &topics {
            tx.delete_resource(topic).await?;
            subscriptions.extend(snapshot.inside(topic));
        }
        self.commit_control(tx).await?;
        for subscription in &subscriptions {
            self.forget_subscription(subscription.key()).await?;
        }
        self.bid_farewell(subscriptions);
        Ok(deleted)
    }

    /// The resource that `draft` makes of `current`, with a new etag.
    pub(super) fn written(
        &self,
        id: &ResourceId,
        current: Option<&Resource>,
        draft: Draft,
        actor: &Actor,
    ) -> Resource {
        let now = Touch {
            at: self.clock.now(),
            by: actor.clone(),
        };
        Resource {
            id: current.map_or_else(|| id.clone(), |current| current.id.clone()),
            etag: self.random.uuid().to_string(),
            body: draft.body,
            secrets: draft.secrets,
            created: current.map_or_else(|| now.clone(), |current| current.created.clone()),
            updated: now,
        }
    }

    async fn parent_resource(&self, parent: &ResourceId) -> Result<()> {
        if self.find_resource(parent).await?.is_some() {
            return Ok(());
        }
        Err(Error::not_found(
            "ParentResourceNotFound",
            format!(
                "Failed to perform 'write' on resource(s) of type '{}', because the parent resource '{parent}' could not be found.",
                super::kinds::spelled(&parent.resource_type())
            ),
        ))
    }
}

impl Precondition {
    /// Checks it against what is there.
    pub fn check(&self, current: Option<&Resource>) -> Result<()> {
        let problem = match (self, current) {
            (Self::Exists | Self::Is(_), None) => "The resource does not exist.",
            (Self::Is(etag), Some(current)) if *etag != current.etag => {
                "The resource has been changed: its etag is another one."
            }
            (Self::Absent, Some(_)) => "The resource exists.",
            _ => return Ok(()),
        };
        Err(Error::new(
            Kind::PreconditionFailed,
            "PreconditionFailed",
            problem,
        ))
    }
}

/// ARM's text for a resource that is not there.
pub fn not_found(id: &ResourceId) -> Error {
    let full = id.resource_type();
    let full = super::kinds::spelled(&full);
    let (namespace, kinds) = full.split_once('/').unwrap_or((&full, ""));
    let path = kinds
        .split('/')
        .zip(id.names())
        .fold(namespace.to_owned(), |path, (kind, name)| {
            format!("{path}/{kind}/{name}")
        });
    Error::not_found(
        "ResourceNotFound",
        format!(
            "The Resource '{path}' under resource group '{}' was not found. For more details please go to \
             https://aka.ms/ARMResourceNotFoundFix",
            id.group().unwrap_or("<null>")
        ),
    )
}
