//! Rows of the two tables, to and from the domain.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::id::{CallId, NotificationId, RegistrationId};
use domain::identity::UserId;
use domain::notification::{Delivery, DeliveryState, Notification, NotificationHub, Target};
use domain::push::{Attempted, Lane, Outcome, Platform};
use domain::time::Timestamp;

use crate::{Error, Result};

/// A notification on its way into its table.
pub(super) struct NewRow<'n> {
    pub(super) notification: &'n Notification,
    pub(super) headers: String,
    pub(super) body: &'n str,
}

impl<'n> NewRow<'n> {
    pub(super) fn of(notification: &'n Notification) -> Result<Self> {
        let bad = |problem: String| bad_row("notifications", notification.id.as_str(), problem);
        Ok(Self {
            notification,
            headers: serde_json::to_string(&notification.headers)
                .map_err(|error| bad(error.to_string()))?,
            body: std::str::from_utf8(&notification.body)
                .map_err(|error| bad(format!("the body is not text: {error}")))?,
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct NotificationRow {
    id: String,
    hub: Option<String>,
    communication: Option<String>,
    platform: String,
    headers: String,
    body: String,
    tag: Option<String>,
    lane: String,
    call_id: Option<String>,
    created_at: i64,
    deadline: i64,
}

impl NotificationRow {
    pub(super) fn with(self, targets: Vec<TargetRow>) -> Result<Notification> {
        let bad = |problem: &str| bad_row("notifications", &self.id, problem);
        let headers: BTreeMap<String, String> =
            serde_json::from_str(&self.headers).map_err(|_| bad("headers are not JSON"))?;
        let platform = Platform::parse(&self.platform).ok_or_else(|| bad("unknown platform"))?;
        let lane = match self.lane.as_str() {
            CALL => Lane::Call,
            BULK => Lane::Bulk,
            _ => return Err(bad("unknown lane")),
        };
        let hub = match (self.hub, self.communication) {
            (Some(hub), None) => NotificationHub::Own(hub),
            (None, Some(communication)) => NotificationHub::Linked(communication),
            _ => return Err(bad_row("notifications", &self.id, "not exactly one hub")),
        };
        Ok(Notification {
            hub,
            platform,
            headers,
            body: Bytes::from(self.body),
            tag: self.tag,
            lane,
            call: self.call_id.map(CallId::new),
            created_at: Timestamp::from_micros(self.created_at),
            deadline: Timestamp::from_micros(self.deadline),
            targets: targets.into_iter().map(Target::from).collect(),
            id: NotificationId::new(self.id),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct TargetRow {
    handle: String,
    user_id: Option<String>,
    registration_id: Option<String>,
}

impl From<TargetRow> for Target {
    fn from(row: TargetRow) -> Self {
        Self {
            handle: row.handle,
            device: row
                .user_id
                .map(UserId::new)
                .zip(row.registration_id.map(RegistrationId::new)),
        }
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct DeliveryRow {
    notification_id: String,
    ordinal: i64,
    platform: String,
    #[sqlx(flatten)]
    target: TargetRow,
    call_id: Option<String>,
    created_at: i64,
    outcome: Option<String>,
    detail: Option<i64>,
    status: Option<i64>,
    reason: Option<String>,
    provider_id: Option<String>,
    attempts: Option<i64>,
    written_at: Option<i64>,
    ended_at: Option<i64>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = Error;

    fn try_from(row: DeliveryRow) -> Result<Self> {
        let key = format!("{}/{}", row.notification_id, row.ordinal);
        let state = match &row.outcome {
            None => DeliveryState::Pending,
            Some(outcome) => DeliveryState::Settled(Attempted {
                outcome: parse_outcome(outcome, row.detail)
                    .ok_or_else(|| bad_row("deliveries", &key, "unknown outcome"))?,
                status: number("deliveries", &key, "status", row.status.unwrap_or(0))?,
                reason: row.reason,
                provider_id: row.provider_id,
                attempts: number("deliveries", &key, "attempts", row.attempts.unwrap_or(0))?,
                written_at: row.written_at.map(Timestamp::from_micros),
                ended_at: row.ended_at.map(Timestamp::from_micros).unwrap_or_default(),
            }),
        };
        Ok(Self {
            ordinal: number("deliveries", &key, "ordinal", row.ordinal)?,
            platform: Platform::parse(&row.platform)
                .ok_or_else(|| bad_row("notifications", &key, "unknown platform"))?,
            notification: NotificationId::new(row.notification_id),
            target: row.target.into(),
            call: row.call_id.map(CallId::new),
            created_at: Timestamp::from_micros(row.created_at),
            state,
        })
    }
}

const CALL: &str = "call";
const BULK: &str = "bulk";

pub(super) fn lane_column(lane: Lane) -> &'static str {
    match lane {
        Lane::Call => CALL,
        Lane::Bulk => BULK,
    }
}

pub(super) fn hub_columns(hub: &NotificationHub) -> (Option<&str>, Option<&str>) {
    match hub {
        NotificationHub::Own(hub) => (Some(hub), None),
        NotificationHub::Linked(communication) => (None, Some(communication)),
    }
}

pub(super) fn outcome_columns(outcome: &Outcome) -> (&'static str, Option<i64>) {
    match outcome {
        Outcome::Accepted => ("accepted", None),
        Outcome::DeadToken { since } => ("dead_token", since.map(Timestamp::micros)),
        Outcome::SuspectToken => ("suspect_token", None),
        Outcome::RetryAfter(wait) => ("retry_after", i64::try_from(wait.as_micros()).ok()),
        Outcome::CredentialRefused => ("credential_refused", None),
        Outcome::RequestRefused => ("request_refused", None),
        Outcome::Unavailable => ("unavailable", None),
        Outcome::Expired => ("expired", None),
    }
}

fn parse_outcome(outcome: &str, detail: Option<i64>) -> Option<Outcome> {
    Some(match outcome {
        "accepted" => Outcome::Accepted,
        "dead_token" => Outcome::DeadToken {
            since: detail.map(Timestamp::from_micros),
        },
        "suspect_token" => Outcome::SuspectToken,
        "retry_after" => Outcome::RetryAfter(Duration::from_micros(u64::try_from(detail?).ok()?)),
        "credential_refused" => Outcome::CredentialRefused,
        "request_refused" => Outcome::RequestRefused,
        "unavailable" => Outcome::Unavailable,
        "expired" => Outcome::Expired,
        _ => return None,
    })
}

/// What somebody else's server said. PostgreSQL has no text with a NUL in it, and an answer must not be able to keep
/// a delivery from being settled.
pub(super) fn said(text: &Option<String>) -> Option<String> {
    text.as_ref().map(|text| text.replace('\0', "\u{fffd}"))
}

pub(super) fn number<N: TryFrom<i64>>(
    table: &'static str,
    key: &str,
    column: &str,
    value: i64,
) -> Result<N> {
    N::try_from(value).map_err(|_| bad_row(table, key, format!("{column} is {value}")))
}

fn bad_row(table: &'static str, key: &str, problem: impl Into<String>) -> Error {
    Error::BadRow {
        table,
        key: key.to_owned(),
        problem: problem.into(),
    }
}
