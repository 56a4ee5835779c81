//! What FCM asks of a message beyond its types: target, size, time to live, reserved names.

use crate::fcm::error::FcmError;
use crate::fcm::json::Json;
use crate::fcm::schema::parse_duration;

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A registration token, or a Firebase installation id.
    Device(String),
    /// A topic, or a condition over topics.
    Topics,
}

/// A message that FCM would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whom it is for.
    pub target: Target,
    /// Seconds it may wait for an Android device.
    pub ttl: i64,
    /// `android.collapse_key`.
    pub collapse_key: Option<String>,
}

/// Checks a message whose types are right and whose names are camelCase.
pub fn check(message: &Json) -> Result<Checked, FcmError> {
    let target = target(message)?;
    check_data(message.get("data"))?;
    check_web_push(message.get("webpush"))?;
    let android = android(message)?;
    let ttl = match android.and_then(|it| it.get("ttl")).and_then(Json::text) {
        Some(text) => ttl(text)?,
        None => LONGEST,
    };
    if size(message) > LIMIT {
        return Err(FcmError::TooLarge);
    }
    let collapse_key = android
        .and_then(|it| it.get("collapseKey"))
        .and_then(Json::text);
    Ok(Checked {
        target,
        ttl,
        collapse_key: collapse_key.map(str::to_owned),
    })
}

fn target(message: &Json) -> Result<Target, FcmError> {
    let text = |name: &str| {
        message
            .get(name)
            .and_then(Json::text)
            .filter(|it| !it.is_empty())
    };
    if let Some(token) = text("token").or_else(|| text("fid")) {
        return match is_token(token) || is_installation_id(token) {
            true => Ok(Target::Device(token.to_owned())),
            false => Err(FcmError::BadToken),
        };
    }
    if let Some(topic) = text("topic") {
        let topic = topic.strip_prefix("/topics/").unwrap_or(topic);
        return match is_topic(topic) {
            true => Ok(Target::Topics),
            false => Err(FcmError::BadTopic),
        };
    }
    match text("condition") {
        Some(condition) if is_condition(condition) => Ok(Target::Topics),
        Some(_) => Err(FcmError::BadCondition),
        None => Err(FcmError::NoRecipient),
    }
}

/// `<installation id>:APA91b…`
fn is_token(token: &str) -> bool {
    let Some((id, rest)) = token.split_once(':') else {
        return false;
    };
    is_installation_id(id) && rest.starts_with("APA91b") && rest.len() >= 100 && is_base64url(rest)
}

/// 22 characters, of which the first stands for the bits `0111`.
fn is_installation_id(id: &str) -> bool {
    id.len() == 22 && id.starts_with(['c', 'd', 'e', 'f']) && is_base64url(id)
}

fn is_base64url(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// `[a-zA-Z0-9-_.~%]{1,900}`
fn is_topic(topic: &str) -> bool {
    (1..=900).contains(&topic.len())
        && topic
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte))
}

/// `'a' in topics`, with `&&`, `||`, `!` and brackets; five topics at most.
fn is_condition(condition: &str) -> bool {
    let mut depth = 0_u32;
    let mut topics = 0;
    let mut operand_next = true;
    let mut rest = condition.trim_start();
    while !rest.is_empty() {
        let after = |token: &str| rest.strip_prefix(token).map(str::trim_start);
        rest = match operand_next {
            true => {
                if let Some(after) = after("!") {
                    after
                } else if let Some(after) = after("(") {
                    depth += 1;
                    after
                } else if let Some(after) = topic_term(rest) {
                    topics += 1;
                    operand_next = false;
                    after
                } else {
                    return false;
                }
            }
            false => {
                if let Some(after) = after("&&").or_else(|| after("||")) {
                    operand_next = true;
                    after
                } else if let Some(after) = after(")").filter(|_| depth > 0) {
                    depth -= 1;
                    after
                } else {
                    return false;
                }
            }
        };
    }
    depth == 0 && !operand_next && topics <= 5
}

/// `'a' in topics`, and what follows it.
fn topic_term(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|it| matches!(it, '\'' | '"'))?;
    let (topic, rest) = text[1..].split_once(quote)?;
    let rest = rest.trim_start().strip_prefix("in")?;
    let rest = rest
        .strip_prefix(|it: char| it.is_whitespace())?
        .trim_start();
    is_topic(topic)
        .then(|| rest.strip_prefix("topics").map(str::trim_start))
        .flatten()
}

/// "The key should not be a reserved word ("from", "message_type", or any word starting with "google." or
/// "gcm.notification.")."
fn check_data(data: Option<&Json>) -> Result<(), FcmError> {
    let reserved = |key: &str| {
        matches!(key, "from" | "message_type")
            || key.starts_with("google.")
            || key.starts_with("gcm.notification.")
    };
    let mut keys = data
        .map(Json::members)
        .unwrap_or_default()
        .iter()
        .map(|(key, _)| key);
    match keys.find(|key| reserved(key)) {
        Some(key) => Err(FcmError::BadField(
            "message.data",
            format!("Invalid data payload key: {key}"),
        )),
        None => Ok(()),
    }
}

fn check_web_push(web_push: Option<&Json>) -> Result<(), FcmError> {
    let headers = web_push
        .and_then(|it| it.get("headers"))
        .map(Json::members)
        .unwrap_or_default();
    let ttl = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("ttl"));
    let whole = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match ttl.and_then(|(_, value)| value.text()) {
        Some(text) if !whole(text) => {
            let text = "TTL must be a non-negative integer.".to_owned();
            Err(FcmError::BadField("message.webpush.headers.TTL", text))
        }
        _ => Ok(()),
    }
}

