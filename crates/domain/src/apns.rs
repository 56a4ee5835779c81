//! Which headers a notification takes to APNs.
//!
//! Apple: the topic is the bundle id with a suffix by push type, and a wrong pair is an error. A hub's bundle id is
//! configured without `.voip`, as for Azure, and the suffix is appended where the push type asks for it.

use std::collections::BTreeMap;

use serde_json::Value;

const PUSH_TYPE: &str = "apns-push-type";
const TOPIC: &str = "apns-topic";
const PRIORITY: &str = "apns-priority";

/// The headers to send, from those that the caller gave and the hub's bundle id.
///
/// - The push type is the caller's. Only where there is none it is guessed: `voip` if the topic ends so, `background`
///   if `aps` has `content-available` and nothing that shows or sounds, else `alert`.
/// - The topic is the caller's if it is the hub's bundle id, with or without a suffix; otherwise the hub decides, as
///   Azure's does. A plain bundle id takes the suffix of the push type.
/// - A background push without a priority gets 5: "using priority 10 is an error".
pub fn headers(
    bundle_id: &str,
    given: &BTreeMap<String, String>,
    body: &[u8],
) -> BTreeMap<String, String> {
    let bundle_id = bundle_id.strip_suffix(".voip").unwrap_or(bundle_id);
    let mut headers = given.clone();
    let push_type = given
        .get(PUSH_TYPE)
        .cloned()
        .unwrap_or_else(|| guessed(given.get(TOPIC), body).to_owned());
    let topic = given
        .get(TOPIC)
        .filter(|topic| *topic != bundle_id && is_of(bundle_id, topic))
        .cloned()
        .unwrap_or_else(|| format!("{bundle_id}{}", suffix(&push_type)));
    if push_type == "background" {
        headers
            .entry(PRIORITY.to_owned())
            .or_insert_with(|| "5".to_owned());
    }
    headers.insert(TOPIC.to_owned(), topic);
    headers.insert(PUSH_TYPE.to_owned(), push_type);
    headers
}

/// Whether `topic` is the bundle id or one of its suffixed topics; `com.a.bc` is not of `com.a.b`.
fn is_of(bundle_id: &str, topic: &str) -> bool {
    topic
        .strip_prefix(bundle_id)
        .is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('.'))
}

fn guessed(topic: Option<&String>, body: &[u8]) -> &'static str {
    if topic.is_some_and(|topic| topic.ends_with(".voip")) {
        return "voip";
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let aps = &body["aps"];
    let shows = ["alert", "sound", "badge"]
        .iter()
        .any(|member| !aps[member].is_null());
    match aps["content-available"].as_i64() {
        Some(1) if !shows => "background",
        _ => "alert",
    }
}

fn suffix(push_type: &str) -> &'static str {
    match push_type {
        "voip" => ".voip",
        "location" => ".location-query",
        "complication" => ".complication",
        "fileprovider" => ".pushkit.fileprovider",
        "liveactivity" => ".push-type.liveactivity",
        "pushtotalk" => ".voip-ptt",
        "widgets" => ".push-type.widgets",
        "controls" => ".push-type.controls",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(given: &[(&str, &str)], body: &str) -> [String; 3] {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let headers = headers("com.example.app", &given, body.as_bytes());
        [PUSH_TYPE, TOPIC, PRIORITY].map(|name| headers.get(name).cloned().unwrap_or_default())
    }

    #[test]
    fn the_topic_follows_the_push_type() {
        for (push_type, topic) in [
            ("alert", "com.example.app"),
            ("voip", "com.example.app.voip"),
            ("liveactivity", "com.example.app.push-type.liveactivity"),
            ("a-new-one", "com.example.app"),
        ] {
            assert_eq!(sent(&[(PUSH_TYPE, push_type)], "{}")[1], topic);
        }
    }

    #[test]
    fn a_topic_of_the_hub_is_honoured_and_any_other_overwritten() {
        let topic = |given: &str| sent(&[(PUSH_TYPE, "alert"), (TOPIC, given)], "{}")[1].clone();
        assert_eq!(topic("com.example.app"), "com.example.app");
        assert_eq!(
            topic("com.example.app.watchkitapp"),
            "com.example.app.watchkitapp"
        );
        assert_eq!(topic("com.example.application"), "com.example.app");
        assert_eq!(topic("com.x.voip"), "com.example.app");
        let plain = sent(&[(PUSH_TYPE, "voip"), (TOPIC, "com.example.app")], "{}");
        assert_eq!(plain[1], "com.example.app.voip");
        let doubled = headers("com.example.app.voip", &BTreeMap::new(), b"{}");
        assert_eq!(doubled[TOPIC], "com.example.app");
    }

    #[test]
    fn a_push_type_is_guessed_only_where_there_is_none() {
        let silent = r#"{"aps":{"content-available":1}}"#;
        assert_eq!(sent(&[], silent), ["background", "com.example.app", "5"]);
        assert_eq!(sent(&[(PUSH_TYPE, "alert")], silent)[0], "alert");
        assert_eq!(sent(&[(PRIORITY, "10")], silent)[2], "10");
        let shown = r#"{"aps":{"content-available":1,"badge":0}}"#;
        assert_eq!(sent(&[], shown)[0], "alert");
        let voip = sent(&[(TOPIC, "com.example.app.voip")], "{}");
        assert_eq!(voip[..2], ["voip", "com.example.app.voip"]);
        assert_eq!(sent(&[], "not json")[0], "alert");
    }
}
