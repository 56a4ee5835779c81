//! What a destination sends next: two queues, a limit on what is under way, order, batches, rate, and rest.
//!
//! A [`Queue`] is asked [`Queue::next`] until it has nothing to send, and told with [`Queue::done`] what became of each
//! load. It holds no clock and knows nothing of what it carries.

mod arrivals;
mod health;
mod rate;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

pub use arrivals::Arrivals;
pub use health::{Health, Leave};
pub use rate::{Bucket, Rate};

use crate::delivery::Answer;
use crate::time::Timestamp;

/// What a destination may do.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Requests under way at once.
    pub under_way: usize,
    /// Of these, how many are kept free for what is urgent.
    pub for_urgent: usize,
    /// Events in one request.
    pub batch: usize,
    /// Bytes in one request of several events; one that is larger goes alone.
    pub batch_bytes: usize,
    /// Events in a time.
    pub rate: Option<Rate>,
    /// Requests in a time.
    pub request_rate: Option<Rate>,
}

/// One event for a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel<T> {
    /// What is carried.
    pub load: T,
    /// Its size.
    pub bytes: usize,
    /// Parcels with the same key go one after the other, in order.
    pub key: Option<Arc<str>>,
    /// Whether it must not wait behind others.
    pub urgent: bool,
    /// Only parcels that are alike share a request: their headers are the same.
    pub alike: u64,
}

/// What goes in one request.
#[derive(Debug)]
pub struct Load<T> {
    /// At least one parcel.
    pub parcels: Vec<Parcel<T>>,
    keys: Vec<Arc<str>>,
    urgent: bool,
    probe: bool,
}

/// The queue of one destination.
#[derive(Debug)]
pub struct Queue<T> {
    urgent: VecDeque<Parcel<T>>,
    bulk: VecDeque<Parcel<T>>,
    urgent_under_way: usize,
    bulk_under_way: usize,
    /// Keys of what is under way.
    busy: HashSet<Arc<str>>,
    /// Keys whose first parcel has to wait.
    held: HashMap<Arc<str>, Timestamp>,
    health: Health,
    bucket: Bucket,
    requests: Bucket,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            urgent: VecDeque::new(),
            bulk: VecDeque::new(),
            urgent_under_way: 0,
            bulk_under_way: 0,
            busy: HashSet::new(),
            held: HashMap::new(),
            health: Health::default(),
            bucket: Bucket::default(),
            requests: Bucket::default(),
        }
    }
}

impl<T> Extend<Parcel<T>> for Queue<T> {
    fn extend<I: IntoIterator<Item = Parcel<T>>>(&mut self, parcels: I) {
        parcels.into_iter().for_each(|parcel| self.push(parcel));
    }
}

impl<T> Queue<T> {
    /// How many parcels wait, urgent or not.
    pub fn len(&self, urgent: bool) -> usize {
        self.lane(urgent).len()
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.urgent.is_empty() && self.bulk.is_empty() && self.under_way() == 0
    }

    /// Requests under way.
    pub fn under_way(&self) -> usize {
        self.urgent_under_way + self.bulk_under_way
    }

    /// How the endpoint is.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Adds a parcel behind the others.
    pub fn push(&mut self, parcel: Parcel<T>) {
        match parcel.urgent {
            true => self.urgent.push_back(parcel),
            false => self.bulk.push_back(parcel),
        }
    }

    /// Everything that waits, taken out.
    pub fn drain(&mut self) -> Vec<Parcel<T>> {
        self.held.clear();
        self.urgent.drain(..).chain(self.bulk.drain(..)).collect()
    }

    /// What may go now.
    pub fn next(&mut self, rules: &Rules, now: Timestamp) -> Option<Load<T>> {
        if self.under_way() >= rules.under_way || self.opens_at(rules, now) > now {
            return None;
        }
        let leave = self.health.leave(now);
        self.held.retain(|_, until| *until > now);
        // What is urgent does not wait for an endpoint to recover: it would be too late then.
        let urgent = leave == Leave::Free || self.urgent_under_way < URGENT_PROBES;
        if urgent && let Some(load) = self.take(true, leave == Leave::Probe, rules, now) {
            return Some(load);
        }
        let room = rules.under_way.saturating_sub(rules.for_urgent).max(1);
        let bulk = matches!(leave, Leave::Free | Leave::Probe) && self.bulk_under_way < room;
        bulk.then(|| self.take(false, leave == Leave::Probe, rules, now))?
    }

