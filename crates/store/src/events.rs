//! Events, written in the transaction of the change that caused them.

use domain::event::Event;
use domain::id::EventId;
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{read, tx};
use crate::{Error, Result, Store, Tx};

const INSERT: &str = "insert into events (id, topic, kind, subject, data, occurred_at) values ($1, $2, $3, $4, $5, $6)";
const AFTER: &str = "select id, topic, kind, subject, data, occurred_at from events
    where occurred_at > $1 or (occurred_at = $1 and id > $2) order by occurred_at, id limit $3";

#[derive(FromRow)]
struct Row {
    id: String,
    topic: String,
    kind: String,
    subject: String,
    data: String,
    occurred_at: i64,
}

impl Store {
    /// Up to `limit` events after the one that happened at `at` and has the id `id`, oldest first.
    pub async fn events_after(&self, at: Timestamp, id: &str, limit: u32) -> Result<Vec<Event>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, Row>(AFTER)
                .bind(at.micros())
                .bind(id)
                .bind(i64::from(limit))
        )?;
        rows.into_iter().map(Event::try_from).collect()
    }
}

impl Tx {
    /// Writes events that happened.
    pub async fn insert_events(&mut self, events: &[Event]) -> Result<()> {
        for event in events {
            tx!(
                self,
                execute,
                sqlx::query(INSERT)
                    .bind(event.id.as_str())
                    .bind(&event.topic)
                    .bind(&event.kind)
                    .bind(&event.subject)
                    .bind(event.data.to_string())
                    .bind(event.at.micros())
            )?;
        }
        Ok(())
    }
}

impl TryFrom<Row> for Event {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let data = serde_json::from_str(&row.data).map_err(|error| Error::BadRow {
            table: "events",
            key: row.id.clone(),
            problem: error.to_string(),
        })?;
        Ok(Self {
            id: EventId::new(row.id),
            topic: row.topic,
            kind: row.kind,
            subject: row.subject,
            data,
            at: Timestamp::from_micros(row.occurred_at),
        })
    }
}
