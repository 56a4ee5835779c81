//! A notification accepted by a hub, its deliveries, and their states.
//!
//! One notification has one body and one delivery a target; a direct send has one target, a batch up to 1,000.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::hub::HubKey;
use crate::id::{CallId, NotificationId, RegistrationId};
use crate::identity::UserId;
use crate::push::{Lane, Outcome, Platform};
use crate::time::Timestamp;

/// A request that is sent again within this time, with the same id, is answered with the first notification.
pub const REPEAT_WINDOW: Duration = Duration::from_secs(300);

/// The longest that a notification is offered to a push service.
pub const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);

/// How long a push that rings is worth sending: "a late ring is worse than none".
pub const RING_LIFE: Duration = Duration::from_secs(30);

/// What a sender says about the end of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Nothing.
    Unsaid,
    /// "Now or never": `apns-expiration: 0`, `ttl: 0s`.
    NowOrNever,
    /// Until then.
    Until(Timestamp),
}

impl Life {
    /// Until when a notification accepted at `now` is offered to its push service.
    pub fn deadline(self, now: Timestamp, lane: Lane) -> Timestamp {
        match (self, lane) {
            (Self::Until(end), _) => end.min(now + LONGEST_LIFE),
            (Self::Unsaid, Lane::Bulk) => now + LONGEST_LIFE,
            (Self::NowOrNever, _) | (Self::Unsaid, Lane::Call) => now + RING_LIFE,
        }
    }
}

impl NotificationId {
    /// The id of what was accepted at `at`: the window of time, so that ids sort by it, then a digest, either
    /// random or of the request that must not be executed twice.
    pub fn accepted(at: Timestamp, digest: [u8; 16]) -> Self {
        let digest = u128::from_be_bytes(digest);
        Self::new(format!("{}-{digest:032x}", window_prefix(at)))
    }

    /// The id of what was accepted at `at` and repeats nothing. Such ids sort by time to the microsecond, so that each
    /// new one goes to the end of its indexes: anywhere else, every row would cost a page of its own.
    pub fn unrepeatable(at: Timestamp, mut chance: [u8; 16]) -> Self {
        let window = i64::try_from(REPEAT_WINDOW.as_micros()).unwrap_or(i64::MAX);
        // Five minutes of microseconds fit in four bytes.
        let into_window = u32::try_from(at.micros().rem_euclid(window)).unwrap_or(u32::MAX);
        chance[..4].copy_from_slice(&into_window.to_be_bytes());
        Self::accepted(at, chance)
    }

    /// What every id accepted before the window of `at` sorts below.
    pub fn lower_bound(at: Timestamp) -> Self {
        Self::new(window_prefix(at))
    }
}

fn window_prefix(at: Timestamp) -> String {
    let window = at.secs().max(0) / REPEAT_WINDOW.as_secs().cast_signed();
    format!("{window:08x}")
}

/// A notification as it is accepted, before it has been sent to anyone.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its id, in the `Location` of the answer.
    pub id: NotificationId,
    /// Through which hub it goes.
    pub hub: NotificationHub,
    /// The platform of all its targets.
    pub platform: Platform,
    /// Platform headers as the caller gave them, lower-case names (`apns-push-type`, …).
    pub headers: BTreeMap<String, String>,
    /// The payload as the caller gave it (FCM: the v1 body without a token).
    pub body: Bytes,
    /// The tag a direct send may carry, for reporting only.
    pub tag: Option<String>,
    /// Which lane it takes.
    pub lane: Lane,
    /// The call it rings for or stops ringing.
    pub call: Option<CallId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Never sent after this.
    pub deadline: Timestamp,
    /// To whom.
    pub targets: Vec<Target>,
}

/// One device that a notification goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The PNS handle.
    pub handle: String,
    /// Whose device registration it is, for pushes of calls and chat.
    pub device: Option<(UserId, RegistrationId)>,
}

/// Where a notification goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotificationHub {
    /// A hub of this server.
    Own(HubKey),
    /// The remote hub that this communication resource (lower-cased resource id) is linked to.
    Linked(String),
}

/// One delivery as it is kept and shown.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The notification.
    pub notification: NotificationId,
    /// Its place among the notification's targets, from 0.
    pub ordinal: u32,
    /// The platform.
    pub platform: Platform,
    /// To whom.
    pub target: Target,
    /// The call it belongs to.
    pub call: Option<CallId>,
    /// When the notification was accepted.
    pub created_at: Timestamp,
    /// How it stands.
    pub state: DeliveryState,
}

/// How a delivery stands.
#[derive(Clone, Debug)]
pub enum DeliveryState {
    /// Recorded, not yet ended.
    Pending,
    /// Ended.
    Settled(crate::push::Attempted),
}

impl DeliveryState {
    /// Whether the provider took it.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Settled(attempted) if attempted.outcome == Outcome::Accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_lives_as_long_as_its_sender_says_but_half_an_hour_at_most() {
        let now = Timestamp::from_secs(1_795_493_896);
        let soon = now + Duration::from_secs(5);
        for (life, lane, deadline) in [
            (Life::Unsaid, Lane::Bulk, now + LONGEST_LIFE),
            (Life::Unsaid, Lane::Call, now + RING_LIFE),
            (Life::NowOrNever, Lane::Bulk, now + RING_LIFE),
            (Life::Until(soon), Lane::Call, soon),
            (Life::Until(Timestamp::MAX), Lane::Bulk, now + LONGEST_LIFE),
        ] {
            assert_eq!(life.deadline(now, lane), deadline, "{life:?}");
        }
    }

    #[test]
    fn ids_sort_by_the_time_they_were_accepted_at() {
        let first = Timestamp::from_secs(1_795_493_896);
        let later = first + REPEAT_WINDOW;
        let id = NotificationId::accepted(first, [0xff; 16]);
        assert_eq!(id.as_str(), "005b52d3-ffffffffffffffffffffffffffffffff");
        assert!(id < NotificationId::accepted(later, [0; 16]));
        assert!(id < NotificationId::lower_bound(later));
        assert!(id > NotificationId::lower_bound(first));
    }

    #[test]
    fn ids_that_repeat_nothing_sort_by_the_microsecond() {
        let start = Timestamp::from_secs(1_795_493_896);
        let times = [0, 1, 255, 256, 299_999_999, 300_000_000].map(Duration::from_micros);
        let ids = times.map(|after| NotificationId::unrepeatable(start + after, [0xff; 16]));
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| id.as_str().ends_with(&"ff".repeat(12))));
    }
}
