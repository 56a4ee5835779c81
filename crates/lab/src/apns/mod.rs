//! The APNs stand-in. Start at [`Apns::judge`]: the checks in the order of the protocol page, section 1.9.

pub mod headers;
pub(crate) mod provider_token;
pub mod reason;
pub mod topic;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;
use serde_json::value::RawValue;

use crate::apns::headers::{Headers, PushType};
use crate::apns::provider_token::{Binding, Token, Verifier};
use crate::apns::reason::Reason;
use crate::apns::topic::Topic;
use crate::chance;
use crate::clock::Moment;
use crate::device::inbox::Accepted;
use crate::device::registry::{Entry, Found};
use crate::device::{Death, Environment, Kind, Platform};
use crate::fault::{Endpoint, Fault, FaultKind, Service};
use crate::lab::Shared;
use crate::serve::{Answer, StandIn};

/// The stand-in.
pub(crate) struct Apns {
    shared: Arc<Shared>,
    verifier: Verifier,
}

/// What it remembers about a connection.
#[derive(Default)]
pub(crate) struct Peer(Mutex<Binding>);

/// A push that is accepted.
struct Success {
    id: String,
    environment: Environment,
}

/// A push that is not.
struct Refusal {
    reason: Reason,
    /// 410: since when the token is dead.
    timestamp: Option<Moment>,
}

impl StandIn for Apns {
    type Peer = Peer;
    const SERVICE: Service = Service::Apns;

    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Answer {
        let token = || {
            device_token(request.uri().path())
                .ok()
                .map(str::to_ascii_lowercase)
        };
        let fault = self
            .shared
            .faults
            .take(Service::Apns, Endpoint::Send, token);
        if let Some(fault) = &fault {
            tokio::time::sleep(fault.delay()).await;
            if let Some(answer) = Answer::of_fault(fault) {
                self.shared.stats.answered(Service::Apns, 0, "fault");
                return answer;
            }
        }
        let response = match status_of(fault.as_ref()) {
            Some(reason) => {
                let since = (reason.status() == 410).then(|| self.shared.clock.now());
                let refusal = Refusal {
                    reason,
                    timestamp: since,
                };
                self.refuse(
                    &refusal,
                    given_id(request.headers()),
                    fault.as_ref().and_then(|it| it.retry_after),
                )
            }
            None => self.respond(peer, request, fault.as_ref()).await,
        };
        match fault {
            Some(Fault {
                kind: FaultKind::Goaway,
                ..
            }) => Answer::LastResponse(response),
            _ => Answer::Response(response),
        }
    }
}

