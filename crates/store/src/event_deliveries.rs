//! Events on their way: one row for each destination, held by a node or waiting for one to refill from.
//!
//! A row without an owner is the backlog of its destination. Hot writes go through
//! [`EventWriter`](crate::events::EventWriter).

use std::borrow::Borrow;
use std::sync::Arc;

use domain::delivery::Reason;
use domain::event::{Attempt, Delivery, DeliveryState, Event, LastAttempt};
use domain::id::{DestinationId, EventId, NodeId};
use domain::time::Timestamp;
use sqlx::{AssertSqlSafe, FromRow};

use crate::db::{note, read, tx};
use crate::events::EventRow;
use crate::values::chunks;
use crate::{Error, Result, Store, Tx};

/// A delivery to be made.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// The event.
    pub event: Arc<Event>,
    /// Where it goes.
    pub destination: Arc<DestinationId>,
    /// Whether it must not wait behind others.
    pub urgent: bool,
    /// Whether this node holds it in memory.
    pub held: bool,
    /// Not tried before.
    pub due_at: Timestamp,
}

/// What follows from an attempt, or from there being none.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The event.
    pub event: Arc<Event>,
    /// The destination.
    pub destination: Arc<DestinationId>,
    /// Where it stands now.
    pub state: DeliveryState,
    /// Whether this node still holds it in memory.
    pub held: bool,
    /// When it is due next.
    pub due_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// The last one.
    pub last: Option<LastAttempt>,
    /// Why it is given up.
    pub reason: Option<Reason>,
    /// For the log; an event that is taken at once needs none.
    pub attempt: Option<Attempt>,
}

/// A row of a destination's backlog.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The event.
    pub event: Event,
    /// Attempts so far.
    pub attempts: u32,
    /// What its time to live counts from.
    pub since: Timestamp,
    /// Not tried before.
    pub due_at: Timestamp,
}

/// Which part of a backlog is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Whose.
    pub destination: &'a DestinationId,
    /// The urgent ones, or the others.
    pub urgent: bool,
    /// Due by then, soonest first; or, where the order matters, every one in the order of acceptance.
    pub due_by: Option<Timestamp>,
    /// At most so many.
    pub limit: u32,
}

const NEW_COLUMNS: usize = 8;
const SETTLED_COLUMNS: usize = 10;
const ATTEMPT_COLUMNS: usize = 10;
const AGAIN_COLUMNS: usize = 7;

fn insert(values: &str) -> String {
    format!(
        "insert into event_deliveries (event_id, destination, state, urgent, owner, since, due_at, attempts) \
         values {values}"
    )
}

fn settle(values: &str) -> String {
    format!(
        "with v (event_id, destination, state, owner, due_at, attempts, status, outcome, reason, last_at) as \
         (values {values}) \
         update event_deliveries set state = v.state, owner = v.owner, due_at = v.due_at, attempts = v.attempts, \
         status = v.status, outcome = v.outcome, reason = v.reason, last_at = v.last_at \
         from v where event_deliveries.event_id = v.event_id and event_deliveries.destination = v.destination \
         and event_deliveries.state = 'pending'"
    )
}

/// An event that was had again goes on in the numbers of its attempts.
fn log(values: &str) -> String {
    format!(
        "with v (event_id, destination, attempt, began_at, took, status, outcome, error, request, answer) as \
         (values {values}) \
         insert into event_attempts (event_id, destination, attempt, began_at, took, status, outcome, error, request, \
         answer) select v.event_id, v.destination, v.attempt + d.before_again, v.began_at, v.took, v.status, v.outcome, \
         v.error, v.request, v.answer from v join event_deliveries d on d.event_id = v.event_id \
         and d.destination = v.destination where true on conflict (event_id, destination, attempt) do update set \
         began_at = excluded.began_at, took = excluded.took, status = excluded.status, outcome = excluded.outcome, \
         error = excluded.error, request = excluded.request, answer = excluded.answer"
    )
}

fn again(values: &str) -> String {
    format!(
        "insert into event_deliveries (event_id, destination, state, urgent, since, due_at, attempts) values {values} \
         on conflict (event_id, destination) do update set state = excluded.state, owner = null, \
         since = excluded.since, due_at = excluded.due_at, \
         before_again = event_deliveries.before_again + event_deliveries.attempts, attempts = 0, status = null, outcome = null, \
         reason = null, last_at = null where event_deliveries.state <> 'pending'"
    )
}

