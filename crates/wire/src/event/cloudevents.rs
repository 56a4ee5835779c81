//! CloudEvents 1.0: structured, batched, and binary.
//!
//! Specification: CloudEvents 1.0.2, its JSON event format and HTTP protocol binding.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::publish::{InputSchema, MOST_EVENTS, PublishError, is_time};

const SCHEMA: InputSchema = InputSchema::CloudEvent;

/// An event: a JSON object in which every required attribute is there. Kept as it was written, extensions included.
#[derive(Clone, Debug, PartialEq)]
pub struct Event(Map<String, Value>);

/// Reads a publication in any of the three content modes.
pub fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Vec<Event>, PublishError> {
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

fn parse_batch(body: &[u8]) -> Result<Vec<Event>, PublishError> {
    let events: Vec<Map<String, Value>> =
        serde_json::from_slice(body).map_err(|error| PublishError::shape(SCHEMA, error))?;
    if events.is_empty() {
        return Err(PublishError::shape(SCHEMA, "The array is empty."));
    }
    if events.len() > MOST_EVENTS {
        return Err(PublishError::TooManyEvents(events.len()));
    }
    events
        .into_iter()
        .enumerate()
        .map(|(index, event)| Event::check(event, index))
        .collect()
}

fn parse_one(body: &[u8]) -> Result<Event, PublishError> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| PublishError::shape(SCHEMA, error))?;
    match value {
        Value::Object(event) => Event::check(event, 0),
        Value::Array(_) => Err(PublishError::shape(
            SCHEMA,
            "Token Expected: StartObject, Actual Token Received: StartArray.",
        )),
        _ => Err(PublishError::shape(SCHEMA, "Token Expected: StartObject.")),
    }
}

/// "Binary content mode": attributes are `ce-` headers, percent-encoded; the body is the data.
fn parse_binary(headers: &HeaderMap, media: &str, body: &[u8]) -> Result<Event, PublishError> {
    let mut event = Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else {
            continue;
        };
        let value = value.to_str().map_err(|_| {
            PublishError::shape(SCHEMA, format!("The header {name} is not ASCII text."))
        })?;
        let value = percent_decode_str(value).decode_utf8().map_err(|_| {
            PublishError::shape(
                SCHEMA,
                format!("The header {name} is not percent-encoded UTF-8."),
            )
        })?;
        event.insert(attribute.to_owned(), Value::String(value.into_owned()));
    }
    if !media.is_empty() {
        event.insert("datacontenttype".into(), Value::String(media.to_owned()));
    }
    if !body.is_empty() {
        let is_json = media == "application/json" || media.ends_with("+json");
        let (name, data) = if is_json {
            let data =
                serde_json::from_slice(body).map_err(|error| PublishError::shape(SCHEMA, error))?;
            ("data", data)
        } else {
            use base64::Engine as _;
            (
                "data_base64",
                Value::String(base64::engine::general_purpose::STANDARD.encode(body)),
            )
        };
        event.insert(name.to_owned(), data);
    }
    Event::check(event, 0)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

impl Event {
    fn check(event: Map<String, Value>, index: usize) -> Result<Self, PublishError> {
        let given = |name: &str| {
            event
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let missing = |property| PublishError::MissingProperty {
            schema: SCHEMA,
            property,
            index,
        };
        if given("specversion") != Some("1.0") {
            return Err(missing("specversion"));
        }
        for (name, property) in [("type", "eventType"), ("source", "source"), ("id", "id")] {
            given(name).ok_or_else(|| missing(property))?;
        }
        if let Some(time) = event.get("time").filter(|time| !time.is_null())
            && !time.as_str().is_some_and(is_time)
        {
            return Err(PublishError::shape(
                SCHEMA,
                format!("time of event {index} is not an RFC 3339 time."),
            ));
        }
        // "data_base64 MUST NOT be present with data."
        if event.contains_key("data") && event.contains_key("data_base64") {
            return Err(PublishError::shape(
                SCHEMA,
                format!("Event {index} has both data and data_base64."),
            ));
        }
        if let Some(name) = event.keys().find(|name| !is_attribute(name)) {
            let detail = format!(
                "'{name}' of event {index} is no attribute name: lower-case letters and digits only."
            );
            return Err(PublishError::shape(SCHEMA, detail));
        }
        Ok(Self(event))
    }

    /// From the parts of an event in the Event Grid schema: the mapping of "Azure Event Grid - CloudEvents".
    pub fn from_eventgrid(
        event: &super::eventgrid::Event,
        topic: &str,
    ) -> Result<Self, serde_json::Error> {
        let mut object = Map::new();
        let mut set = |name: &str, value: &str| {
            object.insert(name.to_owned(), Value::String(value.to_owned()));
        };
        set("specversion", "1.0");
        set("id", &event.id);
        set("source", topic);
        set("type", &event.event_type);
        set("time", &event.event_time);
        set("subject", &event.subject);
        if let Some(data) = &event.data {
            object.insert("data".into(), serde_json::from_str(data.get())?);
        }
        Ok(Self(object))
    }

    /// A text attribute, "" if it is not there.
    pub fn attribute(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The event as a JSON object.
    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }
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
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn batch(body: &Value) -> Result<Vec<Event>, PublishError> {
        parse(
            &headers(&[(
                "content-type",
                "application/cloudevents-batch+json; charset=utf-8",
            )]),
            body.to_string().as_bytes(),
        )
    }

    fn event() -> Value {
        json!({"id": "1", "source": "/src", "type": "Contoso.A", "specversion": "1.0", "foo": "bar", "data": {"a": 1}})
    }

    #[test]
    fn the_batch_of_the_js_client_is_read() {
        let binary = json!({"id": "2", "source": "/src", "data_base64": "AQID/w==", "type": "Contoso.B",
            "time": "2026-11-24T05:02:02.612Z", "specversion": "1.0", "datacontenttype": "application/octet-stream"});
        let events = batch(&json!([event(), binary])).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].attribute("foo"), "bar");
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
        assert_eq!(events[0].attribute("source"), "/a b");
        assert_eq!(events[0].clone().into_json()["data"], json!({"a": 1}));
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
        let event = super::super::eventgrid::parse(body).unwrap().remove(0);
        let cloud = Event::from_eventgrid(&event, "/topics/t")
            .unwrap()
            .into_json();
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
