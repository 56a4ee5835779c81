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
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use serde_json::Value;

    const AUTHORITY: &str = "api.push.apple.com:443";

    fn built(
        token: &str,
        headers: &[(&str, &str)],
        first: bool,
    ) -> Result<Request<()>, BadRequest> {
        let envelope = Envelope {
            scheme: &Scheme::HTTPS,
            authority: &Authority::from_static(AUTHORITY),
            token,
            id: Uuid::from_u128(0x123e_4567_e89b_12d3_a456_4266_1417_4000),
            authorization: &super::super::bearer("bearer", "t").unwrap(),
            first,
        };
        request(&envelope, headers.iter().copied())
    }

    #[test]
    fn a_voip_push_has_the_path_and_headers_of_the_golden_request() {
        let headers = [
            ("apns-expiration", "0"),
            ("apns-id", "not this one"),
            ("apns-priority", "10"),
            ("apns-push-type", "voip"),
            ("apns-topic", "com.example.app.voip"),
            ("host", "elsewhere"),
        ];
        let mut text = String::new();
        for first in [true, false] {
            let request = built("00fc13adff785122", &headers, first).unwrap();
            text += &format!("{} {}\n", request.method(), request.uri());
            for (name, value) in request.headers() {
                let hidden = if value.is_sensitive() {
                    " (not indexed)"
                } else {
                    ""
                };
                text += &format!("{name}: {}{hidden}\n", value.to_str().unwrap());
            }
            text += "\n";
        }
        assert_eq!(
            text,
            include_str!("../../../../fixtures/push/apns-request.txt")
        );
    }

    #[test]
    fn a_handle_can_only_be_the_last_segment_of_the_path() {
        let request = built("../../4/broadcasts?x=1#y\u{e9}", &[], false).unwrap();
        assert_eq!(
            request.uri().path_and_query().unwrap(),
            "/3/device/..%2F..%2F4%2Fbroadcasts%3Fx%3D1%23y%C3%A9"
        );
        assert_eq!(request.uri().host(), Some("api.push.apple.com"));
    }

    #[test]
    fn a_header_that_http_does_not_allow_is_refused() {
        let refused = built("00", &[("apns-topic", "a\r\nx: y")], false);
        assert_eq!(refused.unwrap_err(), BadRequest::Header);
        let refused = built("00", &[("apns-t opic", "a")], false);
        assert_eq!(refused.unwrap_err(), BadRequest::Header);
    }

    #[test]
    fn a_provider_token_is_what_apple_describes_and_verifies() {
        let random = SystemRandom::new();
        let pem = include_str!("../../../../fixtures/push/apns-key.p8");
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        for p8 in [pem, &base64] {
            let key = ProviderKey::parse(p8, "ABC1234DEF", "TEAM123456", &random).unwrap();
            let token = key.token(1_795_493_896, &random).unwrap();
            let (input, signature) = token.rsplit_once('.').unwrap();
            assert_eq!(
                input,
                include_str!("../../../../fixtures/push/apns-signing-input.txt").trim_end()
            );
            use base64::Engine;
            use base64::engine::general_purpose::URL_SAFE_NO_PAD;
            use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair, UnparsedPublicKey};
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.key.public_key())
                .verify(
                    input.as_bytes(),
                    &URL_SAFE_NO_PAD.decode(signature).unwrap(),
                )
                .unwrap();
        }
    }

    #[test]
    fn a_key_that_is_none_says_so() {
        let random = SystemRandom::new();
        let parse = |p8: &str| ProviderKey::parse(p8, "k", "t", &random).map(drop);
        assert_eq!(parse(""), Err(BadKey::Encoding));
        assert_eq!(parse("%%%"), Err(BadKey::Encoding));
        assert_eq!(parse("AAAA"), Err(BadKey::Kind));
        let rsa = include_str!("../../../../fixtures/push/fcm-key.pem");
        assert_eq!(parse(rsa), Err(BadKey::Kind));
    }

    #[test]
    fn every_documented_reason_has_its_status_and_its_action() {
        let text = include_str!("../../../../fixtures/push/apns-reasons.json");
        let file: Value = serde_json::from_str(text).unwrap();
        let rows = file["device"].as_array().unwrap();
        for row in rows {
            let name = row["reason"].as_str().unwrap();
            let reason = Reason::parse(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(u64::from(reason.status()), row["status"].as_u64().unwrap());
            let body = format!(r#"{{"reason":"{name}","timestamp":1795493896000}}"#);
            let got = answer(reason.status(), Some("id"), body.as_bytes());
            assert_eq!(got.reason.as_deref(), Some(name));
            assert_eq!(got.provider_id.as_deref(), Some("id"));
            let action = row["action"].as_str().unwrap();
            let want = match action {
                // See `Reason::verdict` for the one that differs.
                _ if name == "TopicDisallowed" => Verdict::RequestRefused,
                "drop" => Verdict::RequestRefused,
                "token-suspect" => Verdict::SuspectToken,
                "config" => Verdict::CredentialRefused,
                "delete-token-if-older" => Verdict::DeadToken {
                    since_millis: Some(1_795_493_896_000),
                },
                "remint-and-retry-once" => Verdict::RenewToken,
                "keep-old-token-backoff" => Verdict::KeepOldToken,
                "reconnect" | "new-connection" | "reconnect-and-retry" => Verdict::Reconnect,
                "retry-with-delay" => THROTTLED,
                "retry" => Verdict::Unavailable { after: None },
                other => panic!("unknown action {other}"),
            };
            assert_eq!(got.verdict, want, "{name}");
        }
        // The one that only a client library has seen so far.
        assert_eq!(Reason::ALL.len(), rows.len() + 1);
    }

    #[test]
    fn an_answer_that_is_not_apples_is_judged_by_its_status() {
        let verdict = |status, body: &[u8]| answer(status, None, body).verdict;
        let unavailable = Verdict::Unavailable { after: None };
        assert_eq!(verdict(200, b"<html>"), Verdict::Accepted);
        assert_eq!(verdict(502, b"<html>bad gateway"), unavailable);
        assert_eq!(verdict(503, br#"{"reason":17}"#), unavailable);
        assert_eq!(
            verdict(403, br#"{"reason":"NewCredentialReason"}"#),
            Verdict::CredentialRefused
        );
        assert_eq!(verdict(410, b""), Verdict::DeadToken { since_millis: None });
        assert_eq!(verdict(429, b"[]"), THROTTLED);
        assert_eq!(verdict(301, b""), Verdict::RequestRefused);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(status in 100_u16..1000, body: Vec<u8>) {
            let _ = answer(status, None, &body);
        }

        #[test]
        fn no_handle_and_no_header_panics(token: String, name: String, text: String) {
            let name = format!("apns-{name}");
            if let Ok(request) = built(&token, &[(&name, &text)], true) {
                let path = request.uri().path();
                proptest::prop_assert!(path.starts_with(DEVICE));
                proptest::prop_assert_eq!(path.matches('/').count(), 3);
                proptest::prop_assert_eq!(request.uri().authority().unwrap().as_str(), AUTHORITY);
            }
        }

        #[test]
        fn no_key_panics(p8: String) {
            let _ = ProviderKey::parse(&p8, "k", "t", &SystemRandom::new());
        }
    }
}
