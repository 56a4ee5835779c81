//! What became of events at a destination: deliveries, attempts, dead letters.

use std::time::Duration;

use domain::event::{Attempt, Delivery, DeliveryState, Event, Listed};
use domain::id::{DestinationId, EventId, SourceId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{read, tx};
use crate::event_deliveries::DeliveryRow;
use crate::events::EventRow;
use crate::{Result, Store, Tx};

const DELIVERIES: &str = "select e.kind, e.subject, d.event_id, d.destination, d.state, d.due_at, d.attempts, d.status, d.outcome, d.reason, \
    d.last_at from events e join event_deliveries d on d.event_id = e.id and d.destination = $1 \
    where e.source = $2 and e.id > $3 and (d.state = $4 or $4 = '') order by e.id limit $5";
const OF_SOURCE: &str = "select e.id, e.source, e.input, e.kind, e.subject, e.body, e.published_at, d.event_id, d.destination, \
    d.state, d.due_at, d.attempts, d.status, d.outcome, d.reason, d.last_at \
    from events e join event_deliveries d on d.event_id = e.id \
    where e.source = $1 order by e.id limit $2";
const ATTEMPTS: &str = "select attempt, began_at, took, status, outcome, error, request, answer from event_attempts \
    where event_id = $1 and destination = $2 order by attempt";
const DEAD: &str = "select e.id, e.source, e.input, e.kind, e.subject, e.body, e.published_at, d.event_id, d.destination, \
    d.state, d.due_at, d.attempts, d.status, d.outcome, d.reason, d.last_at \
    from event_deliveries d join events e on e.id = d.event_id \
    where d.destination = $1 and d.state = 'dead' and d.due_at <= $2 order by d.due_at, d.event_id limit $3";
const BURY: &str = "update event_deliveries set state = $3 where event_id = $1 and destination = $2 and state = 'dead'";

#[derive(FromRow)]
struct AttemptRow {
    attempt: i64,
    began_at: i64,
    took: i64,
    status: Option<i64>,
    outcome: String,
    error: Option<String>,
    request: String,
    answer: Option<String>,
}

#[derive(FromRow)]
struct ListedRow {
    kind: String,
    subject: String,
    #[sqlx(flatten)]
    delivery: DeliveryRow,
}

#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    event: EventRow,
    #[sqlx(flatten)]
    delivery: DeliveryRow,
}

impl Store {
    /// Up to `limit` deliveries of a source's events to a destination after the event `after`, in the order of
    /// acceptance: all, or those in one state.
    pub async fn event_deliveries(
        &self,
        destination: &DestinationId,
        source: &SourceId,
        after: &str,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<Listed>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, ListedRow>(DELIVERIES)
                .bind(destination.as_str())
                .bind(source.as_str())
                .bind(after)
                .bind(state.map_or("", DeliveryState::as_str))
                .bind(i64::from(limit))
        )?;
        rows.into_iter().map(Listed::try_from).collect()
    }

    /// The attempts that were logged, oldest first.
    pub async fn event_attempts(
        &self,
        event: &EventId,
        destination: &DestinationId,
    ) -> Result<Vec<Attempt>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, AttemptRow>(ATTEMPTS)
                .bind(event.as_str())
                .bind(destination.as_str())
        )?;
        Ok(rows.into_iter().map(Attempt::from).collect())
    }

    /// Up to `limit` events that wait to be written to the dead letters of a destination.
    pub async fn dead_events(
        &self,
        destination: &DestinationId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Event, Delivery)>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, Row>(DEAD)
                .bind(destination.as_str())
                .bind(now.micros())
                .bind(i64::from(limit))
        )?;
        rows.into_iter().map(Row::parts).collect()
    }

    /// The first `limit` events of a source with what became of each, whatever the destination, in the order of acceptance.
    pub async fn deliveries_of(
        &self,
        source: &SourceId,
        limit: u32,
    ) -> Result<Vec<(Event, Delivery)>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, Row>(OF_SOURCE)
                .bind(source.as_str())
                .bind(i64::from(limit))
        )?;
        rows.into_iter().map(Row::parts).collect()
    }
}

impl TryFrom<ListedRow> for Listed {
    type Error = crate::Error;

    fn try_from(row: ListedRow) -> Result<Self> {
        Ok(Self {
            kind: row.kind,
            subject: row.subject,
            delivery: row.delivery.try_into()?,
        })
    }
}

impl Row {
    fn parts(self) -> Result<(Event, Delivery)> {
        Ok((self.event.try_into()?, self.delivery.try_into()?))
    }
}

impl Tx {
    /// An event that waited to be written to the dead letters stands there now, or never will.
    pub async fn bury_event(
        &mut self,
        event: &EventId,
        destination: &DestinationId,
        state: DeliveryState,
    ) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(BURY)
                .bind(event.as_str())
                .bind(destination.as_str())
                .bind(state.as_str())
        )?;
        Ok(())
    }
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            number: u32::try_from(row.attempt).unwrap_or(u32::MAX),
            began_at: Timestamp::from_micros(row.began_at),
            took: Duration::from_micros(u64::try_from(row.took).unwrap_or(0)),
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            outcome: row.outcome,
            error: row.error,
            request: row.request,
            answer: row.answer,
        }
    }
}
