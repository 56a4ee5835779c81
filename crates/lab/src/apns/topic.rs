//! The topic against the push type and the token: what the real server was seen to answer for wrong pairs.

use crate::apns::headers::PushType;
use crate::apns::reason::Reason;
use crate::device::Kind;

/// A topic taken apart: `<bundle>` and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// The app.
    pub bundle: String,
    /// From the dot on; empty for the plain topic.
    pub suffix: &'static str,
}

impl Topic {
    /// Takes `topic` apart. `known` says whether the team has an app with that bundle id: only such a topic may be
    /// pushed to, and an app whose own name ends like a suffix stays whole.
    pub fn parse(topic: &str, known: impl Fn(&str) -> bool) -> Result<Self, Reason> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if topic.is_empty() || topic.len() > 255 || !topic.bytes().all(allowed) {
            return Err(Reason::BadTopic);
        }
        let suffixes = std::iter::once("").chain(SUFFIXES);
        let split = suffixes.filter_map(|suffix| Some((topic.strip_suffix(suffix)?, suffix)));
        let (bundle, suffix) = split
            .into_iter()
            .find(|(bundle, _)| known(bundle))
            .ok_or(Reason::TopicDisallowed)?;
        Ok(Self {
            bundle: bundle.to_owned(),
            suffix,
        })
    }

    /// Checks the topic against the push type, where that is given.
    pub fn check_type(&self, push_type: Option<PushType>) -> Result<(), Reason> {
        match push_type {
            None | Some(PushType::Mdm) => Ok(()),
            Some(push_type) if push_type.suffix() == self.suffix => Ok(()),
            // Seen: type `voip` with the plain topic (laravel-notification-channels/apn#88, pushok#108).
            Some(_) if self.suffix.is_empty() => Err(Reason::DeviceTokenNotForTopic),
            // Seen: type `alert` or `background` with the topic `….voip` (PyAPNs2#87, npm apns2#23).
            Some(_) => Err(Reason::InvalidPushType),
        }
    }

    /// Checks the topic against the token it is used with.
    pub fn check_token(&self, app: &str, kind: Kind) -> Result<(), Reason> {
        match (kind, self.suffix) {
            _ if self.bundle != app => Err(Reason::DeviceTokenNotForTopic),
            (Kind::Alert, "") | (Kind::Voip, ".voip") => Ok(()),
            // Seen: a VoIP token with the plain topic (node-apn#658).
            (Kind::Voip, "") => Err(Reason::TopicDisallowed),
            // Seen: an alert token with the topic `….voip` (PyAPNs2#134).
            _ => Err(Reason::DeviceTokenNotForTopic),
        }
    }
}

const SUFFIXES: [&str; 8] = [
    ".voip",
    ".location-query",
    ".complication",
    ".pushkit.fileprovider",
    ".push-type.liveactivity",
    ".voip-ptt",
    ".push-type.widgets",
    ".push-type.controls",
];

#[cfg(test)]
mod tests {
    use super::Topic;
    use crate::apns::headers::PushType;
    use crate::apns::reason::Reason;
    use crate::device::Kind;

    fn topic(text: &str) -> Result<Topic, Reason> {
        Topic::parse(text, |bundle| {
            bundle == "com.example.app" || bundle == "com.example.voip"
        })
    }

    #[test]
    fn wrong_pairs_get_the_answers_that_were_seen() {
        let voip = topic("com.example.app.voip").unwrap();
        let plain = topic("com.example.app").unwrap();
        assert_eq!(
            voip.check_type(Some(PushType::Alert)),
            Err(Reason::InvalidPushType)
        );
        assert_eq!(
            voip.check_type(Some(PushType::Background)),
            Err(Reason::InvalidPushType)
        );
        assert_eq!(
            plain.check_type(Some(PushType::Voip)),
            Err(Reason::DeviceTokenNotForTopic)
        );
        let app = "com.example.app";
        assert_eq!(
            voip.check_token(app, Kind::Alert),
            Err(Reason::DeviceTokenNotForTopic)
        );
        assert_eq!(
            plain.check_token(app, Kind::Voip),
            Err(Reason::TopicDisallowed)
        );
        assert_eq!(
            plain.check_token("com.example.voip", Kind::Alert),
            Err(Reason::DeviceTokenNotForTopic)
        );
    }

    #[test]
    fn right_pairs_pass() {
        let voip = topic("com.example.app.voip").unwrap();
        let plain = topic("com.example.app").unwrap();
        assert_eq!(voip.check_type(Some(PushType::Voip)), Ok(()));
        assert_eq!(voip.check_type(None), Ok(()));
        assert_eq!(voip.check_token("com.example.app", Kind::Voip), Ok(()));
        assert_eq!(plain.check_type(Some(PushType::Background)), Ok(()));
        assert_eq!(plain.check_token("com.example.app", Kind::Alert), Ok(()));
    }

    #[test]
    fn a_bundle_id_that_ends_like_a_suffix_stays_whole() {
        assert_eq!(topic("com.example.voip").unwrap().suffix, "");
        assert_eq!(
            topic("com.example.voip.voip").unwrap().bundle,
            "com.example.voip"
        );
    }

    #[test]
    fn a_topic_of_no_app_is_disallowed_and_one_that_is_no_name_is_bad() {
        assert_eq!(topic("com.example.other"), Err(Reason::TopicDisallowed));
        assert_eq!(topic("no spaces"), Err(Reason::BadTopic));
        assert_eq!(topic(""), Err(Reason::BadTopic));
    }
}
