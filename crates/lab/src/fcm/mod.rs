//! The FCM v1 stand-in: the token endpoint and `messages:send`. Start at [`Fcm::send`].

pub mod error;
pub mod json;
pub mod message;
pub(crate) mod oauth;
pub mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;
use serde_json::value::RawValue;

use crate::chance;
use crate::clock::Moment;
use crate::device::Platform;
use crate::device::inbox::Accepted;
use crate::device::registry::Found;
use crate::fault::{Endpoint, Fault, FaultKind, Service};
use crate::fcm::error::FcmError;
use crate::fcm::json::Json;
use crate::fcm::message::{Checked, Target};
use crate::fcm::oauth::{Access, BadAccess, GrantError};
use crate::fcm::schema::Schema;
use crate::lab::Shared;
use crate::serve::{Answer, StandIn};

/// The stand-in.
pub(crate) struct Fcm {
    shared: Arc<Shared>,
    schema: Schema,
    /// The addresses by which its token endpoint may be known.
    audiences: Vec<String>,
}

impl StandIn for Fcm {
    type Peer = ();
    const SERVICE: Service = Service::Fcm;

    async fn answer(&self, (): &(), request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = match read(body).await {
            Ok(body) => body,
            Err(error) => return Answer::Response(self.refuse(&error, None)),
        };
        let on = if TOKEN_PATHS.contains(&head.uri.path()) {
            Endpoint::Token
        } else {
            Endpoint::Send
        };
        let fault = self
            .shared
            .faults
            .take(Service::Fcm, on, || target_of(&body));
        if let Some(fault) = &fault {
            tokio::time::sleep(fault.delay()).await;
            if let Some(answer) = Answer::of_fault(fault) {
                self.shared.stats.answered(Service::Fcm, 0, "fault");
                return answer;
            }
        }
        let response = match on {
            Endpoint::Token => self.grant(&head, &body, fault.as_ref()),
            Endpoint::Send => self.send(&head, &body, fault.as_ref()),
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

impl Fcm {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Self, serde_json::Error> {
        let base = &shared.urls.fcm;
        let audiences = TOKEN_PATHS.iter().map(|path| format!("{base}{path}"));
        Ok(Self {
            audiences: audiences.collect(),
            schema: Schema::load()?,
            shared,
        })
    }

    fn grant(&self, head: &Parts, form: &[u8], fault: Option<&Fault>) -> Response<Full<Bytes>> {
        if let Some(fault) = fault.filter(|fault| fault.kind == FaultKind::Status) {
            let status = fault.status.unwrap_or(503);
            let reason = fault
                .reason
                .clone()
                .unwrap_or_else(|| "internal_failure".to_owned());
            self.shared.stats.answered(Service::Fcm, status, &reason);
            let body = json!({ "error": reason, "error_description": "a fault of the lab" });
            return with_retry_after(json_response(status, &body), fault.retry_after);
        }
        if head.method != Method::POST {
            return self.refuse(&FcmError::MethodNotFound, None);
        }
        let now = self.shared.clock.now();
        let mut audiences = self.audiences.clone();
        audiences.extend(called(head));
        match oauth::grant(form, &audiences, &self.shared.credentials, now) {
            Ok(token) => {
                self.shared.stats.answered(Service::Fcm, 200, "token");
                json_response(200, &oauth::granted(&token))
            }
            Err(GrantError(error, description)) => {
                self.shared.stats.answered(Service::Fcm, 400, error);
                json_response(
                    400,
                    &json!({ "error": error, "error_description": description }),
                )
            }
        }
    }

    fn send(&self, head: &Parts, body: &[u8], fault: Option<&Fault>) -> Response<Full<Bytes>> {
        if let Some(fault) = fault.filter(|fault| fault.kind == FaultKind::Status) {
            let project = &self.shared.credentials.account().project_number;
            let error = FcmError::of_fault(fault.status, fault.reason.as_deref(), project);
            return self.refuse(&error.unwrap_or(FcmError::Internal), fault.retry_after);
        }
        let drop = fault.is_some_and(|fault| fault.kind == FaultKind::Drop);
        match self.judge(head, body, drop) {
            Ok(name) => {
                self.shared.stats.answered(Service::Fcm, 200, "");
                json_response(200, &json!({ "name": name }))
            }
            Err(error) => self.refuse(&error, None),
        }
    }

    /// The name of the accepted message.
    fn judge(&self, head: &Parts, body: &[u8], drop: bool) -> Result<String, FcmError> {
        let now = self.shared.clock.now();
        let project = project(head).ok_or(FcmError::MethodNotFound)?;
        self.check_access(&head.headers, now)?;
        let json: Json = serde_json::from_slice(body).map_err(|_| syntax(body))?;
        let request = self.schema.check_send(&json).map_err(FcmError::Schema)?;
        let account = self.shared.credentials.account();
        if project != account.project_id && project != account.project_number {
            return Err(FcmError::PermissionDenied(project.to_owned()));
        }
        let message = request.get("message").ok_or(FcmError::NoRecipient)?;
        let checked = message::check(message)?;
        let dry_run = matches!(request.get("validateOnly"), Some(Json::Bool(true)));
        let id = match dry_run {
            true => "fake_message_id".to_owned(),
            false => format!("0:{}%{}", now.unix_micros(), chance::hex::<8>()),
        };
        let name = format!("projects/{}/messages/{id}", account.project_id);
        if let Target::Device(token) = &checked.target {
            let push = accepted(&name, &checked, json.get("message"), &head.headers, now)?;
            let delivery = match (dry_run, drop) {
                (true, _) => None,
                (false, true) => Some(Delivery::Lost),
                (false, false) => Some(Delivery::Real),
            };
            self.hand_over(token, push, delivery, now)?;
        }
        Ok(name)
    }

    fn check_access(&self, headers: &HeaderMap, now: Moment) -> Result<(), FcmError> {
        let given = headers
            .get(header::AUTHORIZATION)
            .ok_or(FcmError::CredentialsMissing)?;
        match oauth::check_access(given.as_bytes(), &self.shared.credentials, now) {
            Ok(Access::Messaging) => Ok(()),
            Ok(Access::Other) => Err(FcmError::ScopeInsufficient),
            Err(BadAccess::Invalid) => Err(FcmError::CredentialsInvalid),
            Err(BadAccess::Expired) => Err(FcmError::AccessTokenExpired),
        }
    }

    fn hand_over(
        &self,
        token: &str,
        push: Accepted,
        delivery: Option<Delivery>,
        now: Moment,
    ) -> Result<(), FcmError> {
        let ours = &self.shared.credentials.account().project_id;
        self.shared.devices.visit(Platform::Fcm, token, |found| {
            let Found::Device(entry) = found else {
                return Err(FcmError::Unregistered);
            };
            if entry
                .device
                .project
                .as_ref()
                .is_some_and(|theirs| theirs != ours)
            {
                return Err(FcmError::SenderIdMismatch);
            }
            if entry.death.is_some_and(|death| death.reported_from <= now) {
                return Err(FcmError::Unregistered);
            }
            match delivery {
                Some(Delivery::Real) => entry.take(push, now),
                Some(Delivery::Lost) => entry.lose(&push, now, "dropped"),
                None => {}
            }
            Ok(())
        })
    }

    fn refuse(&self, error: &FcmError, retry_after: Option<u32>) -> Response<Full<Bytes>> {
        self.shared
            .stats
            .answered(Service::Fcm, error.status(), error.reason());
        let (content_type, body) = error.body();
        let mut response = Response::new(Full::from(body));
        *response.status_mut() =
            StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = HeaderValue::from_static(content_type);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        with_retry_after(response, retry_after)
    }
}

/// What an accepted message comes to.
#[derive(Clone, Copy)]
enum Delivery {
    Real,
    Lost,
}

/// The body, of at most [`BODY_LIMIT`] bytes and within [`BODY_TIME`].
async fn read(body: Incoming) -> Result<Bytes, FcmError> {
    match tokio::time::timeout(BODY_TIME, Limited::new(body, BODY_LIMIT).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(FcmError::TooLarge),
        Ok(Err(_)) | Err(_) => Err(FcmError::Syntax(String::new())),
    }
}

/// The project in `/v1/projects/{project}/messages:send`.
fn project(head: &Parts) -> Option<&str> {
    let project = head
        .uri
        .path()
        .strip_prefix("/v1/projects/")?
        .strip_suffix("/messages:send")?;
    (head.method == Method::POST && !project.contains('/')).then_some(project)
}

/// The token endpoint as the caller addressed it.
fn called(head: &Parts) -> Option<String> {
    let host = head.uri.authority().map(ToString::to_string);
    let host = host.or_else(|| Some(head.headers.get(header::HOST)?.to_str().ok()?.to_owned()))?;
    Some(format!("https://{host}{}", head.uri.path()))
}

/// The token in a body, for the faults that concern one device.
fn target_of(body: &[u8]) -> Option<String> {
    let json: Json = serde_json::from_slice(body).ok()?;
    let message = json.get("message")?;
    let text = message
        .get("token")
        .or_else(|| message.get("fid"))?
        .text()?;
    Some(text.to_owned())
}

fn accepted(
    name: &str,
    checked: &Checked,
    message: Option<&Json>,
    headers: &HeaderMap,
    now: Moment,
) -> Result<Accepted, FcmError> {
    let text = message.map(ToString::to_string).unwrap_or_default();
    let payload = RawValue::from_string(text).map_err(|_| FcmError::Internal)?;
    Ok(Accepted {
        id: name.to_owned(),
        headers: Arc::new(shown(headers)),
        payload: Arc::from(payload),
        keep_until: (checked.ttl > 0).then(|| now.plus_seconds(checked.ttl)),
        collapse: checked.collapse_key.clone(),
    })
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

fn syntax(body: &[u8]) -> FcmError {
    let start = &body[..body.len().min(40)];
    FcmError::Syntax(String::from_utf8_lossy(start).into_owned())
}

fn json_response(status: u16, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static("application/json; charset=UTF-8");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

fn with_retry_after(
    mut response: Response<Full<Bytes>>,
    seconds: Option<u32>,
) -> Response<Full<Bytes>> {
    if let Some(seconds) = seconds {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The paths of Google's token endpoints, present and past.
const TOKEN_PATHS: [&str; 4] = [
    "/token",
    "/o/oauth2/token",
    "/oauth2/v4/token",
    "/oauth2/v3/token",
];
/// Bytes of a request body.
const BODY_LIMIT: usize = 256 << 10;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
