//! The lane of one destination: what waits for it in memory, what more waits in the store, and whether it is driven.
//!
//! A lane holds a bounded part of what is to be delivered; the rest is its backlog in the store. Its lock is held for a
//! few lines at a time; what takes time is done by the task that drives it ([`super::drive`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::event::Event;
use domain::id::DestinationId;
use domain::lane::{Arrivals, Leave, Load, Parcel, Queue};
use domain::time::Timestamp;
use tokio::sync::Notify;

use super::destination::{Destination, Order};
use super::request::parcel;

/// An event on its way to one destination.
#[derive(Clone, Debug)]
pub(super) struct Cargo {
    pub(super) event: Arc<Event>,
    /// Attempts so far.
    pub(super) attempts: u32,
    /// What its time to live counts from.
    pub(super) since: Timestamp,
}

/// All lanes.
#[derive(Default)]
pub(super) struct Lanes {
    /// By the lower-cased id of a subscription, or the name of a callback.
    all: Mutex<HashMap<String, Arc<Lane>>>,
    /// Bytes of events in all lanes.
    bytes: Arc<AtomicUsize>,
}

/// The lane of one destination.
pub(super) struct Lane {
    pub(super) key: String,
    pub(super) id: Arc<DestinationId>,
    pub(super) wake: Notify,
    state: Mutex<State>,
    /// Futures that its task waits for.
    pub(super) under_way: AtomicUsize,
    all_bytes: Arc<AtomicUsize>,
}

struct State {
    destination: Arc<Destination>,
    queue: Queue<Cargo>,
    /// What is written and not in the queue, where the order matters.
    arrivals: Arrivals<Parcel<Cargo>>,
    /// Places given to events that are being written: bulk, urgent.
    seats: [usize; 2],
    /// Events that are being written and found no place: they will be behind.
    standing: usize,
    /// Bytes of events in this lane.
    bytes: usize,
    /// When the first of the backlog is due, as far as is known.
    behind: Option<Timestamp>,
    /// Whether a page of the backlog is being read.
    refilling: bool,
    /// Rows of the next page of the backlog.
    page: u32,
    driven: bool,
    closed: bool,
}

/// A place in a lane for an event that is being written; given back unless it is taken.
pub(super) struct Seat {
    pub(super) lane: Arc<Lane>,
    pub(super) event: Arc<Event>,
    pub(super) urgent: bool,
    /// Without a place the event goes to the backlog.
    pub(super) held: bool,
    /// Behind whom, where the order matters.
    place: Option<u64>,
    taken: bool,
}

/// An endpoint is spared because it fails, or has asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probation {
    /// Until then; then one event goes first.
    pub until: Timestamp,
    /// Failures in a row.
    pub failures: u32,
}

/// What a lane does next.
pub(super) struct Turn {
    pub(super) destination: Arc<Destination>,
    /// To be sent.
    pub(super) loads: Vec<Load<Cargo>>,
    /// A page of the backlog is to be read: so many rows.
    pub(super) refill: Option<u32>,
    /// When to look again although nothing has happened.
    pub(super) wakes_at: Option<Timestamp>,
}

impl Lanes {
    /// The lane with this key, made with the destination if there is none.
    pub(super) fn lane(&self, key: &str, make: impl FnOnce() -> Destination) -> Arc<Lane> {
        if let Some(lane) = self.get(key) {
            return lane;
        }
        let destination = make();
        let mut all = self.lock();
        let lane = all
            .entry(key.to_owned())
            .or_insert_with(|| Arc::new(Lane::new(key, destination, &self.bytes)));
        Arc::clone(lane)
    }

    /// The lane with this key.
    pub(super) fn get(&self, key: &str) -> Option<Arc<Lane>> {
        self.lock().get(key).cloned()
    }

    /// Every lane.
    pub(super) fn all(&self) -> Vec<Arc<Lane>> {
        self.lock().values().cloned().collect()
    }

    /// Forgets a lane that has nothing to do, unless somebody is about to give it something: its caller and the map
    /// are the only ones who hold it.
    pub(super) fn forget(&self, lane: &Arc<Lane>) {
        let mut all = self.lock();
        if Arc::strong_count(lane) <= 2 {
            all.remove(&lane.key);
        }
    }

    /// Forgets a lane.
    pub(super) fn remove(&self, key: &str) {
        self.lock().remove(key);
    }

