//! Requests that a client may repeat, with the answers they get each time.

use domain::time::Timestamp;
use serde_json::Value;
use sqlx::FromRow;

use crate::db::{read, tx};
use crate::{Error, Result, Store, Tx};

const GET: &str =
    "select operation, answer from repeatable_requests where communication = $1 and id = $2";
const INSERT: &str =
    "insert into repeatable_requests (communication, id, operation, answer, created_at)
    values ($1, $2, $3, $4, $5) on conflict (communication, id) do nothing";
const SWEEP: &str = "delete from repeatable_requests where created_at < $1";

/// A request that was executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// Method and path.
    pub operation: String,
    /// What it was answered.
    pub answer: Value,
}

#[derive(FromRow)]
struct Row {
    operation: String,
    answer: String,
}

impl Store {
    /// The request with this id, if it was executed.
    pub async fn executed(&self, communication: &str, id: &str) -> Result<Option<Executed>> {
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, Row>(GET).bind(communication).bind(id)
        )?;
        let Some(row) = row else { return Ok(None) };
        let answer = serde_json::from_str(&row.answer).map_err(|error| Error::BadRow {
            table: "repeatable_requests",
            key: id.to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Some(Executed {
            operation: row.operation,
            answer,
        }))
    }
}

impl Tx {
    /// Writes down a request with what it did; `false` if it was executed before.
    pub async fn insert_executed(
        &mut self,
        communication: &str,
        id: &str,
        executed: &Executed,
        at: Timestamp,
    ) -> Result<bool> {
        let count = tx!(
            self,
            execute,
            sqlx::query(INSERT)
                .bind(communication)
                .bind(id)
                .bind(&executed.operation)
                .bind(executed.answer.to_string())
                .bind(at.micros())
        )?;
        Ok(count == 1)
    }

    /// Forgets requests executed before `before`.
    pub async fn sweep_executed(&mut self, before: Timestamp) -> Result<u64> {
        Ok(tx!(
            self,
            execute,
            sqlx::query(SWEEP).bind(before.micros())
        )?)
    }
}
