//! What a topic takes, and what it refuses, in Azure's words.

use http::HeaderMap;

use super::custom::{Mapping, Stamp};
use super::{cloudevents, custom, eventgrid};

/// An event as a topic took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its type.
    pub kind: String,
    /// Its subject; "" if a cloud event has none.
    pub subject: String,
    /// Its JSON in the form it is delivered in: topic and versions are stamped. An event of a custom schema stands as
    /// `data` in an Event Grid envelope.
    pub body: String,
}

/// Reads a publication to a topic that takes `schema`.
pub fn read(
    schema: InputSchema,
    mapping: &Mapping,
    stamp: &mut Stamp<'_>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<Published>, PublishError> {
    match schema {
        InputSchema::EventGrid => eventgrid::parse(body, stamp.topic),
        InputSchema::CloudEvent => cloudevents::parse(headers, body),
        InputSchema::Custom => custom::parse(mapping, body, stamp),
    }
}

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
    /// Reads ARM's `inputSchema`.
    pub fn parse(text: &str) -> Option<Self> {
        let known = [Self::EventGrid, Self::CloudEvent, Self::Custom];
        known
            .into_iter()
            .find(|schema| schema.as_str().eq_ignore_ascii_case(text))
    }

    /// ARM's `inputSchema`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventGrid => "EventGridSchema",
            Self::CloudEvent => "CloudEventSchemaV1_0",
            Self::Custom => "CustomEventSchema",
        }
    }

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
    /// A type or subject with a character that filters and databases know none of.
    #[error("The type or subject of an event has the character U+0000, which is not allowed.")]
    Nul,
    /// More events than a request may hold.
    #[error("The request holds {0} events; at most {MOST_EVENTS} are allowed.")]
    TooManyEvents(usize),
    /// One event is too large.
    #[error("The maximum size ({LARGEST_EVENT}) has been exceeded.")]
    TooLarge,
}

/// Events in one request.
pub const MOST_EVENTS: usize = 5_000;
/// Bytes of one event: 1 MB and what the envelope takes, as measured at the real service.
pub const LARGEST_EVENT: usize = 1_049_600;
/// Bytes of one request, as measured at the real service.
pub const LARGEST_REQUEST: usize = 1_536_000;

impl PublishError {
    pub(super) fn shape(schema: InputSchema, detail: impl ToString) -> Self {
        Self::NotConforming {
            schema,
            detail: detail.to_string(),
        }
    }
}

/// What Azure appends to the sentence of a refusal: `Report '<id>:<n>:<M/d/yyyy h:mm:ss tt> (UTC)' …`.
pub fn report(id: &str, at: time::OffsetDateTime) -> String {
    let hour = match at.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let half = if at.hour() < 12 { "AM" } else { "PM" };
    format!(
        " Report '{id}:1:{}/{}/{} {hour}:{:02}:{:02} {half} (UTC)' to our forums for assistance or raise a support ticket.",
        u8::from(at.month()),
        at.day(),
        at.year(),
        at.minute(),
        at.second(),
    )
}

/// What holds for every request with an array of events: there is one at least, and not too many; none is too large.
pub(super) fn batch<E>(
    schema: InputSchema,
    events: Vec<E>,
    check: impl FnMut((usize, E)) -> Result<Published, PublishError>,
) -> Result<Vec<Published>, PublishError> {
    match events.len() {
        0 => Err(PublishError::shape(schema, "The array is empty.")),
        1..=MOST_EVENTS => events.into_iter().enumerate().map(check).collect(),
        many => Err(PublishError::TooManyEvents(many)),
    }
}

impl Published {
    /// The event, if nothing is wrong with it in any schema.
    pub(super) fn checked(self) -> Result<Self, PublishError> {
        if self.kind.contains('\0') || self.subject.contains('\0') {
            return Err(PublishError::Nul);
        }
        if self.body.len() > LARGEST_EVENT {
            return Err(PublishError::TooLarge);
        }
        Ok(self)
    }
}

/// A time is taken if it is RFC 3339 with an offset, as both SDKs write it.
pub(super) fn is_time(text: &str) -> bool {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).is_ok()
}