fn claim(values: &str, rows: usize) -> String {
    // SQLite numbers what has a name in the order of the text.
    let (node, destination) = (rows + 1, rows + 2);
    format!(
        "with v (event_id) as (values {values}) \
         update event_deliveries set owner = ${node} where destination = ${destination} \
         and event_id in (select event_id from v) and state = 'pending' \
         and (owner is null or owner = ${node}) returning event_id"
    )
}

const DUE: &str = "select e.id, e.source, e.input, e.kind, e.subject, e.body, e.published_at, d.attempts, d.since, d.due_at \
    from event_deliveries d join events e on e.id = d.event_id \
    where d.destination = $1 and d.urgent = $2 and d.state = 'pending' and d.owner is null and d.due_at <= $3 \
    order by d.due_at, d.event_id limit $4";
const IN_ORDER: &str = "select e.id, e.source, e.input, e.kind, e.subject, e.body, e.published_at, d.attempts, d.since, d.due_at \
    from event_deliveries d join events e on e.id = d.event_id \
    where d.destination = $1 and d.urgent = $2 and d.state = 'pending' and d.owner is null \
    order by d.event_id limit $3";
const NEXT_DUE: &str = "select due_at from event_deliveries \
    where destination = $1 and urgent = $2 and state = 'pending' and owner is null order by due_at limit 1";
/// The destinations with something pending, found by leaping from one to the next rather than by reading all of it.
const BEHIND: &str = "with recursive behind (destination) as (\
    select min(destination) from event_deliveries where state = 'pending' \
    union all select (select min(d.destination) from event_deliveries d \
    where d.state = 'pending' and d.destination > behind.destination) \
    from behind where behind.destination is not null) \
    select destination from behind where destination is not null";
pub(crate) const RELEASE: &str =
    "update event_deliveries set owner = null where state = 'pending' and owner = $1";
const EXPIRE: &str = "update event_deliveries set state = $5, reason = $6, due_at = $7 where destination = $1 \
    and state = 'pending' and event_id in (select event_id from event_deliveries where destination = $1 \
    and urgent = $2 and state = 'pending' and owner is null and due_at <= $3 and since <= $4 order by due_at limit 500)";
const GIVE_UP: &str = "update event_deliveries set state = 'dropped', owner = null where destination = $1 \
    and state in ('pending', 'dead')";
const DELIVERY: &str = "select event_id, destination, state, due_at, attempts, status, outcome, reason, last_at \
    from event_deliveries where event_id = $1 and destination = $2";

#[derive(FromRow)]
struct WaitingRow {
    #[sqlx(flatten)]
    event: EventRow,
    attempts: i64,
    since: i64,
    due_at: i64,
}

#[derive(FromRow)]
pub(crate) struct DeliveryRow {
    event_id: String,
    destination: String,
    state: String,
    due_at: i64,
    attempts: i64,
    status: Option<i64>,
    outcome: Option<String>,
    reason: Option<String>,
    last_at: Option<i64>,
}

impl Store {
    /// A page of a destination's backlog.
    pub async fn backlog(&self, page: Page<'_>) -> Result<Vec<Waiting>> {
        let rows = match page.due_by {
            Some(due_by) => read!(
                self,
                fetch_all,
                sqlx::query_as::<_, WaitingRow>(DUE)
                    .bind(page.destination.as_str())
                    .bind(page.urgent)
                    .bind(due_by.micros())
                    .bind(i64::from(page.limit))
            )?,
            None => read!(
                self,
                fetch_all,
                sqlx::query_as::<_, WaitingRow>(IN_ORDER)
                    .bind(page.destination.as_str())
                    .bind(page.urgent)
                    .bind(i64::from(page.limit))
            )?,
        };
        rows.into_iter().map(Waiting::try_from).collect()
    }

    /// When the first of a destination's backlog is due.
    pub async fn next_due(
        &self,
        destination: &DestinationId,
        urgent: bool,
    ) -> Result<Option<Timestamp>> {
        let due: Option<i64> = read!(
            self,
            fetch_optional,
            sqlx::query_scalar(NEXT_DUE)
                .bind(destination.as_str())
                .bind(urgent)
        )?;
        Ok(due.map(Timestamp::from_micros))
    }

