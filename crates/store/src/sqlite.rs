//! The one connection of an SQLite database that writes, and its transactions.
//!
//! The connection lives on a thread of its own, and a trip there and back costs more than most statements. So it is no
//! pool, which would ask whether the thread still answers before and after each transaction; `begin` goes with the first
//! statement, `commit` with the last, and what nobody waits for ([`Writing::note`]) with the one after it. Named
//! values are kept in memory ([`Remembered`]).

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteQueryResult, SqliteRow, SqliteStatement,
    SqliteTypeInfo,
};
use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, Connection, Describe, Either, Execute, Executor,
    SqlStr, Sqlite, SqliteConnection,
};
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use crate::db::ACQUIRE_TIMEOUT;
use crate::{Error, Result};

/// The writer; cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    options: Arc<SqliteConnectOptions>,
    /// Nothing once it is closed.
    open: Arc<Mutex<Option<Open>>>,
    pub(crate) remembered: Remembered,
}

/// Named values (`meta`) that were read in transactions, as they stand in the database.
///
/// Another process may change them too, as `carillon app` does beside a server: whoever reads another value without a
/// transaction says so. What is forgotten is read again, so forgetting too much is never wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered(Arc<std::sync::Mutex<HashMap<String, Option<String>>>>);

#[derive(Debug)]
struct Open {
    connection: SqliteConnection,
    /// Whether a transaction has been begun and not ended: whoever is next rolls it back.
    in_transaction: bool,
}

/// A transaction. Dropped without [`Writing::commit`], it is rolled back.
#[derive(Debug)]
pub(crate) struct Writing {
    open: OwnedMappedMutexGuard<Option<Open>, Open>,
    pub(crate) remembered: Remembered,
    /// What goes with the next statement.
    noted: String,
    arguments: SqliteArguments,
}

impl Writer {
    /// Writes through `connection`, which was opened with `options`.
    pub(crate) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self {
            options: Arc::new(options),
            open: Arc::new(Mutex::new(Some(Open::new(connection)))),
            remembered: Remembered::default(),
        }
    }

    /// Waits until nobody else writes.
    pub(crate) async fn begin(&self) -> Result<Writing> {
        let lock = Arc::clone(&self.open).lock_owned();
        let lock = tokio::time::timeout(ACQUIRE_TIMEOUT, lock).await;
        let open = lock.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let mut open = OwnedMutexGuard::try_map(open, Option::as_mut)
            .map_err(|_| Error::from(sqlx::Error::PoolClosed))?;
        if open.in_transaction {
            self.roll_back(&mut open).await?;
        }
        Ok(Writing {
            open,
            remembered: self.remembered.clone(),
            noted: BEGIN.to_owned(),
            arguments: SqliteArguments::default(),
        })
    }

    /// Closes the connection, after the transaction under way.
    pub(crate) async fn close(&self) {
        if let Some(open) = self.open.lock().await.take() {
            // Everything committed is durable; there is nothing to be done about a file that does not close.
            let _ = open.connection.close().await;
        }
    }

    /// SQLite ends some transactions by itself, as when the disk is full. Where there is none to roll back, or that fails,
    /// the connection is exchanged.
    async fn roll_back(&self, open: &mut Open) -> Result<()> {
        // They may have been read after the transaction had changed them.
        self.remembered.clear();
        let rolled_back = open.connection.execute("rollback").await;
        match rolled_back {
            Ok(_) => open.in_transaction = false,
            Err(_) => *open = Open::new(self.options.connect().await?),
        }
        Ok(())
    }
}

impl Open {
    fn new(connection: SqliteConnection) -> Self {
        Self {
            connection,
            in_transaction: false,
        }
    }
}

impl Remembered {
    /// The value of `name`, or that it has none, if that is known.
    pub(crate) fn get(&self, name: &str) -> Option<Option<String>> {
        self.lock().get(name).cloned()
    }

    /// `name` was read in a transaction.
    pub(crate) fn put(&self, name: &str, value: Option<String>) {
        self.lock().insert(name.to_owned(), value);
    }

    /// `name` is about to change.
    pub(crate) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// `name` was read without a transaction: if it is not as remembered, one of the two is old.
    pub(crate) fn compare(&self, name: &str, value: Option<&String>) {
        let mut all = self.lock();
        if all.get(name).is_some_and(|known| known.as_ref() != value) {
            all.remove(name);
        }
    }

    fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// A statement to be bound and given to [`Writing::note`]. Its parameters are `?`: numbers would count what was
    /// noted before.
    pub(crate) fn statement(&mut self, sql: &str) -> Query<'static, Sqlite, SqliteArguments> {
        self.append(sql);
        sqlx::query_with("", std::mem::take(&mut self.arguments))
    }

    /// Leaves a statement to go with the next, or with the commit.
    pub(crate) async fn note(
        &mut self,
        mut statement: Query<'_, Sqlite, SqliteArguments>,
    ) -> sqlx::Result<()> {
        let arguments = statement.take_arguments().map_err(sqlx::Error::Encode)?;
        self.arguments = arguments.unwrap_or_default();
        match self.arguments.len() < ENOUGH {
            true => Ok(()),
            false => self.send().await,
        }
    }

    /// For a statement that is answered: what was noted goes before it.
    pub(crate) async fn executor(&mut self) -> sqlx::Result<&mut Self> {
        self.send_noted().await?;
        Ok(self)
    }

    /// See [`Tx::make_room_for`](crate::Tx::make_room_for).
    pub(crate) async fn make_room_for(&mut self, rows: usize) -> sqlx::Result<()> {
        match rows <= FEW_ROWS && self.arguments.len() <= FEW {
            true => Ok(()),
            false => self.send_noted().await,
        }
    }

    /// Runs what was noted, unless that is `begin` alone.
    async fn send_noted(&mut self) -> sqlx::Result<()> {
        match self.noted.is_empty() || self.noted == BEGIN {
            true => Ok(()),
            false => self.send().await,
        }
    }

    /// Makes everything done in the transaction durable.
    pub(crate) async fn commit(mut self) -> sqlx::Result<()> {
        if self.noted == BEGIN {
            return Ok(());
        }
        self.append(COMMIT);
        self.send().await?;
        self.open.in_transaction = false;
        Ok(())
    }

    fn append(&mut self, sql: &str) {
        let after = if self.noted.is_empty() { "" } else { "; " };
        self.noted.extend([after, sql]);
    }

    async fn send(&mut self) -> sqlx::Result<()> {
        let sql = AssertSqlSafe(std::mem::take(&mut self.noted));
        let query = sqlx::query_with(sql, std::mem::take(&mut self.arguments));
        self.connection().execute(query).await.map(drop)
    }

    fn connection(&mut self) -> &mut SqliteConnection {
        self.open.in_transaction = true;
        &mut self.open.connection
    }

    /// The statement with `begin` before it.
    fn begun<'q>(
        &mut self,
        mut query: impl Execute<'q, Sqlite>,
    ) -> sqlx::Result<Query<'static, Sqlite, SqliteArguments>> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        let persistent = query.persistent() && arguments.is_some();
        let begin = std::mem::take(&mut self.noted);
        let sql = AssertSqlSafe(format!("{begin}; {}", query.sql().as_str()));
        let query = sqlx::query_with(sql, arguments.unwrap_or_default());
        Ok(query.persistent(persistent))
    }
}

type Step = sqlx::Result<Either<SqliteQueryResult, SqliteRow>>;

