//! The Web Push stand-in: RFC 8030, with the errors of Mozilla's autopush. Start at [`WebPush::push`].

pub(crate) mod ece;
pub(crate) mod vapid;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::json;
use serde_json::value::RawValue;

use crate::chance;
use crate::clock::Moment;
use crate::device::inbox::Accepted;
use crate::device::registry::{Entry, Found};
use crate::device::{Platform, Token};
use crate::fault::{Endpoint, Fault, FaultKind, Service};
use crate::lab::Shared;
use crate::serve::{Answer, StandIn};
use crate::webpush::ece::Keys;

/// The stand-in.
pub(crate) struct WebPush {
    shared: Arc<Shared>,
}

/// Why a push is refused: status, autopush's `errno`, and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(u16, u16, &'static str);

/// `TTL`, `Topic` and `Urgency` in their forms.
struct Fields {
    ttl: i64,
    topic: Option<String>,
}

impl StandIn for WebPush {
    type Peer = ();
    const SERVICE: Service = Service::Webpush;

    async fn answer(&self, (): &(), request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let address = || endpoint_token(head.uri.path()).map(str::to_owned);
        let fault = self
            .shared
            .faults
            .take(Service::Webpush, Endpoint::Send, address);
        if let Some(fault) = &fault {
            tokio::time::sleep(fault.delay()).await;
            if let Some(answer) = Answer::of_fault(fault) {
                self.shared.stats.answered(Service::Webpush, 0, "fault");
                return answer;
            }
        }
        let response = match status_of(fault.as_ref()) {
            Some(refusal) => self.refuse(refusal, fault.as_ref().and_then(|it| it.retry_after)),
            None => match self.judge(&head, body, fault.as_ref()).await {
                Ok(response) => {
                    self.shared
                        .stats
                        .answered(Service::Webpush, response.status().as_u16(), "");
                    response
                }
                Err(refusal) => self.refuse(refusal, None),
            },
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

impl WebPush {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn judge(
        &self,
        head: &Parts,
        body: Incoming,
        fault: Option<&Fault>,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        if let Some((token, id)) = message(head.uri.path()) {
            return self.withdraw(head, token, id);
        }
        let token = endpoint_token(head.uri.path()).ok_or(NO_SUBSCRIPTION)?;
        if head.method != Method::POST {
            return Err(Refusal(405, 0, "an endpoint takes POST"));
        }
        let fields = Fields::parse(&head.headers)?;
        let read = Limited::new(body, LARGEST).collect();
        let body = match tokio::time::timeout(BODY, read).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return Err(Refusal(413, 104, "the body may have 4096 bytes")),
            Err(_) => return Err(Refusal(408, 0, "the body is too slow")),
        };
        if !body.is_empty() && text(&head.headers, &header::CONTENT_ENCODING) != Some("aes128gcm") {
            return Err(Refusal(400, 110, "Content-Encoding must be aes128gcm"));
        }
        self.push(head, token, &fields, &body, fault)
    }

    fn push(
        &self,
        head: &Parts,
        token: &str,
        fields: &Fields,
        body: &[u8],
        fault: Option<&Fault>,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let now = self.shared.clock.now();
        let sender = self.sender(head, now)?;
        let drop = fault.is_some_and(|fault| fault.kind == FaultKind::Drop);
        let id = chance::uuid();
        self.shared
            .devices
            .visit(Platform::Webpush, token, |found| {
                let entry = check_device(found, now)?;
                check_sender(entry, sender.as_deref())?;
                let keys = entry.device.keys.as_deref();
                let payload = keys.and_then(|keys| read(keys, body));
                let unreadable = payload.is_none();
                let push = Accepted {
                    id: id.clone(),
                    headers: Arc::new(shown(&head.headers)),
                    payload: payload.unwrap_or_else(nothing),
                    keep_until: (fields.ttl > 0).then(|| now.plus_seconds(fields.ttl)),
                    collapse: fields.topic.clone(),
                };
                match (drop, unreadable) {
                    (true, _) => entry.lose(&push, now, "dropped"),
                    // The service cannot know: the browser gets it and throws it away.
                    (false, true) => entry.lose(&push, now, "undecryptable"),
                    (false, false) => entry.take(push, now),
                }
                Ok(())
            })?;
        Ok(created(
            &format!("{}/message/{token}/{id}", self.shared.urls.webpush),
            fields.ttl,
        ))
    }

    /// "A push message … can be removed with DELETE" (RFC 8030 section 5.4, by its message resource).
    fn withdraw(
        &self,
        head: &Parts,
        token: &str,
        id: &str,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        if head.method != Method::DELETE {
            return Err(Refusal(405, 0, "a message takes DELETE"));
        }
        let now = self.shared.clock.now();
        let withdrawn = self
            .shared
            .devices
            .visit(Platform::Webpush, token, |found| match found {
                Found::Device(entry) => entry.withdraw(id, now),
                Found::Grave(_) | Found::Unknown => false,
            });
        match withdrawn {
            true => Ok(status(204)),
            false => Err(Refusal(404, 0, "the message is delivered, or never was")),
        }
    }

    /// The application server's key, if it names itself.
    fn sender(&self, head: &Parts, now: Moment) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(given) = head.headers.get(header::AUTHORIZATION) else {
            return Ok(None);
        };
        let given = given
            .to_str()
            .map_err(|_| Refusal(401, 109, "Authorization is no text"))?;
        let mut origins = vec![self.shared.urls.webpush.clone()];
        let host = head.uri.authority().map(ToString::to_string);
        let host = host.or_else(|| text(&head.headers, &header::HOST).map(str::to_owned));
        origins.extend(host.map(|host| format!("https://{host}")));
        let key = vapid::check(given, &origins, now).map_err(|why| Refusal(401, 109, why))?;
        Ok(Some(key))
    }

    fn refuse(&self, refusal: Refusal, retry_after: Option<u32>) -> Response<Full<Bytes>> {
        let Refusal(code, errno, sentence) = refusal;
        self.shared
            .stats
            .answered(Service::Webpush, code, &errno.to_string());
        let mut response = status(code);
        let error = response.status().canonical_reason().unwrap_or("Error");
        let body = json!({
            "code": code,
            "errno": errno,
            "error": error,
            "message": sentence,
            "more_info": "https://autopush.readthedocs.io/en/latest/http.html#error-codes",
        });
        *response.body_mut() = Full::from(body.to_string());
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl Fields {
    fn parse(headers: &HeaderMap) -> Result<Self, Refusal> {
        let ttl = headers
            .get("ttl")
            .ok_or(Refusal(400, 111, "TTL is missing"))?;
        let ttl = ttl
            .to_str()
            .ok()
            .filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
        let ttl: u64 =
            ttl.and_then(|it| it.parse().ok())
                .ok_or(Refusal(400, 114, "TTL is no number"))?;
        let topic = headers
            .get("topic")
            .map(|topic| topic.to_str().unwrap_or_default());
        if topic.is_some_and(|topic| !is_topic(topic)) {
            return Err(Refusal(
                400,
                113,
                "Topic has at most 32 characters of base64url",
            ));
        }
        let urgency = headers.get("urgency").map(HeaderValue::as_bytes);
        let known = |it: &[u8]| [&b"very-low"[..], b"low", b"normal", b"high"].contains(&it);
        if urgency.is_some_and(|it| !known(it)) {
            return Err(Refusal(400, 0, "Urgency is very-low, low, normal or high"));
        }
        Ok(Self {
            ttl: i64::try_from(ttl).unwrap_or(LONGEST).min(LONGEST),
            topic: topic.map(str::to_owned),
        })
    }
}

/// A new subscription at `base`, and what its browser keeps of it.
pub(crate) fn subscribe(base: &str) -> (Token, Keys) {
    let keys = Keys::generate();
    let token = Token::Subscription {
        endpoint: format!("{base}/push/{}", chance::base64url::<32>()),
        p256dh: keys.p256dh(),
        auth: keys.auth(),
    };
    (token, keys)
}

fn endpoint_token(path: &str) -> Option<&str> {
    path.strip_prefix("/push/")
        .filter(|token| !token.is_empty() && !token.contains('/'))
}

/// Endpoint token and id of `/message/<token>/<id>`.
fn message(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/message/")?.split_once('/')
}

fn is_topic(topic: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=32).contains(&topic.len()) && topic.bytes().all(allowed)
}

fn check_device(found: Found<'_>, now: Moment) -> Result<&mut Entry, Refusal> {
    match found {
        Found::Device(entry) if entry.death.is_none_or(|it| it.reported_from > now) => Ok(entry),
        Found::Device(_) | Found::Grave(_) => Err(Refusal(410, 103, "the subscription is gone")),
        Found::Unknown => Err(NO_SUBSCRIPTION),
    }
}

/// "401 if missing on a restricted subscription, 403 if the key differs" (RFC 8292 section 4.2).
fn check_sender(entry: &Entry, sender: Option<&[u8]>) -> Result<(), Refusal> {
    let Some(wanted) = entry.device.application_server_key.as_deref() else {
        return Ok(());
    };
    match sender {
        None => Err(Refusal(401, 109, "the subscription wants VAPID")),
        Some(key) if vapid::decode(wanted).as_deref() == Some(key) => Ok(()),
        Some(_) => Err(Refusal(
            403,
            109,
            "the subscription is another application server's",
        )),
    }
}

/// The plaintext as JSON, or as a JSON string if it is none; a push without a body is `null`.
fn read(keys: &Keys, body: &[u8]) -> Option<Arc<RawValue>> {
    if body.is_empty() {
        return Some(nothing());
    }
    let plain = keys.decrypt(body)?;
    let text = String::from_utf8_lossy(&plain).into_owned();
    let json = RawValue::from_string(text.clone());
    let json = json
        .or_else(|_| serde_json::value::to_raw_value(&text))
        .ok()?;
    Some(Arc::from(json))
}

fn nothing() -> Arc<RawValue> {
    Arc::from(RawValue::NULL.to_owned())
}

/// The fields that a device's log shows: all but the credential.
fn shown(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let ours = headers
        .iter()
        .filter(|(name, _)| *name != header::AUTHORIZATION);
    ours.map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

fn created(location: &str, ttl: i64) -> Response<Full<Bytes>> {
    let mut response = status(201);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
        .headers_mut()
        .insert(HeaderName::from_static("ttl"), HeaderValue::from(ttl));
    response
}

fn status(code: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn status_of(fault: Option<&Fault>) -> Option<Refusal> {
    let fault = fault.filter(|fault| fault.kind == FaultKind::Status)?;
    let status = fault.status.unwrap_or(503);
    let errno = match status {
        401 | 403 => 109,
        404 => 102,
        410 => 103,
        413 => 104,
        503 => 201,
        _ => 0,
    };
    Some(Refusal(status, errno, "a fault of the lab"))
}

const NO_SUBSCRIPTION: Refusal = Refusal(404, 102, "there is no such subscription");
/// "A push service MUST support … 4096 bytes" (RFC 8030 section 7.2); the lab takes no more.
const LARGEST: usize = 4096;
/// 30 days, in seconds, as Mozilla caps it.
const LONGEST: i64 = 30 * 24 * 3600;
/// How long a body may take.
const BODY: Duration = Duration::from_secs(10);
