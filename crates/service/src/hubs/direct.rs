//! Direct sends: accepted durably before they are answered, then delivered in the background.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::hub::Hub;
use domain::id::NotificationId;
use domain::notification::{Life, Notification, NotificationHub, REPEAT_WINDOW, Target};
use domain::push::{Lane, Platform};
use domain::time::Timestamp;
use futures_util::future::join_all;
use ring::digest::{Context, SHA256};
use store::notifications::{Acceptance, Accepted};
use wire::hub::message::{Format, Head, Refused};
use wire::hub::payload::Payload;

use super::SasCaller;
use super::deliver::Landing;
use crate::{App, Error, Kind, Result};

/// A direct send, as it came in.
pub struct DirectSend<'a> {
    /// Who sends, through which hub.
    pub caller: &'a SasCaller,
    /// `x-ms-client-request-id` or `TrackingId`: the same on every retry of a request.
    pub request_id: Option<&'a str>,
    /// The headers.
    pub head: Head,
    /// The body, or the `notification` part of a batch.
    pub body: &'a Bytes,
    /// The device handles: one, or those of a batch, each already checked.
    pub devices: Vec<String>,
}

/// A send that is durably recorded.
pub struct Sent {
    /// The notification's id; for a repeat that of the first.
    pub id: NotificationId,
    landings: Vec<Landing>,
}

/// FCM messages of high priority that live no longer than this are taken for calls.
const CALL_TTL: Duration = Duration::from_secs(60);

impl App {
    /// Accepts a direct send. Once this returns, the notification is durable and on its way.
    pub async fn send_direct(&self, send: DirectSend<'_>) -> Result<Sent> {
        let hub = &send.caller.hub;
        let request = send.request_id.filter(|id| !id.is_empty());
        let request = request.map(|id| digest(&[&hub.key, &send.caller.rule, id]));
        let now = self.clock.now();
        let notification =
            self.notification(hub, now, request, send.head, send.body, send.devices)?;
        let room = self.sends.room(&hub.key, notification.targets.len())?;
        let notification = Arc::new(notification);
        let accepted = self
            .sends
            .writer
            .accept(Acceptance {
                notification: Arc::clone(&notification),
                previous: request.map(|id| NotificationId::accepted(now - REPEAT_WINDOW, id)),
            })
            .await?;
        Ok(match accepted {
            Accepted::New => Sent {
                id: notification.id.clone(),
                landings: self.launch(notification, Some(room)),
            },
            Accepted::Repeat(id) => Sent {
                id,
                landings: Vec::new(),
            },
        })
    }

    /// Waits until every delivery of a send has been settled, but no longer than `wait`.
    pub async fn wait_for(&self, sent: &mut Sent, wait: Duration) {
        let until = self.clock.now() + wait;
        let landed = join_all(sent.landings.drain(..));
        self.clock.timeout_at(until, landed).await;
    }

    fn notification(
        &self,
        hub: &Hub,
        now: Timestamp,
        request: Option<[u8; 16]>,
        mut head: Head,
        body: &Bytes,
        devices: Vec<String>,
    ) -> Result<Notification> {
        let payload = head.payload(body).map_err(refused)?;
        let tag = head.tag().map_err(refused)?.map(str::to_owned);
        let platform = match head.format {
            Format::Apple => Platform::Apns,
            Format::FcmV1 | Format::Gcm => Platform::Fcm,
        };
        has_credential(hub, platform)?;
        if let Some(end) = head.expiry.and_then(|expiry| expiry.after(now.secs())) {
            head.apns.insert(EXPIRATION.to_owned(), end.to_string());
        }
        let lane = lane(&head, &payload);
        Ok(Notification {
            id: match request {
                Some(digest) => NotificationId::accepted(now, digest),
                None => NotificationId::unrepeatable(now, self.random.bytes()),
            },
            hub: NotificationHub::Own(hub.key.clone()),
            platform,
            deadline: life(&head, &payload, now).deadline(now, lane),
            headers: head.apns,
            body: payload.body,
            tag,
            lane,
            call: None,
            created_at: now,
            targets: targets(devices),
        })
    }
}

const EXPIRATION: &str = "apns-expiration";

/// What is wrong with a send, as the client is told it.
pub fn refused(refused: Refused) -> Error {
    let message = format!(
        "{} {}.",
        refused.field,
        refused.problem.trim_end_matches('.')
    );
    let (kind, code) = match refused.too_large {
        true => (Kind::TooLarge, "RequestTooLarge"),
        false => (Kind::Invalid, "BadRequest"),
    };
    Error::new(kind, code, message).at(refused.field)
}

/// A hub without the credential can deliver nothing: better said now than found in telemetry.
fn has_credential(hub: &Hub, platform: Platform) -> Result<()> {
    let (credential, name) = match platform {
        Platform::Apns => (&hub.apns, "APNs credential in token mode"),
        Platform::Fcm => (&hub.fcm, "FCM v1 credential"),
    };
    if credential.is_some() {
        return Ok(());
    }
    let message = format!("The hub '{}' has no {name}.", hub.name);
    Err(Error::invalid("BadRequest", message).at(wire::hub::message::FORMAT))
}

/// Calls take the lane of calls: APNs says so by the push type, FCM by a high priority and a short life.
fn lane(head: &Head, payload: &Payload) -> Lane {
    let rings = match head.format {
        Format::Apple => head.is_voip(),
        Format::FcmV1 | Format::Gcm => {
            payload.high && payload.ttl.is_some_and(|ttl| ttl <= CALL_TTL)
        }
    };
    if rings { Lane::Call } else { Lane::Bulk }
}

fn life(head: &Head, payload: &Payload, now: Timestamp) -> Life {
    let expiration = head.apns.get(EXPIRATION).and_then(|text| text.parse().ok());
    match (expiration, payload.ttl) {
        (Some(0), _) | (_, Some(Duration::ZERO)) => Life::NowOrNever,
        (Some(end), _) => Life::Until(Timestamp::from_secs(end)),
        (None, Some(ttl)) => Life::Until(now + ttl),
        (None, None) => Life::Unsaid,
    }
}

/// One target a handle: a handle that a batch names twice is sent to once.
fn targets(devices: Vec<String>) -> Vec<Target> {
    let mut seen = HashSet::with_capacity(devices.len());
    let mut targets = Vec::with_capacity(devices.len());
    for handle in devices {
        if seen.insert(handle.clone()) {
            targets.push(Target {
                handle,
                device: None,
            });
        }
    }
    targets
}

/// The first half of a SHA-256 over `parts`, each with its length, so that none can pose as two.
pub(super) fn digest(parts: &[&str]) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut half = [0; 16];
    half.copy_from_slice(&context.finish().as_ref()[..16]);
    half
}