impl<'c> Executor<'c> for &'c mut Writing {
    type Database = Sqlite;

    fn fetch_many<'e, 'q, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: Execute<'q, Sqlite>,
        'q: 'e,
        E: 'q,
    {
        if self.noted.is_empty() {
            return self.connection().fetch_many(query);
        }
        let query = match self.begun(query) {
            Ok(query) => query,
            Err(error) => return stream::once(ready(Err(error))).boxed(),
        };
        // `begin` has a result of its own: the rows that the statement before it changed.
        let mut begun = false;
        let is_own = move |step: &Step| {
            let is_begin = !begun && matches!(step, Ok(Either::Left(_)));
            begun |= is_begin;
            ready(!is_begin)
        };
        self.connection().fetch_many(query).filter(is_own).boxed()
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<SqliteRow>>>
    where
        'c: 'e,
        E: Execute<'q, Sqlite>,
        'q: 'e,
        E: 'q,
    {
        if self.noted.is_empty() {
            return self.connection().fetch_optional(query);
        }
        match self.begun(query) {
            Ok(query) => self.connection().fetch_optional(query),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<SqliteStatement>>
    where
        'c: 'e,
    {
        self.connection().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Sqlite>>>
    where
        'c: 'e,
    {
        self.connection().describe(sql)
    }
}

/// At once, so that nobody else can write between what is read and what follows from it.
const BEGIN: &str = "begin immediate";
const COMMIT: &str = "commit";
/// Parameters of what is noted: more save no trip worth the name, and each combination of lengths is a text to prepare
/// and to keep.
const ENOUGH: usize = 1_024;
/// Parameters that are few: what eight publishers publish at once.
const FEW: usize = 128;
const FEW_ROWS: usize = 8;

#[cfg(test)]
mod tests {
    use crate::Store;
    use crate::seal::Seal;

    async fn store() -> (Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("writer.db").display());
        let store = Store::open(&url, Seal::new(&[1; 32])).await.unwrap();
        (store, dir)
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_leaves_nothing_and_holds_up_nobody() {
        let (store, _dir) = store().await;
        let mut tx = store.begin().await.unwrap();
        tx.set_meta("dropped", "1").await.unwrap();
        drop(tx);
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.meta("dropped").await.unwrap(), None);
        tx.set_meta("kept", "1").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.meta("kept").await.unwrap().as_deref(), Some("1"));
    }

    #[tokio::test]
    async fn what_is_remembered_of_named_values_is_what_stands_in_the_database() {
        let (store, _dir) = store().await;
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.meta("name").await.unwrap(), None);
        tx.set_meta("name", "1").await.unwrap();
        assert_eq!(tx.meta("name").await.unwrap().as_deref(), Some("1"));
        tx.commit().await.unwrap();
        let mut dropped = store.begin().await.unwrap();
        dropped.set_meta("name", "2").await.unwrap();
        assert_eq!(dropped.meta("name").await.unwrap().as_deref(), Some("2"));
        drop(dropped);
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.meta("name").await.unwrap().as_deref(), Some("1"));
        assert!(tx.take_meta("name", "1").await.unwrap());
        assert_eq!(tx.meta("name").await.unwrap(), None);
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_another_process_writes_is_not_overlooked() {
        let (store, dir) = store().await;
        let mut tx = store.begin().await.unwrap();
        tx.set_meta("name", "1").await.unwrap();
        assert_eq!(tx.meta("name").await.unwrap().as_deref(), Some("1"));
        tx.commit().await.unwrap();
        let url = format!("sqlite:{}", dir.path().join("writer.db").display());
        let other = Store::open(&url, Seal::new(&[1; 32])).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        tx.set_meta("name", "2").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.meta("name").await.unwrap().as_deref(), Some("2"));
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.meta("name").await.unwrap().as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn a_transaction_that_is_cut_off_anywhere_is_undone_as_a_whole() {
        let (store, _dir) = store().await;
        for polls in 0..12 {
            let write = async {
                let mut tx = store.begin().await.unwrap();
                tx.set_meta("first", "1").await.unwrap();
                tx.set_meta("second", "1").await.unwrap();
                tx.commit().await.unwrap();
            };
            let mut write = Box::pin(write);
            for _ in 0..polls {
                if futures_util::poll!(&mut write).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(write);
            let mut tx = store.begin().await.unwrap();
            let both = (
                tx.meta("first").await.unwrap(),
                tx.meta("second").await.unwrap(),
            );
            assert_eq!(both.0, both.1, "cut off after {polls} polls");
            for name in ["first", "second"] {
                tx.take_meta(name, "1").await.unwrap();
            }
            tx.commit().await.unwrap();
        }
    }

    #[tokio::test]
    async fn counts_are_of_the_statement_and_not_of_begin() {
        let (store, _dir) = store().await;
        let mut tx = store.begin().await.unwrap();
        tx.set_meta("a", "1").await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        assert!(!tx.take_meta("a", "other").await.unwrap());
        tx.commit().await.unwrap();
        let mut tx = store.begin().await.unwrap();
        assert!(tx.take_meta("a", "1").await.unwrap());
        tx.commit().await.unwrap();
    }
}
