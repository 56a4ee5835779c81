//! Events of a publisher's own schema, mapped to the Event Grid schema.
//!
//! Specification: `JsonInputSchemaMapping` of Microsoft.EventGrid 2025-02-15, and "Map custom fields to Event Grid
//! schema" (Microsoft): the mapped event carries the original one as its `data`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::eventgrid::Delivered;
use super::object::Object;
use super::publish::{InputSchema, PublishError, Published, batch, is_time};

const SCHEMA: InputSchema = InputSchema::Custom;

/// Where the fields of the Event Grid schema come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mapping {
    /// A new id unless mapped.
    pub id: Option<Source>,
    /// The topic's own id unless mapped.
    pub topic: Option<Source>,
    /// The time of the publication unless mapped.
    pub event_time: Option<Source>,
    /// Mapped, or a default.
    pub event_type: Option<Source>,
    /// Mapped, or a default.
    pub subject: Option<Source>,
    /// Mapped, or a default; "" if neither.
    pub data_version: Option<Source>,
}

/// Where one field comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// A property of the published event; a dot leads into an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_field: Option<String>,
    /// What counts where the property is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
}

/// What the service itself adds to an event.
pub struct Stamp<'a> {
    /// The ARM id of the topic.
    pub topic: &'a str,
    /// The time of the publication, RFC 3339.
    pub now: &'a str,
    /// Makes an id.
    pub id: &'a mut dyn FnMut() -> String,
}

impl Mapping {
    /// Reads `inputSchemaMapping` of a topic: `{"inputSchemaMappingType":"Json","properties":{…}}`.
    pub fn parse(value: &Value) -> Result<Self, serde_json::Error> {
        match &value["properties"] {
            Value::Null => Ok(Self::default()),
            properties => Self::deserialize(properties),
        }
    }
}

/// Reads the body of a publication: an array of at least one object.
pub(super) fn parse(
    mapping: &Mapping,
    body: &[u8],
    stamp: &mut Stamp<'_>,
) -> Result<Vec<Published>, PublishError> {
    let events: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| PublishError::shape(SCHEMA, error))?;
    batch(SCHEMA, events, |(index, raw)| {
        let event: Object<'_> = serde_json::from_str(raw.get())
            .map_err(|error| PublishError::shape(SCHEMA, format!("Event {index}: {error}.")))?;
        mapping.apply(&event, raw, index, stamp)
    })
}

impl Mapping {
    fn apply(
        &self,
        event: &Object<'_>,
        raw: &RawValue,
        index: usize,
        stamp: &mut Stamp<'_>,
    ) -> Result<Published, PublishError> {
        let mapped = |source: &Option<Source>| source.as_ref().and_then(|it| it.find(event));
        let missing = |property| PublishError::MissingProperty {
            schema: SCHEMA,
            property,
            index,
        };
        let subject = mapped(&self.subject).ok_or_else(|| missing("subject"))?;
        let id = match &self.id {
            Some(source) => source.find(event).ok_or_else(|| missing("id"))?,
            None => (stamp.id)(),
        };
        let event_type = mapped(&self.event_type).ok_or_else(|| missing("eventType"))?;
        let event_time = match &self.event_time {
            Some(source) => source.find(event).ok_or_else(|| missing("eventTime"))?,
            None => stamp.now.to_owned(),
        };
        if !is_time(&event_time) {
            let detail =
                format!("eventTime '{event_time}' of event {index} is not an RFC 3339 time.");
            return Err(PublishError::shape(SCHEMA, detail));
        }
        let delivered = Delivered {
            id: id.into(),
            topic: mapped(&self.topic)
                .unwrap_or_else(|| stamp.topic.to_owned())
                .into(),
            subject: subject.as_str().into(),
            event_type: event_type.as_str().into(),
            event_time: event_time.into(),
            data: Some(raw),
            data_version: mapped(&self.data_version).unwrap_or_default().into(),
            metadata_version: "1".into(),
        };
        let body = delivered.to_json();
        let published = Published {
            body,
            kind: event_type,
            subject,
        };
        published.checked()
    }
}

impl Source {
    /// The value as text: of the property, else the default.
    fn find(&self, event: &Object<'_>) -> Option<String> {
        let found = self.source_field.as_deref().and_then(|field| {
            let value = match event.member(field) {
                Some(value) => serde_json::from_str(value.get()).ok()?,
                None => inside(event, field)?,
            };
            match value {
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(flag) => Some(flag.to_string()),
                _ => None,
            }
        });
        found
            .filter(|text| !text.is_empty())
            .or_else(|| self.default_value.clone())
            .filter(|text| !text.is_empty())
    }
}

