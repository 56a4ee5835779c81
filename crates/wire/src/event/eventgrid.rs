//! The Event Grid schema: always an array, one object an event.
//!
//! Specification: "Azure Event Grid event schema" (Microsoft).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::publish::{InputSchema, MOST_EVENTS, PublishError, is_time};

const SCHEMA: InputSchema = InputSchema::EventGrid;

/// An event as published: every required property is there. `data` is kept as it was written.
#[derive(Debug, Clone)]
pub struct Event {
    /// Chosen by the publisher.
    pub id: String,
    /// Chosen by the publisher.
    pub subject: String,
    /// Chosen by the publisher.
    pub event_type: String,
    /// RFC 3339 with an offset, as written.
    pub event_time: String,
    /// Any JSON.
    pub data: Option<Box<RawValue>>,
    /// "" if the publisher left it out.
    pub data_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Published<'b> {
    id: Option<String>,
    subject: Option<String>,
    event_type: Option<String>,
    event_time: Option<String>,
    #[serde(borrow)]
    data: Option<&'b RawValue>,
    data_version: Option<String>,
    metadata_version: Option<String>,
}

/// An event as delivered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Delivered<'e> {
    id: &'e str,
    topic: &'e str,
    subject: &'e str,
    event_type: &'e str,
    event_time: &'e str,
    data: Option<&'e RawValue>,
    data_version: &'e str,
    metadata_version: &'static str,
}

/// Reads the body of a publication: an array of at least one event.
pub fn parse(body: &[u8]) -> Result<Vec<Event>, PublishError> {
    let events: Vec<Published<'_>> =
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
        .map(|(index, event)| event.check(index))
        .collect()
}

impl Published<'_> {
    fn check(self, index: usize) -> Result<Event, PublishError> {
        let missing = |property| PublishError::MissingProperty {
            schema: SCHEMA,
            property,
            index,
        };
        let given = |value: Option<String>, property| {
            value
                .filter(|text| !text.is_empty())
                .ok_or_else(|| missing(property))
        };
        let subject = given(self.subject, "subject")?;
        let id = given(self.id, "id")?;
        let event_type = given(self.event_type, "eventType")?;
        let event_time = given(self.event_time, "eventTime")?;
        if !is_time(&event_time) {
            let detail =
                format!("eventTime '{event_time}' of event {index} is not an RFC 3339 time.");
            return Err(PublishError::shape(SCHEMA, detail));
        }
        // "metadataVersion: if included, must match the Event Grid schema metadataVersion exactly (currently, only 1)."
        if self.metadata_version.is_some_and(|version| version != "1") {
            let detail = format!("metadataVersion of event {index} must be \"1\" or absent.");
            return Err(PublishError::shape(SCHEMA, detail));
        }
        Ok(Event {
            id,
            subject,
            event_type,
            event_time,
            data: self.data.map(ToOwned::to_owned),
            data_version: self.data_version.unwrap_or_default(),
        })
    }
}

impl Event {
    /// The event as it is delivered from `topic`, the ARM id of the topic or of the source resource.
    pub fn to_json(&self, topic: &str) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Delivered {
            id: &self.id,
            topic,
            subject: &self.subject,
            event_type: &self.event_type,
            event_time: &self.event_time,
            data: self.data.as_deref(),
            data_version: &self.data_version,
            metadata_version: "1",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The request of @azure/eventgrid 5.12.0.
    const FROM_JS: &str = r#"[{"id":"7f6b","subject":"/s/1","data":{"hello":"world"},"eventType":"Contoso.A",
        "eventTime":"2026-11-24T05:02:02.546Z","dataVersion":"1.0"}]"#;

    fn with(change: impl FnOnce(&mut Value)) -> Result<Vec<Event>, PublishError> {
        let mut body: Value = serde_json::from_str(FROM_JS).unwrap();
        change(&mut body[0]);
        parse(body.to_string().as_bytes())
    }

    #[test]
    fn a_published_event_is_delivered_with_topic_and_versions() {
        let event = parse(FROM_JS.as_bytes()).unwrap().remove(0);
        let delivered: Value =
            serde_json::from_str(&event.to_json("/subscriptions/s/…/topics/t").unwrap()).unwrap();
        assert_eq!(
            delivered,
            json!({
                "id": "7f6b", "topic": "/subscriptions/s/…/topics/t", "subject": "/s/1", "eventType": "Contoso.A",
                "eventTime": "2026-11-24T05:02:02.546Z", "data": {"hello": "world"}, "dataVersion": "1.0",
                "metadataVersion": "1"
            })
        );
    }

    #[test]
    fn the_first_missing_property_is_named_in_order() {
        for (property, without) in [
            ("subject", vec!["subject", "id", "eventType", "eventTime"]),
            ("id", vec!["id", "eventType", "eventTime"]),
            ("eventType", vec!["eventType", "eventTime"]),
            ("eventTime", vec!["eventTime"]),
        ] {
            let refused = with(|event| without.iter().for_each(|name| event[*name] = Value::Null))
                .unwrap_err();
            assert_eq!(
                refused,
                PublishError::MissingProperty {
                    schema: SCHEMA,
                    property,
                    index: 0
                }
            );
        }
        assert!(with(|event| event["id"] = json!("")).is_err());
    }

    #[test]
    fn other_shapes_are_refused_with_the_place() {
        for body in ["", "[]", "{}", "[1]", "[{]", "\u{feff}[]", "[{\"id\":1}]"] {
            let refused = parse(body.as_bytes()).unwrap_err();
            assert!(
                matches!(refused, PublishError::NotConforming { .. }),
                "{body}: {refused}"
            );
        }
        assert!(with(|event| event["eventTime"] = json!("yesterday")).is_err());
        assert!(with(|event| event["metadataVersion"] = json!("2")).is_err());
        assert!(with(|event| event["metadataVersion"] = json!("1")).is_ok());
        assert!(
            with(|event| event["eventTime"] = json!("2026-11-24T05:02:35.363946+00:00")).is_ok()
        );
        assert!(with(|event| event["data"] = Value::Null).is_ok());
    }

    #[test]
    fn the_number_of_events_is_bounded() {
        let many = format!("[{}{{}}]", "{},".repeat(MOST_EVENTS));
        assert_eq!(
            parse(many.as_bytes()).unwrap_err(),
            PublishError::TooManyEvents(MOST_EVENTS + 1)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
