//! Which devices of a user are rung, how, and what stops them.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::call::{Leg, Reached};
use crate::device::{Device, Purpose, State, Transport};
use crate::id::{NotificationId, RegistrationId, RoundId};
use crate::identity::UserId;
use crate::push::Platform;
use crate::time::Timestamp;

/// A live connection of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The connection's id.
    pub id: String,
    /// The endpoint the client named: the registration id of its device, if it registered one.
    pub endpoint: RegistrationId,
}

/// One device, or one connection without a registration, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The device's registration, or the connection's endpoint.
    pub device: RegistrationId,
    /// How.
    pub way: Way,
}

/// How a device is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Over this connection.
    Live(String),
    /// By push.
    Push(Platform, String),
    /// Not at all, and why.
    None(Cow<'static, str>),
}

/// How one device was rung, or told to stop, as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Which of the two.
    pub event: RingEvent,
    /// The device's place in the call: the same for its ring and its stop.
    pub place: u32,
    /// Whose device.
    pub target: UserId,
    /// Which ringing of the user.
    pub round: RoundId,
    /// The device; empty when the user has none at all.
    pub device: RegistrationId,
    /// How.
    pub way: Way,
    /// A push: the notification, and the device's place among its targets.
    pub delivery: Option<(NotificationId, u32)>,
    /// When it was decided.
    pub at: Timestamp,
}

impl Ring {
    /// Whether it belongs to the last ringing of this leg.
    pub fn is_of(&self, leg: &Leg) -> bool {
        self.target == leg.target && self.round == leg.round.id
    }

    /// How far it got; of a push the push service knows whether it was taken.
    pub fn reached(&self, taken: bool) -> Reached {
        match &self.way {
            Way::Live(_) => Reached::Device,
            Way::Push(..) if taken => Reached::Device,
            Way::None(_) if self.device.as_str().is_empty() => Reached::Nobody,
            // "After its time the endpoint is deleted"; one for chat is none for calls.
            Way::None(why) if [EXPIRED, NOT_FOR_THIS].contains(&why.as_ref()) => Reached::Nobody,
            Way::None(why) if why == NOT_CONNECTED => Reached::Offline,
            // The push failed, or its token is in doubt, or there is no hub for it.
            Way::Push(..) | Way::None(_) => Reached::Unpushed,
        }
    }
}

/// What a device is told about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingEvent {
    /// To ring.
    IncomingCall,
    /// To stop.
    StopRinging,
}

impl RingEvent {
    /// As pushes and the store write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IncomingCall => "IncomingCall",
            Self::StopRinging => "StopRinging",
        }
    }

    /// What [`RingEvent::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::IncomingCall, Self::StopRinging]
            .into_iter()
            .find(|event| event.as_str() == text)
    }
}

/// Decides who is reached how. A device is reached live while its channel is connected and by push otherwise; an address
/// that stands in two registrations is used once, for the newest.
pub fn plan(
    devices: &[Device],
    connections: &[Connection],
    purpose: Purpose,
    now: Timestamp,
) -> Vec<Reach> {
    let mut reaches: Vec<Reach> = connections
        .iter()
        .map(|connection| Reach {
            device: connection.endpoint.clone(),
            way: Way::Live(connection.id.clone()),
        })
        .collect();
    let connected: HashSet<&RegistrationId> = connections.iter().map(|c| &c.endpoint).collect();
    let mut newest_first: Vec<&Device> = devices
        .iter()
        .filter(|device| !connected.contains(&device.id))
        .collect();
    newest_first.sort_by_key(|device| std::cmp::Reverse(registered_at(device)));
    let mut used = HashSet::new();
    for device in newest_first {
        reaches.extend(
            ways(device, purpose, now, &mut used)
                .into_iter()
                .map(|way| {
                    let device = device.id.clone();
                    Reach { device, way }
                }),
        );
    }
    reaches
}

fn ways<'d>(
    device: &'d Device,
    purpose: Purpose,
    now: Timestamp,
    used: &mut HashSet<(Platform, &'d str)>,
) -> Vec<Way> {
    if !device.wants(purpose) {
        return vec![Way::None(NOT_FOR_THIS.into())];
    }
    let pushes: Vec<(Platform, &Transport)> = device
        .transports
        .iter()
        .filter_map(|transport| Some((transport.push_platform()?, transport)))
        .collect();
    let active = pushes
        .iter()
        .filter(|(_, transport)| transport.state(now) == State::Active);
    let mut known = false;
    let ways: Vec<Way> = active
        .inspect(|_| known = true)
        .filter(|(platform, transport)| used.insert((*platform, &transport.path)))
        .map(|(platform, transport)| Way::Push(*platform, transport.path.clone()))
        .collect();
    if !ways.is_empty() {
        return ways;
    }
    let quarantined = pushes
        .iter()
        .any(|(_, transport)| transport.state(now) == State::Quarantined);
    let why = match pushes.is_empty() {
        _ if known => SAME_ADDRESS,
        true => NOT_CONNECTED,
        false if quarantined => QUARANTINED,
        false => EXPIRED,
    };
    vec![Way::None(why.into())]
}

