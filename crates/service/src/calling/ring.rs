//! The pushes that ring devices and stop them, and the record of how each device was told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::call::{Call, Change, Leg, StopReason};
use domain::fanout::{Reach, Ring, RingEvent, Way};
use domain::hub::HubPlace;
use domain::id::{CallId, NotificationId, RegistrationId};
use domain::identity::UserId;
use domain::notification::{DeliveryState, Notification, NotificationHub, Target};
use domain::push::{Lane, Outcome, Platform};
use domain::time::Timestamp;
use wire::acs::calling::call_context;
use wire::acs::push_payload::{IncomingCall, StopRinging};

use crate::control::Communication;
use crate::{App, Result};

/// A stop is of use for a moment even when the ring it ends was about to end anyway.
const SHORTEST_STOP: Duration = Duration::from_secs(10);

/// What devices are told about a call.
#[derive(Default)]
pub(crate) struct Told {
    /// The pushes to be sent.
    pub(crate) notifications: Vec<Notification>,
    /// How each device is told.
    pub(crate) rings: Vec<Ring>,
    /// The place in the call of the next device that is rung.
    pub(crate) next_place: u32,
}

/// A push that ended without the device getting it: the notification, and the device's place among its targets.
pub(crate) type Missed = (NotificationId, u32);

/// How devices of a call were rung so far.
pub(crate) struct Rung<'a> {
    /// All of it.
    pub(crate) rings: &'a [Ring],
    /// Of these it is known that the device did not get them.
    pub(crate) missed: &'a [Missed],
}

/// One message for the devices of one user.
struct Message<'a> {
    event: RingEvent,
    call: &'a Call,
    leg: &'a Leg,
    /// Why, if it stops the ringing.
    why: Option<StopReason>,
    now: Timestamp,
}

impl App {
    /// Adds the rings of one called user's devices.
    pub(crate) fn ring(
        &self,
        communication: &Communication,
        call: &Call,
        leg: &Leg,
        mut reaches: Vec<Reach>,
        told: &mut Told,
    ) {
        if reaches.is_empty() {
            reaches.push(Reach {
                device: RegistrationId::new(""),
                way: Way::None(NO_DEVICE.into()),
            });
        }
        let message = Message {
            event: RingEvent::IncomingCall,
            call,
            leg,
            why: None,
            now: leg.round.since,
        };
        for reach in reaches {
            let place = told.next_place;
            told.next_place += 1;
            self.tell(communication, &message, reach, place, told);
        }
    }

    /// Whether any of these would ring.
    pub(crate) fn rings_any(&self, communication: &Communication, reaches: &[Reach]) -> bool {
        reaches.iter().any(|reach| match &reach.way {
            Way::Live(_) => true,
            Way::Push(platform, _) => self.hub_for(communication, *platform).is_ok(),
            Way::None(_) => false,
        })
    }

    /// The stops that a change asks for: to every device that was rung and is not known to have missed it.
    pub(crate) fn stops(
        &self,
        communication: &Communication,
        call: &Call,
        changes: &[Change],
        rung: &Rung<'_>,
        now: Timestamp,
    ) -> Told {
        let mut told = Told::default();
        for (target, except, why) in changes.iter().filter_map(stopped) {
            let Some(leg) = call.leg(target) else {
                continue;
            };
            let message = Message {
                event: RingEvent::StopRinging,
                call,
                leg,
                why: Some(why),
                now,
            };
            let concerned = rung.rings.iter().filter(|ring| {
                ring.is_of(leg)
                    && ring.event == RingEvent::IncomingCall
                    && except != Some(&ring.device)
                    && !matches!(ring.way, Way::None(_))
                    && !ring
                        .delivery
                        .as_ref()
                        .is_some_and(|one| rung.missed.contains(one))
            });
            for ring in concerned {
                let reach = Reach {
                    device: ring.device.clone(),
                    way: ring.way.clone(),
                };
                self.tell(communication, &message, reach, ring.place, &mut told);
            }
        }
        told
    }

    /// Pushes of the call that ended without the device getting them.
    pub(crate) async fn missed(&self, call: &CallId) -> Result<Vec<Missed>> {
        let deliveries = self.store.deliveries_of_call(call).await?;
        let missed = deliveries
            .into_iter()
            .filter(|delivery| match &delivery.state {
                DeliveryState::Pending => false,
                DeliveryState::Settled(attempted) => attempted.outcome != Outcome::Accepted,
            });
        Ok(missed
            .map(|delivery| (delivery.notification, delivery.ordinal))
            .collect())
    }

    /// Whether a user's devices are to ring for a call.
    pub(crate) async fn leg_rings(&self, call: &CallId, user: &UserId) -> Result<bool> {
        let read = self.store.call(call).await?;
        Ok(read.is_some_and(|read| read.call.rings_for(user)))
    }

