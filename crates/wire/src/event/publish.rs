//! What a topic refuses, in Azure's words.

/// The schema a topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSchema {
    /// `EventGridSchema`.
    EventGrid,
    /// `CloudEventSchemaV1_0`.
    CloudEvent,
    /// `CustomEventSchema`, read through the topic's mapping.
    Custom,
}

impl InputSchema {
    /// The name in the sentences of a refusal and in `aeg-input-event-schema`.
    pub fn name(self) -> &'static str {
        match self {
            Self::EventGrid => "EventGridEvent",
            Self::CloudEvent => "CloudEventV10",
            Self::Custom => "CustomEvent",
        }
    }
}

/// Why a publication is refused. The texts are those of the real service as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No JSON, an empty array, or another shape.
    #[error(
        "This resource is configured to receive event in '{}' schema. The JSON received does not conform to the \
         expected schema. {detail}",
        schema.name()
    )]
    NotConforming {
        /// The topic's schema.
        schema: InputSchema,
        /// What was found, with the place.
        detail: String,
    },
    /// A property is missing, empty, or of another type.
    #[error(
        "This resource is configured for '{}' schema and requires '{property}' property to be set. (event {index})",
        schema.name()
    )]
    MissingProperty {
        /// The topic's schema.
        schema: InputSchema,
        /// The property.
        property: &'static str,
        /// Which event of the request, from 0.
        index: usize,
    },
    /// A CloudEvents topic was sent something that says it is not one.
    #[error(
        "The Content-Type header is either missing or it doesn't have a valid value. The content type header must \
         either be application/cloudevents+json; charset=utf-8, application/cloudevents-batch+json; charset=utf-8, \
         application/json, or the event must be in binary mode."
    )]
    ContentType,
    /// More events than a request may hold.
    #[error("The request holds {0} events; at most {MOST_EVENTS} are allowed.")]
    TooManyEvents(usize),
}

/// Events in one request.
pub const MOST_EVENTS: usize = 5_000;

impl PublishError {
    pub(super) fn shape(schema: InputSchema, detail: impl ToString) -> Self {
        Self::NotConforming {
            schema,
            detail: detail.to_string(),
        }
    }
}

/// A time is taken if it is RFC 3339 with an offset, as both SDKs write it.
pub(super) fn is_time(text: &str) -> bool {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).is_ok()
}
