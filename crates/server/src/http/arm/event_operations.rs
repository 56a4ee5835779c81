//! What Azure does not have: the deliveries of an event subscription, their attempts, why one was not made, and events
//! had again. Carillon's own, with ARM's sign-in; `docs/events.md` describes them.

use axum::response::Response;
use domain::event::{DeliveryState, Listed};
use domain::filter::Filter;
use domain::id::EventId;
use domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use service::events::{Again, Resent, lower_bound};
use service::{App, Error, Result};
use wire::arm::field::Fields;
use wire::event::filter;

use super::super::access::Access;
use super::super::error::Surface;
use super::super::event_delivery::{attempt, delivery};
use super::super::request::Request;
use super::super::route::{self, Route};
use super::event_subscriptions::Place;

/// The rows: at any scope, at a topic, and at a system topic.
pub fn routes() -> Vec<Route> {
    const S: Surface = Surface::Arm;
    const A: Access = Access::Arm;
    macro_rules! operations {
        ($at:literal) => {
            [
                route::get(concat!($at, "/deliveries"), S, A, deliveries),
                route::get(concat!($at, "/deliveries/{event}/attempts"), S, A, attempts),
                route::get(concat!($at, "/deadLetters"), S, A, dead_letters),
                route::post(concat!($at, "/deadLetters/resend"), S, A, resend),
                route::post(concat!($at, "/replay"), S, A, replay),
                route::post(concat!($at, "/explain"), S, A, explain),
                route::post(concat!($at, "/listSigningSecrets"), S, A, signing_secrets),
                route::post(
                    concat!($at, "/rotateSigningSecret"),
                    S,
                    A,
                    rotate_signing_secret,
                ),
            ]
        };
    }
    let mut routes = Vec::from(operations!(
        "/subscriptions/{scope...}/providers/Microsoft.EventGrid/eventSubscriptions/{name}"
    ));
    routes.extend(operations!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid/topics/{topic}/eventSubscriptions/{name}"
    ));
    routes.extend(operations!(
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid/systemTopics/{system}/eventSubscriptions/{name}"
    ));
    routes
}

/// `GET …/deliveries?from=TIME&after=EVENT&state=…&$top=…`, in the order of acceptance.
async fn deliveries(app: App, request: Request) -> Result<Response> {
    let state = match request.query("state") {
        None => None,
        Some(word) => Some(DeliveryState::parse(&word).ok_or_else(|| {
            let message = "state must be pending, delivered, dead, dead_lettered or dropped.";
            Error::invalid("InvalidParameter", message).at("state")
        })?),
    };
    let (place, page) = (Place::of(&request)?, Page::of(&request)?);
    let key = place.id.key();
    let some = app.subscription_deliveries(key, &page.after, state, page.top);
    Ok(page.answer(&app, key, &some.await?))
}

/// `GET …/deadLetters?from=TIME&after=EVENT&$top=…`: what was given up, whether or not it is written to a container yet.
async fn dead_letters(app: App, request: Request) -> Result<Response> {
    let (place, page) = (Place::of(&request)?, Page::of(&request)?);
    let key = place.id.key();
    let some = app.given_up_deliveries(key, &page.after, page.top);
    Ok(page.answer(&app, key, &some.await?))
}

/// Which deliveries are asked for.
struct Page {
    /// Those behind this event; "" for the oldest ones.
    after: String,
    top: u32,
}

impl Page {
    fn of(request: &Request) -> Result<Self> {
        let after = request.query("after").unwrap_or_default();
        let from = match request.query("from") {
            Some(from) => lower_bound(read_time(&from, "from")?).into_string(),
            None => String::new(),
        };
        Ok(Self {
            after: from.max(after.into()),
            top: super::top(request, PAGE)?,
        })
    }

    /// Its `after` names the event that the next page begins behind, where there may be one; `probation` says that the
    /// endpoint is spared.
    fn answer(&self, app: &App, key: &str, deliveries: &[Listed]) -> Response {
        let value: Vec<_> = deliveries.iter().map(listed).collect();
        let last = deliveries
            .last()
            .filter(|_| deliveries.len() == self.top as usize);
        let after = last.map(|one| &one.delivery.event);
        let probation = app
            .probation(key)
            .map(|probation| json!({ "until": probation.until, "failures": probation.failures }));
        super::json_ok(&json!({ "value": value, "after": after, "probation": probation }))
    }
}

fn listed(one: &Listed) -> Value {
    let mut shown = delivery(&one.delivery);
    shown["eventType"] = one.kind.as_str().into();
    shown["subject"] = one.subject.as_str().into();
    shown
}

