//! What is sent to a platform push service, with which credential, and how an attempt ends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;

use crate::time::Timestamp;

/// The platform push services that Carillon speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Platform {
    /// Apple Push Notification service.
    Apns,
    /// Firebase Cloud Messaging, HTTP v1.
    Fcm,
}

impl Platform {
    /// The word the store and the deliveries list use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apns => "apns",
            Self::Fcm => "fcm",
        }
    }

    /// The reverse of [`Platform::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "apns" => Some(Self::Apns),
            "fcm" => Some(Self::Fcm),
            _ => None,
        }
    }
}

/// APNs token mode: what signs the provider token and where it is used.
#[derive(Clone)]
pub struct ApnsCredential {
    /// Base URL of the service, e.g. `https://api.push.apple.com:443` (no path, no trailing slash).
    pub endpoint: String,
    /// Key id, 10 characters.
    pub key_id: String,
    /// Team id, 10 characters.
    pub team_id: String,
    /// Bundle id without a push-type suffix.
    pub bundle_id: String,
    /// PKCS#8 P-256 private key: PEM, or its base64 body.
    pub key: SecretString,
}

/// FCM HTTP v1: a service account.
#[derive(Clone)]
pub struct FcmCredential {
    /// Base URL of the service, e.g. `https://fcm.googleapis.com` (no trailing slash).
    pub endpoint: String,
    /// OAuth token endpoint, also the assertion's audience.
    pub token_uri: String,
    /// Project id or number.
    pub project_id: String,
    /// Service account e-mail: the assertion's issuer.
    pub client_email: String,
    /// PKCS#8 RSA private key, PEM.
    pub private_key: SecretString,
}

/// A credential of one platform. It names a push lane.
#[derive(Clone)]
pub enum Credential {
    /// Apple, token mode.
    Apns(ApnsCredential),
    /// Google, service account.
    Fcm(FcmCredential),
}

impl Credential {
    /// The platform this credential is for.
    pub fn platform(&self) -> Platform {
        match self {
            Self::Apns(_) => Platform::Apns,
            Self::Fcm(_) => Platform::Fcm,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apns(apns) => write!(f, "Apns(key {} of team {})", apns.key_id, apns.team_id),
            Self::Fcm(fcm) => write!(f, "Fcm(project {})", fcm.project_id),
        }
    }
}

/// Which lane of a credential a push takes. Calls never wait behind bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Calls: ordered by deadline, quick retries.
    Call,
    /// Everything else.
    Bulk,
}

/// One push to one device handle.
#[derive(Clone, Debug)]
pub struct Push {
    /// Sent as `apns-id`; the same on every attempt. Canonical lower-case UUID.
    pub id: uuid::Uuid,
    /// Who it is sent as.
    pub credential: Arc<Credential>,
    /// The device token.
    pub handle: String,
    /// Platform headers as the sender wants them on the wire, lower-case names
    /// (APNs: every `apns-*` but `apns-id`; FCM: none).
    pub headers: BTreeMap<String, String>,
    /// APNs: the payload. FCM: the complete `{"message":{…,"token":handle}}` body.
    pub body: Bytes,
    /// Which lane it takes.
    pub lane: Lane,
    /// Never sent after this.
    pub deadline: Timestamp,
}

/// How a push ended, or one attempt of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took it.
    Accepted,
    /// The token is dead; the provider says since when, if it does.
    DeadToken {
        /// The provider's own time of death (APNs 410).
        since: Option<Timestamp>,
    },
    /// The token may only be in the wrong environment or app: quarantine, do not delete.
    SuspectToken,
    /// The provider asks to come again later.
    RetryAfter(Duration),
    /// The credential was refused: its lane pauses.
    CredentialRefused,
    /// This request can never succeed.
    RequestRefused,
    /// The provider could not be reached, or broke.
    Unavailable,
    /// The deadline passed before the provider took it.
    Expired,
}

/// What is known after the last attempt of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// The end of it.
    pub outcome: Outcome,
    /// HTTP status of the last answer; 0 if there was none.
    pub status: u16,
    /// The provider's reason: APNs `reason`, FCM `errorCode` or `status`, or ours in words.
    pub reason: Option<String>,
    /// The provider's name for the message: `apns-id`, or FCM `projects/…/messages/…`.
    pub provider_id: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// When the (last) request was written to the provider's socket.
    pub written_at: Option<Timestamp>,
    /// When the push ended.
    pub ended_at: Timestamp,
}