    /// The destinations with something pending.
    pub async fn destinations_behind(&self) -> Result<Vec<DestinationId>> {
        let rows: Vec<String> = read!(self, fetch_all, sqlx::query_scalar(BEHIND))?;
        Ok(rows.into_iter().map(DestinationId::new).collect())
    }

    /// What became of an event at a destination.
    pub async fn event_delivery(
        &self,
        event: &EventId,
        destination: &DestinationId,
    ) -> Result<Option<Delivery>> {
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, DeliveryRow>(DELIVERY)
                .bind(event.as_str())
                .bind(destination.as_str())
        )?;
        row.map(Delivery::try_from).transpose()
    }
}

impl Tx {
    /// Writes deliveries to be made.
    pub async fn insert_event_deliveries(
        &mut self,
        deliveries: &[impl Borrow<NewDelivery>],
        node: &NodeId,
    ) -> Result<()> {
        for chunk in chunks(deliveries) {
            let sql = insert(&self.values(chunk.len(), NEW_COLUMNS));
            note!(self, sql, |query| {
                for delivery in chunk.iter().map(Borrow::borrow) {
                    query = query
                        .bind(delivery.event.id.as_str())
                        .bind(delivery.destination.as_str())
                        .bind(DeliveryState::Pending.as_str())
                        .bind(delivery.urgent)
                        .bind(delivery.held.then_some(node.as_str()))
                        .bind(delivery.due_at.micros())
                        .bind(delivery.due_at.micros())
                        .bind(0_i64);
                }
                query
            })?;
        }
        Ok(())
    }

    /// Records what follows from attempts. What is not pending any more stays as it is.
    pub async fn settle_event_deliveries(
        &mut self,
        settled: &[impl Borrow<Settlement>],
        node: &NodeId,
    ) -> Result<()> {
        if !settled.is_empty() {
            self.make_room_for(settled.len()).await?;
        }
        for chunk in chunks(settled) {
            let sql = settle(&self.values(chunk.len(), SETTLED_COLUMNS));
            note!(self, sql, |query| {
                for one in chunk.iter().map(Borrow::borrow) {
                    let last = one.last.as_ref();
                    query = query
                        .bind(one.event.id.as_str())
                        .bind(one.destination.as_str())
                        .bind(one.state.as_str())
                        .bind(one.held.then_some(node.as_str()))
                        .bind(one.due_at.micros())
                        .bind(i64::from(one.attempts))
                        .bind(last.and_then(|last| last.status).map(i64::from))
                        .bind(last.map(|last| last.outcome.as_str()))
                        .bind(one.reason.map(Reason::as_str))
                        .bind(last.map(|last| last.at.micros()));
                }
                query
            })?;
        }
        self.insert_event_attempts(settled).await
    }

    async fn insert_event_attempts(&mut self, settled: &[impl Borrow<Settlement>]) -> Result<()> {
        let settled = settled.iter().map(Borrow::borrow);
        let attempts: Vec<_> = settled
            .filter_map(|one| Some((one, one.attempt.as_ref()?)))
            .collect();
        for chunk in chunks(&attempts) {
            let sql = log(&self.values(chunk.len(), ATTEMPT_COLUMNS));
            note!(self, sql, |query| {
                for (one, attempt) in chunk {
                    let took = i64::try_from(attempt.took.as_micros()).unwrap_or(i64::MAX);
                    query = query
                        .bind(one.event.id.as_str())
                        .bind(one.destination.as_str())
                        .bind(i64::from(attempt.number))
                        .bind(attempt.began_at.micros())
                        .bind(took)
                        .bind(attempt.status.map(i64::from))
                        .bind(attempt.outcome.as_str())
                        .bind(attempt.error.as_deref())
                        .bind(attempt.request.as_str())
                        .bind(attempt.answer.as_deref());
                }
                query
            })?;
        }
        Ok(())
    }