/// `GET …/deliveries/{event}/attempts`.
async fn attempts(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let event = EventId::new(request.param("event"));
    let attempts = app.delivery_attempts(place.id.key(), &event).await?;
    let value: Vec<_> = attempts.iter().map(attempt).collect();
    Ok(super::json_ok(&json!({ "value": value })))
}

/// `POST …/deadLetters/resend` with `{"events":[…]}`, or without them: everything that was given up.
async fn resend(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let body = body(&request)?;
    let again = match &body["events"] {
        Value::Null => Again::GivenUp,
        events => Again::Events(ids(events)?),
    };
    redeliver(&app, place.id.key(), &again, &body).await
}

/// `POST …/replay` with `{"events":[…]}` or `{"from","to"?,"filter"?}`.
async fn replay(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let body = body(&request)?;
    let again = match &body["events"] {
        Value::Null => Again::Between {
            from: time(&body, "from")?.ok_or_else(|| {
                let message = "Name the events, or the time from which on they are wanted.";
                Error::invalid("InvalidRequestContent", message).at("from")
            })?,
            to: time(&body, "to")?.unwrap_or_else(|| app.clock.now()),
            filter: filter(&body)?,
        },
        events => Again::Events(ids(events)?),
    };
    redeliver(&app, place.id.key(), &again, &body).await
}

/// `POST …/explain` with `{"event":"…"}`.
async fn explain(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let body = body(&request)?;
    let event = EventId::new(body["event"].as_str().unwrap_or_default());
    let why = app.explain_delivery(place.id.key(), &event).await?;
    Ok(super::json_ok(&json!({
        "event": why.event.id,
        "eventType": why.event.kind,
        "subject": why.event.subject,
        "publishTime": why.event.published_at,
        "matches": why.miss.is_none(),
        "because": why.miss,
        "delivery": why.delivery.as_ref().map(delivery),
    })))
}

/// `POST …/listSigningSecrets`: the newest first.
async fn signing_secrets(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    Ok(secrets(&app.signing_secrets(place.id.key()).await?))
}

/// `POST …/rotateSigningSecret`: a new one, and the one before it, which signs too.
async fn rotate_signing_secret(app: App, request: Request) -> Result<Response> {
    let place = Place::of(&request)?;
    let actor = super::actor(&request);
    let rotated = app.rotate_signing_secret(&place.id, &actor).await?;
    Ok(secrets(&rotated))
}

fn secrets(secrets: &[SecretString]) -> Response {
    let value: Vec<_> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    super::json_ok(&json!({ "value": value }))
}

/// Has events again. Where the answer's `after` is not null there are more, for the same request with it.
async fn redeliver(app: &App, key: &str, again: &Again, body: &Value) -> Result<Response> {
    let after = body["after"].as_str().unwrap_or_default();
    let Resent { events, after } = app.redeliver(key, again, after).await?;
    Ok(super::json_ok(&json!({ "events": events, "after": after })))
}

fn body(request: &Request) -> Result<Value> {
    super::optional_body(request).map(Value::Object)
}

fn ids(events: &Value) -> Result<Vec<EventId>> {
    let ids = events.as_array().map(|ids| ids.iter().map(Value::as_str));
    let ids: Option<Vec<_>> = ids.and_then(Iterator::collect);
    let ids = ids.ok_or_else(|| {
        let message = "events must be an array of event ids (aeg-output-event-id).";
        Error::invalid("InvalidRequestContent", message).at("events")
    })?;
    Ok(ids.into_iter().map(EventId::new).collect())
}

fn time(body: &Value, name: &'static str) -> Result<Option<Timestamp>> {
    let Some(text) = body[name].as_str() else {
        return Ok(None);
    };
    read_time(text, name).map(Some)
}

fn read_time(text: &str, name: &'static str) -> Result<Timestamp> {
    Timestamp::parse(text).ok_or_else(|| {
        let message = format!("{name} must be an RFC 3339 time, such as 2026-11-24T04:00:00Z.");
        Error::invalid("InvalidRequestContent", message).at(name)
    })
}

/// The filter of a replay. One that was misspelled would replay everything.
fn filter(body: &Value) -> Result<Option<Box<Filter>>> {
    let fields = body.as_object().map(Fields::of);
    let said = fields.map(|fields| fields.optional("filter")).transpose()?;
    let Some(said) = said.flatten() else {
        return Ok(None);
    };
    let spec = filter::parse_strictly(&said)?;
    Ok(Some(Box::new(Filter::compile(&spec))))
}

/// Deliveries in one answer.
const PAGE: u32 = 500;
