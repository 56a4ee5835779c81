//! Pushes to the platform push services, through lanes. `docs/push.md` tells the rules.
//!
//! Start at [`Lanes::send`]. A `lane` holds the connections of one credential, each a `connection`; a `breaker` pauses
//! it; `auth` proves who we are with the tokens of `apns` and `fcm`; `retry` knows how long to wait.

mod apns;
mod auth;
mod breaker;
mod connection;
mod corked;
mod fcm;
mod lane;
mod meters;
pub(crate) mod retry;
mod send;
mod shared;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use domain::push::{Attempted, Credential, Lane as Kind, Outcome, Platform, Push};
use domain::time::Timestamp;
use rustls::pki_types::CertificateDer;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::Trust;
use crate::{Clock, Random};
use lane::Lane;
use shared::Shared;

/// What the lanes may be told.
#[derive(Clone, Debug)]
pub struct LanesConfig {
    /// Certificates believed beside the machine's roots: the own CA, so that the lab is believed.
    pub roots: Vec<CertificateDer<'static>>,
    /// Connections that a lane holds at least.
    pub least_connections: usize,
    /// Connections that a lane opens at most while pushes wait.
    pub most_connections: usize,
    /// Pushes that may wait in a lane for a free connection.
    pub queue: usize,
}

impl Default for LanesConfig {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            least_connections: 2,
            most_connections: 8,
            queue: 16_384,
        }
    }
}

impl LanesConfig {
    /// Requests in flight on one connection at most, whatever the server allows.
    fn streams(platform: Platform) -> usize {
        match platform {
            Platform::Apns => 1_000,
            // More than 100 earn a GOAWAY "exceeded_max_concurrent_streams".
            Platform::Fcm => 100,
        }
    }
}

/// The ways to the push services: for each credential one lane for calls and one for everything else.
#[derive(Clone)]
pub struct Lanes {
    lanes: Arc<RwLock<HashMap<Key, Arc<Lane>>>>,
    shared: Arc<Shared>,
}

impl Lanes {
    /// No lanes yet; each is opened by its first push, or by [`Lanes::warm`].
    pub fn new(
        config: LanesConfig,
        clock: Clock,
        random: Random,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) -> Self {
        let trust = Trust::new(config.roots.clone());
        let lanes = Self {
            lanes: Arc::default(),
            shared: Arc::new(Shared::new(
                config,
                trust,
                clock,
                random,
                tasks.clone(),
                stopping.clone(),
            )),
        };
        let (all, stopping) = (lanes.lanes.clone(), stopping.clone());
        tasks.spawn(async move {
            stopping.cancelled().await;
            // A connection without its lane ends as soon as what is in flight has been answered.
            let ended = std::mem::take(&mut *all.write().unwrap_or_else(PoisonError::into_inner));
            drop(ended);
        });
        lanes
    }

    /// Sends a push, as often as it takes and makes sense, but never after its deadline.
    pub async fn send(&self, push: Push) -> Attempted {
        match self.lane(&push.credential, push.lane) {
            Ok(lane) => {
                let attempted = send::send(&lane, &push).await;
                lane.meters.ended(&attempted);
                attempted
            }
            Err(why) => Attempted {
                outcome: Outcome::CredentialRefused,
                status: 0,
                reason: Some(why),
                provider_id: None,
                attempts: 0,
                written_at: None,
                ended_at: self.shared.clock.now(),
            },
        }
    }

    /// Opens the connections for calls of a credential and gets its token, so that the first call finds both. Fails if the
    /// credential cannot work: its key or endpoint is not one.
    pub fn warm(&self, credential: &Arc<Credential>) -> Result<(), String> {
        self.lane(credential, Kind::Call).map(|lane| lane.warm())
    }

    fn lane(&self, credential: &Arc<Credential>, kind: Kind) -> Result<Arc<Lane>, String> {
        let key = Key(credential.clone(), kind);
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&key) {
            return Ok(lane.clone());
        }
        drop(lanes);
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&key) {
            return Ok(lane.clone());
        }
        let now = self.shared.clock.now();
        let forgotten = forget(&mut lanes, now);
        let lane = Lane::new(credential.clone(), kind, self.shared.clone())?;
        lanes.insert(key, lane.clone());
        drop(lanes);
        drop(forgotten);
        Ok(lane)
    }
}

/// Takes out the lanes that nobody used for long: changed credentials leave theirs behind.
fn forget(lanes: &mut HashMap<Key, Arc<Lane>>, now: Timestamp) -> Vec<Arc<Lane>> {
    lanes
        .extract_if(|_, lane| lane.forgotten(now))
        .map(|(_, lane)| lane)
        .collect()
}

/// A credential with everything that it consists of. Hashing takes only what is short; comparing takes it all, so that
/// a new key under an old name has a lane of its own.
struct Key(Arc<Credential>, Kind);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.1 == other.1 && (Arc::ptr_eq(&self.0, &other.0) || same(&self.0, &other.0))
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.1.hash(state);
        match &*self.0 {
            Credential::Apns(apns) => (&apns.endpoint, &apns.key_id, &apns.bundle_id).hash(state),
            Credential::Fcm(fcm) => (&fcm.endpoint, &fcm.project_id).hash(state),
        }
    }
}

fn same(one: &Credential, other: &Credential) -> bool {
    match (one, other) {
        (Credential::Apns(one), Credential::Apns(other)) => {
            // "You can't use one connection for several teams", and a topic that is new to a connection needs another.
            one.endpoint == other.endpoint
                && one.key_id == other.key_id
                && one.team_id == other.team_id
                && one.bundle_id == other.bundle_id
                && one.key.expose_secret() == other.key.expose_secret()
        }
        (Credential::Fcm(one), Credential::Fcm(other)) => {
            one.endpoint == other.endpoint
                && one.token_uri == other.token_uri
                && one.project_id == other.project_id
                && one.client_email == other.client_email
                && one.private_key.expose_secret() == other.private_key.expose_secret()
        }
        _ => false,
    }
}
