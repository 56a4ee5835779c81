//! The request's own fields: "Sending notification requests to APNs".

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::apns::reason::Reason;

/// The `apns-*` fields of a request, each in its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// `apns-id`, if the sender chose one.
    pub id: Option<String>,
    /// `apns-expiration`, unix seconds; absent: as long as APNs likes.
    pub expiration: Option<i64>,
    /// `apns-push-type`, if given.
    pub push_type: Option<PushType>,
    /// `apns-topic`, if given.
    pub topic: Option<String>,
    /// `apns-collapse-id`, if given.
    pub collapse_id: Option<String>,
}

/// What kind of push it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Apple's and explained there")]
pub enum PushType {
    Alert,
    Background,
    Voip,
    Location,
    Complication,
    FileProvider,
    Mdm,
    LiveActivity,
    PushToTalk,
    Widgets,
    Controls,
}

impl PushType {
    const NAMES: [(&'static str, Self, &'static str); 11] = [
        ("alert", Self::Alert, ""),
        ("background", Self::Background, ""),
        ("voip", Self::Voip, ".voip"),
        ("location", Self::Location, ".location-query"),
        ("complication", Self::Complication, ".complication"),
        ("fileprovider", Self::FileProvider, ".pushkit.fileprovider"),
        ("mdm", Self::Mdm, ""),
        (
            "liveactivity",
            Self::LiveActivity,
            ".push-type.liveactivity",
        ),
        ("pushtotalk", Self::PushToTalk, ".voip-ptt"),
        ("widgets", Self::Widgets, ".push-type.widgets"),
        ("controls", Self::Controls, ".push-type.controls"),
    ];

    /// The type with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(it, ..)| *it == name)
            .map(|(_, push_type, _)| *push_type)
    }

    /// What its topic has after the bundle id.
    pub fn suffix(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, it, _)| *it == self)
            .map_or("", |(.., suffix)| suffix)
    }

    /// How many bytes its payload may have: "5 KB (5120 bytes) for VoIP, 4 KB (4096 bytes) for all other".
    pub fn payload_limit(self) -> usize {
        if self == Self::Voip { 5120 } else { 4096 }
    }
}

impl Headers {
    /// Reads the fields; the first that is wrong decides.
    pub fn parse(map: &HeaderMap) -> Result<Self, Reason> {
        let push_type = match text(map, "apns-push-type", Reason::InvalidPushType)? {
            Some(name) => Some(PushType::parse(name).ok_or(Reason::InvalidPushType)?),
            None => None,
        };
        let id = text(map, "apns-id", Reason::BadMessageId)?;
        if id.is_some_and(|id| !is_canonical_uuid(id)) {
            return Err(Reason::BadMessageId);
        }
        let expiration = match text(map, "apns-expiration", Reason::BadExpirationDate)? {
            Some(seconds) => Some(parse_expiration(seconds).ok_or(Reason::BadExpirationDate)?),
            None => None,
        };
        check_priority(text(map, "apns-priority", Reason::BadPriority)?, push_type)?;
        let collapse_id = text(map, "apns-collapse-id", Reason::BadCollapseId)?;
        if collapse_id.is_some_and(|id| id.is_empty() || id.len() > 64) {
            return Err(Reason::BadCollapseId);
        }
        let topic = text(map, "apns-topic", Reason::BadTopic)?;
        Ok(Self {
            id: id.map(str::to_owned),
            expiration,
            push_type,
            topic: topic.map(str::to_owned),
            collapse_id: collapse_id.map(str::to_owned),
        })
    }
}

/// "DuplicateHeaders: One or more headers are repeated."
pub fn check_repeated(map: &HeaderMap) -> Result<(), Reason> {
    let ours = |name: &str| name.starts_with("apns-") || name == "authorization";
    let mut names = map.keys().filter(|name| ours(name.as_str()));
    match names.any(|name| map.get_all(name).iter().nth(1).is_some()) {
        true => Err(Reason::DuplicateHeaders),
        false => Ok(()),
    }
}

/// The fields that a device's log shows.
pub fn shown(map: &HeaderMap) -> BTreeMap<String, String> {
    let ours = map
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("apns-"));
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    ours.map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