fn registered_at(device: &Device) -> Option<Timestamp> {
    device
        .transports
        .iter()
        .map(|transport| transport.registered_at)
        .max()
}

const NOT_FOR_THIS: &str = "the registration's template is not for this kind of notification";
const NOT_CONNECTED: &str = "the device has only a channel, and it is not connected";
const SAME_ADDRESS: &str = "a newer registration has the same device token";
const QUARANTINED: &str = "the device token is quarantined: the push service took it for one of another app or environment";
const EXPIRED: &str = "the registration has expired, or its device token is dead";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Health, TransportKind};

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn transport(kind: TransportKind, path: &str) -> Transport {
        Transport {
            kind,
            path: path.into(),
            context: String::new(),
            registered_at: Timestamp::from_secs(900),
            expires_at: Timestamp::from_secs(2000),
            health: Health::Good,
        }
    }

    fn device(id: &str, transports: Vec<Transport>) -> Device {
        Device {
            user: UserId::new("8:acs:a_b"),
            id: RegistrationId::new(id),
            app_id: String::new(),
            platform: String::new(),
            template_key: String::new(),
            crypto: None,
            transports,
        }
    }

    fn ways_of(devices: &[Device], connections: &[&str]) -> Vec<(String, Way)> {
        let connections: Vec<_> = connections
            .iter()
            .map(|endpoint| Connection {
                id: format!("conn-{endpoint}"),
                endpoint: RegistrationId::new(*endpoint),
            })
            .collect();
        plan(devices, &connections, Purpose::Call, NOW)
            .into_iter()
            .map(|reach| (reach.device.into_string(), reach.way))
            .collect()
    }

    fn ring(device: &str, way: Way) -> Ring {
        Ring {
            event: RingEvent::IncomingCall,
            place: 0,
            target: UserId::new("8:acs:a_b"),
            round: RoundId::new("round"),
            device: RegistrationId::new(device),
            way,
            delivery: None,
            at: NOW,
        }
    }

    #[test]
    fn a_connected_device_rings_live_and_a_sleeping_one_by_push() {
        use TransportKind::{Apns, Fcm, Trouter};
        let devices = [
            device(
                "web",
                vec![transport(Trouter, "/v4/f/x"), transport(Apns, "aa")],
            ),
            device(
                "phone",
                vec![transport(Trouter, "/v4/f/y"), transport(Fcm, "bb")],
            ),
        ];
        assert_eq!(
            ways_of(&devices, &["web", "tablet"]),
            [
                ("web".into(), Way::Live("conn-web".into())),
                ("tablet".into(), Way::Live("conn-tablet".into())),
                ("phone".into(), Way::Push(Platform::Fcm, "bb".into())),
            ]
        );
    }

    #[test]
    fn a_device_that_is_not_reached_says_why() {
        use TransportKind::{Apns, Fcm, Trouter};
        let mut chat = device("chat", vec![transport(Apns, "aa")]);
        chat.template_key = "AcsIos.AcsNotify_Chat_3.0".into();
        let mut quarantined = device("quarantined", vec![transport(Apns, "bb")]);
        quarantined.transports[0].health = Health::Quarantined("BadDeviceToken".into());
        let mut expired = device("expired", vec![transport(Fcm, "cc")]);
        expired.transports[0].expires_at = NOW;
        let channel = device("channel", vec![transport(Trouter, "/v4/f/x")]);
        for (device, why, reached) in [
            (chat, NOT_FOR_THIS, Reached::Nobody),
            (quarantined, QUARANTINED, Reached::Unpushed),
            (expired, EXPIRED, Reached::Nobody),
            (channel, NOT_CONNECTED, Reached::Offline),
        ] {
            let [(id, way)] = &ways_of(&[device], &[])[..] else {
                panic!("one way a device")
            };
            assert_eq!(*way, Way::None(why.into()));
            assert_eq!(ring(id, way.clone()).reached(false), reached);
        }
    }

    #[test]
    fn a_ring_gets_as_far_as_a_connection_or_a_push_service() {
        let push = || Way::Push(Platform::Apns, "aa".into());
        let unlinked = Way::None("comm is not linked to a hub".into());
        for (device, way, taken, reached) in [
            ("r", Way::Live("conn".into()), false, Reached::Device),
            ("r", push(), true, Reached::Device),
            ("r", push(), false, Reached::Unpushed),
            ("r", unlinked, false, Reached::Unpushed),
            ("", Way::None("nobody".into()), false, Reached::Nobody),
        ] {
            assert_eq!(ring(device, way).reached(taken), reached);
        }
    }

    #[test]
    fn one_token_rings_once_for_its_newest_registration() {
        let old = device("old", vec![transport(TransportKind::Apns, "aa")]);
        let mut new = device("new", vec![transport(TransportKind::Apns, "aa")]);
        new.transports[0].registered_at = Timestamp::from_secs(950);
        assert_eq!(
            ways_of(&[old, new], &[]),
            [
                ("new".into(), Way::Push(Platform::Apns, "aa".into())),
                ("old".into(), Way::None(SAME_ADDRESS.into())),
            ]
        );
    }
}
