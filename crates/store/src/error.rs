//! What can go wrong below the use cases.

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database could not be opened, reached or written.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
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
