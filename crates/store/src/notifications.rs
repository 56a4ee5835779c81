//! Notifications that hubs accepted, and their deliveries: accepted, settled, read, swept.
//!
//! Both hot writes are multi-row statements; [`Writer`] commits whatever of both queued up meanwhile as one.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use domain::id::{CallId, Id, NodeId, NotificationId};
use domain::notification::{Delivery, Notification, REPEAT_WINDOW, Target};
use domain::push::Attempted;
use domain::time::Timestamp;
use sqlx::AssertSqlSafe;

use crate::db::{note, read, tx};
use crate::values::chunks;
use crate::{Result, Store, Tx};

mod row;
mod writer;

pub use writer::Writer;

use row::{
    DeliveryRow, NewRow, NotificationRow, TargetRow, hub_columns, lane_column, number,
    outcome_columns, said,
};

/// A notification to be accepted, and what it may be a repeat of.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// The notification.
    pub notification: Arc<Notification>,
    /// The id that the same request had in the window of time before this one's; none if its id is its own, as a
    /// random one is.
    pub previous: Option<NotificationId>,
}

/// What became of an [`Acceptance`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is durable.
    New,
    /// It repeats this one and was not recorded again.
    Repeat(NotificationId),
}

/// The end of one delivery.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The notification.
    pub notification: NotificationId,
    /// Which of its targets.
    pub ordinal: u32,
    /// How it ended.
    pub attempted: Attempted,
}

/// Notifications, and which of their targets.
pub type Pending = Vec<(NotificationId, Vec<u32>)>;

const REPEAT_COLUMNS: usize = 3;
const NOTIFICATION_COLUMNS: usize = 12;
const DELIVERY_COLUMNS: usize = 5;
const SETTLEMENT_COLUMNS: usize = 10;

fn repeats(values: &str) -> String {
    format!(
        "with v (id, previous, since) as (values {values}) \
         select v.id, coalesce(same.id, before.id) from v \
         left join notifications same on same.id = v.id \
         left join notifications before on before.id = v.previous and before.created_at > v.since \
         where same.id is not null or before.id is not null"
    )
}

fn insert_notifications(values: &str) -> String {
    format!(
        "insert into notifications (id, hub, communication, platform, headers, body, tag, lane, call_id, created_at, \
         deadline, node) values {values}"
    )
}

fn insert_deliveries(values: &str) -> String {
    format!(
        "insert into deliveries (notification_id, ordinal, handle, user_id, registration_id) values {values}"
    )
}

fn settle_deliveries(values: &str) -> String {
    format!(
        "with v (notification_id, ordinal, outcome, detail, status, reason, provider_id, attempts, written_at, \
         ended_at) as (values {values}) \
         update deliveries set outcome = v.outcome, detail = v.detail, status = v.status, reason = v.reason, \
         provider_id = v.provider_id, attempts = v.attempts, written_at = v.written_at, ended_at = v.ended_at \
         from v where deliveries.notification_id = v.notification_id and deliveries.ordinal = v.ordinal \
         and deliveries.outcome is null"
    )
}

const NOTIFICATION: &str = "select id, hub, communication, platform, headers, body, tag, lane, call_id, created_at, \
    deadline from notifications where id = $1";
const TARGETS: &str = "select handle, user_id, registration_id from deliveries where notification_id = $1 \
    order by ordinal";
const DELIVERIES: &str = "select d.notification_id, d.ordinal, n.platform, d.handle, d.user_id, d.registration_id, \
    n.call_id, n.created_at, d.outcome, d.detail, d.status, d.reason, d.provider_id, d.attempts, d.written_at, \
    d.ended_at from deliveries d join notifications n on n.id = d.notification_id \
    where d.notification_id = $1 and d.ordinal >= $2 order by d.ordinal limit $3";
const DELIVERIES_OF_CALL: &str = "select d.notification_id, d.ordinal, n.platform, d.handle, d.user_id, \
    d.registration_id, n.call_id, n.created_at, d.outcome, d.detail, d.status, d.reason, d.provider_id, d.attempts, \
    d.written_at, d.ended_at from notifications n join deliveries d on d.notification_id = n.id \
    where n.call_id = $1 order by n.created_at, d.notification_id, d.ordinal";
pub(crate) const PENDING: &str = "select d.notification_id, d.ordinal from deliveries d \
    join notifications n on n.id = d.notification_id where d.outcome is null and n.node = $1 \
    order by d.notification_id, d.ordinal";
const SWEEP_DELIVERIES: &str = "delete from deliveries where notification_id in \
    (select id from notifications where id < $1 order by id limit $2)";
const SWEEP_NOTIFICATIONS: &str = "delete from notifications where id in \
    (select id from notifications where id < $1 order by id limit $2)";

