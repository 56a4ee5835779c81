//! The Event Grid schema: always an array, one object an event.
//!
//! Specification: "Azure Event Grid event schema" (Microsoft).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::publish::{InputSchema, PublishError, Published, batch, is_time};

const SCHEMA: InputSchema = InputSchema::EventGrid;

/// An event as its publisher wrote it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Incoming<'b> {
    id: Option<String>,
    subject: Option<String>,
    event_type: Option<String>,
    event_time: Option<String>,
    #[serde(borrow)]
    data: Option<&'b RawValue>,
    data_version: Option<String>,
    metadata_version: Option<String>,
}

/// An event as it is delivered: "the npm deserializer throws if topic, dataVersion or metadataVersion is missing".
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivered<'e> {
    /// Chosen by the publisher.
    #[serde(borrow)]
    pub id: Cow<'e, str>,
    /// The ARM id of the topic, or of the source resource.
    #[serde(borrow)]
    pub topic: Cow<'e, str>,
    /// Chosen by the publisher.
    #[serde(borrow)]
    pub subject: Cow<'e, str>,
    /// Chosen by the publisher.
    #[serde(borrow)]
    pub event_type: Cow<'e, str>,
    /// RFC 3339 with an offset, as written.
    #[serde(borrow)]
    pub event_time: Cow<'e, str>,
    /// Any JSON, as written.
    #[serde(borrow)]
    pub data: Option<&'e RawValue>,
    /// "" if the publisher left it out.
    #[serde(borrow)]
    pub data_version: Cow<'e, str>,
    /// Always "1".
    #[serde(borrow)]
    pub metadata_version: Cow<'e, str>,
}

impl Delivered<'_> {
    /// The event as JSON.
    pub fn to_json(&self) -> String {
        // A struct of texts always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Reads the body of a publication: an array of at least one event. `topic` is the ARM id of the topic.
pub(super) fn parse(body: &[u8], topic: &str) -> Result<Vec<Published>, PublishError> {
    let events: Vec<Incoming<'_>> =
        serde_json::from_slice(body).map_err(|error| PublishError::shape(SCHEMA, error))?;
    batch(SCHEMA, events, |(index, event)| event.check(index, topic))
}

impl Incoming<'_> {
    fn check(self, index: usize, topic: &str) -> Result<Published, PublishError> {
        let given = |value: Option<String>, property| {
            let given = value.filter(|text| !text.is_empty());
            given.ok_or(PublishError::MissingProperty {
                schema: SCHEMA,
                property,
                index,
            })
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
        let delivered = Delivered {
            id: id.into(),
            topic: topic.into(),
            subject: subject.into(),
            event_type: event_type.into(),
            event_time: event_time.into(),
            data: self.data,
            data_version: self.data_version.unwrap_or_default().into(),
            metadata_version: "1".into(),
        };
        let published = Published {
            body: delivered.to_json(),
            kind: delivered.event_type.into_owned(),
            subject: delivered.subject.into_owned(),
        };
        published.checked()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{LARGEST_EVENT, MOST_EVENTS};
    use super::*;

    const TOPIC: &str = "/subscriptions/s/…/topics/t";
    /// The request of @azure/eventgrid 5.12.0.
    const FROM_JS: &str = r#"[{"id":"7f6b","subject":"/s/1","data":{"hello":"world"},"eventType":"Contoso.A",
        "eventTime":"2026-11-24T05:02:02.546Z","dataVersion":"1.0"}]"#;

    fn with(change: impl FnOnce(&mut Value)) -> Result<Vec<Published>, PublishError> {
        let mut body: Value = serde_json::from_str(FROM_JS).unwrap();
        change(&mut body[0]);
        parse(body.to_string().as_bytes(), TOPIC)
    }

    #[test]
    fn a_published_event_is_delivered_with_topic_and_versions() {
        let event = parse(FROM_JS.as_bytes(), TOPIC).unwrap().remove(0);
        assert_eq!(
            (event.kind.as_str(), event.subject.as_str()),
            ("Contoso.A", "/s/1")
        );
        let delivered: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(
            delivered,
            json!({
                "id": "7f6b", "topic": TOPIC, "subject": "/s/1", "eventType": "Contoso.A",
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
            let refused = parse(body.as_bytes(), TOPIC).unwrap_err();
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
            parse(many.as_bytes(), TOPIC).unwrap_err(),
            PublishError::TooManyEvents(MOST_EVENTS + 1)
        );
    }

    #[test]
    fn the_size_of_an_event_is_bounded() {
        let sized = |bytes: usize| with(|event| event["data"] = json!("x".repeat(bytes)));
        assert!(sized(LARGEST_EVENT - 300).is_ok());
        assert_eq!(sized(LARGEST_EVENT), Err(PublishError::TooLarge));
    }

    #[test]
    fn a_type_or_subject_with_nul_is_refused() {
        for name in ["eventType", "subject"] {
            let refused = with(|event| event[name] = json!("a\0b"));
            assert_eq!(refused, Err(PublishError::Nul), "{name}");
        }
        assert!(with(|event| event["data"] = json!("a\0b")).is_ok());
    }

    #[test]
    fn escaped_texts_and_numbers_come_out_as_they_went_in() {
        let data = json!({ "big": 12_345_678_901_234_567_890_u64, "text": "\u{1f4de}\n\"" });
        let event = with(|event| {
            event["subject"] = json!("a\"b");
            event["data"] = data.clone();
        });
        let event = event.unwrap().remove(0);
        let delivered: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(
            (event.subject.as_str(), &delivered["data"]),
            ("a\"b", &data)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes, TOPIC);
        }
    }
}