    /// When [`Queue::next`] should be asked again although nothing has happened.
    pub fn wakes_at(&self, rules: &Rules, now: Timestamp) -> Option<Timestamp> {
        if self.urgent.is_empty() && self.bulk.is_empty() {
            return None;
        }
        let rest = match self.health.leave(now) {
            Leave::NotBefore(until) => Some(until),
            _ => None,
        };
        let rate = Some(self.opens_at(rules, now));
        let held = self.held.values().copied().min();
        let times = [rest, rate, held].into_iter().flatten();
        times.filter(|time| *time > now).min()
    }

    /// A load has been answered. What is to be tried again comes back with [`Queue::hold`], or not at all.
    pub fn done(&mut self, load: &Load<T>, answer: &Answer, now: Timestamp) {
        self.health.judge(answer, load.probe, now);
        self.put_down(load);
    }

    /// A load was not sent after all.
    pub fn put_down(&mut self, load: &Load<T>) {
        match load.urgent {
            true => self.urgent_under_way -= 1,
            false => self.bulk_under_way -= 1,
        }
        if load.probe {
            self.health.probed();
        }
        for key in &load.keys {
            self.busy.remove(key);
        }
    }

    /// Keeps everything with this key back until then.
    pub fn keep_back(&mut self, key: Arc<str>, until: Timestamp) {
        self.held.insert(key, until);
    }

    /// Puts parcels back in front, in their order; those with the same key wait behind them until then.
    pub fn hold(&mut self, parcels: Vec<Parcel<T>>, until: Timestamp) {
        for parcel in parcels.into_iter().rev() {
            if let Some(key) = &parcel.key {
                self.held.insert(Arc::clone(key), until);
            }
            match parcel.urgent {
                true => self.urgent.push_front(parcel),
                false => self.bulk.push_front(parcel),
            }
        }
    }

    fn lane(&self, urgent: bool) -> &VecDeque<Parcel<T>> {
        if urgent { &self.urgent } else { &self.bulk }
    }

    fn opens_at(&self, rules: &Rules, now: Timestamp) -> Timestamp {
        let opens = |bucket: &Bucket, rate: Option<Rate>| {
            rate.map_or(now, |rate| bucket.opens_at(rate, now))
        };
        opens(&self.bucket, rules.rate).max(opens(&self.requests, rules.request_rate))
    }

    fn take(
        &mut self,
        urgent: bool,
        probe: bool,
        rules: &Rules,
        now: Timestamp,
    ) -> Option<Load<T>> {
        let most = if probe { 1 } else { rules.batch.max(1) };
        let (parcels, keys) = self.batch(urgent, most, rules.batch_bytes);
        if parcels.is_empty() {
            return None;
        }
        if let Some(rate) = rules.rate {
            self.bucket.take(rate, parcels.len(), now);
        }
        if let Some(rate) = rules.request_rate {
            self.requests.take(rate, 1, now);
        }
        if probe {
            self.health.probe();
        }
        match urgent {
            true => self.urgent_under_way += 1,
            false => self.bulk_under_way += 1,
        }
        Some(Load {
            parcels,
            keys,
            urgent,
            probe,
        })
    }

    /// The first parcels that may go together.
    fn batch(
        &mut self,
        urgent: bool,
        most: usize,
        bytes: usize,
    ) -> (Vec<Parcel<T>>, Vec<Arc<str>>) {
        let lane = if urgent {
            &mut self.urgent
        } else {
            &mut self.bulk
        };
        let mut batch: Vec<Parcel<T>> = Vec::new();
        let mut room = bytes;
        let mut own: HashSet<Arc<str>> = HashSet::new();
        // A parcel that stays behind keeps those with its key behind it.
        let mut passed: HashSet<Arc<str>> = HashSet::new();
        let mut place = 0;
        while batch.len() < most
            && let Some(parcel) = lane.get(place)
        {
            let waits = parcel.key.as_ref().is_some_and(|key| {
                let busy = self.busy.contains(key) && !own.contains(key);
                busy || self.held.contains_key(key) || passed.contains(key)
            });
            let first = batch.first();
            let fits = first.is_none() || parcel.bytes <= room;
            let alike = first.is_none_or(|first| first.alike == parcel.alike);
            if waits || !alike || !fits {
                // Without an order nothing is gained by looking further.
                let Some(key) = &parcel.key else { break };
                passed.insert(Arc::clone(key));
                place += 1;
                continue;
            }
            room = room.saturating_sub(parcel.bytes);
            own.extend(parcel.key.clone());
            batch.extend(lane.remove(place));
        }
        let keys: Vec<_> = own.into_iter().collect();
        self.busy.extend(keys.iter().cloned());
        (batch, keys)
    }
}

/// Urgent requests under way at once while the endpoint is spared.
const URGENT_PROBES: usize = 2;

#[cfg(test)]
mod tests;