impl Apns {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            verifier: Verifier::default(),
        }
    }

    async fn respond(
        &self,
        peer: &Peer,
        request: Request<Incoming>,
        fault: Option<&Fault>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        match self.judge(peer, &head, body, fault).await {
            Ok(success) => self.accept(&success),
            Err(refusal) => self.refuse(&refusal, given_id(&head.headers), None),
        }
    }

    async fn judge(
        &self,
        peer: &Peer,
        head: &Parts,
        body: Incoming,
        fault: Option<&Fault>,
    ) -> Result<Success, Refusal> {
        let now = self.shared.clock.now();
        let device_token = device_token(head.uri.path())?.to_ascii_lowercase();
        if head.method != Method::POST {
            return Err(Reason::MethodNotAllowed.into());
        }
        headers::check_repeated(&head.headers)?;
        let authorization = head.headers.get(header::AUTHORIZATION);
        let authorization = authorization.ok_or(Reason::MissingProviderToken)?;
        let token =
            self.verifier
                .verify(authorization.as_bytes(), &self.shared.credentials, now)?;
        peer.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(&token, now)?;
        let host = head
            .uri
            .host()
            .or_else(|| head.headers.get(header::HOST)?.to_str().ok());
        let environment = self.environment(host, &device_token);
        check_key_environment(&token, environment)?;
        let fields = Headers::parse(&head.headers)?;
        let topic = fields.topic.as_deref().ok_or(Reason::MissingTopic)?;
        let topic = Topic::parse(topic, |bundle| self.is_of_the_team(bundle))?;
        topic.check_type(fields.push_type)?;
        let payload = read_payload(body, limit(&fields, &topic)).await?;
        if !is_device_token(&device_token) {
            return Err(Reason::BadDeviceToken.into());
        }
        let id = fields.id.unwrap_or_else(chance::uuid);
        let mut shown = headers::shown(&head.headers);
        shown.insert("apns-id".to_owned(), id.clone());
        let push = Accepted {
            id: id.clone(),
            headers: Arc::new(shown),
            payload,
            keep_until: keep_until(fields.expiration, now),
            collapse: fields.collapse_id,
        };
        let drop = fault.is_some_and(|fault| fault.kind == FaultKind::Drop);
        self.shared
            .devices
            .visit(Platform::Apns, &device_token, |found| {
                let entry = check_device(found, environment, &topic, now)?;
                let environment = entry.device.environment.unwrap_or(Environment::Production);
                match drop {
                    true => entry.lose(&push, now, "dropped"),
                    false => entry.take(push, now),
                }
                Ok(Success { id, environment })
            })
    }

    /// One listener serves both environments. A host name that says `sandbox` or `development` is the sandbox, Apple's
    /// own production name is production, and any other (`localhost`) is whatever the device's token belongs to.
    fn environment(&self, host: Option<&str>, device_token: &str) -> Option<Environment> {
        match host {
            Some(host) if host.contains("sandbox") || host.contains("development") => {
                Some(Environment::Sandbox)
            }
            Some("api.push.apple.com") => Some(Environment::Production),
            _ => self
                .shared
                .devices
                .visit(Platform::Apns, device_token, |found| match found {
                    Found::Device(entry) => entry.device.environment,
                    Found::Grave(_) | Found::Unknown => None,
                }),
        }
    }

    /// The team's apps are those that ever had a device here, and the one the lab's credential names.
    fn is_of_the_team(&self, bundle: &str) -> bool {
        self.shared.devices.knows_app(Platform::Apns, bundle)
            || self
                .shared
                .credentials
                .keys()
                .iter()
                .any(|key| key.bundle_id == bundle)
    }

    /// "A successful response": `:status` and `apns-id`, and in the sandbox the key of the delivery log.
    fn accept(&self, success: &Success) -> Response<Full<Bytes>> {
        self.shared.stats.answered(Service::Apns, 200, "");
        let mut response = Response::new(Full::default());
        set(&mut response, "apns-id", &success.id);
        if success.environment == Environment::Sandbox {
            set(&mut response, "apns-unique-id", &chance::uuid());
        }
        response
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        given_id: Option<String>,
        retry_after: Option<u32>,
    ) -> Response<Full<Bytes>> {
        let reason = refusal.reason;
        self.shared
            .stats
            .answered(Service::Apns, reason.status(), reason.as_str());
        let body = match refusal.timestamp {
            Some(since) => json!({ "reason": reason.as_str(), "timestamp": since.unix_millis() }),
            None => json!({ "reason": reason.as_str() }),
        };
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() =
            StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A malformed request gets a fresh id, because it may have none that can be echoed.
        set(
            &mut response,
            "apns-id",
            &given_id.unwrap_or_else(chance::uuid),
        );
        set(&mut response, "content-type", "application/json");
        if let Some(seconds) = retry_after {
            set(&mut response, "retry-after", &seconds.to_string());
        }
        response
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            timestamp: None,
        }
    }
}

/// The last segment of `/3/device/<token>`.
fn device_token(path: &str) -> Result<&str, Reason> {
    match path.strip_prefix("/3/device").ok_or(Reason::BadPath)? {
        "" | "/" => Err(Reason::MissingDeviceToken),
        rest => match rest.strip_prefix('/') {
            Some(token) if !token.contains('/') => Ok(token),
            _ => Err(Reason::BadPath),
        },
    }
}

