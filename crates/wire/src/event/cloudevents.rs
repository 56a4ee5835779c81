//! CloudEvents 1.0: structured, batched, and binary.
//!
//! Specification: CloudEvents 1.0.2, its JSON event format and HTTP protocol binding.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::eventgrid::Delivered;
use super::object::Object;
use super::publish::{InputSchema, PublishError, Published, batch, is_time};

const SCHEMA: InputSchema = InputSchema::CloudEvent;

/// Reads a publication in any of the three content modes. Attributes are kept as they were written, extensions too.
pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Published>, PublishError> {
    let content_type = header(headers, "content-type").unwrap_or_default();
    let media = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match media.as_str() {
        "application/cloudevents-batch+json" => parse_batch(body),
        "application/cloudevents+json" => Ok(vec![parse_one(body)?]),
        _ if headers.contains_key("ce-specversion") => {
            Ok(vec![parse_binary(headers, &media, body)?])
        }
        // "application/json on a CloudEvents topic is a single object."
        "application/json" => Ok(vec![parse_one(body)?]),
        _ => Err(PublishError::ContentType),
    }
}

fn parse_batch(body: &[u8]) -> Result<Vec<Published>, PublishError> {
    let events: Vec<Object<'_>> =
        serde_json::from_slice(body).map_err(|error| PublishError::shape(SCHEMA, error))?;
    batch(SCHEMA, events, |(index, event)| publish(&event, index))
}

fn parse_one(body: &[u8]) -> Result<Published, PublishError> {
    if body.trim_ascii_start().starts_with(b"[") {
        let detail = "Token Expected: StartObject, Actual Token Received: StartArray.";
        return Err(PublishError::shape(SCHEMA, detail));
    }
    let event = serde_json::from_slice(body).map_err(|error| PublishError::shape(SCHEMA, error))?;
    publish(&event, 0)
}

/// "Binary content mode": attributes are `ce-` headers, percent-encoded; the body is the data.
fn parse_binary(headers: &HeaderMap, media: &str, body: &[u8]) -> Result<Published, PublishError> {
    let mut event = Object::default();
    let mut set = |name: String, value: Cow<'_, str>| -> Result<(), PublishError> {
        let value = to_raw_value(&value).map_err(|error| PublishError::shape(SCHEMA, error))?;
        event.0.push((name.into(), Cow::Owned(value)));
        Ok(())
    };
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else {
            continue;
        };
        let decoded = percent_decode_str(value.to_str().unwrap_or("%ff")).decode_utf8();
        let value = decoded.map_err(|_| {
            let detail = format!("The header {name} is not percent-encoded UTF-8.");
            PublishError::shape(SCHEMA, detail)
        })?;
        set(attribute.to_owned(), value)?;
    }
    if !media.is_empty() {
        set("datacontenttype".into(), media.into())?;
    }
    if media == "application/json" || media.ends_with("+json") {
        let data: &RawValue =
            serde_json::from_slice(body).map_err(|error| PublishError::shape(SCHEMA, error))?;
        event.0.push(("data".into(), Cow::Borrowed(data)));
    } else if !body.is_empty() {
        set("data_base64".into(), STANDARD.encode(body).into())?;
    }
    publish(&event, 0)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Checks an event, and leaves out what is null: "a null attribute is an absent one", and the npm deserializer throws at
/// a `subject` of null.
fn publish(event: &Object<'_>, index: usize) -> Result<Published, PublishError> {
    let missing = |property| PublishError::MissingProperty {
        schema: SCHEMA,
        property,
        index,
    };
    if event.text("specversion").as_deref() != Some("1.0") {
        return Err(missing("specversion"));
    }
    let kind = event.text("type").ok_or_else(|| missing("eventType"))?;
    for name in ["source", "id"] {
        event.text(name).ok_or_else(|| missing(name))?;
    }
    let wrong = |detail: String| Err(PublishError::shape(SCHEMA, detail));
    if event.member("time").is_some() && !event.text("time").is_some_and(|time| is_time(&time)) {
        return wrong(format!("time of event {index} is not an RFC 3339 time."));
    }
    if event.member("subject").is_some() && event.text("subject").is_none() {
        return wrong(format!("subject of event {index} is not a text, or empty."));
    }
    // "data_base64 MUST NOT be present with data."
    if event.member("data").is_some() && event.member("data_base64").is_some() {
        return wrong(format!("Event {index} has both data and data_base64."));
    }
    if let Some((name, _)) = event.0.iter().find(|(name, _)| !is_attribute(name)) {
        return wrong(format!(
            "'{name}' of event {index} is no attribute name: lower-case letters and digits only."
        ));
    }
    let published = Published {
        kind,
        subject: event.text("subject").unwrap_or_default(),
        body: to_json(event),
    };
    published.checked()
}

/// The event as JSON; its names need no escapes.
fn to_json(event: &Object<'_>) -> String {
    let kept = event
        .0
        .iter()
        .filter(|(name, value)| name == "data" || value.get() != "null");
    let mut json = String::from("{");
    for (name, value) in kept {
        if json.len() > 1 {
            json.push(',');
        }
        json.extend(["\"", name, "\":", value.get()]);
    }
    json.push('}');
    json
}

/// An event of the Event Grid schema as a cloud event: the mapping of "CloudEvents v1.0 schema with Azure Event Grid".
pub(super) fn from_eventgrid(body: &str) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Mapped<'e> {
        specversion: &'static str,
        id: &'e str,
        source: &'e str,
        #[serde(rename = "type")]
        kind: &'e str,
        time: &'e str,
        subject: &'e str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'e RawValue>,
    }
    let event: Delivered<'_> = serde_json::from_str(body)?;
    serde_json::to_string(&Mapped {
        specversion: "1.0",
        id: &event.id,
        source: &event.topic,
        kind: &event.event_type,
        time: &event.event_time,
        subject: &event.subject,
        data: event.data,
    })
}

