//! Connections to all origins: who wants one leases it, and it comes back by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Failure;
use super::connect::Dialer;
use super::origin::{Connection, LONGEST_IDLE, Origin, Waiter};
use super::target::Target;

/// What is known of origins that are being used, and of no other.
pub(super) struct Pool {
    pub(super) dialer: Dialer,
    /// Connections to one origin.
    most: usize,
    tickets: AtomicU64,
    state: Mutex<State>,
    runtime: Handle,
}

#[derive(Default)]
struct State {
    closed: bool,
    origins: HashMap<Arc<str>, Origin>,
}

/// A connection while it is somebody's. Dropped before anything was sent, or given back, it is left to others;
/// otherwise it is closed.
pub(super) struct Lease {
    pool: Arc<Pool>,
    target: Arc<Target>,
    urgent: bool,
    connection: Option<Connection>,
    /// Whether it waited before: it may have been closed without a word.
    pub(super) rested: bool,
    busy: bool,
}

/// A place among those who wait.
struct Place {
    pool: Arc<Pool>,
    target: Arc<Target>,
    urgent: bool,
    ticket: u64,
    told: oneshot::Receiver<Result<Lease, Failure>>,
}

/// A connection that is being opened.
struct Dial {
    pool: Arc<Pool>,
    target: Arc<Target>,
    ticket: u64,
    urgent: bool,
    made: Option<Result<Connection, Failure>>,
}

impl Pool {
    /// Without a connection; to be made within a runtime.
    pub(super) fn new(dialer: Dialer, most: usize) -> Self {
        Self {
            dialer,
            most,
            tickets: AtomicU64::new(0),
            state: Mutex::default(),
            runtime: Handle::current(),
        }
    }

    /// A connection to `target`, once there is one; only a `fresh` one if others will not do.
    pub(super) async fn lease(
        self: &Arc<Self>,
        target: &Arc<Target>,
        urgent: bool,
        fresh: bool,
    ) -> Result<Lease, Failure> {
        let (tell, told) = oneshot::channel();
        let mut place = Place {
            pool: Arc::clone(self),
            target: Arc::clone(target),
            urgent,
            ticket: self.tickets.fetch_add(1, Relaxed),
            told,
        };
        let waiter = Waiter {
            urgent,
            fresh,
            tell,
        };
        self.change(target, |origin, _| origin.wait(place.ticket, waiter));
        let told = (&mut place.told).await;
        told.unwrap_or_else(|_| Err(stopped()))
    }

    /// Lets go of connections that nobody has used for long, until the server stops; then of all.
    pub(super) async fn run(self: Arc<Self>) {
        let Dialer {
            clock, stopping, ..
        } = &self.dialer;
        while stopping
            .run_until_cancelled(clock.sleep(LONGEST_IDLE))
            .await
            .is_some()
        {
            let now = clock.instant();
            self.lock().origins.retain(|_, origin| {
                origin.prune(now);
                !origin.is_empty()
            });
        }
        let mut state = self.lock();
        state.closed = true;
        state.origins.values_mut().for_each(Origin::clear);
    }

    /// Changes what is known of an origin, and does what follows.
    fn change(self: &Arc<Self>, target: &Arc<Target>, change: impl FnOnce(&mut Origin, Instant)) {
        let now = self.dialer.clock.instant();
        let due = {
            let mut state = self.lock();
            let State { closed, origins } = &mut *state;
            let origin = origins.entry(Arc::clone(&target.origin)).or_default();
            change(origin, now);
            let due = origin.serve(self.most, now);
            if *closed {
                origin.clear();
            }
            if origin.is_empty() {
                origins.remove(&target.origin);
            }
            due
        };
        // Without the lock: what somebody gets who has just gone comes back at once.
        for (waiter, idle) in due.served {
            let lease = Lease {
                pool: Arc::clone(self),
                target: Arc::clone(target),
                urgent: waiter.urgent,
                connection: Some(idle.connection),
                rested: idle.rested,
                busy: false,
            };
            let _ = waiter.tell.send(Ok(lease));
        }
        for (ticket, urgent) in due.dials {
            self.dial(target, ticket, urgent);
        }
    }

    /// Opens a connection, whether or not the one who wants it waits so long.
    fn dial(self: &Arc<Self>, target: &Arc<Target>, ticket: u64, urgent: bool) {
        let dial = Dial {
            pool: Arc::clone(self),
            target: Arc::clone(target),
            ticket,
            urgent,
            made: None,
        };
        let dialling = async move {
            let made = dial.pool.dialer.connect(&dial.target).await;
            dial.end(made);
        };
        self.dialer.tasks.spawn_on(dialling, &self.runtime);
    }

    /// Origins that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().origins.len()
    }

    /// Connections that wait for a request.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.lock().origins.values().map(Origin::idle).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Sends a request; its connection is nobody else's until it is given back.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.busy = true;
        let Some(connection) = &mut self.connection else {
            unreachable!("a lease has its connection until it is dropped")
        };
        if self.rested {
            connection.ready().await?;
        }
        connection.send_request(request).await
    }

    /// The answer has been read to its end.
    pub(super) fn give_back(mut self) {
        self.busy = false;
    }
}

impl Dial {
    fn end(mut self, made: Result<Connection, Failure>) {
        self.made = Some(made);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let connection = self.connection.take();
        let connection = connection.filter(|one| !self.busy && !one.is_closed());
        self.pool.change(&self.target, |origin, now| {
            origin.give_back(self.urgent, connection, now);
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pool.change(&self.target, |origin, _| {
            origin.leave(self.ticket, self.urgent);
        });
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        let made = self.made.take().unwrap_or_else(|| Err(stopped()));
        self.pool.change(&self.target, |origin, now| {
            origin.dialled(self.ticket, self.urgent, made, now);
        });
    }
}

fn stopped() -> Failure {
    Failure::Socket("the server stops".to_owned())
}
