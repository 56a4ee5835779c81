//! What a lane works from: where events go, in which form, and by whose rules.

use std::sync::Arc;
use std::time::Duration;

use domain::delivery::{Manner, RetryPolicy};
use domain::event::DeliveryState;
use domain::filter::Path;
use domain::id::DestinationId;
use domain::lane::{Rate, Rules};
use domain::subscription::Subscription;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use wire::event::DeliverySchema;
use wire::event::subscription::{AttributeValue, Endpoint, TokenFor};

use super::ids::destination_id;
use super::meters::Meters;
use super::signing::Signer;
use crate::App;
use crate::webhook::Target;

/// Where events go.
#[derive(Debug)]
pub struct Destination {
    /// Its id in every row.
    pub id: Arc<DestinationId>,
    /// What people call it.
    pub name: String,
    /// The event subscription that it is, unless it is the callback of a call.
    pub subscription: Option<Arc<Subscription>>,
    /// Where requests go, or why none can.
    pub target: Result<Arc<Target>, String>,
    /// How events are written.
    pub form: Form,
    /// Headers of every request.
    pub headers: HeaderMap,
    /// Headers taken from the event.
    pub dynamic: Vec<(HeaderName, Path)>,
    /// What each request is signed in with.
    pub credential: Credential,
    /// Which events wait for which.
    pub order: Order,
    /// How much at once.
    pub rules: Rules,
    /// How often and how long.
    pub policy: RetryPolicy,
    /// By whose schedule.
    pub manner: Manner,
    /// How long one request may take.
    pub deadline: Duration,
    /// What it counts.
    pub(super) meters: Meters,
    /// What its requests are signed with.
    pub(super) signer: Signer,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An array in the Event Grid schema.
    EventGrid,
    /// One cloud event.
    CloudEvent,
    /// An array of cloud events.
    CloudEvents,
    /// An array of what was published.
    Custom,
    /// What Call Automation expects: an array of one cloud event.
    Callback,
}

/// What requests are signed in with, beside headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// An Entra token.
    Entra(TokenFor),
    /// Call Automation's own token for this audience.
    Callback(String),
}

/// Which events wait for which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// None for another.
    None,
    /// Each for the one before it.
    Total,
    /// Each for the ones before it with the same value there.
    By(Path),
}

impl Destination {
    /// Whether every event is urgent, for it would soon be too late.
    pub fn is_urgent(&self) -> bool {
        self.policy.time_to_live <= SHORT_LIFE
    }

    /// Where a delivery stands that is given up.
    pub(super) fn given_up(&self) -> DeliveryState {
        let wanted = self
            .subscription
            .as_ref()
            .is_some_and(|one| one.dead_letter.is_some());
        match wanted {
            true => DeliveryState::Dead,
            false => DeliveryState::Dropped,
        }
    }
}

