//! How a delivery ended, in the words of Notification Hubs; and the `NotificationOutcome` of a test send.
//!
//! Specification: "Get notification message telemetry" and "Test send" of the Notification Hubs REST API.

use super::xml::{INSTANCE, SERVICE_BUS, element};

/// An outcome's name. Clients have enumerations of exactly these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// The push service took it.
    Success,
    /// Its time ended before the push service took it.
    AbandonedNotificationMessages,
    /// The handle is not one of this push service, environment or app.
    BadChannel,
    /// The push service takes no more for this handle for now.
    ChannelThrottled,
    /// The handle is dead.
    ExpiredChannel,
    /// The credential was refused.
    InvalidCredentials,
    /// The push service refused the payload or a header.
    InvalidNotificationFormat,
    /// The push service found the payload too large.
    InvalidNotificationSize,
    /// The push service failed.
    PnsServerError,
    /// The push service said that it is not available.
    PnsUnavailable,
    /// The push service could not be reached.
    PnsUnreachable,
    /// The push service takes no more for now.
    Throttled,
    /// None of the others.
    UnknownError,
    /// The handle is of another app or project.
    WrongToken,
}

impl Name {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::AbandonedNotificationMessages => "AbandonedNotificationMessages",
            Self::BadChannel => "BadChannel",
            Self::ChannelThrottled => "ChannelThrottled",
            Self::ExpiredChannel => "ExpiredChannel",
            Self::InvalidCredentials => "InvalidCredentials",
            Self::InvalidNotificationFormat => "InvalidNotificationFormat",
            Self::InvalidNotificationSize => "InvalidNotificationSize",
            Self::PnsServerError => "PnsServerError",
            Self::PnsUnavailable => "PnsUnavailable",
            Self::PnsUnreachable => "PnsUnreachable",
            Self::Throttled => "Throttled",
            Self::UnknownError => "UnknownError",
            Self::WrongToken => "WrongToken",
        }
    }

    /// A sentence for people: the service's own text where one is known.
    pub fn text(self) -> &'static str {
        match self {
            Self::Success => {
                "The Notification was successfully sent to the Push Notification System"
            }
            Self::BadChannel | Self::ExpiredChannel => {
                "The Push Notification System handle for the registration is invalid"
            }
            Self::InvalidCredentials => "The Token obtained from the Token Provider is wrong",
            Self::InvalidNotificationFormat | Self::InvalidNotificationSize => {
                "The Notification payload is invalid"
            }
            Self::AbandonedNotificationMessages => {
                "The Notification was abandoned: its time ended before the Push Notification System took it"
            }
            Self::ChannelThrottled | Self::Throttled => {
                "The Push Notification System is throttling"
            }
            Self::PnsServerError | Self::PnsUnavailable | Self::PnsUnreachable => {
                "The Push Notification System is not available"
            }
            Self::WrongToken => {
                "The Push Notification System handle belongs to another application"
            }
            Self::UnknownError => "The Push Notification System gave an unknown answer",
        }
    }
}

/// The answer to a test send.
#[derive(Clone, Debug, Default)]
pub struct NotificationOutcome {
    /// One a device.
    pub results: Vec<DeviceResult>,
}

/// What happened to one device.
#[derive(Clone, Debug)]
pub struct DeviceResult {
    /// `apple`, `fcmv1`.
    pub platform: &'static str,
    /// The device handle.
    pub handle: String,
    /// The registration; clients insist on one.
    pub registration: String,
    /// How it ended; `None` if it has not.
    pub outcome: Option<Name>,
    /// The push service's own word.
    pub reason: Option<String>,
}

impl NotificationOutcome {
    /// The body. The order of elements matters: .NET drops what stands elsewhere.
    pub fn to_xml(&self) -> String {
        let ended = |success: bool| {
            let ended = self.results.iter().filter_map(|result| result.outcome);
            ended
                .filter(|name| (*name == Name::Success) == success)
                .count()
                .to_string()
        };
        let mut xml =
            format!(r#"<NotificationOutcome xmlns="{SERVICE_BUS}" xmlns:i="{INSTANCE}">"#);
        element(&mut xml, "Success", &ended(true));
        element(&mut xml, "Failure", &ended(false));
        xml.push_str("<Results>");
        for result in &self.results {
            xml.push_str("<RegistrationResult>");
            element(&mut xml, "ApplicationPlatform", result.platform);
            element(&mut xml, "PnsHandle", &result.handle);
            element(&mut xml, "RegistrationId", &result.registration);
            element(&mut xml, "Outcome", &result.text());
            xml.push_str("</RegistrationResult>");
        }
        xml.push_str("</Results></NotificationOutcome>");
        xml
    }
}

impl DeviceResult {
    fn text(&self) -> String {
        let text = self
            .outcome
            .map_or("The Notification is still being sent", Name::text);
        match &self.reason {
            Some(reason) => format!("{text} ({reason})"),
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stand_in_the_order_that_clients_need() {
        let result = |outcome, reason: Option<&str>| DeviceResult {
            platform: "apple",
            handle: "7603CF<".into(),
            registration: "id-0".into(),
            outcome,
            reason: reason.map(str::to_owned),
        };
        let outcome = NotificationOutcome {
            results: vec![
                result(Some(Name::Success), None),
                result(Some(Name::BadChannel), Some("BadDeviceToken")),
                result(None, None),
            ],
        };
        insta::assert_snapshot!(outcome.to_xml().replace("><", ">\n<"));
    }
}
