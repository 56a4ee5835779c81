//! All virtual devices, found by id and by token.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Moment;
use crate::device::inbox::{Accepted, Inbox, Notification};
use crate::device::journal::{Journal, Line};
use crate::device::{Death, Device, Platform, State};
use crate::webpush::ece::KeptKeys;

/// All devices, behind one lock that is held for a few lines.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<Devices>);

#[derive(Debug, Default)]
struct Devices {
    by_id: HashMap<String, Entry>,
    ids_by_address: HashMap<(Platform, String), String>,
    order: VecDeque<String>,
    graves: HashMap<(Platform, String), Death>,
    grave_order: VecDeque<(Platform, String)>,
    /// Every app that ever had a device here: what Apple would know as the team's apps.
    apps: HashSet<(Platform, String)>,
    bytes: usize,
    journal: Journal,
}

/// A device with its log.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) device: Device,
    pub(crate) death: Option<Death>,
    inbox: Inbox,
}

/// What a token leads to.
pub(crate) enum Found<'a> {
    /// A device, dead or alive.
    Device(&'a mut Entry),
    /// A deleted device.
    Grave(Death),
    /// Nothing.
    Unknown,
}

/// What a change of a device may be.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) state: Option<State>,
    pub(crate) online: Option<bool>,
    pub(crate) name: Option<String>,
    /// How long the service goes on not knowing that the app is gone.
    pub(crate) reported_after_seconds: i64,
}

