//! The platform push services, as pure functions: requests out, answers in. Specification: `docs/push.md`, which names
//! the pages of Apple and Google.
//!
//! Start at [`apns`] and [`fcm`]. Both end in an [`Answer`], so that one sender serves both.

pub mod apns;
pub mod fcm;
mod jwt;

use std::time::Duration;

use http::HeaderValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What an answer means for the push it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider took it.
    Accepted,
    /// The token is dead, since this many milliseconds after the epoch if the provider says so.
    DeadToken {
        /// APNs 410 `timestamp`.
        since_millis: Option<i64>,
    },
    /// The token is wrong here, but may be right in another environment, app or project.
    SuspectToken,
    /// Too much: come again, at the time the provider names or after its documented default.
    Throttled {
        /// `Retry-After`, or the default.
        after: Duration,
    },
    /// The provider failed: come again.
    Unavailable {
        /// `Retry-After`, if it was sent.
        after: Option<Duration>,
    },
    /// The token that proves who we are has expired: renew it and send again, once.
    RenewToken,
    /// We renewed our token too often: go on with the one before.
    KeepOldToken,
    /// This connection is of no use any more: send again on another, at once.
    Reconnect,
    /// Nobody with this credential will be served until it is mended.
    CredentialRefused,
    /// A credential behind the provider (a Firebase project's own APNs key) was refused; others still work.
    PartnerRefused,
    /// This request can never succeed.
    RequestRefused,
}

/// An answer, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// The provider's word for it; none on success.
    pub reason: Option<String>,
    /// The provider's name for the message.
    pub provider_id: Option<String>,
}

impl Answer {
    fn refusal(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: Some(reason.into()),
            provider_id: None,
        }
    }
}

/// Why a request could not be built: something in it cannot be put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// A header name or value has characters that HTTP does not allow.
    #[error("a header has characters that HTTP does not allow")]
    Header,
    /// The handle or project does not fit into a path.
    #[error("the handle does not fit into a path")]
    Path,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Neither PEM nor base64.
    #[error("the key is neither PEM nor base64")]
    Encoding,
    /// Decoded, but not a PKCS#8 key of the kind wanted.
    #[error("the key is not a PKCS#8 private key of the right kind with its public part")]
    Kind,
    /// The signature could not be made.
    #[error("the key could not sign")]
    Signing,
}

/// The `authorization` header that carries a token; `h2` never indexes it.
pub fn bearer(scheme: &str, token: &str) -> Result<HeaderValue, BadRequest> {
    let text = format!("{scheme} {token}");
    let mut value = HeaderValue::from_maybe_shared(text).map_err(|_| BadRequest::Header)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Retry-After` as a duration: seconds, or a date (RFC 9110 section 10.2.3). `now` is in seconds after the epoch.
pub fn retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(value, &Rfc2822).ok()?;
    let wait = date.unix_timestamp().saturating_sub(now);
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = 1_795_493_896; // 2026-11-24T04:18:16Z
        let seconds = Duration::from_secs;
        assert_eq!(retry_after("120", now), Some(seconds(120)));
        assert_eq!(
            retry_after("Tue, 24 Nov 2026 04:19:16 GMT", now),
            Some(seconds(60))
        );
        assert_eq!(
            retry_after("Tue, 24 Nov 2020 04:19:16 GMT", now),
            Some(seconds(0))
        );
        for wrong in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn retry_after_never_panics(value: String, now: i64) {
            let _ = retry_after(&value, now);
        }
    }
}
