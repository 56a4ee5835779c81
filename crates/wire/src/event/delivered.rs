//! The forms an event may be delivered in, made from the one form it is kept in.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::publish::InputSchema;
use super::{cloudevents, eventgrid};

/// The schema a subscription wants: `eventDeliverySchema`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliverySchema {
    /// `EventGridSchema`.
    #[default]
    EventGrid,
    /// `CloudEventSchemaV1_0`.
    CloudEvent,
    /// `CustomInputSchema`: as it was published.
    Custom,
}

impl DeliverySchema {
    /// Reads ARM's `eventDeliverySchema`.
    pub fn parse(text: &str) -> Option<Self> {
        let known = [Self::EventGrid, Self::CloudEvent, Self::Custom];
        known
            .into_iter()
            .find(|schema| schema.as_str().eq_ignore_ascii_case(text))
    }

    /// ARM's `eventDeliverySchema`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventGrid => "EventGridSchema",
            Self::CloudEvent => "CloudEventSchemaV1_0",
            Self::Custom => "CustomInputSchema",
        }
    }

    /// What is delivered of a topic that takes `input` where nothing is said.
    pub fn default_of(input: InputSchema) -> Self {
        match input {
            InputSchema::CloudEvent => Self::CloudEvent,
            InputSchema::EventGrid | InputSchema::Custom => Self::EventGrid,
        }
    }

    /// Whether a topic that takes `input` can deliver this: "CloudEvents to Event Grid is not supported", and a custom
    /// schema comes only out of a topic that takes one.
    pub fn is_possible(self, input: InputSchema) -> bool {
        match (input, self) {
            (InputSchema::CloudEvent, Self::EventGrid) => false,
            (input, Self::Custom) => input == InputSchema::Custom,
            _ => true,
        }
    }
}

/// `body`, as [`super::read`] made it for a topic that takes `input`, in the schema that a subscription wants.
pub fn convert(
    body: &str,
    input: InputSchema,
    wanted: DeliverySchema,
) -> Result<Cow<'_, str>, serde_json::Error> {
    match (input, wanted) {
        (InputSchema::CloudEvent, _) | (_, DeliverySchema::EventGrid) => Ok(Cow::Borrowed(body)),
        (_, DeliverySchema::CloudEvent) => cloudevents::from_eventgrid(body).map(Cow::Owned),
        (_, DeliverySchema::Custom) => {
            let event: eventgrid::Delivered<'_> = serde_json::from_str(body)?;
            Ok(Cow::Borrowed(event.data.map_or("null", RawValue::get)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pairs_azure_allows_are_possible() {
        use DeliverySchema as Out;
        use InputSchema as In;
        for (input, wanted) in [
            (In::EventGrid, vec![Out::EventGrid, Out::CloudEvent]),
            (In::CloudEvent, vec![Out::CloudEvent]),
            (
                In::Custom,
                vec![Out::EventGrid, Out::CloudEvent, Out::Custom],
            ),
        ] {
            for schema in [Out::EventGrid, Out::CloudEvent, Out::Custom] {
                let possible = schema.is_possible(input);
                assert_eq!(possible, wanted.contains(&schema), "{input:?} {schema:?}");
            }
        }
    }

    #[test]
    fn names_are_read_without_regard_to_case() {
        for schema in [
            DeliverySchema::EventGrid,
            DeliverySchema::CloudEvent,
            DeliverySchema::Custom,
        ] {
            let text = schema.as_str().to_uppercase();
            assert_eq!(DeliverySchema::parse(&text), Some(schema));
        }
        assert_eq!(DeliverySchema::parse("CustomEventSchema"), None);
        assert_eq!(
            InputSchema::parse("customeventschema"),
            Some(InputSchema::Custom)
        );
    }
}