/// "Attribute names MUST consist of lower-case letters ('a' to 'z') or digits"; `data_base64` is the format's own.
fn is_attribute(name: &str) -> bool {
    name == "data_base64"
        || (!name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn batch(body: &Value) -> Result<Vec<Published>, PublishError> {
        parse(
            &headers(&[(
                "content-type",
                "application/cloudevents-batch+json; charset=utf-8",
            )]),
            body.to_string().as_bytes(),
        )
    }

    fn as_json(published: &Published) -> Value {
        serde_json::from_str(&published.body).unwrap()
    }

    fn event() -> Value {
        json!({"id": "1", "source": "/src", "type": "Contoso.A", "specversion": "1.0", "foo": "bar", "data": {"a": 1}})
    }

    #[test]
    fn the_batch_of_the_js_client_is_read() {
        let binary = json!({"id": "2", "source": "/src", "data_base64": "AQID/w==", "type": "Contoso.B",
            "time": "2026-11-24T05:02:02.612Z", "specversion": "1.0", "datacontenttype": "application/octet-stream"});
        let events = batch(&json!([event(), binary.clone()])).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(as_json(&events[0]), event());
        assert_eq!(
            (events[0].kind.as_str(), events[0].subject.as_str()),
            ("Contoso.A", "")
        );
        assert_eq!(as_json(&events[1]), binary);
    }

    #[test]
    fn attributes_that_are_null_are_left_out() {
        let mut event = event();
        event["subject"] = Value::Null;
        event["data"] = Value::Null;
        let published = batch(&json!([event])).unwrap().remove(0);
        let delivered = as_json(&published);
        assert_eq!(delivered.get("subject"), None);
        assert_eq!(delivered.get("data"), Some(&Value::Null));
    }

    #[test]
    fn binary_mode_reads_percent_encoded_headers() {
        let headers = headers(&[
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/a%20b"),
            ("ce-type", "T"),
        ]);
        let events = parse(&headers, br#"{"a":1}"#).unwrap();
        let delivered = as_json(&events[0]);
        assert_eq!(delivered["source"], "/a b");
        assert_eq!(delivered["data"], json!({"a": 1}));
        assert_eq!(delivered["datacontenttype"], "application/json");
    }

    #[test]
    fn binary_mode_carries_bytes_and_refuses_what_is_not_json() {
        let mode = |media: &'static str, id: &'static str| {
            headers(&[
                ("content-type", media),
                ("ce-specversion", "1.0"),
                ("ce-id", id),
                ("ce-source", "/s"),
                ("ce-type", "T"),
            ])
        };
        let events = parse(&mode("application/octet-stream", "1"), &[1, 2, 255]).unwrap();
        assert_eq!(as_json(&events[0])["data_base64"], "AQL/");
        for (media, id, body) in [
            ("application/json", "1", &b""[..]),
            ("application/json", "1", b"{"),
            ("text/plain", "%ff", b"x"),
        ] {
            let refused = parse(&mode(media, id), body);
            assert!(
                matches!(refused, Err(PublishError::NotConforming { .. })),
                "{media} {id}: {refused:?}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (name, property) in [
            ("specversion", "specversion"),
            ("type", "eventType"),
            ("source", "source"),
            ("id", "id"),
        ] {
            let mut event = event();
            event.as_object_mut().unwrap().remove(name);
            let refused = batch(&json!([event])).unwrap_err();
            assert_eq!(
                refused,
                PublishError::MissingProperty {
                    schema: SCHEMA,
                    property,
                    index: 0
                }
            );
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let json_headers = headers(&[("content-type", "application/json")]);
        let array = parse(&json_headers, json!([event()]).to_string().as_bytes()).unwrap_err();
        assert!(
            array
                .to_string()
                .contains("Actual Token Received: StartArray"),
            "{array}"
        );
        assert_eq!(
            parse(&headers(&[("content-type", "text/plain")]), b"x"),
            Err(PublishError::ContentType)
        );
        assert_eq!(parse(&headers(&[]), b"{}"), Err(PublishError::ContentType));
        for (name, value) in [
            ("data_base64", json!("AA==")),
            ("Foo", json!("x")),
            ("time", json!("noon")),
            ("subject", json!(1)),
        ] {
            let mut event = event();
            event[name] = value;
            assert!(batch(&json!([event])).is_err(), "{name}");
        }
        assert!(batch(&json!([])).is_err());
    }

    #[test]
    fn an_event_grid_event_becomes_a_cloud_event() {
        let body = br#"[{"id":"1","subject":"s","eventType":"T","eventTime":"2026-11-24T05:02:02Z","data":{"a":1}}]"#;
        let event = super::super::eventgrid::parse(body, "/topics/t")
            .unwrap()
            .remove(0);
        let cloud: Value = serde_json::from_str(&from_eventgrid(&event.body).unwrap()).unwrap();
        assert_eq!(
            cloud,
            json!({"specversion": "1.0", "id": "1", "source": "/topics/t", "type": "T",
                "time": "2026-11-24T05:02:02Z", "subject": "s", "data": {"a": 1}})
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for content_type in ["application/cloudevents+json", "application/cloudevents-batch+json", "application/json"] {
                let _ = parse(&headers(&[("content-type", content_type)]), &bytes);
            }
        }
    }
}
