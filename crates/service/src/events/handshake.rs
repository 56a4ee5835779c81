//! Whether the owner of a webhook wants events. Asked before any are sent there, in a task of its own; its progress is
//! the long-running operation of the request that named the webhook.
//!
//! Event Grid schema: a validation event whose code is sent back, or whose URL is visited within ten minutes.
//! CloudEvents: consent to `OPTIONS`, at once or by the callback.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::delivery::Answer;
use domain::lane::Rate;
use domain::resource::Resource;
use domain::subscription::setting;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::json;
use uuid::Uuid;
use wire::arm::ResourceId;
use wire::event::DeliverySchema;
use wire::event::handshake::{self, Validation};
use wire::event::subscription::{self as spec, AttributeValue, Endpoint};

use super::document::{Handshake, Step, SubscriptionSecrets, broken};
use crate::control::Precondition;
use crate::webhook::{Answered, Request};
use crate::{App, Error, Kind, Result};

/// The handshakes that this node is asking for.
#[derive(Default)]
pub(super) struct Running(Mutex<HashSet<Uuid>>);

/// What came of asking.
enum Verdict {
    /// So many requests a minute, if it was asked and named a number.
    Wanted(Option<u32>),
    /// The answer was polite and said nothing.
    Silent,
    Unwanted(String),
    /// There was no answer: worth another try.
    NoAnswer(String),
}

impl App {
    pub(super) fn new_handshake(&self, said: &spec::Subscription) -> Handshake {
        let now = self.clock.now();
        Handshake {
            id: self.random.uuid(),
            url: match &said.destination.endpoint {
                Endpoint::Webhook { url, .. } => spec::base(url),
                Endpoint::Function(id) => id.as_str().to_owned(),
            },
            code: self.random.uuid().to_string().to_uppercase(),
            token: URL_SAFE_NO_PAD.encode(self.random.bytes::<32>()),
            began_at: now,
            until: now + LONGEST_ASKING,
            step: Step::Asking,
        }
    }

    /// Asks a webhook, if `resource` waits for it and it is not being asked already.
    pub(super) fn begin_handshake(&self, resource: &Resource) -> Result<()> {
        let secrets = SubscriptionSecrets::of(resource)?;
        let Some(handshake) = secrets.pending().filter(|it| it.step == Step::Asking) else {
            return Ok(());
        };
        if self.events.running.begin(handshake.id) {
            let (app, handshake) = (self.clone(), handshake.clone());
            let (id, secrets) = (resource.id.clone(), secrets.clone());
            self.tasks.spawn(async move {
                let asked = app.ask(&id, &secrets, &handshake);
                let stopping = app.stopping.clone();
                if let Some(Err(error)) = stopping.run_until_cancelled(asked).await {
                    tracing::warn!(%id, %error, "a handshake with a webhook did not end; it will be said to have failed");
                }
                app.events.running.end(handshake.id);
            });
        }
        Ok(())
    }

    /// Asks again what a stopped server was asking.
    pub(crate) fn recover_handshakes(&self) -> Result<()> {
        for resource in self.event_snapshot().asking() {
            self.begin_handshake(resource)?;
        }
        Ok(())
    }

    /// The operation with this id: the subscription it is about, and how far it is.
    pub fn event_operation(&self, id: &str) -> Option<(ResourceId, Handshake)> {
        let id = Uuid::try_parse(id).ok()?;
        self.event_snapshot().handshake(id).cloned()
    }

    /// The operation that a subscription is waiting for.
    pub fn pending_operation(&self, subscription: &Resource) -> Option<Uuid> {
        let secrets = SubscriptionSecrets::of(subscription).ok()?;
        secrets.pending().map(|handshake| handshake.id)
    }

    /// A visit to the validation URL, or the callback of a receiver of CloudEvents, which may name a rate in the headers.
    pub async fn validate_event_subscription(
        &self,
        id: &str,
        token: &str,
        headers: &HeaderMap,
    ) -> Result<()> {
        let refused = || {
            let message = "The validation URL is not valid, or not any more. Create or update the event subscription \
                           again to get another one.";
            Error::invalid("InvalidRequest", message)
        };
        let (subscription, handshake) = self.event_operation(id).ok_or_else(refused)?;
        if !crate::control::same_secret(token, &handshake.token.clone().into()) {
            return Err(refused());
        }
        match handshake.step {
            Step::Succeeded { .. } => Ok(()),
            Step::Asking | Step::Awaiting if self.clock.now() < handshake.until => {
                let asked = asked_rate(&self.said(&subscription).await?);
                let granted = asked.and_then(|_| handshake::allowed_rate(headers));
                self.settle_handshake(&subscription, handshake.id, Ok(granted))
                    .await
            }
            _ => Err(refused()),
        }
    }

