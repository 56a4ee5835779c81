//! Pushes that ring a user for a call: taken back, where they are still to be sent, once the user's leg rings no more.
//!
//! The node that stops a leg takes back its own at once. Other nodes, and one that sends what was left pending, learn
//! of it from the store. What tells a device to stop is never taken back.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::fanout::RingEvent;
use domain::id::{CallId, NotificationId};
use domain::identity::UserId;
use domain::notification::Notification;
use tokio_util::sync::CancellationToken;

use super::deliver::{Flight, Landing};
use crate::{App, Result};

/// A user's part in a call, while it rings.
pub(super) type RungLeg = (CallId, UserId);

/// The flights that ring each leg.
#[derive(Default)]
pub(super) struct Ringing(Mutex<Legs>);

type Legs = HashMap<RungLeg, BTreeMap<NotificationId, CancellationToken>>;

/// One flight's place in [`Ringing`], given up when it has landed.
pub(super) struct Listed {
    leg: RungLeg,
    id: NotificationId,
    ringing: Arc<Ringing>,
}

/// How often the store is asked whether a leg rings on while pushes of it are under way. Few are for so long.
const LOOK: Duration = Duration::from_secs(1);

impl Ringing {
    fn lock(&self) -> MutexGuard<'_, Legs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut legs = self.ringing.lock();
        if let Some(flights) = legs.get_mut(&self.leg) {
            flights.remove(&self.id);
            if flights.is_empty() {
                legs.remove(&self.leg);
            }
        }
    }
}

impl App {
    /// Sends durable notifications that ring users, in the background, as long as those are to be rung.
    pub fn deliver_rings(&self, notifications: Vec<Notification>) {
        for notification in notifications {
            let ordinals = 0..u32::try_from(notification.targets.len()).unwrap_or(u32::MAX);
            let notification = Arc::new(notification);
            drop(match leg(&notification) {
                Some(leg) => self.depart(self.listed(leg, notification), ordinals),
                None => self.launch(notification, None),
            });
        }
    }

    /// Takes back what is still to be sent of the pushes that ring a user for a call.
    pub fn cancel_rings(&self, call: &CallId, user: &UserId) {
        let legs = self.sends.ringing.lock();
        let flights = legs.get(&(call.clone(), user.clone()));
        for cancelled in flights.into_iter().flat_map(BTreeMap::values) {
            cancelled.cancel();
        }
    }

    /// The leg that a notification rings, if it does not do anything else.
    pub(super) async fn rung_by(&self, notification: &Notification) -> Result<Option<RungLeg>> {
        let Some(leg) = leg(notification) else {
            return Ok(None);
        };
        let rings = self.store.rings_of(&leg.0).await?;
        let rings = rings.iter().any(|ring| {
            let (event, delivery) = (ring.event, ring.delivery.as_ref());
            event == RingEvent::IncomingCall
                && delivery.is_some_and(|(id, _)| *id == notification.id)
        });
        Ok(rings.then_some(leg))
    }

    /// Sends what was left pending of a ring, or settles that it need not be sent any more.
    pub(super) async fn resume_ring(
        &self,
        leg: RungLeg,
        notification: Arc<Notification>,
        ordinals: impl Iterator<Item = u32>,
    ) -> Result<Vec<Landing>> {
        let rings = self.leg_rings(&leg.0, &leg.1).await?;
        let flight = self.listed(leg, notification);
        if !rings {
            flight.cancelled.cancel();
        }
        Ok(self.depart(flight, ordinals))
    }

    /// A flight that is listed, and watched if it is the first of its leg.
    fn listed(&self, leg: RungLeg, notification: Arc<Notification>) -> Flight {
        let cancelled = CancellationToken::new();
        let id = notification.id.clone();
        let first = {
            let mut legs = self.sends.ringing.lock();
            let flights = legs.entry(leg.clone()).or_default();
            flights.insert(id.clone(), cancelled.clone());
            flights.len() == 1
        };
        if first {
            self.tasks.spawn(self.clone().watch_leg(leg.clone()));
        }
        Flight {
            notification,
            cancelled,
            _listed: Some(Listed {
                leg,
                id,
                ringing: Arc::clone(&self.sends.ringing),
            }),
            _room: None,
        }
    }

    /// Looks whether a leg rings on, as long as pushes of it are under way: another node may have stopped it.
    async fn watch_leg(self, leg: RungLeg) {
        loop {
            let pause = self.clock.sleep(LOOK);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if !self.sends.ringing.lock().contains_key(&leg) {
                return;
            }
            let (call, user) = &leg;
            match self.leg_rings(call, user).await {
                Ok(true) => {}
                Ok(false) => self.cancel_rings(call, user),
                Err(error) => {
                    tracing::warn!(%error, %call, "it could not be read whether a call rings on");
                }
            }
        }
    }
}

/// The leg that a push for a call is about: all its targets are devices of one user.
fn leg(notification: &Notification) -> Option<RungLeg> {
    let (user, _) = notification.targets.first()?.device.as_ref()?;
    Some((notification.call.clone()?, user.clone()))
}
