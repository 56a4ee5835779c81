//! A legacy FCM body (`gcm`), converted to HTTP v1: Google switched the legacy API off in 2024.
//!
//! Specification: Google, "Migrate from legacy FCM APIs to HTTP v1". What has no form in v1 is refused by its name.

use serde_json::{Map, Value, json};

use super::message::Refused;

/// Converts a legacy body. The target (`to`) is the device handle and must not be there.
pub(super) fn to_v1(legacy: Map<String, Value>) -> Result<Map<String, Value>, Refused> {
    let mut message = Map::new();
    let mut android = Map::new();
    let mut v1 = Map::new();
    for (key, value) in legacy {
        match key.as_str() {
            "data" => drop(message.insert(key, data(value)?)),
            "notification" => notification(value, &mut message, &mut android)?,
            "priority" => drop(android.insert(key, priority(&value)?)),
            "time_to_live" => drop(android.insert("ttl".into(), ttl(&value)?)),
            "collapse_key" | "restricted_package_name" => drop(android.insert(key, value)),
            "dry_run" => drop(v1.insert("validate_only".into(), value)),
            // "This parameter has been deprecated since Nov 15th 2016."
            "delay_while_idle" => {}
            _ => {
                return Err(Refused::new(
                    key,
                    "of a gcm body has no form in FCM v1; send the format fcmv1 instead",
                ));
            }
        }
    }
    if !android.is_empty() {
        message.insert("android".into(), android.into());
    }
    v1.insert("message".into(), message.into());
    Ok(v1)
}

/// "Values in string types are recommended": the legacy API turned the others into strings.
fn data(value: Value) -> Result<Value, Refused> {
    let Value::Object(mut data) = value else {
        return Err(Refused::new("data", "is not an object"));
    };
    for (key, value) in &mut data {
        *value = match value {
            Value::String(_) => continue,
            Value::Number(number) => number.to_string().into(),
            Value::Bool(flag) => flag.to_string().into(),
            _ => return Err(Refused::new(format!("data.{key}"), "is not a string")),
        };
    }
    Ok(data.into())
}

fn notification(
    value: Value,
    message: &mut Map<String, Value>,
    android: &mut Map<String, Value>,
) -> Result<(), Refused> {
    let Value::Object(legacy) = value else {
        return Err(Refused::new("notification", "is not an object"));
    };
    let mut common = Map::new();
    let mut of_android = Map::new();
    for (key, value) in legacy {
        match key.as_str() {
            "title" | "body" | "image" => common.insert(key, value),
            "icon" | "sound" | "tag" | "color" | "click_action" | "body_loc_key"
            | "title_loc_key" => of_android.insert(key, value),
            "body_loc_args" | "title_loc_args" => of_android.insert(key, list(value)),
            "android_channel_id" => of_android.insert("channel_id".into(), value),
            _ => {
                return Err(Refused::new(
                    format!("notification.{key}"),
                    "of a gcm body has no form in FCM v1; send the format fcmv1 instead",
                ));
            }
        };
    }
    message.insert("notification".into(), common.into());
    if !of_android.is_empty() {
        android.insert("notification".into(), of_android.into());
    }
    Ok(())
}

/// "JSON array as string" in the legacy API, an array in v1.
fn list(value: Value) -> Value {
    value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(value)
}

fn priority(value: &Value) -> Result<Value, Refused> {
    match value.as_str() {
        Some("high") => Ok(json!("HIGH")),
        Some("normal") => Ok(json!("NORMAL")),
        _ => Err(Refused::new("priority", "is neither high nor normal")),
    }
}

fn ttl(value: &Value) -> Result<Value, Refused> {
    let seconds = match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    match seconds {
        Some(seconds @ 0..=2_419_200) => Ok(format!("{seconds}s").into()),
        _ => Err(Refused::new(
            "time_to_live",
            "is not a number of seconds up to four weeks",
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn converted(legacy: Value) -> Result<Value, Refused> {
        let Value::Object(legacy) = legacy else {
            panic!("not an object");
        };
        to_v1(legacy).map(Value::from)
    }

    #[test]
    fn data_and_notification_are_carried_over() {
        let legacy = json!({
            "data": {"a": 1, "b": "two", "c": true},
            "notification": {
                "title": "T", "body": "B", "sound": "default", "android_channel_id": "calls",
                "title_loc_args": "[\"x\"]",
            },
            "priority": "high", "time_to_live": 60, "collapse_key": "k", "dry_run": true, "delay_while_idle": true,
        });
        let v1 = json!({
            "message": {
                "data": {"a": "1", "b": "two", "c": "true"},
                "notification": {"title": "T", "body": "B"},
                "android": {
                    "priority": "HIGH", "ttl": "60s", "collapse_key": "k",
                    "notification": {"sound": "default", "channel_id": "calls", "title_loc_args": ["x"]},
                },
            },
            "validate_only": true,
        });
        assert_eq!(converted(legacy), Ok(v1));
    }

    #[test]
    fn what_has_no_form_in_v1_is_refused_by_name() {
        for (legacy, field) in [
            (json!({"to": "t"}), "to"),
            (json!({"registration_ids": []}), "registration_ids"),
            (json!({"content_available": true}), "content_available"),
            (json!({"notification": {"badge": 1}}), "notification.badge"),
            (json!({"notification": "x"}), "notification"),
            (json!({"data": {"o": {}}}), "data.o"),
            (json!({"data": []}), "data"),
            (json!({"priority": 10}), "priority"),
            (json!({"time_to_live": -1}), "time_to_live"),
        ] {
            assert_eq!(converted(legacy).unwrap_err().field, field);
        }
    }

    proptest! {
        #[test]
        fn no_payload_panics(text in r#"\{("(data|notification|priority|time_to_live|collapse_key|restricted_package_name|dry_run|to|title)":(-1|0|1e99|"high"|"a"|\[\]|\{\}|\{"a":1\}|null|true),?){0,8}\}"#) {
            if let Ok(object) = crate::arm::lenient_json::parse(text.as_bytes()) {
                let _ = to_v1(object);
            }
        }
    }
}
