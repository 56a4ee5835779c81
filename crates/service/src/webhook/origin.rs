//! The accounts of one origin: its connections, those that are being opened, and the requests that wait for one.
//!
//! Whoever waits has a connection opened, and gets what comes first: that one, or one that somebody else has done with;
//! what is then left over is somebody else's. Only a few are opened at once: a receiver that all of its subscriptions
//! call in the same moment drops what it cannot accept, and what is dropped is late by seconds. Of everything a part is
//! kept free for what is urgent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::sync::oneshot;

use super::Failure;
use super::pool::Lease;

/// The front of a connection.
pub(super) type Connection = SendRequest<Full<Bytes>>;

/// One origin.
#[derive(Default)]
pub(super) struct Origin {
    /// Connections that wait for their next request, the last used on top.
    idle: Vec<Idle>,
    /// Bulk, urgent.
    lanes: [Lane; 2],
}

#[derive(Default)]
struct Lane {
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiter>,
    /// Of these, for whom no connection is being opened.
    undialled: BTreeSet<u64>,
    dialling: usize,
    in_use: usize,
}

/// A connection for the next request.
pub(super) struct Idle {
    pub(super) connection: Connection,
    /// Whether it has been waiting: it may have been closed without a word.
    pub(super) rested: bool,
    since: Instant,
}

/// A request that waits for a connection.
pub(super) struct Waiter {
    pub(super) urgent: bool,
    /// Whether only a connection will do that has not been waiting.
    pub(super) fresh: bool,
    pub(super) tell: oneshot::Sender<Result<Lease, Failure>>,
}

/// What follows from a change.
#[derive(Default)]
pub(super) struct Due {
    /// Who gets which connection.
    pub(super) served: Vec<(Waiter, Idle)>,
    /// For whom connections are to be opened, and whether they are urgent.
    pub(super) dials: Vec<(u64, bool)>,
}

impl Origin {
    /// A request waits from now on.
    pub(super) fn wait(&mut self, ticket: u64, waiter: Waiter) {
        let lane = self.lane(waiter.urgent);
        lane.waiting.insert(ticket, waiter);
        lane.undialled.insert(ticket);
    }

    /// A request does not wait any more.
    pub(super) fn leave(&mut self, ticket: u64, urgent: bool) {
        self.lane(urgent).take(ticket);
    }

    /// The connection is open that was wanted for `ticket`, or is not.
    pub(super) fn dialled(
        &mut self,
        ticket: u64,
        urgent: bool,
        made: Result<Connection, Failure>,
        now: Instant,
    ) {
        let lane = self.lane(urgent);
        lane.dialling -= 1;
        match made {
            Ok(connection) => {
                // It may be somebody else's who has waited longer: then another is wanted.
                if lane.waiting.contains_key(&ticket) {
                    lane.undialled.insert(ticket);
                }
                self.idle.push(Idle {
                    connection,
                    rested: false,
                    since: now,
                });
            }
            Err(failure) => {
                if let Some(waiter) = lane.take(ticket) {
                    // It may have gone in this moment.
                    let _ = waiter.tell.send(Err(failure));
                }
            }
        }
    }

    /// A request is over, and leaves its connection to others if there is still any use in it.
    pub(super) fn give_back(&mut self, urgent: bool, connection: Option<Connection>, now: Instant) {
        self.lane(urgent).in_use -= 1;
        self.idle.extend(connection.map(|connection| Idle {
            connection,
            rested: true,
            since: now,
        }));
    }

    /// What can be done now for those who wait, of `most` connections.
    pub(super) fn serve(&mut self, most: usize, now: Instant) -> Due {
        let mut due = Due::default();
        for urgent in [true, false] {
            due.served
                .extend(std::iter::from_fn(|| self.pair(urgent, most, now)));
            due.dials.extend(
                std::iter::from_fn(|| self.begin_dial(urgent, most)).map(|ticket| (ticket, urgent)),
            );
        }
        if let Some(idle) = self.idle.last_mut() {
            idle.rested = true;
        }
        due
    }

    /// Lets go of what has been idle too long.
    pub(super) fn prune(&mut self, now: Instant) {
        self.idle.retain(|idle| idle.is_good(now));
    }

    /// Lets go of everything that is idle.
    pub(super) fn clear(&mut self) {
        self.idle.clear();
    }

    /// Whether there is nothing to be remembered.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty = |lane: &Lane| lane.waiting.is_empty() && lane.dialling + lane.in_use == 0;
        self.idle.is_empty() && self.lanes.iter().all(is_empty)
    }

    /// Connections that wait for a request.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Somebody who waits, with a connection that is idle.
    fn pair(&mut self, urgent: bool, most: usize, now: Instant) -> Option<(Waiter, Idle)> {
        let lane = &mut self.lanes[usize::from(urgent)];
        if lane.waiting.is_empty() || lane.in_use >= share(urgent, most) {
            return None;
        }
        let idle = std::iter::from_fn(|| self.idle.pop()).find(|idle| idle.is_good(now))?;
        let mut waiting = lane.waiting.iter();
        let ticket = waiting.find(|(_, waiter)| !(waiter.fresh && idle.rested));
        let ticket = ticket.map(|(ticket, _)| *ticket);
        let Some(waiter) = ticket.and_then(|ticket| lane.take(ticket)) else {
            self.idle.push(idle);
            return None;
        };
        lane.in_use += 1;
        Some((waiter, idle))
    }

    /// For whom another connection is to be opened, as long as there is room.
    fn begin_dial(&mut self, urgent: bool, most: usize) -> Option<u64> {
        let lane = self.lane(urgent);
        let ticket = *lane.undialled.first()?;
        if lane.dialling >= share(urgent, DIALS)
            || lane.dialling + lane.in_use >= share(urgent, most)
        {
            return None;
        }
        let dialling: usize = self.lanes.iter().map(|lane| lane.dialling).sum();
        let in_use: usize = self.lanes.iter().map(|lane| lane.in_use).sum();
        if dialling + in_use + self.idle.len() >= most && !self.idle.is_empty() {
            // Whoever waits beside one that is idle has to have a fresh one.
            self.idle.remove(0);
        }
        if dialling >= DIALS || dialling + in_use + self.idle.len() >= most {
            return None;
        }
        let lane = self.lane(urgent);
        lane.undialled.remove(&ticket);
        lane.dialling += 1;
        Some(ticket)
    }

    fn lane(&mut self, urgent: bool) -> &mut Lane {
        &mut self.lanes[usize::from(urgent)]
    }
}

impl Lane {
    fn take(&mut self, ticket: u64) -> Option<Waiter> {
        self.undialled.remove(&ticket);
        self.waiting.remove(&ticket)
    }
}

impl Idle {
    /// Whether it can be used, as far as is known.
    fn is_good(&self, now: Instant) -> bool {
        !self.connection.is_closed() && now.saturating_duration_since(self.since) < LONGEST_IDLE
    }
}

/// What is urgent may take everything, the rest three quarters of it.
fn share(urgent: bool, all: usize) -> usize {
    match urgent {
        true => all,
        false => (all - all / 4).max(1),
    }
}

/// How long a connection waits for its next request.
pub(super) const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// Connections to one origin that are opened at once: fewer than the backlog of any listener that is meant to be busy.
pub(super) const DIALS: usize = 32;
