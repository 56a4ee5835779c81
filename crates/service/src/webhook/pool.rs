//! Connections that wait for their next request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;

/// The front of a connection.
pub(super) type Connection = SendRequest<Full<Bytes>>;

/// Idle connections by origin, the last used on top.
#[derive(Default)]
pub(super) struct Pool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    closed: bool,
    origins: HashMap<Arc<str>, Vec<(Connection, Instant)>>,
}

impl Pool {
    /// An idle connection to `origin`, as far as is known still open.
    pub(super) fn take(&self, origin: &str, now: Instant) -> Option<Connection> {
        let mut idle = self.lock();
        let connections = idle.origins.get_mut(origin)?;
        while let Some((connection, since)) = connections.pop() {
            if is_fresh(&connection, since, now) {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, origin: &Arc<str>, connection: Connection, now: Instant) {
        let mut idle = self.lock();
        if idle.closed || connection.is_closed() {
            return;
        }
        let connections = idle.origins.entry(Arc::clone(origin)).or_default();
        if connections.len() < MOST_IDLE {
            connections.push((connection, now));
        }
    }

    /// Lets go of what has been idle too long.
    pub(super) fn prune(&self, now: Instant) {
        self.lock().origins.retain(|_, connections| {
            connections.retain(|(connection, since)| is_fresh(connection, *since, now));
            !connections.is_empty()
        });
    }

    /// Lets go of everything, and keeps nothing from now on.
    pub(super) fn close(&self) {
        let mut idle = self.lock();
        idle.closed = true;
        idle.origins.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(connection: &Connection, since: Instant, now: Instant) -> bool {
    !connection.is_closed() && now.saturating_duration_since(since) < LONGEST_IDLE
}

/// How long a connection waits for its next request.
pub(super) const LONGEST_IDLE: Duration = Duration::from_secs(30);
/// Idle connections to one origin.
const MOST_IDLE: usize = 64;
