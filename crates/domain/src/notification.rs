//! A notification accepted by a hub, its deliveries, and their states.
//!
//! One notification has one body and one delivery a target; a direct send has one target, a batch up to 1,000.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::hub::HubKey;
use crate::id::{CallId, NotificationId, RegistrationId};
use crate::identity::UserId;
use crate::push::{Lane, Outcome, Platform};
use crate::time::Timestamp;

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