/// Hexadecimal, of whole bytes. "Don't make assumptions about device token size."
fn is_device_token(token: &str) -> bool {
    token.len().is_multiple_of(2)
        && token.len() <= 200
        && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The sender's `apns-id`, if it is one that can be echoed.
fn given_id(headers: &HeaderMap) -> Option<String> {
    Headers::parse(headers).ok().and_then(|fields| fields.id)
}

/// "BadEnvironmentKeyIdInToken": a team-scoped key made for the other environment.
fn check_key_environment(token: &Token, environment: Option<Environment>) -> Result<(), Reason> {
    match (token.environment, environment) {
        (Some(of_key), Some(here)) if of_key != here => Err(Reason::BadEnvironmentKeyIdInToken),
        _ => Ok(()),
    }
}

fn limit(fields: &Headers, topic: &Topic) -> usize {
    match fields.push_type {
        Some(push_type) => push_type.payload_limit(),
        None if topic.suffix == PushType::Voip.suffix() => PushType::Voip.payload_limit(),
        None => PushType::Alert.payload_limit(),
    }
}

/// A UTF-8 JSON object of at most `limit` bytes. Which reason Apple has for other JSON is not known; PayloadEmpty is the
/// nearest of its list.
async fn read_payload(body: Incoming, limit: usize) -> Result<Arc<RawValue>, Reason> {
    let read = Limited::new(body, limit).collect();
    let body = match tokio::time::timeout(BODY, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Reason::PayloadTooLarge),
        Ok(Err(_)) | Err(_) => return Err(Reason::IdleTimeout),
    };
    let text = std::str::from_utf8(&body).map_err(|_| Reason::PayloadEmpty)?;
    let payload: Box<RawValue> = serde_json::from_str(text).map_err(|_| Reason::PayloadEmpty)?;
    match payload.get().starts_with('{') {
        true => Ok(Arc::from(payload)),
        false => Err(Reason::PayloadEmpty),
    }
}

/// Until when APNs keeps it: never with `apns-expiration: 0`, and 30 days at most.
fn keep_until(expiration: Option<i64>, now: Moment) -> Option<Moment> {
    let longest = now.plus_seconds(30 * 24 * 3600);
    match expiration {
        Some(0) => None,
        Some(seconds) => Some(Moment::from_unix_seconds(seconds).min(longest)),
        None => Some(longest),
    }
}

fn check_device<'a>(
    found: Found<'a>,
    environment: Option<Environment>,
    topic: &Topic,
    now: Moment,
) -> Result<&'a mut Entry, Refusal> {
    let entry = match found {
        Found::Device(entry) => entry,
        Found::Grave(death) => return Err(dead(death)),
        Found::Unknown => return Err(Reason::BadDeviceToken.into()),
    };
    if environment.is_some_and(|here| entry.device.environment != Some(here)) {
        return Err(Reason::BadDeviceToken.into());
    }
    topic.check_token(&entry.device.app, entry.device.kind.unwrap_or(Kind::Alert))?;
    match entry.death {
        Some(death) if death.reported_from <= now => Err(dead(death)),
        _ => Ok(entry),
    }
}

fn dead(death: Death) -> Refusal {
    Refusal {
        reason: Reason::Unregistered,
        timestamp: Some(death.since),
    }
}

/// The reason of a `status` fault; the control API takes none without a reason that fits.
fn status_of(fault: Option<&Fault>) -> Option<Reason> {
    let fault = fault.filter(|fault| fault.kind == FaultKind::Status)?;
    let named = fault.reason.as_deref().and_then(Reason::parse);
    named.or_else(|| fault.status.and_then(Reason::usual))
}

fn set(response: &mut Response<Full<Bytes>>, name: &'static str, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// How long a body may take.
const BODY: Duration = Duration::from_secs(10);