impl Tx {
    /// Records notifications with their targets, all pending, for `node` to send.
    pub async fn insert_notifications(
        &mut self,
        node: &NodeId,
        notifications: &[Notification],
    ) -> Result<()> {
        let rows: Vec<NewRow<'_>> = notifications
            .iter()
            .map(NewRow::of)
            .collect::<Result<_>>()?;
        self.insert_rows(node, &rows).await
    }

    /// Records those that repeat nothing, for `node` to send, and says of each what became of it.
    pub async fn accept_notifications(
        &mut self,
        node: &NodeId,
        acceptances: &[impl Borrow<Acceptance>],
    ) -> Result<Vec<Accepted>> {
        let mut firsts = self.repeats(acceptances).await?;
        let mut rows = Vec::with_capacity(acceptances.len());
        let mut accepted = Vec::with_capacity(acceptances.len());
        for one in acceptances.iter().map(Borrow::borrow) {
            let id = &one.notification.id;
            if let Some(first) = firsts.get(id) {
                accepted.push(Accepted::Repeat(first.clone()));
                continue;
            }
            rows.push(NewRow::of(&one.notification)?);
            accepted.push(Accepted::New);
            // Of two with one id in the same batch the first is the new one.
            if one.previous.is_some() {
                firsts.insert(id.clone(), id.clone());
            }
        }
        self.insert_rows(node, &rows).await?;
        Ok(accepted)
    }

    /// Of those that may be repeats, the ones that are, each with the one that it repeats.
    async fn repeats(
        &mut self,
        acceptances: &[impl Borrow<Acceptance>],
    ) -> Result<HashMap<NotificationId, NotificationId>> {
        let asked: Vec<(&Notification, &NotificationId)> = acceptances
            .iter()
            .map(Borrow::borrow)
            .filter_map(|one| Some((&*one.notification, one.previous.as_ref()?)))
            .collect();
        let mut firsts = HashMap::new();
        for chunk in chunks(&asked) {
            let sql = repeats(&self.values(chunk.len(), REPEAT_COLUMNS));
            let found: Vec<(String, String)> = tx!(self, fetch_all, {
                let mut query = sqlx::query_as(AssertSqlSafe(sql.as_str()));
                for (notification, previous) in chunk {
                    query = query
                        .bind(notification.id.as_str())
                        .bind(previous.as_str())
                        .bind((notification.created_at - REPEAT_WINDOW).micros());
                }
                query
            })?;
            let ids = |(id, first)| (NotificationId::new(id), NotificationId::new(first));
            firsts.extend(found.into_iter().map(ids));
        }
        Ok(firsts)
    }

    /// Records how deliveries ended. What has been settled before stays as it is.
    pub async fn settle_deliveries(&mut self, ended: &[impl Borrow<Settlement>]) -> Result<()> {
        if !ended.is_empty() {
            self.make_room_for(ended.len()).await?;
        }
        for chunk in chunks(ended) {
            let sql = settle_deliveries(&self.values(chunk.len(), SETTLEMENT_COLUMNS));
            note!(self, sql, |query| {
                for one in chunk.iter().map(Borrow::borrow) {
                    let attempted = &one.attempted;
                    let (outcome, detail) = outcome_columns(&attempted.outcome);
                    query = query
                        .bind(one.notification.as_str())
                        .bind(i64::from(one.ordinal))
                        .bind(outcome)
                        .bind(detail)
                        .bind(i64::from(attempted.status))
                        .bind(said(&attempted.reason))
                        .bind(said(&attempted.provider_id))
                        .bind(i64::from(attempted.attempts))
                        .bind(attempted.written_at.map(Timestamp::micros))
                        .bind(attempted.ended_at.micros());
                }
                query
            })?;
        }
        Ok(())
    }

    /// Deletes up to `limit` notifications, settled or not, that were accepted before the window of `before`;
    /// says how many.
    pub async fn sweep_notifications(&mut self, before: Timestamp, limit: u32) -> Result<u64> {
        let before = NotificationId::lower_bound(before);
        let mut swept = 0;
        for sql in [SWEEP_DELIVERIES, SWEEP_NOTIFICATIONS] {
            swept = tx!(
                self,
                execute,
                sqlx::query(sql)
                    .bind(before.as_str())
                    .bind(i64::from(limit))
            )?;
        }
        Ok(swept)
    }