    /// Ends handshakes nobody answered, and subscriptions whose time is over, until the server stops.
    pub(crate) async fn sweep_event_subscriptions(self) {
        let stopping = self.stopping.clone();
        let pause = || stopping.run_until_cancelled(self.clock.sleep(SWEEP));
        while pause().await.is_some() {
            self.sweep_once().await;
        }
    }

    async fn sweep_once(&self) {
        let (snapshot, now) = (self.event_snapshot(), self.clock.now());
        for (id, handshake) in snapshot.overdue(now) {
            let failed = Err(handshake.failed(&self.nobody_came(handshake)));
            let settled = self.settle_handshake(id, handshake.id, failed).await;
            warn(id, settled);
        }
        let ended = snapshot.subscriptions().filter(|one| one.has_expired(now));
        for subscription in ended {
            let id = &subscription.id;
            let deleted = self.delete_resource(id, &Precondition::Always).await;
            warn(id, deleted.map(drop));
        }
    }

    /// Why a handshake that nobody ended has failed.
    fn nobody_came(&self, handshake: &Handshake) -> String {
        let minutes = self.settings.events.validation_window.as_secs() / 60;
        match handshake.step {
            Step::Awaiting => format!(
                "The request was answered with a 2XX response that had no validation code, or no consent. An Http GET \
                 of the validation URL was expected within {minutes} minutes."
            ),
            _ => "The server stopped before the webhook answered.".to_owned(),
        }
    }

    async fn ask(
        &self,
        id: &ResourceId,
        secrets: &SubscriptionSecrets,
        handshake: &Handshake,
    ) -> Result<()> {
        let said = spec::Subscription::parse(secrets.state.shown()).map_err(broken)?;
        let mut attempt = 1;
        let verdict = loop {
            match self.ask_once(id, &said, handshake).await? {
                Verdict::NoAnswer(_) if attempt < ATTEMPTS => self.clock.sleep(BETWEEN).await,
                verdict => break verdict,
            }
            attempt += 1;
        };
        match verdict {
            Verdict::Wanted(granted) => self.settle_handshake(id, handshake.id, Ok(granted)).await,
            Verdict::Silent => self.await_owner(id, handshake.id).await,
            Verdict::Unwanted(why) | Verdict::NoAnswer(why) => {
                let failed = Err(handshake.failed(&why));
                self.settle_handshake(id, handshake.id, failed).await
            }
        }
    }

    async fn ask_once(
        &self,
        id: &ResourceId,
        said: &spec::Subscription,
        handshake: &Handshake,
    ) -> Result<Verdict> {
        let Endpoint::Webhook { url, .. } = &said.destination.endpoint else {
            return Ok(Verdict::Wanted(None));
        };
        let Ok(target) = self.webhooks.target(url.as_str()) else {
            let why = "The URL may not be reached any more.";
            return Ok(Verdict::Unwanted(why.to_owned()));
        };
        let validation_url = self.validation_url(id, handshake);
        let mut headers = static_attributes(&said.destination);
        let is_cloud = said.schema == Some(DeliverySchema::CloudEvent);
        let rate = asked_rate(said);
        let (method, body) = if is_cloud {
            let origin = text(&self.settings.events.origin);
            headers.insert("webhook-request-origin", origin);
            headers.insert("webhook-request-callback", text(&validation_url));
            if let Some(rate) = rate {
                headers.insert("webhook-request-rate", rate.per_minute().into());
            }
            (Method::OPTIONS, Bytes::new())
        } else {
            envelope(&mut headers, "SubscriptionValidation", id);
            let source = self.event_source(id).await?;
            let body = Validation {
                id: &self.random.uuid().to_string(),
                topic: source.as_str(),
                code: &handshake.code,
                url: &validation_url,
                time: &self.clock.now().rfc3339_millis(),
            };
            (Method::POST, body.body().into())
        };
        let request = Request {
            method,
            target,
            headers,
            body,
            deadline: DEADLINE,
            urgent: true,
        };
        let answered = self.webhooks.send(request).await;
        Ok(if is_cloud {
            consented(&answered, &self.settings.events.origin, rate)
        } else {
            validated(&answered, &handshake.code)
        })
    }

