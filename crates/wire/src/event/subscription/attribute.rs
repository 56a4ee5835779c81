//! Headers that a subscription adds to its deliveries.

use serde_json::{Value, json};

use super::Audience;
use crate::arm::field::{FieldError, Fields};

/// A header of each delivery.
#[derive(Clone)]
pub struct Attribute {
    /// The header's name.
    pub name: String,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of a delivery attribute.
#[derive(Clone)]
pub enum AttributeValue {
    /// The same for each event.
    Static {
        /// The value.
        value: String,
        /// Whether it is shown by `getDeliveryAttributes` alone.
        secret: bool,
    },
    /// Taken from the event: a path such as `data.threadId`.
    Dynamic(String),
}

impl Attribute {
    fn parse(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let name = fields.text("name")?.unwrap_or_default();
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(fields.error("name", "must be the name of a header"));
        }
        // "Header names can't start with aeg-"; the rest would change how the delivery itself is read.
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("aeg-") || RESERVED.contains(&lower.as_str()) {
            return Err(fields.error(
                "name",
                "is the name of a header that deliveries have already",
            ));
        }
        let properties = fields.object("properties")?;
        let kind = fields.text("type")?.unwrap_or_default();
        let value = if kind.eq_ignore_ascii_case("Static") {
            AttributeValue::of_text(&properties)?
        } else if kind.eq_ignore_ascii_case("Dynamic") {
            let path = properties.text("sourceField")?.unwrap_or_default();
            if path.split('.').any(|part| part.trim().is_empty()) {
                let problem = "must be a path into the event, such as data.threadId";
                return Err(properties.error("sourceField", problem));
            }
            AttributeValue::Dynamic(path.to_owned())
        } else {
            return Err(fields.error("type", "must be Static or Dynamic"));
        };
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }

    /// As ARM writes it. A reader does not see the value of a secret one.
    pub fn document(&self, audience: Audience) -> Value {
        let (kind, properties) = match &self.value {
            AttributeValue::Static { value, secret } => {
                let hidden = *secret && audience == Audience::Reader;
                let value = (!hidden).then_some(value);
                ("Static", json!({ "value": value, "isSecret": secret }))
            }
            AttributeValue::Dynamic(path) => ("Dynamic", json!({ "sourceField": path })),
        };
        json!({ "name": self.name, "type": kind, "properties": properties })
    }
}

impl AttributeValue {
    fn of_text(properties: &Fields<'_>) -> Result<Self, FieldError> {
        let value = properties.text("value")?.unwrap_or_default();
        if value.len() > LONGEST_ATTRIBUTE || http::HeaderValue::from_str(value).is_err() {
            let problem = "must be a header's value of at most 4096 bytes";
            return Err(properties.error("value", problem));
        }
        Ok(Self::Static {
            value: value.to_owned(),
            secret: properties.flag("isSecret")?.unwrap_or(false),
        })
    }
}

/// `deliveryAttributeMappings`.
pub(super) fn parse(properties: &Fields<'_>) -> Result<Vec<Attribute>, FieldError> {
    let given = properties.objects("deliveryAttributeMappings")?;
    if given.len() > MOST_ATTRIBUTES {
        return Err(properties.error("deliveryAttributeMappings", "must have 10 entries at most"));
    }
    given.iter().map(Attribute::parse).collect()
}

/// Headers of one delivery that the subscription may name.
const MOST_ATTRIBUTES: usize = 10;
/// Bytes of one of them.
const LONGEST_ATTRIBUTE: usize = 4_096;
/// Headers that say how the delivery is to be read.
const RESERVED: [&str; 6] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
];
