//! A slot: the right to send one request, and what the lane learns from how it went.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use domain::time::Timestamp;

use super::Lane;
use crate::push::breaker::Breaker;
use crate::push::connection::Connection;

/// The right to send one request on a connection; given back when dropped.
pub(in crate::push) struct Slot {
    pub(in crate::push) connection: Arc<Connection>,
    pub(super) lane: Arc<Lane>,
    /// The push that finds out whether a paused lane works again.
    pub(super) probe: bool,
}

/// There is no slot.
#[derive(Debug)]
pub(in crate::push) enum NoSlot {
    /// The deadline came first; with what stood in the way, if that is known.
    Late(Option<String>),
    /// The credential was refused, and again.
    Refused(Arc<str>),
    /// Too many wait already.
    Full,
    /// The server stops.
    Stopping,
}

impl Slot {
    /// The provider served the push: it works, and believes us.
    pub(in crate::push) fn served(&mut self) {
        self.connection.prove();
        let probe = std::mem::take(&mut self.probe);
        let mut state = self.lane.lock();
        state.breaker.served(probe);
        if probe {
            state.paused = None;
        }
    }

    /// The provider refused the credential.
    pub(in crate::push) fn refused(&mut self, reason: &str) {
        let pause = self.pause(|breaker, probe, now| breaker.refused(reason, probe, now));
        if pause {
            tracing::error!(
                credential = ?self.lane.credential,
                reason,
                "the push service refuses the credential: its lane pauses"
            );
        }
    }

    /// The provider failed.
    pub(in crate::push) fn failed(&mut self) {
        if self.pause(Breaker::failed) {
            tracing::warn!(
                endpoint = %self.lane.target.authority,
                "the push service fails again and again: its lane pauses"
            );
        }
    }

    /// Tells the breaker; whether that began or lengthened a pause.
    fn pause(
        &mut self,
        tell: impl FnOnce(&mut Breaker, bool, Timestamp) -> Option<Timestamp>,
    ) -> bool {
        let now = self.lane.shared.clock.now();
        let probe = std::mem::take(&mut self.probe);
        let mut state = self.lane.lock();
        let Some(until) = tell(&mut state.breaker, probe, now) else {
            return false;
        };
        state.paused = Some(self.lane.meters.paused());
        drop(state);
        self.lane.wake_at(until);
        true
    }

    /// Sends nothing more on this connection.
    pub(in crate::push) fn retire(&self) {
        self.lane.retire(self.connection.id);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        {
            let mut state = self.lane.lock();
            self.connection.in_flight.fetch_sub(1, Relaxed);
            if self.probe {
                state.breaker.probe_lost();
            }
            if state.waiting.is_empty() {
                return;
            }
        }
        self.lane.dispatch();
    }
}
