//! From a durable notification to a settled delivery: in the background, through the push lanes or a remote hub.
//!
//! What a crash or a stop leaves pending is found at the next start and sent again under the same `apns-id`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::hub::{Hub, HubKey};
use domain::id::{NodeId, NotificationId};
use domain::notification::{Notification, NotificationHub};
use domain::push::{Attempted, Credential, Outcome, Platform, Push};
use domain::time::Timestamp;
use store::Store;
use store::batch::Limits;
use store::notifications::{Pending, Settlement, Writer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::hub::payload::with_token;

use super::direct::digest;
use super::remote::Remotes;
use super::ringing::{Listed, Ringing};
use crate::{App, Error, Kind, Result};

/// How sending is bounded.
#[derive(Clone, Debug)]
pub struct SendsConfig {
    /// Deliveries that one hub may have pending; a send beyond them is answered 429.
    pub pending_per_hub: usize,
    /// How long notifications and their deliveries are kept.
    pub retention: Duration,
}

impl Default for SendsConfig {
    fn default() -> Self {
        Self {
            pending_per_hub: 16_384,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// The long-lived object of this subject.
pub(crate) struct Sends {
    pub(super) writer: Writer,
    config: SendsConfig,
    rooms: Mutex<HashMap<HubKey, Arc<Semaphore>>>,
    pub(super) ringing: Arc<Ringing>,
    pub(super) remotes: Remotes,
}

/// The end of one delivery: how it ended, once that is settled; nothing if the server stopped first.
pub(super) type Landing = JoinHandle<Option<Attempted>>;

const CANCELLED: &str = "cancelled: the user need not be rung any more";

const BATCH: Limits = Limits {
    queue: 16_384,
    batch: 512,
    patience: Duration::from_millis(5),
};

impl Sends {
    pub(crate) fn new(store: &Store, node: NodeId, config: SendsConfig) -> Self {
        // A tracker of their own: the writer ends with the app, later than the tasks that a stop waits for.
        let tasks = TaskTracker::new();
        Self {
            writer: store.sends(node, &tasks, BATCH),
            config,
            rooms: Mutex::default(),
            ringing: Arc::default(),
            remotes: Remotes::default(),
        }
    }

    /// Room for `deliveries` more of a hub: a hub whose push service is down fills its own room and nobody else's.
    pub(super) fn room(&self, hub: &HubKey, deliveries: usize) -> Result<OwnedSemaphorePermit> {
        let room = {
            let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            match rooms.get(hub) {
                Some(room) => Arc::clone(room),
                None => {
                    let room = Arc::new(Semaphore::new(self.config.pending_per_hub));
                    Arc::clone(rooms.entry(hub.clone()).or_insert(room))
                }
            }
        };
        let wanted = u32::try_from(deliveries).unwrap_or(u32::MAX);
        room.try_acquire_many_owned(wanted).map_err(|_| {
            let message = format!(
                "{} deliveries of this hub are pending. Try again.",
                self.config.pending_per_hub
            );
            Error::new(
                Kind::Throttled(Duration::from_secs(1)),
                "Throttled",
                message,
            )
        })
    }
}

/// A notification on its way.
pub(super) struct Flight {
    pub(super) notification: Arc<Notification>,
    /// Cancelled when it rings a user who need not be rung any more.
    pub(super) cancelled: CancellationToken,
    /// What it is listed in meanwhile.
    pub(super) _listed: Option<Listed>,
    /// Given back when the last delivery has landed.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

impl Flight {
    /// Of a notification that nobody calls off.
    pub(super) fn new(notification: Arc<Notification>, room: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            notification,
            cancelled: CancellationToken::new(),
            _listed: None,
            _room: room,
        }
    }
}

impl App {
    /// Sends notifications that are durable, in the background.
    pub fn deliver(&self, notifications: Vec<Notification>) {
        for notification in notifications {
            // Whoever recorded them bounds them; nobody waits for these.
            drop(self.launch(Arc::new(notification), None));
        }
    }

    /// Sends a durable notification in the background; one landing a target.
    pub(super) fn launch(
        &self,
        notification: Arc<Notification>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Vec<Landing> {
        let ordinals = 0..u32::try_from(notification.targets.len()).unwrap_or(u32::MAX);
        self.launch_some(notification, ordinals, room)
    }

    fn launch_some(
        &self,
        notification: Arc<Notification>,
        ordinals: impl Iterator<Item = u32>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Vec<Landing> {
        self.depart(Flight::new(notification, room), ordinals)
    }

    /// Starts one task a target of a flight.
    pub(super) fn depart(
        &self,
        flight: Flight,
        ordinals: impl Iterator<Item = u32>,
    ) -> Vec<Landing> {
        let flight = Arc::new(flight);
        ordinals
            .map(|ordinal| {
                self.tasks
                    .spawn(self.clone().fly(Arc::clone(&flight), ordinal))
            })
            .collect()
    }

    /// One delivery, from its first attempt until its end is settled.
    pub(super) async fn fly(self, flight: Arc<Flight>, ordinal: u32) -> Option<Attempted> {
        let attempt = self.attempt(&flight.notification, ordinal);
        let attempted = match flight.cancelled.run_until_cancelled(attempt).await {
            Some(attempted) if self.stopping.is_cancelled() && !is_final(&attempted.outcome) => {
                return None;
            }
            Some(attempted) => attempted,
            None => ended(Outcome::Expired, CANCELLED, self.clock.now()),
        };
        let settled = self
            .settle(&flight.notification.id, ordinal, &attempted)
            .await;
        count(flight.notification.platform, &attempted);
        self.judge(&flight.notification, ordinal, &attempted).await;
        settled.then_some(attempted)
    }

    /// Tells the registrar how a push to a user's device ended.
    async fn judge(&self, notification: &Notification, ordinal: u32, attempted: &Attempted) {
        let target = notification.targets.get(ordinal as usize);
        let Some((user, device)) = target.and_then(|target| target.device.as_ref()) else {
            return;
        };
        // Not worth a second try: the next push to the device ends the same way.
        let judged = Box::pin(self.device_failed(user, device, attempted));
        if let Err(error) = judged.await {
            tracing::warn!(%error, %user, registration = %device, "a failed device token could not be written down");
        }
    }

    async fn attempt(&self, notification: &Notification, ordinal: u32) -> Attempted {
        let now = self.clock.now();
        if now >= notification.deadline {
            return ended(Outcome::Expired, "its time ended before it was sent", now);
        }
        match &notification.hub {
            NotificationHub::Own(key) => self.push(key, notification, ordinal).await,
            NotificationHub::Linked(communication) => {
                self.send_linked(communication, notification, ordinal).await
            }
        }
    }

    /// Through a hub of this server.
    pub(super) async fn push(
        &self,
        hub: &HubKey,
        notification: &Notification,
        ordinal: u32,
    ) -> Attempted {
        let hub = self.hub(hub);
        match push(hub.as_deref(), notification, ordinal) {
            Ok(push) => self.lanes.send(push).await,
            Err(reason) => ended(Outcome::CredentialRefused, reason, self.clock.now()),
        }
    }

    /// Makes the end durable; tries until it is or the server stops.
    async fn settle(&self, id: &NotificationId, ordinal: u32, attempted: &Attempted) -> bool {
        let mut failed = false;
        loop {
            let settlement = Settlement {
                notification: id.clone(),
                ordinal,
                attempted: attempted.clone(),
            };
            match self.sends.writer.settle(settlement).await {
                Ok(()) => return true,
                Err(store::Error::Stopping) => return false,
                Err(error) => {
                    if !std::mem::replace(&mut failed, true) {
                        tracing::error!(%error, notification = %id, "a delivery could not be settled; it is tried again until it is");
                    }
                    let pause = self.clock.sleep(Duration::from_secs(1));
                    if self.stopping.run_until_cancelled(pause).await.is_none() {
                        return false;
                    }
                }
            }
        }
    }

    /// Sends what an earlier run of this node, or another that is gone, left pending.
    pub(crate) fn resume(&self, pending: Pending) {
        if pending.is_empty() {
            return;
        }
        tracing::info!(
            notifications = pending.len(),
            "sending what was left pending"
        );
        let app = self.clone();
        self.tasks.spawn(async move {
            for (id, ordinals) in pending {
                if app.stopping.is_cancelled() {
                    return;
                }
                if let Err(error) = app.resume_at_last(&id, &ordinals).await {
                    tracing::error!(%error, notification = %id, "a pending notification could not be read");
                }
            }
        });
    }

    /// Nobody else sends what this node has taken upon itself: it waits for a database that is away.
    async fn resume_at_last(&self, id: &NotificationId, ordinals: &[u32]) -> Result<()> {
        loop {
            match self.resume_one(id, ordinals.to_vec()).await {
                Err(error) if error.kind == Kind::Unavailable => {
                    let pause = self.clock.sleep(Duration::from_secs(1));
                    if self.stopping.run_until_cancelled(pause).await.is_none() {
                        return Err(error);
                    }
                }
                resumed => return resumed,
            }
        }
    }

    async fn resume_one(&self, id: &NotificationId, ordinals: Vec<u32>) -> Result<()> {
        let Some(notification) = self.store.notification(id).await? else {
            return Ok(());
        };
        let notification = Arc::new(notification);
        let ordinals = ordinals.into_iter();
        drop(match self.rung_by(&notification).await? {
            Some(leg) => self.resume_ring(leg, notification, ordinals).await?,
            None => self.launch_some(notification, ordinals, None),
        });
        Ok(())
    }
}

fn count(platform: Platform, attempted: &Attempted) {
    metrics::counter!(
        "carillon_deliveries_total",
        "platform" => platform.as_str(),
        "outcome" => domain::outcome::name(platform, attempted).as_str(),
    )
    .increment(1);
}

/// The push to one target through `hub`, or why there can be none.
fn push(
    hub: Option<&Hub>,
    notification: &Notification,
    ordinal: u32,
) -> std::result::Result<Push, &'static str> {
    let hub = hub.ok_or("the hub does not exist any more")?;
    let target = notification
        .targets
        .get(ordinal as usize)
        .ok_or("there is no such target")?;
    let credential = match notification.platform {
        Platform::Apns => hub.apns.as_ref().ok_or("the hub has no APNs credential"),
        Platform::Fcm => hub.fcm.as_ref().ok_or("the hub has no FCM v1 credential"),
    }?;
    let (headers, body) = match &**credential {
        Credential::Apns(apns) => (
            domain::apns::headers(&apns.bundle_id, &notification.headers, &notification.body),
            notification.body.clone(),
        ),
        Credential::Fcm(_) => (
            BTreeMap::new(),
            with_token(&notification.body, &target.handle).ok_or("the body is no FCM v1 body")?,
        ),
    };
    Ok(Push {
        id: push_id(&notification.id, ordinal),
        credential: Arc::clone(credential),
        handle: target.handle.clone(),
        headers,
        body,
        lane: notification.lane,
        deadline: notification.deadline,
    })
}

/// The same for every attempt, before and after a restart, so that Apple can recognise a repeat.
pub(super) fn push_id(id: &NotificationId, ordinal: u32) -> uuid::Uuid {
    let bytes = digest(&[id.as_str(), &ordinal.to_string()]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// An end without an answer of a push service.
pub(super) fn ended(outcome: Outcome, reason: impl Into<String>, at: Timestamp) -> Attempted {
    Attempted {
        outcome,
        status: 0,
        reason: Some(reason.into()),
        provider_id: None,
        attempts: 0,
        written_at: None,
        ended_at: at,
    }
}

/// Whether sending again could not end otherwise: the rest is left to the next start when the server stops.
fn is_final(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted
        | Outcome::DeadToken { .. }
        | Outcome::SuspectToken
        | Outcome::RequestRefused => true,
        Outcome::RetryAfter(_)
        | Outcome::CredentialRefused
        | Outcome::Unavailable
        | Outcome::Expired => false,
    }
}
