//! Apple Push Notification service, provider API with token authentication.
//!
//! Specification: Apple, "Sending notification requests to APNs", "Establishing a token-based connection to APNs",
//! "Handling notification responses from APNs".

use http::header::AUTHORIZATION;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::rand::SecureRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

use super::{Answer, BadKey, BadRequest, Verdict, jwt};

/// What [`request`] puts into a request besides the platform's headers.
pub struct Envelope<'a> {
    /// `https` or `http`.
    pub scheme: &'a Scheme,
    /// Host and port of the service.
    pub authority: &'a Authority,
    /// The device token, in hexadecimal.
    pub token: &'a str,
    /// Sent as `apns-id`.
    pub id: Uuid,
    /// `bearer <provider token>`.
    pub authorization: &'a HeaderValue,
    /// Whether this is the first request of its connection.
    pub first: bool,
}

/// The request that sends a notification; its body is the payload as it is.
///
/// `headers` are the platform's headers with lower-case names; what does not begin with `apns-`, and `apns-id`, is
/// left out.
///
/// "Encode :path and authorization as literal header fields without indexing. Encode apns-id, apns-expiration and
/// apns-collapse-id with incremental indexing the first time, and as literal without indexing subsequently. Encode all
/// others with incremental indexing." (Sending notification requests to APNs.) `:path` is never indexed by `h2`; for the
/// others "without indexing" is what `h2` does to a value marked as sensitive.
pub fn request<'a>(
    envelope: &Envelope<'_>,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Request<()>, BadRequest> {
    let mut map = HeaderMap::with_capacity(8);
    map.insert(AUTHORIZATION, envelope.authorization.clone());
    let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
    let id = envelope.id.hyphenated().encode_lower(&mut id);
    map.insert(APNS_ID, value(id, !envelope.first)?);
    for (name, text) in headers {
        if !name.starts_with("apns-") || name == APNS_ID {
            continue;
        }
        let varies = matches!(name, "apns-expiration" | "apns-collapse-id");
        map.insert(header_name(name)?, value(text, varies && !envelope.first)?);
    }
    let mut path = String::with_capacity(DEVICE.len() + envelope.token.len());
    path.push_str(DEVICE);
    path.extend(utf8_percent_encode(envelope.token, UNSAFE));
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri(envelope.scheme, envelope.authority, path)?;
    *request.headers_mut() = map;
    Ok(request)
}

pub(super) fn uri(scheme: &Scheme, authority: &Authority, path: String) -> Result<Uri, BadRequest> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme.clone());
    parts.authority = Some(authority.clone());
    parts.path_and_query =
        Some(PathAndQuery::from_maybe_shared(path).map_err(|_| BadRequest::Path)?);
    Uri::from_parts(parts).map_err(|_| BadRequest::Path)
}

fn value(text: &str, sensitive: bool) -> Result<HeaderValue, BadRequest> {
    let mut value = HeaderValue::from_str(text).map_err(|_| BadRequest::Header)?;
    value.set_sensitive(sensitive);
    Ok(value)
}

/// The names in use cost nothing; others (Apple adds some now and then) are parsed.
fn header_name(name: &str) -> Result<HeaderName, BadRequest> {
    Ok(match name {
        "apns-collapse-id" => HeaderName::from_static("apns-collapse-id"),
        "apns-expiration" => HeaderName::from_static("apns-expiration"),
        "apns-priority" => HeaderName::from_static("apns-priority"),
        "apns-push-type" => HeaderName::from_static("apns-push-type"),
        "apns-topic" => HeaderName::from_static("apns-topic"),
        other => HeaderName::from_bytes(other.as_bytes()).map_err(|_| BadRequest::Header)?,
    })
}

/// A `.p8` key with its ids, ready to sign provider tokens.
pub struct ProviderKey {
    key: EcdsaKeyPair,
    key_id: String,
    team_id: String,
}

impl ProviderKey {
    /// Reads a `.p8` file (PEM), or the base64 inside it.
    pub fn parse(
        p8: &str,
        key_id: &str,
        team_id: &str,
        random: &dyn SecureRandom,
    ) -> Result<Self, BadKey> {
        let der = jwt::der(p8)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, random)
            .map_err(|_| BadKey::Kind)?;
        Ok(Self {
            key,
            key_id: key_id.to_owned(),
            team_id: team_id.to_owned(),
        })
    }

    /// A provider token issued at `now` (seconds after the epoch): a JWT with `alg`, `kid`, `iss` and `iat`.
    pub fn token(&self, now: i64, random: &dyn SecureRandom) -> Result<String, BadKey> {
        let input = self.signing_input(now);
        let signature = self
            .key
            .sign(random, input.as_bytes())
            .map_err(|_| BadKey::Signing)?;
        Ok(jwt::sealed(input, signature.as_ref()))
    }

    fn signing_input(&self, now: i64) -> String {
        let header = Header {
            alg: "ES256",
            kid: &self.key_id,
        };
        let claims = Claims {
            iss: &self.team_id,
            iat: now,
        };
        jwt::signing_input(&header, &claims)
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
}

