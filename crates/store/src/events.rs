//! Events: written with the change that caused them, or accepted from a publisher; read, swept.
//!
//! Publications are accepted in batches ([`EventWriter`]): one statement a table and one commit for everything that
//! queued up meanwhile.

use std::borrow::Borrow;
use std::sync::Arc;

use domain::event::Event;
use domain::id::{EventId, NodeId, SourceId};
use domain::time::Timestamp;
use sqlx::FromRow;
use wire::event::InputSchema;

use crate::db::{note, read, tx};
use crate::event_deliveries::NewDelivery;
use crate::values::chunks;
use crate::{Error, Result, Store, Tx};

mod writer;

pub use writer::EventWriter;

/// A publication: its events and where they go, all or nothing.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The version of the subscriptions that the events were matched with.
    pub version: Option<String>,
    /// The events.
    pub events: Vec<Arc<Event>>,
    /// Where each goes.
    pub deliveries: Vec<NewDelivery>,
}

/// What became of a [`Publication`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is durable.
    Durable,
    /// Subscriptions have changed since it was matched: nothing was written.
    Outdated,
}

const COLUMNS: usize = 7;

fn insert(values: &str) -> String {
    format!(
        "insert into events (id, source, input, kind, subject, body, published_at) values {values}"
    )
}

const EVENT: &str =
    "select id, source, input, kind, subject, body, published_at from events where id = $1";
const LAST: &str = "select max(id) from events";
const AFTER: &str = "select id, source, input, kind, subject, body, published_at from events \
    where id > $1 order by id limit $2";
const OF_SOURCE: &str = "select id, source, input, kind, subject, body, published_at from events \
    where source = $1 and id >= $2 and id < $3 order by id limit $4";
// The id stands in the body alone; bodies with another member of this name and value are sorted out by the caller.
const PUBLISHED_AS: &str = "select id, source, input, kind, subject, body, published_at from \
    (select id, source, input, kind, subject, body, published_at from events where source = $1 order by id desc limit 10000) as recent \
    where body like $2 escape '!' order by id desc limit 100";
const SWEEP: [&str; 3] = [
    "delete from event_attempts where event_id in (select e.id from events e where e.id < $1 and not exists \
     (select 1 from event_deliveries d where d.event_id = e.id and d.state in ('pending', 'dead')) \
     order by e.id limit $2)",
    "delete from event_deliveries where event_id in (select e.id from events e where e.id < $1 and not exists \
     (select 1 from event_deliveries d where d.event_id = e.id and d.state in ('pending', 'dead')) \
     order by e.id limit $2)",
    "delete from events where id in (select e.id from events e where e.id < $1 and not exists \
     (select 1 from event_deliveries d where d.event_id = e.id and d.state in ('pending', 'dead')) \
     order by e.id limit $2)",
];

#[derive(FromRow)]
pub(crate) struct EventRow {
    id: String,
    source: String,
    input: String,
    kind: String,
    subject: String,
    body: String,
    published_at: i64,
}

impl Store {
    /// An event.
    pub async fn event(&self, id: &EventId) -> Result<Option<Event>> {
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, EventRow>(EVENT).bind(id.as_str())
        )?;
        row.map(Event::try_from).transpose()
    }

    /// The greatest id of an event.
    pub async fn last_event(&self) -> Result<Option<EventId>> {
        let last: Option<String> = read!(self, fetch_one, sqlx::query_scalar(LAST))?;
        Ok(last.map(EventId::new))
    }

    /// Up to `limit` events after the one with the id `id`, in the order of acceptance.
    pub async fn events_after(&self, id: &str, limit: u32) -> Result<Vec<Event>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, EventRow>(AFTER)
                .bind(id)
                .bind(i64::from(limit))
        )?;
        rows.into_iter().map(Event::try_from).collect()
    }

    /// Up to `limit` events of a source from the id `from` on and before the id `to`, in the order of acceptance.
    pub async fn events_of(
        &self,
        source: &SourceId,
        from: &str,
        to: &str,
        limit: u32,
    ) -> Result<Vec<Event>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, EventRow>(OF_SOURCE)
                .bind(source.as_str())
                .bind(from)
                .bind(to)
                .bind(i64::from(limit))
        )?;
        rows.into_iter().map(Event::try_from).collect()
    }

    /// The newest event of a source that its publisher gave this id, among the last 10,000.
    pub async fn event_published_as(&self, source: &SourceId, id: &str) -> Result<Option<Event>> {
        let quoted = serde_json::to_string(id).unwrap_or_default();
        let literal = quoted
            .replace('!', "!!")
            .replace('%', "!%")
            .replace('_', "!_");
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, EventRow>(PUBLISHED_AS)
                .bind(source.as_str())
                .bind(format!("%\"id\":{literal}%"))
        )?;
        #[derive(serde::Deserialize)]
        struct Named {
            id: String,
        }
        let is_meant = |event: &Event| {
            serde_json::from_str::<Named>(&event.body).is_ok_and(|named| named.id == id)
        };
        for row in rows {
            let event = Event::try_from(row)?;
            if is_meant(&event) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

impl Tx {
    /// Records the publications that were matched with the subscriptions as they are, and says of each what became
    /// of it.
    pub async fn record_publications(
        &mut self,
        publications: &[impl Borrow<Publication>],
        version: &str,
        node: &NodeId,
    ) -> Result<Vec<Recorded>> {
        if publications.is_empty() {
            return Ok(Vec::new());
        }
        let current = self.meta(version).await?;
        let recorded: Vec<_> = publications
            .iter()
            .map(|one| match one.borrow().version == current {
                true => Recorded::Durable,
                false => Recorded::Outdated,
            })
            .collect();
        let fresh = || {
            let all = publications.iter().map(Borrow::borrow);
            all.filter(|one: &&Publication| one.version == current)
        };
        let events: Vec<&Event> = fresh()
            .flat_map(|one| &one.events)
            .map(|event| &**event)
            .collect();
        self.insert_events(&events).await?;
        let deliveries: Vec<&NewDelivery> = fresh().flat_map(|one| &one.deliveries).collect();
        self.insert_event_deliveries(&deliveries, node).await?;
        Ok(recorded)
    }

    /// Writes events.
    pub async fn insert_events(&mut self, events: &[impl Borrow<Event>]) -> Result<()> {
        for chunk in chunks(events) {
            let sql = insert(&self.values(chunk.len(), COLUMNS));
            note!(self, sql, |query| {
                for event in chunk.iter().map(Borrow::borrow) {
                    query = query
                        .bind(event.id.as_str())
                        .bind(event.source.as_str())
                        .bind(event.input.as_str())
                        .bind(event.kind.as_str())
                        .bind(event.subject.as_str())
                        .bind(event.body.as_str())
                        .bind(event.published_at.micros());
                }
                query
            })?;
        }
        Ok(())
    }

    /// Deletes up to `limit` events before the id `before` with their deliveries and attempts, unless one is still to be
    /// delivered or dead-lettered; says how many.
    pub async fn sweep_events(&mut self, before: &EventId, limit: u32) -> Result<u64> {
        let mut swept = 0;
        for sql in SWEEP {
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
}

impl TryFrom<EventRow> for Event {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self> {
        let input = InputSchema::parse(&row.input).ok_or_else(|| Error::BadRow {
            table: "events",
            key: row.id.clone(),
            problem: format!("unknown schema '{}'", row.input),
        })?;
        Ok(Self {
            id: EventId::new(row.id),
            source: SourceId::new(row.source),
            input,
            kind: row.kind,
            subject: row.subject,
            body: row.body,
            published_at: Timestamp::from_micros(row.published_at),
        })
    }
}
