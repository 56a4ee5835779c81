//! What can go wrong below the use cases.

use std::sync::Arc;

use sqlx::error::DatabaseError;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused a statement, or could not be opened.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// The database cannot be reached, or not be written: it restarts, its disk is full. The same may succeed later.
    #[error("the database cannot be used now: {0}")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A row holds what no version of Carillon writes.
    #[error("table {table}, row {key}: {problem}")]
    BadRow {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A sealed value does not open: another master key, or the value was changed.
    #[error("a sealed value does not open with this master key")]
    Sealed,
    /// The queue of a batcher is full: the caller should answer "busy".
    #[error("the store is busy: its write queue is full")]
    Busy,
    /// A text has the character U+0000, which PostgreSQL keeps in none.
    #[error("a text has the character U+0000, which cannot be kept")]
    Nul,
    /// The batcher has stopped.
    #[error("the store is stopping")]
    Stopping,
    /// The database URL is of no engine we know.
    #[error("database URL '{0}' is neither sqlite: nor postgres:")]
    UnknownEngine(String),
}

impl Error {
    /// Whether a unique or primary key already held the value.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(inner)) if inner.is_unique_violation())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let of_database = error.as_database_error();
        match of_database.and_then(DatabaseError::code).as_deref() {
            // character_not_in_repertoire: Rust's texts are UTF-8 throughout, so nothing else can be meant.
            Some("22021") => Self::Nul,
            _ if is_passing(&error) => Self::Unavailable(Arc::new(error)),
            _ => Self::Database(error),
        }
    }
}

/// Whether an error says something of the database and nothing of the statement.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::BeginFailed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(said) => said.code().is_some_and(|code| is_passing_code(&code)),
        _ => false,
    }
}

/// SQLite's result codes are decimal numbers, extended ones with the primary in the low byte
/// (<https://sqlite.org/rescode.html>); PostgreSQL's are five characters, the first two of them a class (appendix A).
fn is_passing_code(code: &str) -> bool {
    if let (1..5, Ok(number)) = (code.len(), code.parse::<u32>()) {
        // busy, locked, no memory, read-only, input or output, full, cannot open
        return matches!(number & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14);
    }
    // connection, rollback by conflict, resources, operator, system
    let class = ["08", "40", "53", "57", "58"];
    // read-only: the node was demoted; a lock was not to be had in time
    class.iter().any(|class| code.starts_with(class)) || ["25006", "55P03"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_wrong_with_a_statement() {
        // SQLITE_BUSY, _FULL, _IOERR_WRITE, _CANTOPEN; disk full, admin shutdown, cannot connect now, deadlock.
        for code in ["5", "13", "778", "14", "53100", "57P01", "57P03", "40P01"] {
            assert!(is_passing_code(code), "{code}");
        }
        // SQLITE_ERROR, _CONSTRAINT_PRIMARYKEY, _CORRUPT; unique violation, syntax error, no such table.
        for code in ["1", "1555", "11", "23505", "42601", "42P01"] {
            assert!(!is_passing_code(code), "{code}");
        }
        assert!(is_passing(&sqlx::Error::PoolTimedOut));
        assert!(!is_passing(&sqlx::Error::RowNotFound));
    }
}