impl Registry {
    /// The devices of the journal in `path`, which is kept from now on.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut devices = Devices::default();
        for line in Journal::read(path)? {
            devices.replay(line);
        }
        devices.journal = Journal::rewrite(path, devices.lines())?;
        Ok(Self(Mutex::new(devices)))
    }

    /// Adds a device; `false` if there are too many.
    pub(crate) fn add(&self, device: Device) -> bool {
        let mut devices = self.lock();
        if devices.by_id.len() >= DEVICES {
            return false;
        }
        let entry = Entry::new(device, None);
        devices.journal.append(&entry.line());
        devices.insert(entry);
        true
    }

    /// Every device, oldest first.
    pub(crate) fn list(&self) -> Vec<Device> {
        let devices = self.lock();
        let entries = devices.order.iter().filter_map(|id| devices.by_id.get(id));
        entries.map(|entry| entry.device.clone()).collect()
    }

    /// The device with this id.
    pub(crate) fn device(&self, id: &str) -> Option<Device> {
        self.lock().by_id.get(id).map(|entry| entry.device.clone())
    }

    /// Changes a device as a person at the phone would.
    pub(crate) fn change(&self, id: &str, change: Change, now: Moment) -> Option<Device> {
        let mut guard = self.lock();
        let devices = &mut *guard;
        let entry = devices.by_id.get_mut(id)?;
        let before = entry.inbox.bytes();
        entry.change(change, now);
        settle(&mut devices.bytes, before, &mut entry.inbox);
        devices.journal.append(&entry.line());
        Some(entry.device.clone())
    }

    /// Removes a device; its token answers like a dead one from now on.
    pub(crate) fn remove(&self, id: &str, now: Moment) -> bool {
        let mut devices = self.lock();
        let Some(entry) = devices.take(id) else {
            return false;
        };
        let now = Death {
            since: now,
            reported_from: now,
        };
        let (addresses, death) = (entry.device.addresses(), entry.death.unwrap_or(now));
        for address in &addresses {
            devices.bury(address.clone(), death);
        }
        devices.journal.append(&Line::Gone { addresses, death });
        entry.inbox.changed().notify_waiters();
        true
    }

    /// The log lines of a device after `after`.
    pub(crate) fn log(&self, id: &str, after: u64) -> Option<Vec<Notification>> {
        Some(self.lock().by_id.get(id)?.inbox.after(after))
    }

    /// What is notified at a device's next log line, and at its end.
    pub(crate) fn changed(&self, id: &str) -> Option<Arc<Notify>> {
        Some(self.lock().by_id.get(id)?.inbox.changed())
    }

    /// Runs `visit` on what `address` leads to, under the lock.
    pub(crate) fn visit<R>(
        &self,
        platform: Platform,
        address: &str,
        visit: impl FnOnce(Found<'_>) -> R,
    ) -> R {
        let mut guard = self.lock();
        let devices = &mut *guard;
        let key = (platform, address.to_owned());
        let id = devices.ids_by_address.get(&key);
        let Some(entry) = id.and_then(|id| devices.by_id.get_mut(id)) else {
            return match devices.graves.get(&key) {
                Some(death) => visit(Found::Grave(*death)),
                None => visit(Found::Unknown),
            };
        };
        let before = entry.inbox.bytes();
        let seen = visit(Found::Device(entry));
        if let Some(entry) = id.and_then(|id| devices.by_id.get_mut(id)) {
            settle(&mut devices.bytes, before, &mut entry.inbox);
        }
        seen
    }

    /// Whether `app` ever had a device of this platform.
    pub(crate) fn knows_app(&self, platform: Platform, app: &str) -> bool {
        self.lock().apps.contains(&(platform, app.to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, Devices> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Devices {
    fn insert(&mut self, entry: Entry) {
        let device = &entry.device;
        if self.apps.len() < DEVICES {
            self.apps.insert((device.platform, device.app.clone()));
        }
        for address in device.addresses() {
            self.ids_by_address.insert(address, device.id.clone());
        }
        self.order.push_back(device.id.clone());
        self.by_id.insert(device.id.clone(), entry);
    }

    fn take(&mut self, id: &str) -> Option<Entry> {
        let entry = self.by_id.remove(id)?;
        self.bytes -= entry.inbox.bytes();
        self.order.retain(|other| other != id);
        for address in entry.device.addresses() {
            self.ids_by_address.remove(&address);
        }
        Some(entry)
    }

    fn replay(&mut self, line: Line) {
        match line {
            Line::Device {
                mut device,
                keys,
                death,
            } => {
                device.keys = keys.and_then(|keys| keys.keys()).map(Arc::new);
                match self.by_id.get_mut(&device.id) {
                    Some(entry) => *entry = Entry::new(*device, death),
                    None => self.insert(Entry::new(*device, death)),
                }
            }
            Line::Gone { addresses, death } => {
                let id = addresses
                    .iter()
                    .find_map(|it| self.ids_by_address.get(it).cloned());
                id.and_then(|id| self.take(&id));
                for address in addresses {
                    self.bury(address, death);
                }
            }
        }
    }

    /// What a journal of this moment has.
    fn lines(&self) -> impl Iterator<Item = Line> {
        let living = self
            .order
            .iter()
            .filter_map(|id| self.by_id.get(id))
            .map(Entry::line);
        let dead = self.grave_order.iter().filter_map(|address| {
            let death = *self.graves.get(address)?;
            let addresses = vec![address.clone()];
            Some(Line::Gone { addresses, death })
        });
        living.chain(dead)
    }

    fn bury(&mut self, address: (Platform, String), death: Death) {
        self.graves.insert(address.clone(), death);
        self.grave_order.push_back(address);
        if self.grave_order.len() > GRAVES
            && let Some(oldest) = self.grave_order.pop_front()
        {
            self.graves.remove(&oldest);
        }
    }
}

impl Entry {
    fn new(device: Device, death: Option<Death>) -> Self {
        Self {
            device,
            death,
            inbox: Inbox::default(),
        }
    }

    fn line(&self) -> Line {
        Line::Device {
            device: Box::new(self.device.clone()),
            keys: self.device.keys.as_deref().map(KeptKeys::from),
            death: self.death,
        }
    }

    /// Takes what the service has accepted for this device: delivered, stored or discarded, as the flow of Apple's
    /// "Viewing the status of push notifications" says; the sender is told the same in each case.
    pub(crate) fn take(&mut self, push: Accepted, now: Moment) {
        match self.device.state {
            State::Unregistered => self.inbox.discard(&push, now, "unregistered"),
            State::Disabled => self.inbox.discard(&push, now, "disabled"),
            State::Registered if self.device.online => self.inbox.deliver(&push, now),
            State::Registered if push.keep_until.is_none_or(|until| until <= now) => {
                self.inbox.discard(&push, now, "offline");
            }
            State::Registered => self.inbox.store(push, now, self.room()),
        }
    }

    /// Loses what the service has accepted.
    pub(crate) fn lose(&mut self, push: &Accepted, now: Moment, reason: &'static str) {
        self.inbox.discard(push, now, reason);
    }

    /// Takes back what still waits; `false` if it does not.
    pub(crate) fn withdraw(&mut self, id: &str, now: Moment) -> bool {
        self.inbox.withdraw(id, now)
    }

    /// How many pushes may wait. "APNs stores only one notification per device and app"; FCM keeps up to 100
    /// messages that cannot be collapsed; a Web Push service may choose.
    fn room(&self) -> usize {
        match self.device.platform {
            Platform::Apns => 1,
            Platform::Fcm | Platform::Webpush => 100,
        }
    }

    fn change(&mut self, change: Change, now: Moment) {
        if let Some(name) = change.name {
            self.device.name = Some(name);
        }
        if let Some(online) = change.online {
            self.device.online = online;
        }
        if let Some(state) = change.state {
            self.device.state = state;
        }
        match self.device.state {
            State::Registered => self.death = None,
            State::Disabled => {
                self.death = None;
                self.inbox.abandon(now, "disabled");
            }
            State::Unregistered => {
                self.death.get_or_insert(Death {
                    since: now,
                    reported_from: now.plus_seconds(change.reported_after_seconds),
                });
                self.inbox.abandon(now, "unregistered");
            }
        }
        if self.device.state == State::Registered && self.device.online {
            self.inbox.flush(now);
        }
    }
}

/// Brings the total up to date with one log, which gives up its oldest lines while the total is too high.
fn settle(total: &mut usize, before: usize, inbox: &mut Inbox) {
    *total -= before;
    while inbox.bytes() > 0 && *total + inbox.bytes() > TOTAL_BYTES {
        inbox.forget_oldest();
    }
    *total += inbox.bytes();
}

/// How many devices there may be.
const DEVICES: usize = 200_000;
/// How many deleted devices are remembered.
const GRAVES: usize = 100_000;
/// How much all logs together may hold.
const TOTAL_BYTES: usize = 256 << 20;
