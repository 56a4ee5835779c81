//! Fresh databases for the story: a file in a temporary directory, or a new database of a PostgreSQL server.

use sqlx::{Connection, PgConnection};
use store::Store;
use store::seal::{KEY_LEN, Seal};
use tempfile::TempDir;

/// The seal of every store here.
pub fn seal() -> Seal {
    Seal::new(&[9; KEY_LEN])
}

/// A new SQLite database, gone with the directory.
pub async fn sqlite() -> (Store, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&sqlite_url(&dir), seal()).await.unwrap();
    (store, dir)
}

/// The URL of the database in `dir`.
pub fn sqlite_url(dir: &TempDir) -> String {
    format!("sqlite:{}", dir.path().join("story.db").display())
}

/// A new database on the server that `TEST_POSTGRES` names.
pub struct Postgres {
    server: String,
    name: String,
}

impl Postgres {
    /// `None`, and a line that says so, when no server is named (`make test` names one).
    pub async fn create() -> Option<Self> {
        let Ok(server) = std::env::var("TEST_POSTGRES") else {
            eprintln!("NOT RUN on PostgreSQL: TEST_POSTGRES is not set (use `make store`)");
            return None;
        };
        let database = Self {
            server,
            name: format!("story_{}", std::process::id()),
        };
        database.run("create database").await;
        Some(database)
    }

    /// Opens it, which brings its schema up to date.
    pub async fn open(&self) -> Store {
        Store::open(&self.url(), seal()).await.unwrap()
    }

    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Removes it from the server.
    pub async fn drop(self) {
        self.run("drop database").await;
    }

    async fn run(&self, statement: &str) {
        let mut connection = PgConnection::connect(&format!("{}/postgres", self.server))
            .await
            .unwrap();
        let statement = sqlx::AssertSqlSafe(format!("{statement} {}", self.name));
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
    }
}
