//! The body of a native send: checked, and brought to the one form that is stored.
//!
//! Specification: Apple, "Generating a remote notification" (4 KB, 5 KB for VoIP); Google, "FCM v1 REST:
//! projects.messages" (4096 bytes of keys and values). `gcm` is converted in [`super::gcm`].

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::gcm;
use super::message::{Format, Head, Refused};

/// How a stored FCM body begins: [`with_token`] writes the token behind it.
const FCM_START: &[u8] = br#"{"message":{"#;
const APNS_LIMIT: usize = 4096;
const VOIP_LIMIT: usize = 5120;
const FCM_LIMIT: usize = 4096;
const TARGETS: [&str; 4] = ["token", "fid", "topic", "condition"];

/// A payload to store and send, and what it says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// APNs: as the caller wrote it. FCM v1: without a target.
    pub body: Bytes,
    /// FCM: `android.priority` is HIGH.
    pub high: bool,
    /// FCM: `android.ttl`.
    pub ttl: Option<Duration>,
}

impl Head {
    /// The payload in `body`.
    pub fn payload(&self, body: &Bytes) -> Result<Payload, Refused> {
        if body.is_empty() {
            return Err(Refused::new("body", "is empty"));
        }
        match self.format {
            Format::Apple => Ok(Payload {
                body: apple(body, self.is_voip())?,
                high: false,
                ttl: None,
            }),
            Format::FcmV1 => fcm_v1(object(body)?),
            Format::Gcm => fcm_v1(gcm::to_v1(object(body)?)?),
        }
    }
}

