//! The two engines behind one [`Store`]: pools, transactions, migrations, and the macros that run a
//! statement on whichever is open.
//!
//! SQLite has one writer connection and a pool of readers (WAL, `synchronous=FULL`); PostgreSQL one pool.
//! A statement uses only what both have: `$1` parameters, `on conflict`, `returning`, keyset paging.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres, SqlitePool, Transaction};

use crate::schema::migrator;
use crate::seal::Seal;
use crate::sqlite::{Writer, Writing};
use crate::{Error, Result};

/// An open database.
#[derive(Clone)]
pub struct Store {
    pub(crate) engine: Engine,
    pub(crate) seal: Arc<Seal>,
}

#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite { read: SqlitePool, write: Writer },
    Postgres(PgPool),
}

/// A transaction. Dropped without [`Tx::commit`], it is rolled back.
pub struct Tx {
    pub(crate) inner: TxInner,
    pub(crate) seal: Arc<Seal>,
}

pub(crate) enum TxInner {
    Sqlite(Writing),
    Postgres(Transaction<'static, Postgres>),
}

/// Runs a built query in a transaction: `tx!(self, execute, sqlx::query(SQL).bind(x))`.
/// The method is one of `execute`, `fetch_one`, `fetch_optional`, `fetch_all`.
macro_rules! tx {
    ($tx:expr, $method:ident, $query:expr) => {
        match &mut $tx.inner {
            $crate::db::TxInner::Sqlite(writing) => match writing.executor().await {
                Ok(writing) => $query
                    .$method(writing)
                    .await
                    .map(|done| $crate::db::rows!($method, done)),
                Err(error) => Err(error),
            },
            $crate::db::TxInner::Postgres(connection) => $query
                .$method(&mut **connection)
                .await
                .map(|done| $crate::db::rows!($method, done)),
        }
    };
}

/// A statement of this text that nobody waits for: `note!(self, sql, |query| …)` binds it. SQLite runs it with the
/// next, PostgreSQL at once. Parameters are those of [`Tx::values`].
macro_rules! note {
    ($tx:expr, $sql:expr, |$query:ident| $bound:expr) => {
        match &mut $tx.inner {
            $crate::db::TxInner::Sqlite(writing) => {
                let mut $query = writing.statement(&$sql);
                let bound = $bound;
                writing.note(bound).await
            }
            $crate::db::TxInner::Postgres(connection) => {
                let mut $query = sqlx::query(sqlx::AssertSqlSafe($sql.as_str()));
                $bound.execute(&mut **connection).await.map(drop)
            }
        }
    };
}

/// Runs a built query that only reads, outside a transaction: `read!(self, fetch_all, sqlx::query_as::<_, Row>(SQL))`.
macro_rules! read {
    ($store:expr, $method:ident, $query:expr) => {
        match &$store.engine {
            $crate::db::Engine::Sqlite { read, .. } => $query
                .$method(read)
                .await
                .map(|done| $crate::db::rows!($method, done)),
            $crate::db::Engine::Postgres(pool) => $query
                .$method(pool)
                .await
                .map(|done| $crate::db::rows!($method, done)),
        }
    };
}

/// `execute` answers with each engine's own result type: only the count of rows leaves the macro.
macro_rules! rows {
    (execute, $done:expr) => {
        $done.rows_affected()
    };
    ($method:ident, $done:expr) => {
        $done
    };
}

pub(crate) use {note, read, rows, tx};

/// PostgreSQL's alone.
const CLOCK: &str = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";

/// Statements that a connection keeps prepared; one of many rows is another for each length.
const STATEMENTS: usize = 256;
const READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 16;
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

impl Store {
    /// Opens `sqlite:PATH` or `postgres://…` and brings its schema up to date.
    pub async fn open(url: &str, seal: Seal) -> Result<Self> {
        let engine = if url.starts_with("sqlite:") {
            Engine::open_sqlite(url).await?
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Engine::open_postgres(url).await?
        } else {
            return Err(Error::UnknownEngine(without_password(url)));
        };
        Ok(Self {
            engine,
            seal: Arc::new(seal),
        })
    }

    /// Opens a database as it is, to look at it: nothing is made, nothing is changed. It must be there.
    pub async fn open_as_is(url: &str, seal: Seal) -> Result<Self> {
        let engine = if url.starts_with("sqlite:") {
            let options = SqliteConnectOptions::from_str(url)?.read_only(true);
            let pool = SqlitePoolOptions::new().max_connections(1);
            Engine::Sqlite {
                read: pool.connect_with(options.clone()).await?,
                write: Writer::new(options.clone(), options.connect().await?),
            }
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options =
                PgConnectOptions::from_str(url)?.options([("default_transaction_read_only", "on")]);
            let pool = PgPoolOptions::new().max_connections(1);
            Engine::Postgres(connect_postgres(pool.acquire_timeout(LOOK_TIMEOUT), options).await?)
        } else {
            return Err(Error::UnknownEngine(without_password(url)));
        };
        Ok(Self {
            engine,
            seal: Arc::new(seal),
        })
    }

