//! What a device received: a bounded log, and what waits for it while it is offline.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use crate::clock::Moment;

/// One line of a device's log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Rises by one with each line of this device.
    pub seq: u64,
    /// When the stand-in took it, or for a stored one when the device came back.
    pub received_at: Moment,
    /// The service's name for it: `apns-id`, or FCM's `projects/…/messages/…`.
    pub id: String,
    /// The request's headers that matter to a device or a test.
    pub headers: Arc<BTreeMap<String, String>>,
    /// What the app gets.
    pub payload: Arc<RawValue>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was discarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// The states of Apple's delivery log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The app has it.
    Delivered,
    /// It waits for the device.
    Stored,
    /// It is lost, and the sender is not told.
    Discarded,
}

/// A push that a stand-in has accepted.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) headers: Arc<BTreeMap<String, String>>,
    pub(crate) payload: Arc<RawValue>,
    /// Until when it may wait; `None`: now or never.
    pub(crate) keep_until: Option<Moment>,
    /// A newer one with the same key takes the place of a waiting one.
    pub(crate) collapse: Option<String>,
}

impl Accepted {
    fn size(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len());
        OVERHEAD + self.payload.get().len() + self.id.len() + headers.sum::<usize>()
    }
}

/// A device's log and waiting pushes.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    log: VecDeque<(Notification, usize)>,
    next: u64,
    bytes: usize,
    waiting: VecDeque<Accepted>,
    changed: Arc<Notify>,
}

impl Inbox {
    /// The lines after `after`, oldest first.
    pub(crate) fn after(&self, after: u64) -> Vec<Notification> {
        let lines = self.log.iter().map(|(line, _)| line);
        lines.filter(|line| line.seq > after).cloned().collect()
    }

    /// Notified at each new line.
    pub(crate) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// How many bytes the log holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The app gets it.
    pub(crate) fn deliver(&mut self, push: &Accepted, now: Moment) {
        self.record(push, now, Outcome::Delivered, None);
    }

    /// It is lost.
    pub(crate) fn discard(&mut self, push: &Accepted, now: Moment, reason: &'static str) {
        self.record(push, now, Outcome::Discarded, Some(reason));
    }

    /// It waits, in the place of what it replaces. `room` is how many may wait.
    pub(crate) fn store(&mut self, push: Accepted, now: Moment, room: usize) {
        let replaced = |old: &Accepted| old.collapse.is_some() && old.collapse == push.collapse;
        let (mut gone, kept): (VecDeque<_>, _) = self.waiting.drain(..).partition(replaced);
        self.waiting = kept;
        while self.waiting.len() >= room {
            gone.extend(self.waiting.pop_front());
        }
        for old in gone {
            self.discard(&old, now, "overwritten");
        }
        self.record(&push, now, Outcome::Stored, None);
        self.waiting.push_back(push);
    }

    /// The device is back: what has not expired is delivered.
    pub(crate) fn flush(&mut self, now: Moment) {
        for push in std::mem::take(&mut self.waiting) {
            match push.keep_until {
                Some(until) if until > now => self.deliver(&push, now),
                _ => self.discard(&push, now, "expired"),
            }
        }
    }

    /// The app is gone or silenced: what waits is lost.
    pub(crate) fn abandon(&mut self, now: Moment, reason: &'static str) {
        for push in std::mem::take(&mut self.waiting) {
            self.discard(&push, now, reason);
        }
    }

    /// The sender takes it back; `false` if it does not wait.
    pub(crate) fn withdraw(&mut self, id: &str, now: Moment) -> bool {
        let Some(at) = self.waiting.iter().position(|push| push.id == id) else {
            return false;
        };
        if let Some(push) = self.waiting.remove(at) {
            self.discard(&push, now, "withdrawn");
        }
        true
    }

    /// Forgets the oldest line.
    pub(crate) fn forget_oldest(&mut self) {
        if let Some((_, size)) = self.log.pop_front() {
            self.bytes -= size;
        }
    }

    fn record(
        &mut self,
        push: &Accepted,
        now: Moment,
        outcome: Outcome,
        reason: Option<&'static str>,
    ) {
        self.next += 1;
        let line = Notification {
            seq: self.next,
            received_at: now,
            id: push.id.clone(),
            headers: push.headers.clone(),
            payload: push.payload.clone(),
            outcome,
            reason,
        };
        self.bytes += push.size();
        self.log.push_back((line, push.size()));
        while self.log.len() > LINES || self.bytes > BYTES {
            self.forget_oldest();
        }
        self.changed.notify_waiters();
    }
}

/// A device's log holds this many lines …
const LINES: usize = 10_000;
/// … and this many bytes.
const BYTES: usize = 16 << 20;
/// What a line costs beside its texts.
const OVERHEAD: usize = 200;
