//! Every namespace and hub of this server, in memory: who may do what through which hub, without a query.
//!
//! A snapshot is rebuilt after each change on this node, before the change is answered, and when the etags in the
//! store show that another node made one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::hub::{Hub, HubKey, Namespace};
use domain::resource::Resource;
use store::ResourceQuery;
use tokio::sync::Mutex;

use super::credentials::Usable;
use super::document::{Document, HUBS, NAMESPACES};
use crate::{App, Result};

/// The long-lived object of this subject.
#[derive(Default)]
pub(crate) struct Directory {
    snapshot: ArcSwap<Snapshot>,
    /// One rebuild at a time, so that an older one never replaces a newer one.
    rebuilding: Mutex<()>,
}

/// The namespaces and hubs as they are at one moment.
#[derive(Default)]
pub(super) struct Snapshot {
    /// Of all namespaces and hubs, with their keys.
    etags: Vec<(String, String)>,
    /// Oldest first: the first is the default namespace.
    pub(super) namespaces: Vec<Arc<Namespace>>,
    hubs: HashMap<HubKey, Arc<Hub>>,
    /// Hubs by lower-cased name, in the order of their namespaces.
    named: HashMap<String, Vec<Arc<Hub>>>,
}

impl App {
    /// The hub with this lower-cased resource id.
    pub fn hub(&self, key: &str) -> Option<Arc<Hub>> {
        self.hubs.snapshot.load().hubs.get(key).cloned()
    }

    pub(super) fn hub_snapshot(&self) -> Arc<Snapshot> {
        self.hubs.snapshot.load_full()
    }

    /// Takes a change of this node into the snapshot. Called after its commit, before its answer.
    pub(crate) async fn refresh_hubs(&self) -> Result<()> {
        let _one = self.hubs.rebuilding.lock().await;
        // The etags first: a change between the reads is seen again at the next poll, never missed.
        let etags = self.hub_etags().await?;
        let namespaces = self.all_of(NAMESPACES).await?;
        let hubs = self.all_of(HUBS).await?;
        let snapshot = Snapshot::build(etags, &namespaces, &hubs)?;
        self.hubs.snapshot.store(Arc::new(snapshot));
        Ok(())
    }

    /// Follows the changes of other nodes until the server stops.
    pub(crate) async fn follow_hubs(self) {
        while let Some(()) = self.pause(POLL).await {
            let followed = async {
                let etags = self.hub_etags().await?;
                if etags == self.hub_snapshot().etags {
                    return Ok(());
                }
                self.refresh_hubs().await
            };
            if let Err(error) = followed.await {
                tracing::warn!(%error, "the hubs could not be read again; the last known ones stay in use");
            }
        }
    }

    async fn hub_etags(&self) -> Result<Vec<(String, String)>> {
        let mut etags = self.store.resource_etags(NAMESPACES).await?;
        etags.extend(self.store.resource_etags(HUBS).await?);
        Ok(etags)
    }

    async fn all_of(&self, kind: &str) -> Result<Vec<Resource>> {
        let query = ResourceQuery {
            kind,
            ..ResourceQuery::default()
        };
        Ok(self.store.resources(&query, u32::MAX).await?)
    }

    async fn pause(&self, by: Duration) -> Option<()> {
        self.stopping
            .run_until_cancelled(self.clock.sleep(by))
            .await
    }
}

impl Snapshot {
    fn build(
        etags: Vec<(String, String)>,
        namespaces: &[Resource],
        hubs: &[Resource],
    ) -> Result<Self> {
        let mut snapshot = Self {
            etags,
            ..Self::default()
        };
        let mut by_age: Vec<&Resource> = namespaces.iter().collect();
        by_age.sort_by_key(|namespace| (namespace.created.at, namespace.id.key().to_owned()));
        for resource in by_age {
            let above = Document::of(resource)?;
            let namespace = Arc::new(Namespace {
                key: resource.id.key().to_owned(),
                resource_id: resource.id.as_str().to_owned(),
                name: resource.id.name().to_owned(),
                rules: above.rules(),
            });
            for hub in hubs_of(&namespace.key, hubs) {
                snapshot.add(self::hub(&namespace, &above, hub)?);
            }
            snapshot.namespaces.push(namespace);
        }
        Ok(snapshot)
    }

    fn add(&mut self, hub: Hub) {
        let hub = Arc::new(hub);
        self.hubs.insert(hub.key.clone(), Arc::clone(&hub));
        let named = self.named.entry(hub.name.to_ascii_lowercase());
        named.or_default().push(hub);
    }

    /// The hubs called `name`, in any namespace.
    pub(super) fn named(&self, name: &str) -> &[Arc<Hub>] {
        let hubs = self.named.get(&name.to_ascii_lowercase());
        hubs.map_or(&[], Vec::as_slice)
    }

    /// The namespace called `name`.
    pub(super) fn namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.namespaces
            .iter()
            .find(|namespace| namespace.name.eq_ignore_ascii_case(name))
    }
}

fn hubs_of<'r>(namespace: &str, hubs: &'r [Resource]) -> impl Iterator<Item = &'r Resource> {
    let inside = format!("{namespace}/");
    hubs.iter()
        .filter(move |hub| hub.id.key().starts_with(&inside))
}

fn hub(namespace: &Namespace, above: &Document, resource: &Resource) -> Result<Hub> {
    let document = Document::of(resource)?;
    let mut rules = document.rules();
    rules.extend(namespace.rules.iter().cloned());
    // Where a hub has no credential of a kind, that of its namespace serves.
    let mut credentials = above.secrets.credentials.clone();
    credentials.extend(document.secrets.credentials);
    let usable = Usable::of(&credentials).unwrap_or_else(|invalid| {
        tracing::error!(hub = %resource.id, %invalid, "a stored credential is of no use; the hub is without");
        Usable::default()
    });
    Ok(Hub {
        key: resource.id.key().to_owned(),
        resource_id: resource.id.as_str().to_owned(),
        namespace: namespace.name.clone(),
        name: resource.id.name().to_owned(),
        rules,
        apns: usable.apns,
        fcm: usable.fcm,
        apns_certificate: usable.apns_certificate,
    })
}

/// How soon this node sees what another has changed.
const POLL: Duration = Duration::from_secs(2);
