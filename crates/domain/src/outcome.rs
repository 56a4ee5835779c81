//! How a delivery ended, in the words of Notification Hubs.

use wire::hub::outcome::Name;

use crate::push::{Attempted, Outcome, Platform};

/// The outcome's name for telemetry: what the push service said decides, where it said something.
pub fn name(platform: Platform, attempted: &Attempted) -> Name {
    let status = attempted.status;
    let reason = attempted.reason.as_deref().unwrap_or_default();
    match &attempted.outcome {
        Outcome::Accepted => Name::Success,
        Outcome::Expired => Name::AbandonedNotificationMessages,
        // FCM says of a handle that never was one: 400 INVALID_ARGUMENT.
        Outcome::DeadToken { .. } if status == 400 && platform == Platform::Fcm => Name::BadChannel,
        Outcome::DeadToken { .. } => Name::ExpiredChannel,
        Outcome::SuspectToken => suspect(reason),
        Outcome::CredentialRefused if reason == "TopicDisallowed" => Name::WrongToken,
        Outcome::CredentialRefused => Name::InvalidCredentials,
        // "429 TooManyRequests: per device token."
        Outcome::RetryAfter(_) if reason == "TooManyRequests" => Name::ChannelThrottled,
        Outcome::RetryAfter(_) if status == 429 => Name::Throttled,
        Outcome::RetryAfter(_) | Outcome::Unavailable => unavailable(status),
        Outcome::RequestRefused => refused(status, reason),
    }
}

fn suspect(reason: &str) -> Name {
    match reason {
        "DeviceTokenNotForTopic" | "SENDER_ID_MISMATCH" => Name::WrongToken,
        _ => Name::BadChannel,
    }
}

fn unavailable(status: u16) -> Name {
    match status {
        0 => Name::PnsUnreachable,
        429 => Name::Throttled,
        503 => Name::PnsUnavailable,
        _ => Name::PnsServerError,
    }
}

fn refused(status: u16, reason: &str) -> Name {
    match (status, reason) {
        (413, _) => Name::InvalidNotificationSize,
        // "Azure says WrongToken for topic mismatch."
        (_, "TopicDisallowed") => Name::WrongToken,
        (401, _) | (_, "THIRD_PARTY_AUTH_ERROR") => Name::InvalidCredentials,
        (400, _) => Name::InvalidNotificationFormat,
        _ => Name::UnknownError,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn every_row_of_the_table_has_its_name() {
        let wait = Outcome::RetryAfter(Duration::from_secs(1));
        let dead = Outcome::DeadToken { since: None };
        let (apns, fcm) = (Platform::Apns, Platform::Fcm);
        for (platform, status, reason, outcome, expected) in [
            (apns, 200, "", Outcome::Accepted, Name::Success),
            (
                apns,
                410,
                "Unregistered",
                dead.clone(),
                Name::ExpiredChannel,
            ),
            (
                apns,
                410,
                "ExpiredToken",
                dead.clone(),
                Name::ExpiredChannel,
            ),
            (
                apns,
                400,
                "BadDeviceToken",
                Outcome::SuspectToken,
                Name::BadChannel,
            ),
            (
                apns,
                400,
                "DeviceTokenNotForTopic",
                Outcome::SuspectToken,
                Name::WrongToken,
            ),
            (
                apns,
                400,
                "TopicDisallowed",
                Outcome::CredentialRefused,
                Name::WrongToken,
            ),
            (
                apns,
                400,
                "PayloadEmpty",
                Outcome::RequestRefused,
                Name::InvalidNotificationFormat,
            ),
            (
                apns,
                400,
                "BadPriority",
                Outcome::RequestRefused,
                Name::InvalidNotificationFormat,
            ),
            (
                apns,
                413,
                "PayloadTooLarge",
                Outcome::RequestRefused,
                Name::InvalidNotificationSize,
            ),
            (
                apns,
                403,
                "InvalidProviderToken",
                Outcome::CredentialRefused,
                Name::InvalidCredentials,
            ),
            (
                apns,
                403,
                "ExpiredProviderToken",
                Outcome::CredentialRefused,
                Name::InvalidCredentials,
            ),
            (
                apns,
                429,
                "TooManyRequests",
                wait.clone(),
                Name::ChannelThrottled,
            ),
            (
                apns,
                429,
                "TooManyProviderTokenUpdates",
                wait.clone(),
                Name::Throttled,
            ),
            (
                apns,
                500,
                "InternalServerError",
                Outcome::Unavailable,
                Name::PnsServerError,
            ),
            (
                apns,
                503,
                "ServiceUnavailable",
                Outcome::Unavailable,
                Name::PnsUnavailable,
            ),
            (apns, 503, "Shutdown", wait.clone(), Name::PnsUnavailable),
            (
                apns,
                0,
                "connection refused",
                Outcome::Unavailable,
                Name::PnsUnreachable,
            ),
            (
                apns,
                503,
                "",
                Outcome::Expired,
                Name::AbandonedNotificationMessages,
            ),
            (fcm, 200, "", Outcome::Accepted, Name::Success),
            (fcm, 404, "UNREGISTERED", dead.clone(), Name::ExpiredChannel),
            (fcm, 400, "INVALID_ARGUMENT", dead, Name::BadChannel),
            (
                fcm,
                400,
                "INVALID_ARGUMENT",
                Outcome::SuspectToken,
                Name::BadChannel,
            ),
            (
                fcm,
                400,
                "INVALID_ARGUMENT",
                Outcome::RequestRefused,
                Name::InvalidNotificationFormat,
            ),
            (
                fcm,
                403,
                "SENDER_ID_MISMATCH",
                Outcome::SuspectToken,
                Name::WrongToken,
            ),
            (
                fcm,
                401,
                "UNAUTHENTICATED",
                Outcome::CredentialRefused,
                Name::InvalidCredentials,
            ),
            (
                fcm,
                401,
                "THIRD_PARTY_AUTH_ERROR",
                Outcome::RequestRefused,
                Name::InvalidCredentials,
            ),
            (fcm, 429, "QUOTA_EXCEEDED", wait, Name::Throttled),
            (
                fcm,
                503,
                "UNAVAILABLE",
                Outcome::Unavailable,
                Name::PnsUnavailable,
            ),
            (
                fcm,
                500,
                "INTERNAL",
                Outcome::Unavailable,
                Name::PnsServerError,
            ),
        ] {
            let attempted = Attempted {
                outcome,
                status,
                reason: Some(reason.to_owned()),
                provider_id: None,
                attempts: 1,
                written_at: None,
                ended_at: Timestamp::default(),
            };
            assert_eq!(name(platform, &attempted), expected, "{status} {reason}");
        }
    }
}
