//! The `properties` of a topic, as ARM writes them.
//!
//! Specification: `TopicProperties` of Microsoft.EventGrid 2025-02-15, and "Map custom fields to Event Grid schema".

use serde_json::{Map, Value, json};

use super::InputSchema;
use crate::arm::field::{FieldError, Fields};

/// What a client says about a topic. `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicBody {
    /// Where it is.
    pub location: Option<String>,
    /// Names to texts.
    pub tags: Option<Map<String, Value>>,
    /// The managed identity: kept and shown.
    pub identity: Option<Value>,
    /// The schema that it takes; fixed once it is made.
    pub input_schema: Option<InputSchema>,
    /// Where a custom schema has the fields of an event; fixed as well.
    pub mapping: Option<Value>,
    /// Whether keys and SAS are refused.
    pub disable_local_auth: Option<bool>,
    /// `properties` that are kept and shown.
    pub kept: Map<String, Value>,
}

impl TopicBody {
    /// Reads a PUT or PATCH body. Properties it does not know are left out, as Azure does.
    pub fn parse(body: &Map<String, Value>) -> Result<Self, FieldError> {
        let fields = Fields::of(body);
        let properties = fields.object("properties")?;
        let input_schema = properties
            .text("inputSchema")?
            .map(|text| {
                InputSchema::parse(text).ok_or_else(|| {
                    let problem =
                        "must be EventGridSchema, CloudEventSchemaV1_0 or CustomEventSchema";
                    properties.error("inputSchema", problem)
                })
            })
            .transpose()?;
        Ok(Self {
            location: fields.text("location")?.map(str::to_owned),
            tags: fields.tags()?,
            identity: fields.value("identity").cloned(),
            input_schema,
            mapping: mapping(&properties)?,
            disable_local_auth: properties.flag("disableLocalAuth")?,
            kept: kept(&properties)?,
        })
    }
}

/// Whether `name` may name a topic: 3 to 50 letters, digits and hyphens.
pub fn is_name(name: &str) -> bool {
    (3..=50).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `inputSchemaMapping`, with what it says of the fields there are.
fn mapping(properties: &Fields<'_>) -> Result<Option<Value>, FieldError> {
    let Some(mapping) = properties.optional("inputSchemaMapping")? else {
        return Ok(None);
    };
    let kind = mapping.text("inputSchemaMappingType")?.unwrap_or_default();
    if !kind.eq_ignore_ascii_case("Json") {
        return Err(mapping.error("inputSchemaMappingType", "must be Json"));
    }
    let given = mapping.object("properties")?;
    let mut document = Map::new();
    for name in MAPPED {
        let Some(field) = given.optional(name)? else {
            continue;
        };
        let mut from = Map::new();
        for part in ["sourceField", "defaultValue"] {
            if let Some(text) = field.text(part)? {
                from.insert(part.into(), text.into());
            }
        }
        document.insert(name.into(), Value::Object(from));
    }
    Ok(Some(
        json!({ "inputSchemaMappingType": "Json", "properties": document }),
    ))
}

fn kept(properties: &Fields<'_>) -> Result<Map<String, Value>, FieldError> {
    let access = access(properties)?;
    properties.objects("inboundIpRules")?;
    properties.text("minimumTlsVersionAllowed")?;
    properties.text("dataResidencyBoundary")?;
    let values = KEPT.iter().filter_map(|name| {
        let value = properties.value(name)?;
        Some(((*name).to_owned(), value.clone()))
    });
    let access = access.map(|access| ("publicNetworkAccess".to_owned(), access.into()));
    Ok(values.chain(access).collect())
}

/// Spelled as Azure does: az writes it in lower case.
fn access(properties: &Fields<'_>) -> Result<Option<&'static str>, FieldError> {
    let Some(text) = properties.text("publicNetworkAccess")? else {
        return Ok(None);
    };
    let known = ["Enabled", "Disabled", "SecuredByPerimeter"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(text));
    match known {
        Some(known) => Ok(Some(known)),
        None => Err(properties.error("publicNetworkAccess", "must be Enabled or Disabled")),
    }
}

/// What an Event Grid event has and a custom one may have under another name.
const MAPPED: [&str; 6] = [
    "id",
    "topic",
    "eventTime",
    "eventType",
    "subject",
    "dataVersion",
];
/// Properties of a topic that change nothing here.
const KEPT: [&str; 4] = [
    "inboundIpRules",
    "minimumTlsVersionAllowed",
    "dataResidencyBoundary",
    "eventTypeInfo",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(body: &Value) -> Result<TopicBody, String> {
        TopicBody::parse(body.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_topic_with_a_mapping_is_read_and_its_mapping_written_back() {
        let mapping = json!({
            "inputSchemaMappingType": "Json",
            "properties": {
                "id": { "sourceField": "MyId" },
                "topic": {},
                "eventTime": {},
                "eventType": { "sourceField": "MyType", "defaultValue": "None" },
                "subject": { "defaultValue": "/s" },
                "dataVersion": {},
            },
        });
        let body = parsed(&json!({ "location": "global", "properties": {
            "inputSchema": "customeventschema", "inputSchemaMapping": mapping,
            "publicNetworkAccess": "disabled", "unknown": 1,
        } }))
        .unwrap();
        assert_eq!(body.input_schema, Some(InputSchema::Custom));
        assert_eq!(body.mapping.unwrap(), mapping);
        let kept = Value::Object(body.kept);
        assert_eq!(kept, json!({ "publicNetworkAccess": "Disabled" }));
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = |properties: Value| parsed(&json!({ "properties": properties })).unwrap_err();
        assert!(error(json!({ "inputSchema": "Xml" })).starts_with("'properties.inputSchema'"));
        assert!(
            error(json!({ "inputSchemaMapping": { "inputSchemaMappingType": "Xml" } }))
                .starts_with("'properties.inputSchemaMapping.inputSchemaMappingType'")
        );
        assert!(
            error(json!({ "publicNetworkAccess": "maybe" }))
                .starts_with("'properties.publicNetworkAccess'")
        );
        assert!(is_name("t-1") && !is_name("ab") && !is_name("a.b.c"));
    }

    proptest! {
        #[test]
        fn no_body_panics(text in r#"\{("(location|tags|identity|properties|inputSchema|inputSchemaMapping|inputSchemaMappingType|disableLocalAuth|publicNetworkAccess)":(1|"a"|"Json"|\[\]|\{\}|null|\{"properties":\{"id":1\}\}),?){0,8}\}"#) {
            if let Ok(object) = crate::arm::lenient_json::parse(text.as_bytes()) {
                let _ = TopicBody::parse(&object);
                let _ = TopicBody::parse(json!({ "properties": object }).as_object().unwrap());
            }
        }
    }
}
