//! Virtual devices: what they are ([`Device`]), what they received ([`inbox`]), and all of them ([`registry`]).

pub(crate) mod inbox;
mod journal;
pub(crate) mod registry;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use inbox::{Notification, Outcome};

use crate::clock::Moment;
use crate::webpush::ece::Keys;

/// A phone or browser that exists only here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// The lab's name for it.
    pub id: String,
    /// Whose pushes it gets.
    pub platform: Platform,
    /// The app on it: a bundle id or package name.
    pub app: String,
    /// APNs: which of the app's tokens this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// APNs: which environment the token belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// FCM: which project the token belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Web Push: the one VAPID key that may send to it, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_server_key: Option<String>,
    /// What a person calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a sender sends to.
    pub token: Token,
    /// Whether the app is still there.
    pub state: State,
    /// Whether the service can reach it now.
    pub online: bool,
    /// Web Push: what the browser keeps to itself.
    #[serde(skip)]
    pub(crate) keys: Option<Arc<Keys>>,
}

/// A device's address.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Token {
    /// An APNs device token or FCM registration token.
    Text(String),
    /// A Web Push subscription.
    Subscription {
        /// Where to push.
        endpoint: String,
        /// The browser's public key, base64url.
        p256dh: String,
        /// The shared secret, base64url.
        auth: String,
    },
}

impl Device {
    /// Everything a sender may find the device by: an FCM token begins with the installation id, which is a target too.
    pub(crate) fn addresses(&self) -> Vec<(Platform, String)> {
        let token = self.token.address();
        let id = token
            .split_once(':')
            .map(|(id, _)| id)
            .filter(|_| self.platform == Platform::Fcm);
        let all = std::iter::once(token).chain(id);
        all.map(|address| (self.platform, address.to_owned()))
            .collect()
    }
}

impl Token {
    /// What the service finds the device by; of a subscription, the last part of its endpoint.
    pub fn address(&self) -> &str {
        match self {
            Self::Text(token) => token,
            Self::Subscription { endpoint, .. } => endpoint.rsplit('/').next().unwrap_or(endpoint),
        }
    }
}

/// The push services the lab stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Apple.
    Apns,
    /// Google.
    Fcm,
    /// A browser's push service.
    Webpush,
}

/// The two tokens an Apple app that takes calls has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The PushKit token: topic `<bundle>.voip`.
    Voip,
    /// The token for visible and background notifications: topic `<bundle>`.
    Alert,
}

/// Apple's two environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// App Store and TestFlight.
    Production,
    /// Built with Xcode.
    Sandbox,
}

/// What became of the app on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Installed, notifications on.
    Registered,
    /// Removed: the token is dead.
    Unregistered,
    /// Installed, notifications off: pushes are discarded and the sender is not told.
    Disabled,
}

/// Since when a token is dead, and from when on the service knows it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Death {
    #[serde(with = "micros")]
    pub(crate) since: Moment,
    #[serde(with = "micros")]
    pub(crate) reported_from: Moment,
}

/// A moment as a number, which is read back without loss.
mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::clock::Moment;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    pub(super) fn serialize<S: Serializer>(it: &Moment, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(it.unix_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Moment, D::Error> {
        i64::deserialize(from).map(Moment::from_unix_micros)
    }
}