    fn tell(
        &self,
        communication: &Communication,
        message: &Message<'_>,
        reach: Reach,
        place: u32,
        told: &mut Told,
    ) {
        let mut ring = Ring {
            event: message.event,
            place,
            target: message.leg.target.clone(),
            round: message.leg.round.id.clone(),
            device: reach.device,
            way: reach.way,
            delivery: None,
            at: message.now,
        };
        if let Way::Push(platform, handle) = &ring.way {
            match self.hub_for(communication, *platform) {
                Ok(hub) => {
                    let target = Target {
                        handle: handle.clone(),
                        device: Some((ring.target.clone(), ring.device.clone())),
                    };
                    ring.delivery = Some(self.add(told, message, hub, *platform, target));
                }
                Err(why) => ring.way = Way::None(why.into()),
            }
        }
        told.rings.push(ring);
    }

    /// Adds a target to the notification of this message and platform, which is made with the first.
    fn add(
        &self,
        told: &mut Told,
        message: &Message<'_>,
        hub: NotificationHub,
        platform: Platform,
        target: Target,
    ) -> (NotificationId, u32) {
        let open = told.notifications.iter_mut().find(|open| {
            open.platform == platform
                && open
                    .targets
                    .iter()
                    .any(|other| same_user(other, &message.leg.target))
        });
        if let Some(open) = open {
            let ordinal = u32::try_from(open.targets.len()).unwrap_or(u32::MAX);
            open.targets.push(target);
            return (open.id.clone(), ordinal);
        }
        let id = NotificationId::unrepeatable(message.now, self.random.bytes());
        let (headers, body) = message.payload(platform);
        told.notifications.push(Notification {
            id: id.clone(),
            hub,
            platform,
            headers,
            body,
            tag: None,
            lane: Lane::Call,
            call: Some(message.call.id.clone()),
            created_at: message.now,
            deadline: message.deadline(),
            targets: vec![target],
        });
        (id, 0)
    }

    /// The hub that pushes of a platform go through, or why there is none.
    fn hub_for(
        &self,
        communication: &Communication,
        platform: Platform,
    ) -> std::result::Result<NotificationHub, String> {
        let name = communication.name();
        let link = self
            .link(&communication.key)
            .ok_or_else(|| format!("{name} is not linked to a hub"))?;
        let HubPlace::Own(key) = &link.place else {
            return Ok(NotificationHub::Linked(communication.key.clone()));
        };
        let hub = self
            .hub(key)
            .ok_or_else(|| format!("the hub that {name} is linked to is gone"))?;
        match platform {
            Platform::Apns if hub.apns.is_none() => {
                Err(format!("the hub '{}' has no APNs credential", hub.name))
            }
            Platform::Fcm if hub.fcm.is_none() => {
                Err(format!("the hub '{}' has no FCM v1 credential", hub.name))
            }
            _ => Ok(NotificationHub::Own(key.clone())),
        }
    }
}

impl Message<'_> {
    /// "Never retry past the deadline: a late ring is worse than none."
    fn deadline(&self) -> Timestamp {
        match self.why {
            None => self.leg.round.deadline,
            Some(_) => self.leg.round.deadline.max(self.now + SHORTEST_STOP),
        }
    }

    fn payload(&self, platform: Platform) -> (BTreeMap<String, String>, Bytes) {
        let context = call_context(self.call.id.as_str(), self.leg.target.as_str());
        let ring = IncomingCall {
            call_id: self.call.id.as_str(),
            context: &context,
            recipient: self.leg.target.as_str(),
            caller: self.call.from.as_str(),
            display_name: self.call.name_for(self.leg),
            video: self.call.video,
        };
        let stop = self.why.map(|why| StopRinging {
            ring,
            reason: why.as_str(),
        });
        let ttl = self.deadline().since(self.now).as_secs();
        let (headers, body) = match (platform, stop) {
            (Platform::Apns, None) => ring.apns(self.deadline().secs()),
            (Platform::Apns, Some(stop)) => stop.apns(),
            (Platform::Fcm, None) => (Vec::new(), ring.fcm(ttl)),
            (Platform::Fcm, Some(stop)) => (Vec::new(), stop.fcm(ttl)),
        };
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        (headers, Bytes::from(body.to_string()))
    }
}

fn stopped(change: &Change) -> Option<(&UserId, Option<&RegistrationId>, StopReason)> {
    match change {
        Change::Stopped {
            target,
            except,
            why,
        } => Some((target, except.as_ref(), *why)),
        _ => None,
    }
}

fn same_user(target: &Target, user: &UserId) -> bool {
    matches!(&target.device, Some((owner, _)) if owner == user)
}

const NO_DEVICE: &str = "the user has no device and no live connection";