    fn validation_url(&self, id: &ResourceId, handshake: &Handshake) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("id", &handshake.id.to_string())
            .append_pair("t", &handshake.began_at.rfc3339_secs())
            .append_pair("apiVersion", "2025-02-15")
            .append_pair("token", &handshake.token)
            .finish();
        let (base, name) = (&self.settings.base_url, id.name());
        format!("{base}/eventsubscriptions/{name}/validate?{query}")
    }

    /// Waits for a visit to the validation URL.
    async fn await_owner(&self, id: &ResourceId, handshake: Uuid) -> Result<()> {
        let until = self.clock.now() + self.settings.events.validation_window;
        self.edit_pending(id, handshake, |secrets| SubscriptionSecrets {
            handshake: secrets.handshake.map(|handshake| Handshake {
                until,
                step: Step::Awaiting,
                ..handshake
            }),
            ..secrets
        })
        .await
        .map(drop)
    }

    /// Ends a handshake: what waited for it comes into effect, or does not, for the reason given.
    async fn settle_handshake(
        &self,
        id: &ResourceId,
        handshake: Uuid,
        outcome: std::result::Result<Option<u32>, String>,
    ) -> Result<()> {
        let at = self.clock.now();
        let settled = self.edit_pending(id, handshake, |secrets| {
            let (state, step, granted) = match &outcome {
                Ok(granted) => (secrets.state.accepted(), Step::Succeeded { at }, *granted),
                Err(message) => {
                    let message = message.clone();
                    let step = Step::Failed { at, message };
                    (secrets.state.refused(), step, secrets.granted)
                }
            };
            SubscriptionSecrets {
                state,
                granted,
                handshake: secrets.handshake.map(|it| Handshake { step, ..it }),
            }
        });
        match (settled.await?, outcome) {
            (true, Err(message)) => self.tell_of_failure(id, handshake, &message).await,
            _ => Ok(()),
        }
    }

    /// Whoever follows the writes of a group or subscription learns that this one failed, as of any other in Azure.
    async fn tell_of_failure(&self, id: &ResourceId, handshake: Uuid, message: &str) -> Result<()> {
        let data = json!({
            "tenantId": self.settings.tenant_id,
            "subscriptionId": id.subscription(),
            "resourceGroup": id.group(),
            "resourceProvider": "Microsoft.EventGrid",
            "resourceUri": id.as_str(),
            "operationName": "Microsoft.EventGrid/eventSubscriptions/write",
            "status": "Failed",
            "statusCode": FAILED,
            "statusMessage": message,
            "correlationId": handshake.to_string(),
            "authorization": "",
            "claims": "",
            "httpRequest": "",
        });
        let scopes = [
            id.group()
                .map(|group| ResourceId::of_group(id.subscription(), group)),
            Some(ResourceId::of_subscription(id.subscription())),
        ];
        for scope in scopes.into_iter().flatten() {
            let scope = scope.map_err(broken)?;
            let (subject, now) = (id.as_str().to_owned(), self.clock.now());
            let event = self.event_at(&scope, WRITE_FAILURE, subject, &data, now);
            let mut tx = self.store.begin().await?;
            let routed = self
                .record_events(&mut tx, scope.key(), vec![event])
                .await?;
            tx.commit().await?;
            self.deliver_events(routed);
        }
        Ok(())
    }

    /// Changes a subscription that still waits for this handshake; `false` if none does.
    async fn edit_pending(
        &self,
        id: &ResourceId,
        handshake: Uuid,
        edit: impl Fn(SubscriptionSecrets) -> SubscriptionSecrets + Send + Sync,
    ) -> Result<bool> {
        let Some(current) = self.find_resource(id).await? else {
            return Ok(false);
        };
        let source = self.event_source(id).await?;
        let over = || Error::new(Kind::Gone, "HandshakeOver", "The handshake is over.");
        let by = &current.updated.by;
        let put = self.put_resource(id, &Precondition::Exists, by, |current| {
            let secrets = SubscriptionSecrets::of(current.ok_or_else(over)?)?;
            match secrets.pending() {
                Some(pending) if pending.id == handshake => edit(secrets).into_draft(&source),
                _ => Err(over()),
            }
        });
        match put.await {
            Err(error) if matches!(error.kind, Kind::Gone | Kind::PreconditionFailed) => Ok(false),
            done => done.map(|_| true),
        }
    }
}