/// `android`, or `android_v2` which excludes it.
fn android(message: &Json) -> Result<Option<&Json>, FcmError> {
    match (message.get("android"), message.get("androidV2")) {
        (Some(_), Some(_)) => {
            let text = "Only one of android and android_v2 may be set.".to_owned();
            Err(FcmError::BadField("message.android_v2", text))
        }
        (old, new) => Ok(old.or(new)),
    }
}

fn ttl(text: &str) -> Result<i64, FcmError> {
    match parse_duration(text) {
        Some(seconds) if (0..=LONGEST).contains(&seconds) && !text.starts_with('-') => Ok(seconds),
        _ => {
            let text = "The time to live must be between 0 and 2419200 seconds.".to_owned();
            Err(FcmError::BadField("message.android.ttl", text))
        }
    }
}

/// Keys and values of everything that travels to the device: not the target, the options or the braces.
fn size(message: &Json) -> usize {
    let parts = ["data", "notification", "apns", "webpush"].map(|name| message.get(name));
    let android = ["android", "androidV2"].map(|name| message.get(name));
    let inner = ["data", "notification", "remoteNotification"];
    let android = android
        .iter()
        .flatten()
        .flat_map(|it| inner.map(|name| it.get(name)));
    parts.into_iter().chain(android).flatten().map(weight).sum()
}

fn weight(value: &Json) -> usize {
    match value {
        Json::Null => 0,
        Json::Bool(_) => 4,
        Json::Number(number) => number.to_string().len(),
        Json::Text(text) => text.len(),
        Json::List(values) => values.iter().map(weight).sum(),
        Json::Object(members) => members
            .iter()
            .map(|(name, it)| name.len() + weight(it))
            .sum(),
    }
}

/// Four weeks, in seconds.
const LONGEST: i64 = 2_419_200;
/// Bytes of a message.
const LIMIT: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Target, check, is_condition};
    use crate::fcm::error::FcmError;
    use crate::fcm::json::Json;

    fn json(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_target_is_checked() {
        let token = format!("{}:APA91b{}", "c".repeat(22), "x".repeat(134));
        let device = check(&json(&format!(r#"{{"token":"{token}"}}"#))).unwrap();
        assert_eq!(device.target, Target::Device(token));
        assert!(check(&json(&format!(r#"{{"fid":"{}"}}"#, "d".repeat(22)))).is_ok());
        assert!(check(&json(r#"{"topic":"news"}"#)).is_ok());
        for (message, error) in [
            ("{}", FcmError::NoRecipient),
            (r#"{"token":""}"#, FcmError::NoRecipient),
            (r#"{"token":"abc"}"#, FcmError::BadToken),
            (r#"{"topic":"no spaces"}"#, FcmError::BadTopic),
            (r#"{"condition":"news"}"#, FcmError::BadCondition),
        ] {
            assert_eq!(check(&json(message)), Err(error), "{message}");
        }
    }

    #[test]
    fn size_and_ttl_have_limits() {
        let with = |bytes: usize| {
            json(&format!(
                r#"{{"topic":"a","data":{{"k":"{}"}}}}"#,
                "x".repeat(bytes)
            ))
        };
        assert!(check(&with(4095)).is_ok());
        assert_eq!(check(&with(4096)), Err(FcmError::TooLarge));
        let ttl = |ttl: &str| {
            check(&json(&format!(
                r#"{{"topic":"a","android":{{"ttl":"{ttl}"}}}}"#
            )))
        };
        assert_eq!(ttl("0s").unwrap().ttl, 0);
        assert_eq!(ttl("3.9s").unwrap().ttl, 3);
        assert!(matches!(
            ttl("2419201s"),
            Err(FcmError::BadField("message.android.ttl", _))
        ));
        assert!(matches!(ttl("-0.5s"), Err(FcmError::BadField(..))));
    }

    #[test]
    fn a_condition_is_a_formula_of_topics() {
        for good in [
            "'a' in topics",
            "!('a' in topics) && (\"b\" in topics || 'c' in topics)",
        ] {
            assert!(is_condition(good), "{good}");
        }
        for bad in [
            "",
            "'a'",
            "'a' in topics &&",
            "('a' in topics",
            "'a' in topics)",
            "'a' intopics",
            "'a b' in topics",
        ] {
            assert!(!is_condition(bad), "{bad}");
        }
        let six = ["'a' in topics"; 6].join(" || ");
        assert!(!is_condition(&six));
    }

    #[test]
    fn web_push_ttl_and_reserved_keys_are_refused() {
        let web = json(r#"{"topic":"a","webpush":{"headers":{"TTL":"-1"}}}"#);
        assert!(matches!(
            check(&web),
            Err(FcmError::BadField("message.webpush.headers.TTL", _))
        ));
        for key in ["from", "message_type", "google.x", "gcm.notification.y"] {
            let message = json(&format!(r#"{{"topic":"a","data":{{"{key}":"1"}}}}"#));
            assert!(
                matches!(check(&message), Err(FcmError::BadField("message.data", _))),
                "{key}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_can_make_it_panic(target in prop::sample::select(vec!["token", "fid", "topic", "condition"]), text in ".{0,60}", condition in "['()!&|a-c\" ]{0,30}( in topics)?") {
            for text in [text, condition] {
                let _ = check(&Json::Object(vec![(target.to_owned(), Json::Text(text))]));
            }
        }
    }
}