impl App {
    /// The destination that a subscription is.
    pub(super) fn destination(&self, subscription: &Arc<Subscription>) -> Destination {
        let said = &subscription.destination;
        let batch = said.max_events_per_batch.max(1) as usize;
        let form = match subscription.schema {
            DeliverySchema::EventGrid => Form::EventGrid,
            DeliverySchema::CloudEvent if batch > 1 => Form::CloudEvents,
            DeliverySchema::CloudEvent => Form::CloudEvent,
            DeliverySchema::Custom => Form::Custom,
        };
        let order = match subscription.setting("order-by") {
            None => Order::None,
            Some("") | Some("*") => Order::Total,
            Some(path) => Order::By(Path::parse(path)),
        };
        let (credential, manner) = match &said.endpoint {
            Endpoint::Webhook { token, .. } => {
                let credential = token.clone().map_or(Credential::None, Credential::Entra);
                (credential, Manner::Webhook)
            }
            Endpoint::Function(_) => (Credential::None, Manner::AzureResource),
        };
        let (mut headers, dynamic) = headers(subscription, form);
        // "If permission has been granted, the sender MUST use the WebHook-Request-Origin request header for each delivery
        // request, with the value matching that" of the handshake.
        if subscription.schema == DeliverySchema::CloudEvent
            && let Ok(origin) = self.settings.events.origin.parse()
        {
            headers.insert("webhook-request-origin", origin);
        }
        Destination {
            id: Arc::new(destination_id(subscription.key())),
            name: subscription.name().to_owned(),
            target: self.event_target(&said.endpoint),
            form,
            headers,
            dynamic,
            credential,
            rules: Rules {
                under_way: if order == Order::Total { 1 } else { UNDER_WAY },
                for_urgent: FOR_URGENT,
                batch,
                batch_bytes: said.batch_kilobytes.max(1) as usize * 1_024,
                rate: subscription.setting("rate-limit").and_then(Rate::parse),
                request_rate: subscription.granted,
            },
            order,
            policy: subscription.retry,
            manner,
            deadline: DEADLINE,
            meters: Meters::new(subscription.name()),
            signer: Signer::of(subscription, &self.token_secret),
            subscription: Some(Arc::clone(subscription)),
        }
    }

    /// Where an endpoint takes its events.
    pub(super) fn event_target(&self, endpoint: &Endpoint) -> Result<Arc<Target>, String> {
        let configured;
        let url = match endpoint {
            Endpoint::Webhook { url, .. } => url.as_str(),
            Endpoint::Function(id) => {
                configured = self
                    .settings
                    .events
                    .function_url(id)
                    .ok_or_else(|| format!("the URL of the function {id} is not configured"))?;
                &configured
            }
        };
        self.webhooks.target(url).map_err(|error| error.to_string())
    }
}

fn headers(subscription: &Subscription, form: Form) -> (HeaderMap, Vec<(HeaderName, Path)>) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert("aeg-event-type", HeaderValue::from_static("Notification"));
    headers.insert(
        "aeg-metadata-version",
        HeaderValue::from_static(form.metadata_version()),
    );
    // Azure writes the name in capitals.
    if let Ok(name) = subscription.name().to_uppercase().parse() {
        headers.insert("aeg-subscription-name", name);
    }
    let mut dynamic = Vec::new();
    for attribute in &subscription.destination.attributes {
        let Ok(name) = attribute.name.parse::<HeaderName>() else {
            continue;
        };
        match &attribute.value {
            AttributeValue::Static { value, .. } => {
                if let Ok(value) = value.parse() {
                    headers.insert(name, value);
                }
            }
            AttributeValue::Dynamic(path) => dynamic.push((name, Path::parse(path))),
        }
    }
    (headers, dynamic)
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::EventGrid | Self::Custom | Self::Callback => "application/json; charset=utf-8",
            Self::CloudEvent => "application/cloudevents+json; charset=utf-8",
            Self::CloudEvents => "application/cloudevents-batch+json; charset=utf-8",
        }
    }

    fn metadata_version(self) -> &'static str {
        match self {
            Self::EventGrid | Self::Custom => "1",
            Self::CloudEvent | Self::CloudEvents | Self::Callback => "1.0",
        }
    }

    /// The schema of each event.
    pub(super) fn schema(self) -> DeliverySchema {
        match self {
            Self::EventGrid => DeliverySchema::EventGrid,
            Self::CloudEvent | Self::CloudEvents | Self::Callback => DeliverySchema::CloudEvent,
            Self::Custom => DeliverySchema::Custom,
        }
    }
}

/// "No answer in 30 seconds: queued for retry."
const DEADLINE: Duration = Duration::from_secs(30);
/// Requests to one destination at once …
const UNDER_WAY: usize = 64;
/// … of which so many are kept free for what is urgent.
const FOR_URGENT: usize = 16;
/// Events of a subscription with so short a time to live are urgent: "IncomingCall: time to live 1 minute".
const SHORT_LIFE: Duration = Duration::from_secs(120);