    /// Bytes of events in all lanes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Lane>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn new(key: &str, destination: Destination, all_bytes: &Arc<AtomicUsize>) -> Self {
        Self {
            key: key.to_owned(),
            id: Arc::clone(&destination.id),
            wake: Notify::new(),
            state: Mutex::new(State {
                destination: Arc::new(destination),
                queue: Queue::default(),
                arrivals: Arrivals::default(),
                seats: [0, 0],
                standing: 0,
                bytes: 0,
                behind: None,
                refilling: false,
                page: FIRST_PAGE,
                driven: false,
                closed: false,
            }),
            under_way: AtomicUsize::new(0),
            all_bytes: Arc::clone(all_bytes),
        }
    }

    pub(super) fn destination(&self) -> Arc<Destination> {
        Arc::clone(&self.lock().destination)
    }

    /// Works from another description from now on.
    pub(super) fn follow(&self, destination: Destination) {
        self.lock().destination = Arc::new(destination);
        self.wake.notify_one();
    }

    /// A place for an event that is about to be written, if there is one.
    pub(super) fn seat(self: &Arc<Self>, event: &Arc<Event>, urgent: bool) -> Seat {
        let mut state = self.lock();
        // In order means behind what came before it, whatever it is.
        let free = state.destination.order == Order::None;
        let urgent = urgent && free || state.destination.is_urgent();
        let held = self.has_room(&state, urgent);
        if held {
            state.seats[usize::from(urgent)] += 1;
            self.add(&mut state, event);
        } else {
            state.standing += 1;
        }
        let ordered = held && state.destination.order != Order::None;
        let place = ordered.then(|| state.arrivals.begin());
        Seat {
            lane: Arc::clone(self),
            event: Arc::clone(event),
            urgent,
            held,
            place,
            taken: false,
        }
    }

    /// Takes a row of the backlog, which this node now holds.
    pub(super) fn push(&self, cargo: Cargo, urgent: bool, due_at: Timestamp, now: Timestamp) {
        let mut state = self.lock();
        let parcel = parcel(&state.destination, cargo, urgent);
        self.add(&mut state, &parcel.load.event);
        if let (Some(key), true) = (&parcel.key, due_at > now) {
            state.queue.keep_back(Arc::clone(key), due_at);
        }
        let place = state.arrivals.begin();
        state.arrive(Some(place), Some(parcel));
    }

    /// Something waits in the store, due then.
    pub(super) fn note(&self, due_at: Timestamp) {
        self.lock().note(due_at);
        self.wake.notify_one();
    }

    /// The page of the backlog that was to be read is in memory.
    pub(super) fn refilled(&self) {
        self.lock().refilling = false;
    }

    /// So many rows of a page have this many bytes.
    pub(super) fn size_pages(&self, rows: usize, bytes: usize) {
        if let Some(size) = bytes.checked_div(rows) {
            let page = u32::try_from(PAGE_BYTES / size.max(1)).unwrap_or(LARGEST_PAGE);
            self.lock().page = page.clamp(1, LARGEST_PAGE);
        }
    }

    /// What is to be done now.
    pub(super) fn turn(&self, now: Timestamp) -> Turn {
        let mut state = self.lock();
        let state = &mut *state;
        let destination = Arc::clone(&state.destination);
        let rules = &destination.rules;
        let loads = match state.closed {
            true => Vec::new(),
            false => std::iter::from_fn(|| state.queue.next(rules, now)).collect(),
        };
        let spared_until = match state.queue.health().leave(now) {
            Leave::NotBefore(until) => Some(until),
            _ => None,
        };
        let behind = state.behind.filter(|_| !state.closed && !state.refilling);
        let behind = behind.map(|due| due.max(spared_until.unwrap_or(due)));
        let has_space = state.queue.len(false) <= ROOM / 2 && self.may_hold(state);
        let refill = behind.is_some_and(|due| due <= now) && has_space;
        let mut wakes_at = state.queue.wakes_at(rules, now);
        if refill {
            state.behind = None;
            state.refilling = true;
        } else if has_space {
            wakes_at = [wakes_at, behind].into_iter().flatten().min();
        }
        Turn {
            destination,
            loads,
            refill: refill.then_some(state.page),
            wakes_at,
        }
    }

    /// Changes the queue.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut Queue<Cargo>) -> R) -> R {
        change(&mut self.lock().queue)
    }

    /// Failures in a row, and until when the endpoint is spared for them, if it is.
    pub(super) fn probation(&self) -> Option<Probation> {
        let state = self.lock();
        let health = state.queue.health();
        health.resting_until().map(|until| Probation {
            until,
            failures: health.failures(),
        })
    }

    /// Events that this lane has done with.
    pub(super) fn let_go<'e>(&self, events: impl Iterator<Item = &'e Arc<Event>>) {
        let bytes = events.map(|event| weight(event)).sum();
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        self.all_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Sends nothing more; what was held and not begun.
    pub(super) fn close(&self) -> Vec<Parcel<Cargo>> {
        let mut state = self.lock();
        state.closed = true;
        state.behind = None;
        let State {
            queue, arrivals, ..
        } = &mut *state;
        queue.extend(arrivals.drain());
        queue.drain()
    }

    /// Whether it sends nothing more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether the caller is to drive the lane from now on: nobody does.
    pub(super) fn take_the_wheel(&self) -> bool {
        !std::mem::replace(&mut self.lock().driven, true)
    }

    /// Leaves the wheel if there is nothing to do.
    pub(super) fn leave_the_wheel(&self) -> bool {
        let mut state = self.lock();
        let waits = state.behind.is_some() || !state.arrivals.is_empty();
        let is_idle = state.queue.is_idle() && !waits;
        state.driven = !is_idle && !state.closed;
        !state.driven
    }

    /// Whether nothing happens until the clock moves.
    #[cfg(test)]
    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
        let state = self.lock();
        let waits = |at: Option<Timestamp>| at.is_none_or(|at| at > now);
        let rests = state
            .queue
            .health()
            .resting_until()
            .is_some_and(|at| at > now);
        let queued = state.queue.len(true) + state.queue.len(false) > 0;
        self.under_way.load(Relaxed) == 0
            && (waits(state.behind) || rests)
            && (!queued
                || state
                    .queue
                    .wakes_at(&state.destination.rules, now)
                    .is_some())
    }

    fn has_room(&self, state: &State, urgent: bool) -> bool {
        // What comes later must not overtake what waits in the store, or is on its way to or from there.
        let waits = state.behind.is_some() || state.refilling || state.standing > 0;
        let overtakes = state.destination.order != Order::None && waits;
        let taken = state.queue.len(urgent) + state.seats[usize::from(urgent)];
        let room = if urgent { URGENT_ROOM } else { ROOM };
        // What would only wait for an endpoint to recover can wait in the store.
        let spared = !urgent && state.queue.health().resting_until().is_some();
        !overtakes && !spared && !state.closed && taken < room && self.may_hold(state)
    }

    /// Whether there is memory left; a lane that holds nothing may always hold something, so that it gets on.
    fn may_hold(&self, state: &State) -> bool {
        let fits = state.bytes < LANE_BYTES && self.all_bytes.load(Relaxed) < ALL_BYTES;
        fits || state.bytes == 0
    }

    fn add(&self, state: &mut State, event: &Event) {
        state.bytes += weight(event);
        self.all_bytes.fetch_add(weight(event), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A parcel comes to its place, or never will; without one it goes behind what is there.
    fn arrive(&mut self, place: Option<u64>, parcel: Option<Parcel<Cargo>>) {
        match place {
            Some(place) => self.arrivals.finish(place, parcel),
            None => self.queue.extend(parcel),
        }
        self.queue
            .extend(std::iter::from_fn(|| self.arrivals.pop()));
    }

    fn note(&mut self, due_at: Timestamp) {
        self.behind = Some(self.behind.map_or(due_at, |known| known.min(due_at)));
    }
}

impl Seat {
    /// The event is written: it takes its place, or is known to be behind. Nothing is sent of a lane that is closed.
    pub(super) fn take(mut self, due_at: Timestamp) -> Arc<Lane> {
        let lane = Arc::clone(&self.lane);
        let mut state = lane.lock();
        if state.closed {
            drop(state);
            return lane;
        }
        self.taken = true;
        if self.held {
            let cargo = Cargo {
                event: Arc::clone(&self.event),
                attempts: 0,
                since: due_at,
            };
            state.seats[usize::from(self.urgent)] -= 1;
            let parcel = parcel(&state.destination, cargo, self.urgent);
            state.arrive(self.place, Some(parcel));
        } else {
            state.standing -= 1;
            state.note(due_at);
        }
        drop(state);
        lane.wake.notify_one();
        lane
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        if self.held {
            let mut state = self.lane.lock();
            state.seats[usize::from(self.urgent)] -= 1;
            state.arrive(self.place, None);
            drop(state);
            self.lane.let_go(std::iter::once(&self.event));
            self.lane.wake.notify_one();
        } else {
            self.lane.lock().standing -= 1;
        }
    }
}

/// What an event takes of memory, about.
fn weight(event: &Event) -> usize {
    event.body.len() + 512
}

/// Events that a lane holds in memory, beside …
const ROOM: usize = 4_096;
/// … so many urgent ones.
const URGENT_ROOM: usize = 1_024;
/// Bytes of events that a lane holds.
const LANE_BYTES: usize = 16 << 20;
/// Bytes of events that all lanes hold.
const ALL_BYTES: usize = 256 << 20;
/// Rows of the first page of a backlog, while nothing is known of their size …
const FIRST_PAGE: u32 = 16;
/// … and of the largest.
const LARGEST_PAGE: u32 = 512;
/// Bytes of a page, about.
const PAGE_BYTES: usize = 4 << 20;
