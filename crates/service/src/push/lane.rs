//! A lane: the connections of one credential for calls, or for everything else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::push::{Credential, Lane as Kind};
use domain::time::Timestamp;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::auth::Auth;
use super::breaker::{Breaker, Cause, Gate};
use super::connection::{Change, Connection, Target};
use super::meters::{Held, Meters};
use super::shared::Shared;
use super::{LanesConfig, retry};

mod slot;

pub(super) use slot::{NoSlot, Slot};

/// The connections of one credential for one kind of push, and those who wait for them.
pub(super) struct Lane {
    pub(super) credential: Arc<Credential>,
    pub(super) target: Target,
    pub(super) auth: Auth,
    pub(super) meters: Meters,
    pub(super) shared: Arc<Shared>,
    tls: TlsConnector,
    next_id: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// Those that take new requests.
    connections: Vec<Arc<Connection>>,
    /// Those being opened.
    opening: usize,
    /// Why the last one could not be opened.
    trouble: Option<String>,
    waiting: BinaryHeap<Waiting>,
    /// Since when somebody has been waiting without a break.
    waiting_since: Option<Timestamp>,
    breaker: Breaker,
    /// Counted while the breaker is not closed.
    paused: Option<Held>,
    last_used: Timestamp,
}

/// One who waits; the earliest deadline comes first, then who came first.
struct Waiting {
    order: Reverse<(Timestamp, u64)>,
    slot: oneshot::Sender<Slot>,
}

impl Lane {
    pub(super) fn new(
        credential: Arc<Credential>,
        kind: Kind,
        shared: Arc<Shared>,
    ) -> Result<Arc<Self>, String> {
        let endpoint = match &*credential {
            Credential::Apns(apns) => &apns.endpoint,
            Credential::Fcm(fcm) => &fcm.endpoint,
        };
        let target = Target::parse(endpoint)?;
        let auth = shared.auth(&credential, &target)?;
        let longest_pause = match kind {
            Kind::Call => Duration::from_secs(3),
            Kind::Bulk => Duration::from_secs(30),
        };
        let state = State {
            connections: Vec::new(),
            opening: 0,
            trouble: None,
            waiting: BinaryHeap::new(),
            waiting_since: None,
            breaker: Breaker::new(longest_pause),
            paused: None,
            last_used: shared.clock.now(),
        };
        Ok(Arc::new(Self {
            meters: Meters::new(credential.platform(), kind),
            credential,
            target,
            auth,
            tls: shared.tls(),
            shared,
            next_id: AtomicU64::new(1),
            state: Mutex::new(state),
        }))
    }

    /// Opens the connections if they are not open, so that the first push finds them warm.
    pub(super) fn warm(self: &Arc<Self>) {
        self.auth.warm();
        let mut state = self.lock();
        let now = self.shared.clock.now();
        state.last_used = now;
        self.fill(&mut state, now);
    }

