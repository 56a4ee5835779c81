//! The control plane: resources, links, sign-in.
//!
//! What the data plane asks for on every request (access keys, links, who may sign in) is held in memory as one
//! [`Snapshot`], read again after every change here and within [`POLL`] of a change on another node.

mod attempts;
mod authority;
mod communication;
mod directory;
mod groups;
mod hub_status;
pub mod kinds;
mod link;
mod operation;
mod password;
mod proof;
mod resources;
mod seed;
mod set_up;
mod signin;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::directory::{AppRegistration, User};
use domain::hub::Link;
use secrecy::ExposeSecret;
use store::Store;
use tokio::sync::watch;

use crate::{App, Random, Result};

pub(crate) use authority::Authority;
pub use communication::{Communication, KeyName};
pub use directory::{NewApp, Registrations};
pub use hub_status::HubStatus;
pub use link::Linked;
pub use operation::Operation;
pub(crate) use resources::not_found;
pub use resources::{Draft, Page, Precondition, PutOutcome};
pub use seed::Seeded;
pub use set_up::SetUp;
pub use signin::{Audience, Grant, GrantRequest, Tokens, UserTokens};

/// How often a node looks whether another one, or `carillon app` beside it, changed something: one row is read.
const POLL: Duration = Duration::from_secs(2);

/// The name in `meta` that changes with every change of resources and of what a [`Snapshot`] holds.
pub(crate) const VERSION: &str = "control.version";

/// What the control plane keeps in memory.
pub(crate) struct Control {
    pub(super) attempts: attempts::Attempts,
    pub(super) hub_statuses: hub_status::HubStatuses,
    pub(super) authority: Authority,
    pub(super) operations: operation::Operations,
    snapshot: ArcSwap<Snapshot>,
    /// Tells that a snapshot was read.
    changes: watch::Sender<()>,
    /// One reading at a time, so that an older one never replaces a newer one.
    reading: tokio::sync::Mutex<()>,
}

/// Everything the data plane needs of the control plane, as of one version.
#[derive(Default)]
pub(super) struct Snapshot {
    version: Option<String>,
    /// By lower-cased resource id.
    pub(super) communications: HashMap<String, Arc<Communication>>,
    /// By the lower-cased id of the communication resource.
    pub(super) links: HashMap<String, Arc<Link>>,
    /// By client id.
    pub(super) apps: HashMap<String, Arc<AppRegistration>>,
    /// By lower-cased user principal name.
    pub(super) users: HashMap<String, Arc<User>>,
}

/// The name in `meta` of the sealed key that signs access tokens.
const SIGNING_KEY: &str = "control.signing-key";

impl Control {
    /// Opens the signing key and reads the first snapshot.
    pub(crate) async fn open(store: &Store, random: &Random) -> Result<Self> {
        let control = Self {
            attempts: attempts::Attempts::default(),
            hub_statuses: hub_status::HubStatuses::default(),
            authority: Authority::open(store, random, SIGNING_KEY).await?,
            operations: operation::Operations::default(),
            snapshot: ArcSwap::default(),
            changes: watch::Sender::default(),
            reading: tokio::sync::Mutex::default(),
        };
        control.reload(store).await?;
        control.hub_statuses.refresh(store).await?;
        Ok(control)
    }

    pub(super) fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Reads everything again.
    async fn reload(&self, store: &Store) -> Result<()> {
        let _one = self.reading.lock().await;
        // The version first: a change in between is read twice rather than never.
        let version = store.meta(VERSION).await?;
        let communications = communication::read_all(store).await?;
        let links = store.links().await?;
        let apps = store.apps().await?;
        let users = store.users().await?;
        self.snapshot.store(Arc::new(Snapshot {
            version,
            communications,
            links: keyed(links, |link| link.communication.clone()),
            apps: keyed(apps, |app| app.client_id.clone()),
            users: keyed(users, |user| user.upn.to_lowercase()),
        }));
        self.changes.send_replace(());
        Ok(())
    }
}

fn keyed<T>(items: Vec<T>, key: impl Fn(&T) -> String) -> HashMap<String, Arc<T>> {
    items
        .into_iter()
        .map(|item| (key(&item), Arc::new(item)))
        .collect()
}

impl App {
    /// Commits a change of something a snapshot holds, and reads it back: it is in effect when this returns.
    pub(super) async fn commit_control(&self, mut tx: store::Tx) -> Result<()> {
        mark_changed(&mut tx, &self.random).await?;
        tx.commit().await?;
        self.control.reload(&self.store).await?;
        self.refresh_hubs().await?;
        self.refresh_events().await
    }

    /// Tells when something of the control plane may have changed: resources, their keys, links, who may sign in.
    pub fn control_changes(&self) -> watch::Receiver<()> {
        self.control.changes.subscribe()
    }

    /// Takes up a change that was committed beside this app.
    async fn refresh_control(&self) -> Result<()> {
        self.control.reload(&self.store).await
    }

    /// Follows changes of other nodes until the server stops.
    pub(crate) fn watch_control(&self) {
        let app = self.clone();
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = app.stopping.cancelled() => return,
                    () = app.clock.sleep(POLL) => {}
                }
                if let Err(error) = app.follow_control().await {
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error), "cannot look for changes of the control plane");
                }
            }
        });
    }

    async fn follow_control(&self) -> Result<()> {
        if self.store.meta(VERSION).await? != self.control.snapshot().version {
            self.control.reload(&self.store).await?;
            self.refresh_events().await?;
        }
        self.control.hub_statuses.refresh(&self.store).await
    }
}

/// Marks in the transaction of a change that snapshots are out of date.
async fn mark_changed(tx: &mut store::Tx, random: &Random) -> Result<()> {
    Ok(tx.set_meta(VERSION, &random.uuid().to_string()).await?)
}

/// Compares by digest: how long it takes says nothing about the secret.
pub(crate) fn same_secret(given: &str, held: &secrecy::SecretString) -> bool {
    let digest = |text: &str| ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest(given).as_ref() == digest(held.expose_secret()).as_ref()
}
