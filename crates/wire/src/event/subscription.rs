//! The `properties` of an event subscription, as ARM writes them.
//!
//! Specification: `EventSubscriptionProperties` of Microsoft.EventGrid 2025-02-15; ranges are those of "Event Grid
//! quotas and limits" and "Set custom headers on delivered events".

mod attribute;
mod dead_letter;
mod destination;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value, json};

use super::DeliverySchema;
use super::filter::Filter;
use crate::arm::field::{FieldError, Fields};

pub use attribute::{Attribute, AttributeValue};
pub use dead_letter::DeadLetter;
pub use destination::{Destination, Endpoint, TokenFor, base};

/// What a client says about an event subscription. Shown by `Debug` without its secrets.
#[derive(Clone)]
pub struct Subscription {
    /// Where its events go.
    pub destination: Destination,
    /// Which events it wants.
    pub filter: Filter,
    /// In which schema they are delivered; the topic's own where the client does not say.
    pub schema: Option<DeliverySchema>,
    /// How often an event is tried, 1 to 30.
    pub max_attempts: u32,
    /// How long an event is tried, 1 to 1,440 minutes.
    pub minutes_to_live: u32,
    /// Where events go that could not be delivered.
    pub dead_letter: Option<DeadLetter>,
    /// When it ends, RFC 3339.
    pub expires: Option<String>,
    /// Free words.
    pub labels: Option<Vec<String>>,
}

/// Who is to read a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The sealed store: everything.
    Store,
    /// Whoever may read the resource: nothing secret.
    Reader,
}

impl Subscription {
    /// Reads `properties`. What it does not know is left out, as Azure does.
    pub fn parse(properties: &Map<String, Value>) -> Result<Self, FieldError> {
        let fields = Fields::of(properties);
        let retry = fields.object("retryPolicy")?;
        Ok(Self {
            destination: Destination::parse(&fields)?,
            filter: Filter::parse(&fields.object("filter")?)?,
            schema: schema(&fields)?,
            max_attempts: retry.number("maxDeliveryAttempts", 1, 30)?.unwrap_or(30),
            minutes_to_live: retry
                .number("eventTimeToLiveInMinutes", 1, 1_440)?
                .unwrap_or(1_440),
            dead_letter: DeadLetter::parse(&fields)?,
            expires: expires(&fields)?,
            labels: fields.texts("labels")?,
        })
    }

    /// The document, which [`Subscription::parse`] reads if it is for the store.
    pub fn properties(&self, audience: Audience) -> Map<String, Value> {
        let mut properties = Map::new();
        let destination = self.destination.document(audience);
        match &self.destination.identity {
            None => properties.insert("destination".into(), destination),
            Some(identity) => properties.insert(
                "deliveryWithResourceIdentity".into(),
                json!({ "identity": identity, "destination": destination }),
            ),
        };
        properties.insert("filter".into(), json!(self.filter));
        properties.insert("labels".into(), json!(self.labels));
        if let Some(schema) = self.schema {
            properties.insert("eventDeliverySchema".into(), schema.as_str().into());
        }
        if let Some(expires) = &self.expires {
            properties.insert("expirationTimeUtc".into(), expires.as_str().into());
        }
        properties.insert(
            "retryPolicy".into(),
            json!({
                "maxDeliveryAttempts": self.max_attempts,
                "eventTimeToLiveInMinutes": self.minutes_to_live,
            }),
        );
        if let Some(dead_letter) = &self.dead_letter {
            let (name, value) = dead_letter.document();
            properties.insert(name.into(), value);
        }
        properties
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let properties = Value::Object(self.properties(Audience::Reader));
        write!(f, "Subscription({properties})")
    }
}

/// Whether `name` may name an event subscription: 3 to 64 letters, digits and hyphens.
pub fn is_name(name: &str) -> bool {
    (3..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn schema(fields: &Fields<'_>) -> Result<Option<DeliverySchema>, FieldError> {
    let Some(text) = fields.text("eventDeliverySchema")? else {
        return Ok(None);
    };
    match DeliverySchema::parse(text) {
        Some(schema) => Ok(Some(schema)),
        None => {
            let problem = "must be EventGridSchema, CloudEventSchemaV1_0 or CustomInputSchema";
            Err(fields.error("eventDeliverySchema", problem))
        }
    }
}

fn expires(fields: &Fields<'_>) -> Result<Option<String>, FieldError> {
    let Some(text) = fields.text("expirationTimeUtc")? else {
        return Ok(None);
    };
    if super::publish::is_time(text) {
        return Ok(Some(text.to_owned()));
    }
    let problem = "must be an RFC 3339 time with an offset";
    Err(fields.error("expirationTimeUtc", problem))
}
