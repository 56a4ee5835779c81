//! A device registration of a user and its lifetime.
//!
//! A registration is one device: a channel and a push token under one registration id are the same phone.

use std::time::Duration;

use secrecy::SecretString;
pub use wire::trouter::registrar::Kind as TransportKind;

use crate::id::RegistrationId;
use crate::identity::UserId;
use crate::push::{Attempted, Outcome, Platform};
use crate::time::Timestamp;

/// A device of a user.
#[derive(Clone, Debug)]
pub struct Device {
    /// Whose it is.
    pub user: UserId,
    /// Chosen by the client; also the endpoint by which it names itself in a call.
    pub id: RegistrationId,
    /// `AcsIos`, `AcsAndroid`, `AcsWeb`.
    pub app_id: String,
    /// `iOS`, `Android`, `SPOOL`.
    pub platform: String,
    /// Decides what it is sent (see [`Device::wants`]).
    pub template_key: String,
    /// What chat pushes are encrypted with.
    pub crypto: Option<Crypto>,
    /// How it is reached.
    pub transports: Vec<Transport>,
}

/// The keys of chat pushes, as the client sent them.
#[derive(Clone, Debug)]
pub struct Crypto {
    /// AES-256 key, base64.
    pub aes_key: SecretString,
    /// Base64; its hash is the HMAC key.
    pub auth_key: SecretString,
    /// `0x70`.
    pub method: String,
}

/// One way to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Which service.
    pub kind: TransportKind,
    /// The device token, or the channel's URL.
    pub path: String,
    /// Opaque to us.
    pub context: String,
    /// When it was last registered.
    pub registered_at: Timestamp,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
    /// What the provider last said of it.
    pub health: Health,
}

/// What a push service said of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing bad.
    Good,
    /// It may only be of another environment or app: not used until it is renewed, not forgotten.
    Quarantined(String),
    /// The provider said that it is gone.
    Dead(String),
}

/// How a transport stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may be used.
    Active,
    /// It is kept, not used.
    Quarantined,
    /// It is over: its time ran out or its token is gone.
    Expired,
}

/// What a device can be woken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An incoming call.
    Call,
    /// A chat message.
    Chat,
}

impl Device {
    /// Whether the device is for this purpose: a template key that names Chat is for chat, one that names Call is
    /// for calls, one that names neither (or both) is for both.
    pub fn wants(&self, purpose: Purpose) -> bool {
        let key = self.template_key.to_ascii_lowercase();
        let (call, chat) = (key.contains("call"), key.contains("chat"));
        call == chat
            || match purpose {
                Purpose::Call => call,
                Purpose::Chat => chat,
            }
    }
}

impl Transport {
    /// How it stands now.
    pub fn state(&self, now: Timestamp) -> State {
        match self.health {
            _ if self.expires_at <= now => State::Expired,
            Health::Dead(_) => State::Expired,
            Health::Quarantined(_) => State::Quarantined,
            Health::Good => State::Active,
        }
    }

    /// The push service it is of; none for a channel.
    pub fn push_platform(&self) -> Option<Platform> {
        match self.kind {
            TransportKind::Apns => Some(Platform::Apns),
            TransportKind::Fcm => Some(Platform::Fcm),
            TransportKind::Trouter => None,
        }
    }
}

/// What a failed push means for the device it was sent to: its new health, for transports registered before a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The health to write down.
    pub health: Health,
    /// Only transports registered before this are meant: a token registered later is not the one that failed.
    pub registered_before: Timestamp,
}

impl Verdict {
    /// The verdict of an ended push, if it says anything about its device.
    pub fn of(attempted: &Attempted) -> Option<Self> {
        let sent = attempted.written_at.unwrap_or(attempted.ended_at);
        let reason = attempted.reason.clone().unwrap_or_default();
        match attempted.outcome {
            Outcome::DeadToken { since } => Some(Self {
                health: Health::Dead(reason),
                // Inclusive of the moment itself: whatever was registered then is what the provider spoke of.
                registered_before: since.unwrap_or(sent) + Duration::from_micros(1),
            }),
            Outcome::SuspectToken => Some(Self {
                health: Health::Quarantined(reason),
                registered_before: sent + Duration::from_micros(1),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(template_key: &str) -> Device {
        Device {
            user: UserId::new("8:acs:a_b"),
            id: RegistrationId::new("r"),
            app_id: String::new(),
            platform: String::new(),
            template_key: template_key.into(),
            crypto: None,
            transports: Vec::new(),
        }
    }

    #[test]
    fn the_template_key_decides_between_calls_and_chat() {
        for (key, call, chat) in [
            ("AcsIos.AcsNotify_Chat_3.0", false, true),
            ("AcsIos.AcsNotify_Call_1.0", true, false),
            ("AcsAndroid_Calling", true, false),
            ("chat_and_call", true, true),
            ("", true, true),
            ("AcsNotify", true, true),
        ] {
            let device = device(key);
            assert_eq!(device.wants(Purpose::Call), call, "{key}");
            assert_eq!(device.wants(Purpose::Chat), chat, "{key}");
        }
    }

    #[test]
    fn a_transport_ends_with_its_time_whatever_its_health() {
        let at = Timestamp::from_secs;
        let transport = |health| Transport {
            kind: TransportKind::Fcm,
            path: "t".into(),
            context: String::new(),
            registered_at: at(0),
            expires_at: at(300),
            health,
        };
        assert_eq!(transport(Health::Good).state(at(299)), State::Active);
        assert_eq!(transport(Health::Good).state(at(300)), State::Expired);
        let quarantined = Health::Quarantined("BadDeviceToken".into());
        assert_eq!(
            transport(quarantined.clone()).state(at(1)),
            State::Quarantined
        );
        assert_eq!(transport(quarantined).state(at(300)), State::Expired);
        let dead = transport(Health::Dead("Unregistered".into()));
        assert_eq!(dead.state(at(1)), State::Expired);
    }

    #[test]
    fn a_verdict_spares_what_was_registered_after_the_provider_s_moment() {
        let at = Timestamp::from_secs;
        let attempted = |outcome| Attempted {
            outcome,
            status: 410,
            reason: Some("Unregistered".into()),
            provider_id: None,
            attempts: 1,
            written_at: Some(at(50)),
            ended_at: at(51),
        };
        let since = Verdict::of(&attempted(Outcome::DeadToken {
            since: Some(at(20)),
        }))
        .unwrap();
        assert_eq!(since.health, Health::Dead("Unregistered".into()));
        assert!(at(20) < since.registered_before && since.registered_before < at(21));
        let unknown = Verdict::of(&attempted(Outcome::DeadToken { since: None })).unwrap();
        assert!(at(50) < unknown.registered_before && unknown.registered_before < at(51));
        assert_eq!(Verdict::of(&attempted(Outcome::Accepted)), None);
        assert_eq!(Verdict::of(&attempted(Outcome::CredentialRefused)), None);
    }
}