/// A stored FCM body with its target. The body is one that [`Head::payload`] made, or any v1 body without a target.
pub fn with_token(body: &[u8], token: &str) -> Option<Bytes> {
    let token = Value::from(token).to_string();
    if let Some(rest) = body.strip_prefix(FCM_START) {
        let comma: &[u8] = if rest.starts_with(b"}") { b"" } else { b"," };
        return Some(
            [FCM_START, br#""token":"#, token.as_bytes(), comma, rest]
                .concat()
                .into(),
        );
    }
    let mut body: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let Value::Object(message) = body.get_mut("message")? else {
        return None;
    };
    message.insert("token".into(), serde_json::from_str(&token).ok()?);
    serde_json::to_vec(&body).ok().map(Bytes::from)
}

fn apple(body: &Bytes, voip: bool) -> Result<Bytes, Refused> {
    let limit = if voip { VOIP_LIMIT } else { APNS_LIMIT };
    if body.len() > limit {
        let problem = format!("is {} bytes; APNs takes {limit}", body.len());
        return Err(Refused::too_large("body", problem));
    }
    // Checked and passed on: nothing of it is kept.
    let text = std::str::from_utf8(body).map_err(|_| Refused::new("body", "is not UTF-8"))?;
    serde_json::from_str::<BTreeMap<String, IgnoredAny>>(text).map_err(|error| not_json(&error))?;
    Ok(body.clone())
}

fn fcm_v1(mut body: Map<String, Value>) -> Result<Payload, Refused> {
    if let Some(other) = body
        .keys()
        .find(|key| !matches!(key.as_str(), "message" | "validate_only"))
    {
        return Err(Refused::new(
            other,
            "is not known beside 'message' in a FCM v1 body",
        ));
    }
    let message = match body.get_mut("message") {
        Some(Value::Object(message)) => message,
        Some(_) => return Err(Refused::new("message", "is not an object")),
        None => {
            return Err(Refused::new(
                "message",
                "is missing; a FCM v1 body holds one",
            ));
        }
    };
    if let Some(target) = TARGETS
        .into_iter()
        .find(|target| message.contains_key(*target))
    {
        return Err(Refused::new(
            format!("message.{target}"),
            "must be left out: the device handle is the target",
        ));
    }
    check_data("message.data", message.get("data"))?;
    let android = message.get("android").unwrap_or(&Value::Null);
    check_data("message.android.data", android.get("data"))?;
    let high = android["priority"]
        .as_str()
        .is_some_and(|priority| priority.eq_ignore_ascii_case("high"));
    let ttl = android.get("ttl").map(duration).transpose()?;
    // "message" sorts before "validate_only", so the form begins as `with_token` expects.
    let body = serde_json::to_vec(&body)
        .map(Bytes::from)
        .map_err(|error| Refused::new("body", error.to_string()))?;
    Ok(Payload { body, high, ttl })
}

/// "A duration in seconds with up to nine fractional digits, terminated by 's'."
fn duration(value: &Value) -> Result<Duration, Refused> {
    value
        .as_str()
        .and_then(|text| text.strip_suffix('s'))
        .filter(|digits| {
            digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
        .and_then(|digits| digits.parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| Refused::new("message.android.ttl", "is not a duration such as 30s"))
}

/// "map (key: string, value: string)", 4096 bytes of both.
fn check_data(field: &str, data: Option<&Value>) -> Result<(), Refused> {
    let data = match data {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(data)) => data,
        Some(_) => return Err(Refused::new(field, "is not an object")),
    };
    let mut size = 0;
    for (key, value) in data {
        let Value::String(value) = value else {
            return Err(Refused::new(format!("{field}.{key}"), "is not a string"));
        };
        size += key.len() + value.len();
    }
    if size > FCM_LIMIT {
        let problem = format!("is {size} bytes of keys and values; FCM takes {FCM_LIMIT}");
        return Err(Refused::too_large(field, problem));
    }
    Ok(())
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refused> {
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Refused {
    Refused::new("body", format!("is not a JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(format: Format, push_type: &str) -> Head {
        Head {
            format,
            handle: None,
            tags: None,
            apns: BTreeMap::from([("apns-push-type".to_owned(), push_type.to_owned())]),
            expiry: None,
        }
    }

    fn payload(format: Format, body: &str) -> Result<String, Refused> {
        head(format, "alert")
            .payload(&Bytes::copy_from_slice(body.as_bytes()))
            .map(|payload| String::from_utf8(payload.body.to_vec()).unwrap())
    }

    fn refused(format: Format, body: &str) -> String {
        payload(format, body).unwrap_err().to_string()
    }

    #[test]
    fn an_apple_body_is_passed_on_as_it_was_written() {
        let body = r#"{ "aps" : {"alert":"hi"}, "n": 1.0 }"#;
        assert_eq!(payload(Format::Apple, body).unwrap(), body);
        assert!(refused(Format::Apple, "").contains("body: is empty"));
        assert!(refused(Format::Apple, "[]").contains("not a JSON object"));
        assert!(refused(Format::Apple, "{\"aps\":").contains("line 1 column 7"));
    }

    #[test]
    fn a_body_that_is_no_text_is_refused_for_each_format() {
        for format in [Format::Apple, Format::FcmV1, Format::Gcm] {
            let body = Bytes::from_static(b"{\"data\":{\"k\":\"\xff\"}}");
            let refused = head(format, "alert").payload(&body).unwrap_err();
            assert_eq!(refused.field, "body");
        }
    }

    #[test]
    fn only_voip_may_be_five_kilobytes() {
        let body = Bytes::from(format!(r#"{{"aps":{{}},"x":"{}"}}"#, "x".repeat(4100)));
        assert!(head(Format::Apple, "voip").payload(&body).is_ok());
        let refused = head(Format::Apple, "alert").payload(&body).unwrap_err();
        assert!(refused.too_large);
        assert_eq!(refused.field, "body");
    }

    #[test]
    fn the_token_is_written_into_the_message() {
        let stored = payload(
            Format::FcmV1,
            r#"{"validate_only":true,"message":{"android":{"priority":"HIGH","data":{"k":"v"}}}}"#,
        )
        .unwrap();
        assert_eq!(
            with_token(stored.as_bytes(), "a\"b").unwrap(),
            r#"{"message":{"token":"a\"b","android":{"data":{"k":"v"},"priority":"HIGH"}},"validate_only":true}"#
        );
        let empty = payload(Format::FcmV1, r#"{"message":{}}"#).unwrap();
        assert_eq!(
            with_token(empty.as_bytes(), "t").unwrap(),
            r#"{"message":{"token":"t"}}"#
        );
        let spaced = br#"{ "message": { "data": {} } }"#;
        assert_eq!(
            with_token(spaced, "t").unwrap(),
            r#"{"message":{"data":{},"token":"t"}}"#
        );
        assert_eq!(with_token(b"{}", "t"), None);
    }

    #[test]
    fn a_message_that_fcm_would_refuse_names_the_member() {
        for (body, field) in [
            ("{}", "message"),
            (r#"{"message":1}"#, "message"),
            (r#"{"message":{},"extra":1}"#, "extra"),
            (r#"{"message":{"token":"t"}}"#, "message.token"),
            (r#"{"message":{"topic":"t"}}"#, "message.topic"),
            (r#"{"message":{"data":{"n":1}}}"#, "message.data.n"),
            (
                r#"{"message":{"android":{"data":[]}}}"#,
                "message.android.data",
            ),
        ] {
            assert_eq!(payload(Format::FcmV1, body).unwrap_err().field, field);
        }
        let large = format!(r#"{{"message":{{"data":{{"k":"{}"}}}}}}"#, "x".repeat(4096));
        assert!(payload(Format::FcmV1, &large).unwrap_err().too_large);
    }

    #[test]
    fn a_message_says_how_urgent_it_is_and_how_long_it_lives() {
        let of = |body: &str| {
            let body = Bytes::copy_from_slice(body.as_bytes());
            head(Format::FcmV1, "")
                .payload(&body)
                .map(|payload| (payload.high, payload.ttl))
        };
        let call = r#"{"message":{"android":{"priority":"high","ttl":"3.5s"}}}"#;
        assert_eq!(of(call), Ok((true, Some(Duration::from_millis(3500)))));
        assert_eq!(of(r#"{"message":{"android":1}}"#), Ok((false, None)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            for format in [Format::Apple, Format::FcmV1, Format::Gcm] {
                let _ = head(format, "voip").payload(&Bytes::from(body.clone()));
            }
            let _ = with_token(&body, "t");
        }

        #[test]
        fn any_token_can_be_read_back(token in "\\PC*") {
            let body = with_token(br#"{"message":{"data":{}}}"#, &token).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(body["message"]["token"].as_str(), Some(token.as_str()));
        }
    }
}