/// Parses an answer. `id` is its `apns-id` header, `body` may be anything.
pub fn answer(status: u16, id: Option<&str>, body: &[u8]) -> Answer {
    let provider_id = id.map(str::to_owned);
    if status == 200 {
        return Answer {
            verdict: Verdict::Accepted,
            reason: None,
            provider_id,
        };
    }
    // What is not JSON (a proxy's page) leaves the status alone to decide.
    let ErrorBody { reason, timestamp } = serde_json::from_slice(body).unwrap_or_default();
    let known = reason.as_deref().and_then(Reason::parse);
    let verdict = match known {
        Some(reason) => reason.verdict(timestamp),
        None => verdict_of_status(status, timestamp),
    };
    Answer {
        verdict,
        reason: Some(reason.unwrap_or_else(|| format!("HTTP {status}"))),
        provider_id,
    }
}

/// A reason that Apple has not documented yet, or none at all.
fn verdict_of_status(status: u16, timestamp: Option<i64>) -> Verdict {
    match status {
        403 => Verdict::CredentialRefused,
        410 => Verdict::DeadToken {
            since_millis: timestamp,
        },
        429 => THROTTLED,
        500.. => Verdict::Unavailable { after: None },
        _ => Verdict::RequestRefused,
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    reason: Option<String>,
    timestamp: Option<i64>,
}

/// The reasons of device pushes, and the statuses they come with.
macro_rules! reasons {
    ($($name:ident = $status:literal,)*) => {
        /// Why APNs refused a device push ("Handling notification responses from APNs", table of reasons).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are Apple's, and so is their documentation")]
        pub enum Reason { $($name,)* }

        impl Reason {
            /// Every reason, in the order of its status.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Apple's spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The reverse of [`Reason::as_str`].
            pub fn parse(text: &str) -> Option<Self> {
                match text { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }

            /// The status it comes with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

reasons! {
    BadCollapseId = 400,
    BadDeviceToken = 400,
    BadExpirationDate = 400,
    BadMessageId = 400,
    BadPriority = 400,
    BadTopic = 400,
    DeviceTokenNotForTopic = 400,
    DuplicateHeaders = 400,
    IdleTimeout = 400,
    InvalidPushType = 400,
    MissingDeviceToken = 400,
    MissingTopic = 400,
    PayloadEmpty = 400,
    TopicDisallowed = 400,
    BadCertificate = 403,
    BadCertificateEnvironment = 403,
    BadEnvironmentKeyIdInToken = 403,
    BadEnvironmentKeyInToken = 403,
    ExpiredProviderToken = 403,
    Forbidden = 403,
    InvalidProviderToken = 403,
    MissingProviderToken = 403,
    UnrelatedKeyIdInToken = 403,
    BadPath = 404,
    MethodNotAllowed = 405,
    ExpiredToken = 410,
    Unregistered = 410,
    PayloadTooLarge = 413,
    TooManyProviderTokenUpdates = 429,
    TooManyRequests = 429,
    InternalServerError = 500,
    ServiceUnavailable = 503,
    Shutdown = 503,
}

impl Reason {
    /// What a sender does about it.
    fn verdict(self, timestamp: Option<i64>) -> Verdict {
        match self {
            Self::ExpiredToken | Self::Unregistered => Verdict::DeadToken {
                since_millis: timestamp,
            },
            // "BadDeviceToken: verify that the request contains a valid token and that the token matches the
            // environment": an environment mix-up looks like the death of every device.
            Self::BadDeviceToken | Self::DeviceTokenNotForTopic => Verdict::SuspectToken,
            Self::BadCertificate
            | Self::BadCertificateEnvironment
            | Self::BadEnvironmentKeyIdInToken
            | Self::BadEnvironmentKeyInToken
            | Self::InvalidProviderToken
            | Self::MissingProviderToken => Verdict::CredentialRefused,
            Self::ExpiredProviderToken => Verdict::RenewToken,
            Self::TooManyProviderTokenUpdates => Verdict::KeepOldToken,
            Self::IdleTimeout | Self::UnrelatedKeyIdInToken | Self::Shutdown => Verdict::Reconnect,
            Self::TooManyRequests => THROTTLED,
            Self::InternalServerError | Self::ServiceUnavailable => {
                Verdict::Unavailable { after: None }
            }
            // The topic is the sender's choice (and a VoIP token with an alert topic was answered so as well): one
            // such request says nothing about the credential, and must not stop the pushes of everybody else.
            Self::TopicDisallowed => Verdict::RequestRefused,
            Self::BadCollapseId
            | Self::BadExpirationDate
            | Self::BadMessageId
            | Self::BadPriority
            | Self::BadTopic
            | Self::DuplicateHeaders
            | Self::InvalidPushType
            | Self::MissingDeviceToken
            | Self::MissingTopic
            | Self::PayloadEmpty
            | Self::Forbidden
            | Self::BadPath
            | Self::MethodNotAllowed
            | Self::PayloadTooLarge => Verdict::RequestRefused,
        }
    }
}

const DEVICE: &str = "/3/device/";
const APNS_ID: &str = "apns-id";
/// RFC 3986 "unreserved": the rest of a handle is escaped, so that it can only ever be the last segment.
pub(super) const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// "TooManyRequests: too many requests were made consecutively to the same device token." Apple names no time.
const THROTTLED: Verdict = Verdict::Throttled {
    after: Duration::from_secs(10),
};

#[cfg(test)]
mod tests;