    /// Whether nobody used this lane for so long that its connections can go.
    pub(super) fn forgotten(&self, now: Timestamp) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && now.since(state.last_used) > FORGOTTEN
    }

    /// A slot on the least loaded connection, on another one than `avoid` if that is possible.
    pub(super) async fn slot(
        self: &Arc<Self>,
        deadline: Timestamp,
        avoid: Option<u64>,
    ) -> Result<Slot, NoSlot> {
        let waiting = {
            let mut state = self.lock();
            let now = self.shared.clock.now();
            if now >= deadline {
                return Err(NoSlot::Late(state.trouble.clone()));
            }
            state.last_used = now;
            self.fill(&mut state, now);
            if let Some(slot) = self.take(&mut state, now, avoid) {
                return Ok(slot);
            }
            if let Gate::Refuse(reason) = state.breaker.gate(now) {
                return Err(NoSlot::Refused(reason));
            }
            self.enqueue(&mut state, now, deadline)?
        };
        let _queued = self.meters.queued();
        let given = async {
            tokio::select! {
                given = waiting => match given {
                    Ok(slot) => Ok(slot),
                    // Those who wait are sent away only when the credential was refused again.
                    Err(_) => Err(NoSlot::Refused(self.refusal())),
                },
                () = self.shared.stopping.cancelled() => Err(NoSlot::Stopping),
            }
        };
        match self.shared.clock.timeout_at(deadline, given).await {
            Some(given) => given,
            None => Err(NoSlot::Late(self.lock().trouble.clone())),
        }
    }

    fn enqueue(
        &self,
        state: &mut State,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Result<oneshot::Receiver<Slot>, NoSlot> {
        if state.waiting.len() >= self.shared.config.queue {
            state.waiting.retain(|waiting| !waiting.slot.is_closed());
        }
        if state.waiting.len() >= self.shared.config.queue {
            return Err(NoSlot::Full);
        }
        let (slot, given) = oneshot::channel();
        let order = Reverse((deadline, self.next_id.fetch_add(1, Relaxed)));
        state.waiting.push(Waiting { order, slot });
        state.waiting_since.get_or_insert(now);
        Ok(given)
    }

    /// Takes a slot if the breaker and a connection allow it.
    fn take(
        self: &Arc<Self>,
        state: &mut State,
        now: Timestamp,
        avoid: Option<u64>,
    ) -> Option<Slot> {
        let probe = match state.breaker.gate(now) {
            Gate::Open => false,
            Gate::Probe => true,
            Gate::Wait | Gate::Refuse(_) => return None,
        };
        let most = LanesConfig::streams(self.credential.platform());
        let free = |connection: &&Arc<Connection>| {
            connection.in_flight.load(Relaxed) < connection.limit(most)
        };
        let connection = state
            .connections
            .iter()
            .filter(free)
            .min_by_key(|connection| {
                (
                    Some(connection.id) == avoid,
                    connection.in_flight.load(Relaxed),
                    // Of two idle ones, the one that has not proven itself yet gets the chance to.
                    connection.proven(),
                )
            })?
            .clone();
        connection.in_flight.fetch_add(1, Relaxed);
        if probe {
            state.breaker.probe();
        }
        Some(Slot {
            connection,
            lane: self.clone(),
            probe,
        })
    }

    /// Gives free slots to those who wait.
    pub(super) fn dispatch(self: &Arc<Self>) {
        loop {
            let (waiting, slot) = {
                let mut state = self.lock();
                let now = self.shared.clock.now();
                while state
                    .waiting
                    .peek()
                    .is_some_and(|waiting| waiting.slot.is_closed())
                {
                    state.waiting.pop();
                }
                if state.waiting.is_empty() {
                    state.waiting_since = None;
                    return;
                }
                if let Gate::Refuse(_) = state.breaker.gate(now) {
                    state.waiting.clear();
                    return;
                }
                self.fill(&mut state, now);
                let Some(slot) = self.take(&mut state, now, None) else {
                    return;
                };
                // Not empty: looked at above, under the same lock.
                let Some(waiting) = state.waiting.pop() else {
                    drop(state);
                    return;
                };
                (waiting, slot)
            };
            // One who went away in between gives the slot back by dropping it, after the lock is released.
            drop(waiting.slot.send(slot));
        }
    }

    /// Opens connections: two always, so that a GOAWAY never empties the pool, and more while somebody waits too long.
    fn fill(self: &Arc<Self>, state: &mut State, now: Timestamp) {
        let there = state.connections.len() + state.opening;
        let config = &self.shared.config;
        let mut wanted = config.least_connections.saturating_sub(there);
        let slow = state
            .waiting_since
            .is_some_and(|since| now.since(since) > PATIENCE);
        // What waits for the first answer or for the end of a pause would not go faster on another connection.
        let settled = state.opening == 0
            && state.connections.iter().all(|one| one.proven())
            && state.breaker.cause().is_none();
        if slow && settled && there < config.most_connections {
            wanted = wanted.max(1);
        }
        for _ in 0..wanted {
            state.opening += 1;
            let lane = self.clone();
            self.shared.tasks.spawn(async move { lane.connect().await });
        }
    }

    /// Opens one connection, however often it takes while somebody waits for it, and drives it to its end.
    async fn connect(self: Arc<Self>) {
        let shared = self.shared.clone();
        let mut tries = 0;
        let (connection, driver) = loop {
            let id = self.next_id.fetch_add(1, Relaxed);
            let until = shared.clock.now() + DIAL_WITHIN;
            let opened = Connection::open(id, &self.target, &self.tls);
            let opened = tokio::select! {
                opened = shared.clock.timeout_at(until, opened) => opened,
                () = shared.stopping.cancelled() => Some(Err("stopping".into())),
            };
            match opened.unwrap_or_else(|| Err("no connection in time".into())) {
                Ok(opened) => break opened,
                Err(why) => {
                    tries += 1;
                    if !self.still_wanted(tries, why) {
                        return;
                    }
                    let wait = retry::dial(tries, shared.random.fraction());
                    tokio::select! {
                        () = shared.clock.sleep(wait) => {}
                        () = shared.stopping.cancelled() => {}
                    }
                }
            }
        };
        let id = connection.id;
        {
            let mut state = self.lock();
            state.opening -= 1;
            state.trouble = None;
            state.connections.push(connection);
        }
        let open = self.meters.open();
        self.dispatch();
        // From here on the lane may be forgotten: its connections end with it.
        let lane = Arc::downgrade(&self);
        drop(self);
        let mut leave = |change| {
            let Some(lane) = lane.upgrade() else { return };
            match change {
                Change::Limit => lane.dispatch(),
                Change::Draining => lane.retire(id),
            }
        };
        let ended = tokio::select! {
            why = driver.run(&shared.clock, &mut leave) => why,
            () = shared.stopped() => "stopping".into(),
        };
        drop(open);
        if let Some(lane) = lane.upgrade() {
            tracing::info!(endpoint = %lane.target.authority, why = ended, "a push connection ended");
            lane.retire(id);
        }
    }

    /// Notes that no connection could be opened. Whether to try again: somebody waits, or this was bad luck.
    fn still_wanted(&self, tries: u32, why: String) -> bool {
        let mut state = self.lock();
        tracing::warn!(endpoint = %self.target.authority, why, "no connection to a push service");
        state.trouble = Some(why);
        let waited_for = state
            .waiting
            .iter()
            .any(|waiting| !waiting.slot.is_closed());
        let go_on = (waited_for || tries < 3) && !self.shared.stopping.is_cancelled();
        if !go_on {
            state.opening -= 1;
        }
        go_on
    }

    /// Sends nothing more on this connection; what is in flight may still be answered.
    pub(super) fn retire(self: &Arc<Self>, id: u64) {
        let gone = {
            let mut state = self.lock();
            let place = state.connections.iter().position(|one| one.id == id);
            let gone = place.map(|place| state.connections.swap_remove(place));
            let now = self.shared.clock.now();
            let in_use = now.since(state.last_used) < IN_USE;
            if gone.is_some() && in_use && !self.shared.stopping.is_cancelled() {
                self.fill(&mut state, now);
            }
            gone
        };
        // Dropped after the lock is released: this may be the last one who holds it.
        drop(gone);
    }

    fn refusal(&self) -> Arc<str> {
        match self.lock().breaker.cause() {
            Some(Cause::Refused(reason)) => reason.clone(),
            _ => "the lane is paused".into(),
        }
    }

    /// Wakes those who wait when a pause ends.
    fn wake_at(self: &Arc<Self>, until: Timestamp) {
        let lane = self.clone();
        self.shared.tasks.spawn(async move {
            tokio::select! {
                () = lane.shared.clock.sleep_until(until) => lane.dispatch(),
                () = lane.shared.stopping.cancelled() => {}
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

/// How long somebody may wait before another connection is opened.
const PATIENCE: Duration = Duration::from_millis(50);
const DIAL_WITHIN: Duration = Duration::from_secs(5);
/// A lane used this recently replaces what it lost at once.
const IN_USE: Duration = Duration::from_secs(600);
const FORGOTTEN: Duration = Duration::from_secs(3600);