    /// Makes deliveries of events again, or for the first time, unless they are pending; says how many.
    pub async fn redeliver(
        &mut self,
        destination: &DestinationId,
        events: &[impl Borrow<EventId>],
        urgent: bool,
        now: Timestamp,
    ) -> Result<u64> {
        let mut made = 0;
        for chunk in chunks(events) {
            let sql = again(&self.values(chunk.len(), AGAIN_COLUMNS));
            made += tx!(self, execute, {
                let mut query = sqlx::query(AssertSqlSafe(sql.as_str()));
                for event in chunk.iter().map(Borrow::borrow) {
                    query = query
                        .bind(event.as_str())
                        .bind(destination.as_str())
                        .bind(DeliveryState::Pending.as_str())
                        .bind(urgent)
                        .bind(now.micros())
                        .bind(now.micros())
                        .bind(0_i64);
                }
                query
            })?;
        }
        Ok(made)
    }

    /// Takes rows of a backlog for `node`; answers those that nobody else has taken. It can be repeated where it is not
    /// known whether it was committed.
    pub async fn claim_deliveries(
        &mut self,
        destination: &DestinationId,
        events: &[impl Borrow<EventId>],
        node: &NodeId,
    ) -> Result<Vec<EventId>> {
        let mut claimed = Vec::with_capacity(events.len());
        for chunk in chunks(events) {
            let sql = claim(&self.values(chunk.len(), 1), chunk.len());
            let ids: Vec<String> = tx!(self, fetch_all, {
                let mut query = sqlx::query_scalar(AssertSqlSafe(sql.as_str()));
                for event in chunk.iter().map(Borrow::borrow) {
                    query = query.bind(event.as_str());
                }
                query.bind(node.as_str()).bind(destination.as_str())
            })?;
            claimed.extend(ids.into_iter().map(EventId::new));
        }
        Ok(claimed)
    }

    /// Gives back everything that a node held which holds nothing any more.
    pub async fn release_deliveries(&mut self, node: &NodeId) -> Result<u64> {
        Ok(tx!(
            self,
            execute,
            sqlx::query(RELEASE).bind(node.as_str())
        )?)
    }

    /// Gives up what is due of a backlog and whose time to live began by then, some hundreds at a time; says how many.
    pub async fn expire_deliveries(
        &mut self,
        destination: &DestinationId,
        urgent: bool,
        began_by: Timestamp,
        now: Timestamp,
        end: (DeliveryState, Timestamp),
    ) -> Result<u64> {
        Ok(tx!(
            self,
            execute,
            sqlx::query(EXPIRE)
                .bind(destination.as_str())
                .bind(urgent)
                .bind(now.micros())
                .bind(began_by.micros())
                .bind(end.0.as_str())
                .bind(Reason::TimeToLiveExceeded.as_str())
                .bind(end.1.micros())
        )?)
    }

    /// Gives up whatever waits for a destination that is gone.
    pub async fn drop_deliveries(&mut self, destination: &DestinationId) -> Result<u64> {
        Ok(tx!(
            self,
            execute,
            sqlx::query(GIVE_UP).bind(destination.as_str())
        )?)
    }
}

impl TryFrom<WaitingRow> for Waiting {
    type Error = Error;

    fn try_from(row: WaitingRow) -> Result<Self> {
        Ok(Self {
            event: row.event.try_into()?,
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            since: Timestamp::from_micros(row.since),
            due_at: Timestamp::from_micros(row.due_at),
        })
    }
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = Error;

    fn try_from(row: DeliveryRow) -> Result<Self> {
        let bad = |problem: &str| Error::BadRow {
            table: "event_deliveries",
            key: row.event_id.clone(),
            problem: problem.to_owned(),
        };
        let state = DeliveryState::parse(&row.state).ok_or_else(|| bad("unknown state"))?;
        let reason = match &row.reason {
            Some(word) => Some(Reason::parse(word).ok_or_else(|| bad("unknown reason"))?),
            None => None,
        };
        let last = row
            .last_at
            .zip(row.outcome.clone())
            .map(|(at, outcome)| LastAttempt {
                at: Timestamp::from_micros(at),
                status: row.status.and_then(|status| u16::try_from(status).ok()),
                outcome,
            });
        Ok(Self {
            state,
            reason,
            last,
            due_at: Timestamp::from_micros(row.due_at),
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            event: EventId::new(row.event_id),
            destination: DestinationId::new(row.destination),
        })
    }
}
