//! The headers of a send: format, device handle, tags, and what is passed on to APNs.
//!
//! Specification: "Direct Send", "Send a APNS native notification" and "Send a FCM v1 native notification" of the
//! Notification Hubs REST API; Apple, "Sending notification requests to APNs". Body: [`super::payload`].

use std::collections::BTreeMap;

use http::HeaderMap;

use super::expiry::Expiry;

/// Which kind of send the query asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// To one device handle.
    pub direct: bool,
    /// The answer carries the outcome.
    pub test: bool,
}

impl Flags {
    /// Reads the raw query. Presence decides: clients write `&direct` or `&direct=true`.
    pub fn parse(query: Option<&str>) -> Self {
        let has = |name: &str| {
            query
                .unwrap_or_default()
                .split('&')
                .filter_map(|pair| pair.split('=').next())
                .any(|key| key.eq_ignore_ascii_case(name))
        };
        Self {
            direct: has("direct"),
            test: has("test"),
        }
    }
}

/// The native formats that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `apple`.
    Apple,
    /// `fcmv1`.
    FcmV1,
    /// `gcm`: the body is converted to `fcmv1`.
    Gcm,
}

/// The headers of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `ServiceBusNotification-Format`.
    pub format: Format,
    /// `ServiceBusNotification-DeviceHandle`.
    pub handle: Option<String>,
    /// `ServiceBusNotification-Tags`.
    pub tags: Option<String>,
    /// APNs: every `apns-*` header but `apns-id`, with lower-case names.
    pub apns: BTreeMap<String, String>,
    /// APNs: what `ServiceBusNotification-Apns-Expiry` says, unless `apns-expiration` is there.
    pub expiry: Option<Expiry>,
}

/// Why a send is refused: what is at fault, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Refused {
    /// The header, or the member of the body.
    pub field: String,
    /// A sentence without its subject.
    pub problem: String,
    /// It is too large rather than wrong.
    pub too_large: bool,
}

impl Refused {
    /// `field` is wrong.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
            too_large: false,
        }
    }

    /// `field` is too large.
    pub fn too_large(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            too_large: true,
            ..Self::new(field, problem)
        }
    }
}

/// `ServiceBusNotification-Format`.
pub const FORMAT: &str = "ServiceBusNotification-Format";
/// `ServiceBusNotification-DeviceHandle`.
pub const DEVICE_HANDLE: &str = "ServiceBusNotification-DeviceHandle";
/// `ServiceBusNotification-Tags`.
pub const TAGS: &str = "ServiceBusNotification-Tags";

const PREFIX: &str = "servicebusnotification-";
const EXPIRY: &str = "servicebusnotification-apns-expiry";
const NOT_SERVED: [&str; 8] = [
    "windows",
    "windowsphone",
    "adm",
    "baidu",
    "browser",
    "xiaomi",
    "nokiax",
    "template",
];
const LONGEST_HANDLE: usize = 4096;
const LONGEST_TAG: usize = 120;

impl Head {
    /// Reads the headers of a request.
    pub fn parse(headers: &HeaderMap) -> Result<Self, Refused> {
        let format = one(headers, FORMAT)?
            .ok_or_else(|| Refused::new(FORMAT, "is missing; apple, fcmv1 or gcm is needed"))?;
        let format = Format::parse(format)?;
        let apns = match format {
            Format::Apple => apns_headers(headers)?,
            Format::FcmV1 | Format::Gcm => BTreeMap::new(),
        };
        let expiry = match apns.contains_key("apns-expiration") {
            true => None,
            // "Never reject a send because of this header": the Java client always adds one, in a broken form.
            false => one(headers, EXPIRY).ok().flatten().and_then(Expiry::parse),
        };
        Ok(Self {
            format,
            handle: one(headers, DEVICE_HANDLE)?.map(str::to_owned),
            tags: one(headers, TAGS)?.map(str::to_owned),
            apns,
            expiry,
        })
    }

    /// The handle and the tag of a direct send.
    pub fn direct(&self) -> Result<(&str, Option<&str>), Refused> {
        let handle = self
            .handle
            .as_deref()
            .ok_or_else(|| Refused::new(DEVICE_HANDLE, "is missing; a direct send needs one"))?;
        self.check_handle(DEVICE_HANDLE, handle)?;
        Ok((handle, self.tag()?))
    }

