//! The migrations, and whether a database has them.

use sqlx::FromRow;
use sqlx::migrate::Migrator;

use crate::db::read;
use crate::{Result, Store};

// sqlx keeps this table on both engines.
const APPLIED: &str =
    "select version, checksum from _sqlx_migrations where success order by version";

/// How a database's schema stands to this program's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// They are the same.
    Current,
    /// There is none: no migration has been run.
    Empty,
    /// So many migrations are still to run; the next start runs them.
    Behind(usize),
    /// A newer program has been here: it ran these migrations, which this one does not know.
    Ahead(Vec<i64>),
    /// These migrations were run with another text than this program's.
    Different(Vec<i64>),
}

#[derive(FromRow)]
struct Row {
    version: i64,
    checksum: Vec<u8>,
}

impl Store {
    /// How the schema stands to this program's.
    pub async fn schema(&self) -> Result<Schema> {
        let applied = match read!(self, fetch_all, sqlx::query_as::<_, Row>(APPLIED)) {
            Ok(rows) => rows,
            // Without the table nobody has run a migration yet.
            Err(error) if is_missing_table(&error) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(compare(&applied))
    }
}

/// Every migration of this program.
pub(crate) fn migrator() -> Migrator {
    sqlx::migrate!("./migrations")
}

/// SQLite's SQLITE_ERROR (a file that is no database has another code); PostgreSQL's undefined_table.
fn is_missing_table(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    let code = error.and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("1" | "42P01"))
}

fn compare(applied: &[Row]) -> Schema {
    let own = migrator();
    let (mut ahead, mut different) = (Vec::new(), Vec::new());
    for row in applied {
        match own.iter().find(|known| known.version == row.version) {
            None => ahead.push(row.version),
            Some(known) if *known.checksum != *row.checksum => different.push(row.version),
            Some(_) => {}
        }
    }
    let missing = own.iter().count() + ahead.len() - applied.len();
    if applied.is_empty() {
        return Schema::Empty;
    }
    match (ahead.is_empty(), different.is_empty(), missing) {
        (false, ..) => Schema::Ahead(ahead),
        (true, false, _) => Schema::Different(different),
        (true, true, 0) => Schema::Current,
        (true, true, missing) => Schema::Behind(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<Row> {
        let row = |one: &sqlx::migrate::Migration| Row {
            version: one.version,
            checksum: one.checksum.to_vec(),
        };
        migrator().iter().map(row).collect()
    }

    #[test]
    fn a_schema_is_compared_migration_by_migration() {
        let all = own();
        assert_eq!(compare(&all), Schema::Current);
        assert_eq!(compare(&all[..2]), Schema::Behind(all.len() - 2));
        assert_eq!(compare(&[]), Schema::Empty);
        let mut newer = own();
        newer.push(Row {
            version: 9_999,
            checksum: Vec::new(),
        });
        assert_eq!(compare(&newer), Schema::Ahead(vec![9_999]));
        let mut edited = own();
        edited[1].checksum = vec![0];
        assert_eq!(compare(&edited), Schema::Different(vec![edited[1].version]));
    }
}