impl Running {
    fn begin(&self, id: Uuid) -> bool {
        self.lock().insert(id)
    }

    fn end(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The verdict of an answer to a validation event: 200 and nothing else is one ("202 is not recognised").
fn validated(answered: &Answered, code: &str) -> Verdict {
    match &answered.answer {
        Answer::Status { code: 200, .. } if handshake::is_validated(&answered.body, code) => {
            Verdict::Wanted(None)
        }
        Answer::Status { code: 200, .. } => Verdict::Silent,
        Answer::Status { code, .. } => Verdict::Unwanted(format!(
            "The webhook answered the validation event with the status {code}; 200 with the validation code is \
             expected."
        )),
        _ => no_answer(answered),
    }
}

/// The verdict of an answer to `OPTIONS`. A receiver that is polite may consent later by the callback. "The
/// WebHook-Allowed-Rate header MUST be returned alongside WebHook-Allowed-Origin if the request contained the
/// WebHook-Request-Rate": without a request it binds nobody.
fn consented(answered: &Answered, origin: &str, asked: Option<Rate>) -> Verdict {
    if let Some(consent) = handshake::consent(&answered.headers, origin) {
        return Verdict::Wanted(consent.per_minute.filter(|_| asked.is_some()));
    }
    match &answered.answer {
        Answer::Status {
            code: 200..=299, ..
        } => Verdict::Silent,
        Answer::Status { code, .. } => Verdict::Unwanted(format!(
            "The webhook answered OPTIONS with the status {code} and without the header WebHook-Allowed-Origin: \
             {origin}."
        )),
        _ => no_answer(answered),
    }
}

fn no_answer(answered: &Answered) -> Verdict {
    let why = answered.error.as_deref().unwrap_or("no answer");
    let why = format!("The webhook could not be reached: {why}.");
    match answered.answer {
        // A name that leads nowhere does so in five seconds as well.
        Answer::ResolutionError => Verdict::Unwanted(why),
        _ => Verdict::NoAnswer(why),
    }
}

/// The headers of an event that is about the subscription itself.
pub(super) fn envelope(headers: &mut HeaderMap, kind: &'static str, id: &ResourceId) {
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    headers.insert("aeg-event-type", HeaderValue::from_static(kind));
    headers.insert("aeg-subscription-name", text(&id.name().to_uppercase()));
    headers.insert("aeg-delivery-count", HeaderValue::from_static("0"));
    headers.insert("aeg-data-version", HeaderValue::from_static("1"));
    headers.insert("aeg-metadata-version", HeaderValue::from_static("1"));
}

/// The rate that a receiver of CloudEvents is asked for: what a label limits it to.
fn asked_rate(said: &spec::Subscription) -> Option<Rate> {
    let labels = said.labels.as_deref().unwrap_or_default();
    let rate = setting(labels, "rate-limit").and_then(Rate::parse);
    rate.filter(|_| said.schema == Some(DeliverySchema::CloudEvent))
}

/// Receivers that ask for a secret header ask for it in a handshake too.
pub(super) fn static_attributes(destination: &spec::Destination) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for attribute in &destination.attributes {
        if let AttributeValue::Static { value, .. } = &attribute.value
            && let Ok(name) = HeaderName::from_bytes(attribute.name.as_bytes())
        {
            headers.insert(name, text(value));
        }
    }
    headers
}

/// Names and values were checked when they were said.
fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn warn(id: &ResourceId, done: Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%id, %error, "an event subscription could not be swept; it will be tried again");
    }
}

/// How long one attempt may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// "If the request times out, it is cancelled and attempted again after 5 seconds."
const BETWEEN: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
/// Azure's event about a write that failed, at a group or a subscription.
const WRITE_FAILURE: &str = "Microsoft.Resources.ResourceWriteFailure";
/// The code of an operation whose webhook does not want events.
pub const FAILED: &str = "Url validation";
/// Longer than all attempts: whoever began the handshake is gone.
const LONGEST_ASKING: Duration = Duration::from_secs(180);
const SWEEP: Duration = Duration::from_secs(15);
