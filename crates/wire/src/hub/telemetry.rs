//! `NotificationDetails`: what became of a message.
//!
//! Specification: "Get notification message telemetry" of the Notification Hubs REST API; the order of elements is
//! that of .NET's data contract, which drops what stands elsewhere.

use std::collections::BTreeMap;

use super::outcome::Name;
use super::xml::{INSTANCE, SERVICE_BUS, element};

/// A message's state. Java throws on any other word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Recorded; nothing has ended yet.
    Enqueued,
    /// Some deliveries have ended.
    Processing,
    /// All have.
    Completed,
    /// All have, because their time ended.
    Abandoned,
}

impl State {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "Enqueued",
            Self::Processing => "Processing",
            Self::Completed => "Completed",
            Self::Abandoned => "Abandoned",
        }
    }
}

/// A message's telemetry. Times are as they are written.
#[derive(Clone, Debug)]
pub struct NotificationDetails {
    /// The id.
    pub id: String,
    /// `sb://host/hub/messages/id?api-version=…`.
    pub location: String,
    /// How it stands.
    pub state: State,
    /// When it was accepted.
    pub enqueued: String,
    /// When the first delivery was written to a push service.
    pub started: Option<String>,
    /// When the last delivery ended.
    pub ended: Option<String>,
    /// The payload.
    pub body: String,
    /// The tag it was sent with.
    pub tags: Option<String>,
    /// `apple`, `fcmv1`.
    pub platform: &'static str,
    /// How often each outcome occurred.
    pub counts: BTreeMap<Name, usize>,
}

impl NotificationDetails {
    /// The body.
    pub fn to_xml(&self) -> String {
        let mut xml =
            format!(r#"<NotificationDetails xmlns="{SERVICE_BUS}" xmlns:i="{INSTANCE}">"#);
        element(&mut xml, "NotificationId", &self.id);
        element(&mut xml, "Location", &self.location);
        element(&mut xml, "State", self.state.as_str());
        element(&mut xml, "EnqueueTime", &self.enqueued);
        for (name, text) in [
            ("StartTime", self.started.as_deref()),
            ("EndTime", self.ended.as_deref()),
            ("NotificationBody", Some(&*self.body)),
            ("Tags", self.tags.as_deref()),
            ("TargetPlatforms", Some(self.platform)),
        ] {
            if let Some(text) = text {
                element(&mut xml, name, text);
            }
        }
        self.write_counts(&mut xml);
        xml.push_str("</NotificationDetails>");
        xml
    }

    /// "With no counts yet leave the elements out": the JavaScript client stumbles over an empty one.
    fn write_counts(&self, xml: &mut String) {
        if self.counts.is_empty() {
            return;
        }
        let list = match self.platform {
            "apple" => "ApnsOutcomeCounts",
            _ => "FcmV1OutcomeCounts",
        };
        xml.push_str(&format!("<{list}>"));
        for (name, count) in &self.counts {
            xml.push_str("<Outcome>");
            element(xml, "Name", name.as_str());
            element(xml, "Count", &count.to_string());
            xml.push_str("</Outcome>");
        }
        xml.push_str(&format!("</{list}>"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stand_in_the_order_of_the_data_contract() {
        let mut details = NotificationDetails {
            id: "005b52d3-00".into(),
            location: "sb://localhost:8443/hub/messages/005b52d3-00?api-version=2020-06".into(),
            state: State::Completed,
            enqueued: "2026-11-24T04:18:16Z".into(),
            started: Some("2026-11-24T04:18:16Z".into()),
            ended: Some("2026-11-24T04:18:17Z".into()),
            body: r#"{"aps":{"alert":"a < b & c"}}"#.into(),
            tags: Some("tag".into()),
            platform: "apple",
            counts: BTreeMap::from([(Name::Success, 3), (Name::ExpiredChannel, 1)]),
        };
        insta::assert_snapshot!("completed", details.to_xml().replace("><", ">\n<"));
        details.state = State::Enqueued;
        details.started = None;
        details.ended = None;
        details.tags = None;
        details.platform = "fcmv1";
        details.counts.clear();
        insta::assert_snapshot!("enqueued", details.to_xml().replace("><", ">\n<"));
    }
}