    async fn insert_rows(&mut self, node: &NodeId, rows: &[NewRow<'_>]) -> Result<()> {
        for chunk in chunks(rows) {
            let sql = insert_notifications(&self.values(chunk.len(), NOTIFICATION_COLUMNS));
            note!(self, sql, |query| {
                for row in chunk {
                    let notification = row.notification;
                    let (hub, communication) = hub_columns(&notification.hub);
                    query = query
                        .bind(notification.id.as_str())
                        .bind(hub)
                        .bind(communication)
                        .bind(notification.platform.as_str())
                        .bind(row.headers.as_str())
                        .bind(row.body)
                        .bind(notification.tag.as_deref())
                        .bind(lane_column(notification.lane))
                        .bind(notification.call.as_ref().map(Id::as_str))
                        .bind(notification.created_at.micros())
                        .bind(notification.deadline.micros())
                        .bind(node.as_str());
                }
                query
            })?;
        }
        self.insert_targets(rows).await
    }

    async fn insert_targets(&mut self, rows: &[NewRow<'_>]) -> Result<()> {
        let targets: Vec<(&str, i64, &Target)> = rows
            .iter()
            .map(|row| row.notification)
            .flat_map(|one| {
                (0..)
                    .zip(&one.targets)
                    .map(|(n, target)| (one.id.as_str(), n, target))
            })
            .collect();
        for chunk in chunks(&targets) {
            let sql = insert_deliveries(&self.values(chunk.len(), DELIVERY_COLUMNS));
            note!(self, sql, |query| {
                for (id, ordinal, target) in chunk {
                    let device = target.device.as_ref();
                    query = query
                        .bind(*id)
                        .bind(*ordinal)
                        .bind(target.handle.as_str())
                        .bind(device.map(|(user, _)| user.as_str()))
                        .bind(device.map(|(_, registration)| registration.as_str()));
                }
                query
            })?;
        }
        Ok(())
    }
}

impl Store {
    /// A notification with all its targets.
    pub async fn notification(&self, id: &NotificationId) -> Result<Option<Notification>> {
        let Some(row) = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, NotificationRow>(NOTIFICATION).bind(id.as_str())
        )?
        else {
            return Ok(None);
        };
        let targets = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, TargetRow>(TARGETS).bind(id.as_str())
        )?;
        row.with(targets).map(Some)
    }

    /// Up to `limit` deliveries of a notification, from the target `from` on.
    pub async fn deliveries(
        &self,
        id: &NotificationId,
        from: u32,
        limit: u32,
    ) -> Result<Vec<Delivery>> {
        read!(
            self,
            fetch_all,
            sqlx::query_as::<_, DeliveryRow>(DELIVERIES)
                .bind(id.as_str())
                .bind(i64::from(from))
                .bind(i64::from(limit))
        )?
        .into_iter()
        .map(Delivery::try_from)
        .collect()
    }

    /// The deliveries of everything sent for a call, oldest first.
    pub async fn deliveries_of_call(&self, call: &CallId) -> Result<Vec<Delivery>> {
        read!(
            self,
            fetch_all,
            sqlx::query_as::<_, DeliveryRow>(DELIVERIES_OF_CALL).bind(call.as_str())
        )?
        .into_iter()
        .map(Delivery::try_from)
        .collect()
    }

    /// Every delivery that `node` has to send and has not settled.
    pub async fn pending_deliveries(&self, node: &NodeId) -> Result<Pending> {
        pending_of(read!(
            self,
            fetch_all,
            sqlx::query_as::<_, (String, i64)>(PENDING).bind(node.as_str())
        )?)
    }
}

/// Groups what [`PENDING`] reads.
pub(crate) fn pending_of(rows: Vec<(String, i64)>) -> Result<Pending> {
    let mut pending = Pending::new();
    for (id, ordinal) in rows {
        let ordinal = number("deliveries", &id, "ordinal", ordinal)?;
        match pending.last_mut() {
            Some((last, ordinals)) if last.as_str() == id => ordinals.push(ordinal),
            _ => pending.push((NotificationId::new(id), vec![ordinal])),
        }
    }
    Ok(pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Seal;
    use crate::values::numbered;

    /// The tables by name and by the aliases of the statements.
    const TABLES: [&str; 6] = ["notifications", "deliveries", "n", "d", "same", "before"];

    /// A statement that scanned a table for each batch would pass every other test, and be slow a year later.
    #[tokio::test]
    async fn no_hot_statement_scans_a_table() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("plan.db").display());
        let store = Store::open(&url, Seal::new(&[1; 32])).await.unwrap();
        let statements = [
            repeats(&numbered(8, REPEAT_COLUMNS)),
            settle_deliveries(&numbered(8, SETTLEMENT_COLUMNS)),
            DELIVERIES.to_owned(),
            DELIVERIES_OF_CALL.to_owned(),
            PENDING.to_owned(),
            crate::nodes::TAKE.to_owned(),
            SWEEP_DELIVERIES.to_owned(),
            SWEEP_NOTIFICATIONS.to_owned(),
        ];
        for statement in statements {
            let sql = format!("explain query plan {statement}");
            let mut tx = store.begin().await.unwrap();
            let plan = tx!(
                tx,
                fetch_all,
                sqlx::query_as::<_, (i64, i64, i64, String)>(AssertSqlSafe(sql.as_str()))
            )
            .unwrap();
            for (.., step) in plan {
                let scanned = step
                    .strip_prefix("SCAN ")
                    .and_then(|of| of.split(' ').next());
                let is_table = scanned.is_some_and(|name| TABLES.contains(&name));
                assert!(
                    !is_table || step.contains("deliveries_pending"),
                    "{step}: {statement}"
                );
            }
        }
    }
}