    /// The single tag that a direct send may carry.
    pub fn tag(&self) -> Result<Option<&str>, Refused> {
        let tag = self.tags.as_deref().filter(|tag| !tag.is_empty());
        match tag {
            Some(tag) if tag.len() > LONGEST_TAG => {
                Err(Refused::new(TAGS, "is longer than 120 characters"))
            }
            tag => Ok(tag),
        }
    }

    /// Whether `handle`, found in `field`, may be a device token of this format's platform.
    pub fn check_handle(&self, field: &str, handle: &str) -> Result<(), Refused> {
        let fits = match self.format {
            Format::Apple => |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte),
            Format::FcmV1 | Format::Gcm => |byte: u8| byte.is_ascii_graphic(),
        };
        let problem = if handle.is_empty() {
            "is empty"
        } else if handle.len() > LONGEST_HANDLE {
            "is longer than 4096 characters"
        } else if !handle.bytes().all(fits) {
            "holds characters that no device token has"
        } else {
            return Ok(());
        };
        Err(Refused::new(field, problem))
    }

    /// Whether PushKit takes it: said by the push type, or by the topic where there is none.
    pub fn is_voip(&self) -> bool {
        match self.apns.get("apns-push-type") {
            Some(push_type) => push_type == "voip",
            None => self
                .apns
                .get("apns-topic")
                .is_some_and(|topic| topic.ends_with(".voip")),
        }
    }
}

impl Format {
    /// Reads a format in any case; one that exists but is not served is refused as such.
    fn parse(text: &str) -> Result<Self, Refused> {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "apple" => Ok(Self::Apple),
            "fcmv1" => Ok(Self::FcmV1),
            "gcm" => Ok(Self::Gcm),
            known if NOT_SERVED.contains(&known) => Err(Refused::new(
                FORMAT,
                format!("'{known}' is not served yet; apple, fcmv1 and gcm are"),
            )),
            _ => Err(Refused::new(
                FORMAT,
                "is no notification format; apple, fcmv1 and gcm are served",
            )),
        }
    }
}

/// The value of a header, trimmed; more than one is refused.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refused::new(name, "is given more than once"));
    }
    let value = value
        .to_str()
        .map_err(|_| Refused::new(name, "holds bytes that are not visible ASCII"))?;
    Ok(Some(value.trim()))
}

/// What goes to APNs: `apns-*`, else `X-Apns-Priority` and `ServiceBusNotification-Apns-*`, which older clients send.
fn apns_headers(headers: &HeaderMap) -> Result<BTreeMap<String, String>, Refused> {
    let mut apns = BTreeMap::new();
    for name in headers.keys() {
        let name = name.as_str();
        let old = || name.strip_prefix(PREFIX).filter(|_| name != EXPIRY);
        let target = match name {
            // Ours, so that a repeated attempt is recognised by Apple.
            "apns-id" => None,
            "x-apns-priority" => Some("apns-priority"),
            _ if name.starts_with("apns-") => Some(name),
            _ => old().filter(|rest| rest.starts_with("apns-")),
        };
        let Some(target) =
            target.filter(|target| *target == name || !headers.contains_key(*target))
        else {
            continue;
        };
        if let Some(value) = one(headers, name)? {
            apns.insert(target.to_owned(), checked(name, target, value)?);
        }
    }
    Ok(apns)
}