    /// Begins a transaction that may write. On SQLite it waits for the one writer.
    pub async fn begin(&self) -> Result<Tx> {
        let inner = match &self.engine {
            Engine::Sqlite { write, .. } => TxInner::Sqlite(write.begin().await?),
            Engine::Postgres(pool) => TxInner::Postgres(pool.begin().await?),
        };
        Ok(Tx {
            inner,
            seal: Arc::clone(&self.seal),
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        read!(self, fetch_one, sqlx::query_scalar::<_, i32>("select 1"))?;
        Ok(())
    }

    /// The time at the database's machine; SQLite has no clock but this machine's.
    pub async fn clock(&self) -> Result<Option<Timestamp>> {
        let Engine::Postgres(pool) = &self.engine else {
            return Ok(None);
        };
        let now: i64 = sqlx::query_scalar(CLOCK).fetch_one(pool).await?;
        Ok(Some(Timestamp::from_micros(now)))
    }

    /// The engine's name, for logs and `doctor`.
    pub fn engine_name(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite { .. } => "sqlite",
            Engine::Postgres(_) => "postgres",
        }
    }

    /// Seals and opens secrets with the master key of this store.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Closes every connection, after the statements under way.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Before `rows` more are noted: runs what was noted so far, unless both are few. Each pair of two lengths is a text
    /// of its own to prepare and to keep.
    pub(crate) async fn make_room_for(&mut self, rows: usize) -> Result<()> {
        match &mut self.inner {
            TxInner::Sqlite(writing) => writing.make_room_for(rows).await?,
            TxInner::Postgres(_) => {}
        }
        Ok(())
    }

    /// Makes everything done in the transaction durable.
    pub async fn commit(self) -> Result<()> {
        match self.inner {
            TxInner::Sqlite(writing) => writing.commit().await?,
            TxInner::Postgres(inner) => inner.commit().await?,
        }
        Ok(())
    }
}

/// Makes the file of a new database, for its owner alone. SQLite gives the files beside it the same mode.
fn make_private(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

impl Engine {
    async fn open_sqlite(url: &str) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            // A statement of many rows notes how to undo itself: in memory, not in a file for each.
            .pragma("temp_store", "memory")
            .statement_cache_capacity(STATEMENTS);
        // What is wrong with the file the connection says better.
        let _ = make_private(options.get_filename());
        let mut connection = options.connect().await?;
        migrator().run(&mut connection).await?;
        let write = Writer::new(options.clone(), connection);
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Its thread always answers: a test before each use is a trip there and back for nothing.
            .test_before_acquire(false)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self::Sqlite { read, write })
    }

    async fn open_postgres(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS);
        let options = PgConnectOptions::from_str(url)?.statement_cache_capacity(STATEMENTS);
        let pool = connect_postgres(pool.acquire_timeout(ACQUIRE_TIMEOUT), options).await?;
        migrator().run(&pool).await?;
        Ok(Self::Postgres(pool))
    }
}

/// Opens a pool. It tries again until its time is up, and then has forgotten why: a last try says it.
async fn connect_postgres(pool: PgPoolOptions, options: PgConnectOptions) -> Result<PgPool> {
    match pool.connect_with(options.clone()).await {
        Err(sqlx::Error::PoolTimedOut) => {
            let last = PgConnection::connect_with(&options);
            if let Ok(connected) = tokio::time::timeout(LOOK_TIMEOUT, last).await {
                connected?.close().await?;
            }
            Err(sqlx::Error::PoolTimedOut.into())
        }
        opened => Ok(opened?),
    }
}

/// The URL as it may be shown: whatever stands between `://` and `@` is left out.
pub(crate) fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn insert(store: &Store, bytes: usize) -> Result<()> {
        let mut tx = store.begin().await?;
        let text = "x".repeat(bytes);
        tx!(
            tx,
            execute,
            sqlx::query("insert into meta values ($1, $1)").bind(text.as_str())
        )?;
        tx.commit().await
    }

    /// SQLite rolls back by itself then.
    #[tokio::test]
    async fn what_is_committed_after_the_disk_was_full_is_there_for_others() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("full.db").display());
        let store = Store::open(&url, Seal::new(&[1; 32])).await.unwrap();
        let Engine::Sqlite { write, .. } = &store.engine else {
            unreachable!("it is SQLite")
        };
        let mut writing = write.begin().await.unwrap();
        let full = sqlx::query("pragma max_page_count = 1");
        full.execute(&mut writing).await.unwrap();
        writing.commit().await.unwrap();
        let error = insert(&store, 100_000).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        // The next connection has room again.
        drop(store.begin().await.unwrap());
        insert(&store, 10).await.unwrap();
        let seen = store.meta(&"x".repeat(10)).await.unwrap();
        assert_eq!(seen, Some("x".repeat(10)));
    }
}
