//! `/lab/devices`.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::chance;
use crate::control::poll::Poll;
use crate::control::{Failure, Given, Json};
use crate::device::registry::Change;
use crate::device::{self, Device, Environment, Kind, Platform, Token};
use crate::lab::Shared;
use crate::webpush::ece::Keys;
use crate::webpush::{self, vapid};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewDevice {
    platform: Platform,
    app: Option<String>,
    kind: Option<Kind>,
    environment: Option<Environment>,
    name: Option<String>,
    project: Option<String>,
    application_server_key: Option<String>,
}

impl NewDevice {
    fn device(self, shared: &Shared) -> Result<Device, Failure> {
        let only = |platform: Platform| (self.platform == platform).then_some(());
        let apns = only(Platform::Apns);
        let ours = || shared.credentials.account().project_id.clone();
        let key = self.application_server_key;
        if key
            .as_deref()
            .is_some_and(|key| vapid::decode(key).is_none_or(|key| key.len() != 65))
        {
            return Err(Failure::bad_request(
                "applicationServerKey must be 65 bytes in base64url",
            ));
        }
        let (token, keys) = token(self.platform, &shared.urls.webpush);
        Ok(Device {
            id: chance::uuid(),
            platform: self.platform,
            app: self.app.unwrap_or_else(|| "com.example.app".to_owned()),
            kind: apns.map(|()| self.kind.unwrap_or(Kind::Alert)),
            environment: apns.map(|()| self.environment.unwrap_or(Environment::Production)),
            project: only(Platform::Fcm).map(|()| self.project.unwrap_or_else(ours)),
            application_server_key: only(Platform::Webpush).and(key),
            name: self.name,
            token,
            state: device::State::Registered,
            online: true,
            keys: keys.map(Arc::new),
        })
    }
}

pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Given(new): Given<NewDevice>,
) -> Result<Response, Failure> {
    check_text("app", new.app.as_deref())?;
    check_text("name", new.name.as_deref())?;
    check_text("project", new.project.as_deref())?;
    let device = new.device(&shared)?;
    match shared.devices.add(device.clone()) {
        true => Ok((StatusCode::CREATED, Json(device)).into_response()),
        false => Err(Failure::full("there are too many devices; delete some")),
    }
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    Json(json!({ "devices": shared.devices.list() })).into_response()
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Device>, Failure> {
    shared.devices.device(&id).map(Json).ok_or_else(unknown)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DeviceChange {
    state: Option<device::State>,
    online: Option<bool>,
    name: Option<String>,
    reported_after_seconds: Option<u32>,
}

pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Given(given): Given<DeviceChange>,
) -> Result<Json<Device>, Failure> {
    check_text("name", given.name.as_deref())?;
    let change = Change {
        state: given.state,
        online: given.online,
        name: given.name,
        reported_after_seconds: given.reported_after_seconds.unwrap_or(0).into(),
    };
    shared
        .devices
        .change(&id, change, shared.clock.now())
        .map(Json)
        .ok_or_else(unknown)
}

pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    match shared.devices.remove(&id, shared.clock.now()) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unknown()),
    }
}

pub(super) async fn notifications(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let poll = Poll::parse(query.as_deref())?;
    let devices = &shared.devices;
    let lines = poll.lines(|| devices.changed(&id), |after| devices.log(&id, after));
    let lines = lines.await.ok_or_else(unknown)?;
    Ok(Json(json!({ "notifications": lines })).into_response())
}

fn token(platform: Platform, webpush: &str) -> (Token, Option<Keys>) {
    match platform {
        Platform::Apns => (Token::Text(chance::hex::<32>()), None),
        Platform::Fcm => {
            let id = format!("c{}", &chance::base64url::<16>()[1..]);
            let token = format!("{id}:APA91b{}", chance::base64url::<100>());
            (Token::Text(token), None)
        }
        Platform::Webpush => {
            let (token, keys) = webpush::subscribe(webpush);
            (token, Some(keys))
        }
    }
}

pub(super) fn check_text(field: &str, text: Option<&str>) -> Result<(), Failure> {
    match text {
        Some(text) if text.is_empty() || text.len() > 200 => Err(Failure::bad_request(format!(
            "{field} must have 1 to 200 bytes"
        ))),
        _ => Ok(()),
    }
}

fn unknown() -> Failure {
    Failure::not_found("there is no such device")
}