fn inside(event: &Object<'_>, path: &str) -> Option<Value> {
    let (first, rest) = path.split_once('.')?;
    let value: Value = serde_json::from_str(event.member(first)?.get()).ok()?;
    rest.split('.')
        .try_fold(&value, |value, name| value.get(name))
        .cloned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::event::{DeliverySchema, convert};

    /// The example of "Map custom fields to Event Grid schema".
    const DOCUMENTED: &str = r#"[{"myEventTypeField":"Created", "resource":"Users/example/Messages/1000",
        "resourceData":{"someDataField1":"SomeDataFieldValue", "at": "2026-11-24T05:02:02Z", "n": 7}}]"#;

    fn mapping() -> Mapping {
        Mapping::parse(&json!({ "inputSchemaMappingType": "Json", "properties": {
            "eventType": { "sourceField": "myEventTypeField" },
            "subject": { "sourceField": "absent", "defaultValue": "DefaultSubject" },
            "dataVersion": { "defaultValue": "1.0" },
        }}))
        .unwrap()
    }

    fn read(mapping: &Mapping, body: &str) -> Result<Vec<Published>, PublishError> {
        let mut stamp = Stamp {
            topic: "/topics/t",
            now: "2026-11-24T05:00:00Z",
            id: &mut || "new".to_owned(),
        };
        parse(mapping, body.as_bytes(), &mut stamp)
    }

    #[test]
    fn the_documented_example_is_mapped() {
        let event = read(&mapping(), DOCUMENTED).unwrap().remove(0);
        let original: Value = serde_json::from_str(DOCUMENTED).unwrap();
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(
            (event.kind.as_str(), event.subject.as_str()),
            ("Created", "DefaultSubject")
        );
        assert_eq!(
            body,
            json!({
                "id": "new", "topic": "/topics/t", "subject": "DefaultSubject", "eventType": "Created",
                "eventTime": "2026-11-24T05:00:00Z", "dataVersion": "1.0", "metadataVersion": "1",
                "data": original[0],
            })
        );
        let as_published = convert(&event.body, SCHEMA, DeliverySchema::Custom).unwrap();
        assert!(DOCUMENTED.contains(&*as_published), "{as_published}");
        let cloud = convert(&event.body, SCHEMA, DeliverySchema::CloudEvent).unwrap();
        let cloud: Value = serde_json::from_str(&cloud).unwrap();
        assert_eq!(cloud["data"], original[0]);
        assert_eq!(cloud["source"], "/topics/t");
    }

    #[test]
    fn a_dot_leads_into_an_object_unless_a_property_is_called_so() {
        let source = |field: &str| {
            Some(Source {
                source_field: Some(field.into()),
                default_value: None,
            })
        };
        let mapping = Mapping {
            id: source("resourceData.n"),
            event_time: source("resourceData.at"),
            topic: source("resource"),
            ..mapping()
        };
        let event = read(&mapping, DOCUMENTED).unwrap().remove(0);
        let body: Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(
            (&body["id"], &body["topic"]),
            (&json!("7"), &json!("Users/example/Messages/1000"))
        );
        assert_eq!(body["eventTime"], "2026-11-24T05:02:02Z");
        let own = Mapping {
            id: source("a.b"),
            ..mapping
        };
        let event = r#"[{"a.b":"x","a":{"b":"y"},"myEventTypeField":"T","resourceData":{"at":"2026-11-24T05:02:02Z"}}]"#;
        assert!(read(&own, event).unwrap()[0].body.contains(r#""id":"x""#));
    }

    #[test]
    fn what_is_mapped_and_missing_is_named() {
        let property = |mapping: &Mapping| match read(mapping, r#"[{"resource":"r"}]"#) {
            Err(PublishError::MissingProperty { property, .. }) => property,
            other => panic!("{other:?}"),
        };
        assert_eq!(property(&Mapping::default()), "subject");
        assert_eq!(property(&mapping()), "eventType");
        let id = Mapping {
            id: Some(Source::default()),
            ..mapping()
        };
        assert_eq!(property(&id), "id");
        for body in ["", "{}", "[]", "[1]", "[[]]", r#"[{"a":1,"a":2}]"#] {
            let refused = read(&mapping(), body).unwrap_err();
            assert!(
                matches!(refused, PublishError::NotConforming { .. }),
                "{body}: {refused}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in r#"[\[\]{}",:a-z0-9.]{0,200}"#) {
            let _ = read(&mapping(), &text);
        }
    }
}
