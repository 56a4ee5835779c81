//! The request that carries events to their destination.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use domain::event::Event;
use domain::lane::Parcel;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use wire::event::{convert, eventgrid};

use super::destination::{Destination, Form, Order};
use super::lane::Cargo;
use crate::webhook::Request;

/// An event for a destination, with what decides which others it goes with.
pub(super) fn parcel(destination: &Destination, cargo: Cargo, urgent: bool) -> Parcel<Cargo> {
    let event = &cargo.event;
    let looks_inside = matches!(destination.order, Order::By(_)) || !destination.dynamic.is_empty();
    let envelope: Value = match looks_inside {
        true => serde_json::from_str(&event.body).unwrap_or_default(),
        false => Value::Null,
    };
    let key = match &destination.order {
        Order::None => None,
        Order::Total => Some("".into()),
        // An event without the key waits for nobody.
        Order::By(path) => path.text(&envelope).map(Into::into),
    };
    Parcel {
        bytes: event.body.len() + 2,
        key,
        urgent: urgent || destination.is_urgent(),
        alike: match destination.dynamic.is_empty() {
            true => 0,
            false => digest(&dynamic(destination, &envelope)),
        },
        load: cargo,
    }
}

/// The request for these events, of which there is at least one. Fails only for an event that is no JSON.
pub(super) fn request(
    destination: &Destination,
    parcels: &[Parcel<Cargo>],
) -> Result<Request, String> {
    let target = destination.target.clone()?;
    let Some(first) = parcels.first() else {
        return Err("there is no event to send".to_owned());
    };
    let body =
        body(destination.form, parcels).map_err(|error| format!("unreadable event: {error}"))?;
    let mut headers = destination.headers.clone();
    let event = &first.load.event;
    if destination.form == Form::Callback {
        return Ok(Request {
            method: Method::POST,
            target,
            headers,
            body,
            deadline: destination.deadline,
            urgent: true,
        });
    }
    headers.insert("aeg-delivery-count", first.load.attempts.into());
    if destination.form == Form::EventGrid {
        headers.insert("aeg-data-version", data_version(event));
    }
    if let Ok(id) = event.id.as_str().parse() {
        headers.insert("aeg-output-event-id", id);
    }
    if !destination.dynamic.is_empty() {
        let envelope = serde_json::from_str(&event.body).unwrap_or_default();
        headers.extend(dynamic(destination, &envelope));
    }
    Ok(Request {
        method: Method::POST,
        target,
        headers,
        body,
        deadline: destination.deadline,
        urgent: first.urgent,
    })
}

fn body(form: Form, parcels: &[Parcel<Cargo>]) -> Result<Bytes, serde_json::Error> {
    let size: usize = parcels.iter().map(|parcel| parcel.bytes).sum();
    let mut body = String::with_capacity(size + 64);
    let is_array = form != Form::CloudEvent;
    if is_array {
        body.push('[');
    }
    for (index, parcel) in parcels.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        let event = &parcel.load.event;
        body.push_str(&convert(&event.body, event.input, form.schema())?);
    }
    if is_array {
        body.push(']');
    }
    Ok(body.into())
}

/// The delivery attributes that are taken from the event: "only string, number and boolean values".
fn dynamic(destination: &Destination, envelope: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, path) in &destination.dynamic {
        let text = path.text(envelope);
        if let Some(Ok(value)) = text.map(HeaderValue::try_from) {
            headers.insert(name.clone(), value);
        }
    }
    headers
}

fn digest(headers: &HeaderMap) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, value) in headers {
        name.hash(&mut hasher);
        value.as_bytes().hash(&mut hasher);
    }
    hasher.finish()
}

/// `dataVersion`, without reading the event: it stands at the end of the text, where this server has put it.
fn data_version(event: &Event) -> HeaderValue {
    let end = event
        .body
        .strip_suffix(r#"","metadataVersion":"1"}"#)
        .and_then(|body| body.rsplit_once(r#","dataVersion":""#))
        .map(|(_, version)| version);
    let version = match end {
        Some(version) if !version.contains('\\') => version.to_owned(),
        _ => serde_json::from_str::<eventgrid::Delivered<'_>>(&event.body)
            .map(|event| event.data_version.into_owned())
            .unwrap_or_default(),
    };
    HeaderValue::try_from(version).unwrap_or(HeaderValue::from_static(""))
}

/// What an event is called where its schema does not matter.
pub(super) fn is_urgent_kind(event: &Event) -> bool {
    event.kind == INCOMING_CALL
}

/// Rings for half a minute.
const INCOMING_CALL: &str = "Microsoft.Communication.IncomingCall";