/// Refuses what APNs would, with the header's name. `field` is how the caller spelled `name`.
fn checked(field: &str, name: &str, value: &str) -> Result<String, Refused> {
    let problem = match name {
        "apns-priority" if !matches!(value, "10" | "5" | "1") => "is not 10, 5 or 1",
        "apns-expiration" if value.parse::<u32>().is_err() => "is not a time in Unix seconds",
        "apns-collapse-id" if value.len() > 64 => "is longer than 64 bytes",
        "apns-push-type" => return Ok(value.to_ascii_lowercase()),
        _ => return Ok(value.to_owned()),
    };
    Err(Refused::new(field, problem))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    fn refused(list: &[(&str, &str)]) -> String {
        Head::parse(&headers(list))
            .and_then(|head| head.direct().map(|_| ()))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn flags_are_bare_or_have_a_value() {
        let both = Flags {
            direct: true,
            test: true,
        };
        assert_eq!(Flags::parse(Some("api-version=2020-06&direct&Test")), both);
        assert_eq!(Flags::parse(Some("test=true&direct=true")), both);
        assert_eq!(Flags::parse(Some("indirect=1&a=direct")), Flags::default());
        assert_eq!(Flags::parse(None), Flags::default());
    }

    #[test]
    fn apns_headers_are_passed_on_in_all_spellings() {
        let head = Head::parse(&headers(&[
            ("servicebusnotification-format", "Apple"),
            ("ServiceBusNotification-Apns-Push-Type", "VoIP"),
            ("x-apns-priority", "5"),
            ("apns-priority", "10"),
            ("apns-collapse-id", "c1"),
            ("apns-id", "mine"),
            ("x-apns-foo", "1"),
            ("servicebusnotification-apns-expiry", "2030-01-02T03:04:05Z"),
        ]))
        .unwrap();
        let expected = [
            ("apns-collapse-id", "c1"),
            ("apns-priority", "10"),
            ("apns-push-type", "voip"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(head.apns, BTreeMap::from(expected));
        assert!(head.is_voip());
        assert!(head.expiry.is_some());
    }

    #[test]
    fn apns_expiration_wins_and_an_unreadable_expiry_is_ignored() {
        for (name, value) in [
            ("apns-expiration", "0"),
            ("servicebusnotification-apns-expiry", "tomorrow"),
        ] {
            let list = [
                (FORMAT, "apple"),
                ("ServiceBusNotification-Apns-Expiry", "11/25/2026 05:01:45"),
                (name, value),
            ];
            assert_eq!(Head::parse(&headers(&list)).unwrap().expiry, None);
        }
    }

    #[test]
    fn each_bad_header_is_named() {
        let format = (FORMAT, "apple");
        assert_eq!(
            refused(&[]),
            "ServiceBusNotification-Format: is missing; apple, fcmv1 or gcm is needed"
        );
        assert_eq!(
            refused(&[(FORMAT, "Browser")]),
            "ServiceBusNotification-Format: 'browser' is not served yet; apple, fcmv1 and gcm are"
        );
        assert!(refused(&[(FORMAT, "fcm")]).contains("is no notification format"));
        assert!(refused(&[format, (FORMAT, "gcm")]).contains("more than once"));
        assert!(refused(&[format]).contains("DeviceHandle: is missing"));
        assert!(refused(&[format, (DEVICE_HANDLE, "a/b")]).contains("DeviceHandle: holds"));
        assert!(refused(&[format, (DEVICE_HANDLE, " ")]).contains("DeviceHandle: is empty"));
        for (name, value) in [
            ("apns-priority", "11"),
            ("x-apns-priority", "high"),
            ("apns-expiration", "soon"),
            ("apns-expiration", "-1"),
            ("apns-collapse-id", &"x".repeat(65)),
            ("servicebusnotification-apns-priority", "0"),
            (TAGS, &"x".repeat(121)),
        ] {
            let text = refused(&[format, (DEVICE_HANDLE, "00fc"), (name, value)]);
            assert!(text.starts_with(name), "{name}: {text}");
        }
    }

    proptest! {
        #[test]
        fn no_headers_panic(
            list in prop::collection::vec(
                (
                    prop::sample::select(vec![
                        "servicebusnotification-format", "servicebusnotification-devicehandle",
                        "servicebusnotification-tags", "servicebusnotification-apns-expiry", "apns-priority",
                        "apns-expiration", "apns-push-type", "x-apns-priority",
                    ]),
                    prop_oneof![
                        prop::collection::vec(32_u8..=255, 0..40),
                        prop::sample::select(vec![b"apple".to_vec(), b"gcm".to_vec(), b"fcmv1".to_vec()]),
                    ],
                ),
                0..8,
            )
        ) {
            let mut map = HeaderMap::new();
            for (name, value) in list {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    map.append(HeaderName::from_static(name), value);
                }
            }
            if let Ok(head) = Head::parse(&map) {
                let _ = (head.direct(), head.is_voip());
            }
        }
    }
}