fn text<'a>(map: &'a HeaderMap, name: &str, wrong: Reason) -> Result<Option<&'a str>, Reason> {
    map.get(name)
        .map(|value| value.to_str().map_err(|_| wrong))
        .transpose()
}

/// "A canonical UUID that's the unique ID for the notification", 8-4-4-4-12. Swift writes capitals, and Apple takes them.
fn is_canonical_uuid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn parse_expiration(seconds: &str) -> Option<i64> {
    let digits = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| seconds.parse().ok()).flatten()
}

/// 10, 5 or 1. "Specifying a priority of 10 for a notification of type background is an error."
fn check_priority(priority: Option<&str>, push_type: Option<PushType>) -> Result<(), Reason> {
    match priority {
        None | Some("5" | "1") => Ok(()),
        Some("10") if push_type != Some(PushType::Background) => Ok(()),
        Some(_) => Err(Reason::BadPriority),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::{Headers, PushType, check_repeated};
    use crate::apns::reason::Reason;

    fn parse(fields: &[(&'static str, &str)]) -> Result<Headers, Reason> {
        let pair = |(name, value): &(&'static str, &str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        let map: HeaderMap = fields.iter().map(pair).collect();
        check_repeated(&map).and_then(|()| Headers::parse(&map))
    }

    #[test]
    fn every_field_has_its_reason() {
        let id = "eabeae54-14a8-11e5-b60b-1697f925ec7b";
        let long = "x".repeat(65);
        for (field, value, reason) in [
            ("apns-id", "not-a-uuid", Reason::BadMessageId),
            (
                "apns-id",
                "eabeae5414a811e5b60b1697f925ec7b",
                Reason::BadMessageId,
            ),
            ("apns-expiration", "soon", Reason::BadExpirationDate),
            ("apns-expiration", "-1", Reason::BadExpirationDate),
            ("apns-expiration", "", Reason::BadExpirationDate),
            ("apns-priority", "7", Reason::BadPriority),
            ("apns-push-type", "ring", Reason::InvalidPushType),
            ("apns-collapse-id", long.as_str(), Reason::BadCollapseId),
        ] {
            assert_eq!(parse(&[(field, value)]), Err(reason), "{field}: {value}");
        }
        for (field, value) in [
            ("apns-id", id),
            ("apns-id", "EABEAE54-14A8-11E5-B60B-1697F925EC7B"),
            ("apns-expiration", "0"),
            ("apns-priority", "10"),
            ("apns-priority", "1"),
            ("apns-collapse-id", &long[..64]),
        ] {
            assert!(parse(&[(field, value)]).is_ok(), "{field}: {value}");
        }
    }

    #[test]
    fn background_with_priority_10_is_an_error() {
        let background = ("apns-push-type", "background");
        assert_eq!(
            parse(&[background, ("apns-priority", "10")]),
            Err(Reason::BadPriority)
        );
        assert!(parse(&[background, ("apns-priority", "5")]).is_ok());
    }

    #[test]
    fn a_repeated_field_is_refused() {
        let twice = [("apns-topic", "a"), ("apns-topic", "a")];
        assert_eq!(parse(&twice), Err(Reason::DuplicateHeaders));
    }

    #[test]
    fn every_push_type_has_a_suffix_of_its_own_or_none() {
        assert_eq!(PushType::Voip.suffix(), ".voip");
        assert_eq!(PushType::Alert.suffix(), "");
        assert_eq!(
            PushType::parse("liveactivity").unwrap().suffix(),
            ".push-type.liveactivity"
        );
    }

    proptest! {
        #[test]
        fn no_fields_can_make_it_panic(fields in prop::collection::vec((0..7_usize, prop::collection::vec(any::<u8>(), 0..80)), 0..10)) {
            let names = ["apns-id", "apns-expiration", "apns-priority", "apns-push-type", "apns-collapse-id", "apns-topic", "authorization"];
            let mut map = HeaderMap::new();
            for (name, value) in fields {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    map.append(names[name], value);
                }
            }
            let _ = check_repeated(&map);
            if let Ok(headers) = Headers::parse(&map) {
                prop_assert!(headers.collapse_id.is_none_or(|id| id.len() <= 64));
                prop_assert!(headers.expiration.is_none_or(|seconds| seconds >= 0));
            }
        }
    }
}
