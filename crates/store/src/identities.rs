//! Communication identities.

use domain::identity::{Identity, UserId};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{read, tx};
use crate::{Result, Store, Tx};

const GET: &str =
    "select user_id, communication, created_at, valid_after from identities where user_id = $1";
const INSERT: &str = "insert into identities (user_id, communication, created_at, valid_after)
    values ($1, $2, $3, $4)";
const REVOKE: &str =
    "update identities set valid_after = $2 where user_id = $1 and valid_after < $2";
const DELETE: &str = "delete from identities where user_id = $1";

#[derive(FromRow)]
struct Row {
    user_id: String,
    communication: String,
    created_at: i64,
    valid_after: i64,
}

impl Store {
    /// The identity of a user, if it was created and not deleted.
    pub async fn identity(&self, user: &UserId) -> Result<Option<Identity>> {
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, Row>(GET).bind(user.as_str())
        )?;
        Ok(row.map(Identity::from))
    }
}

impl Tx {
    /// Writes a new identity.
    pub async fn insert_identity(&mut self, identity: &Identity) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(INSERT)
                .bind(identity.id.as_str())
                .bind(&identity.communication)
                .bind(identity.created_at.micros())
                .bind(identity.valid_after.micros())
        )?;
        Ok(())
    }

    /// Revokes every token issued at `at` or before. A later revocation is not taken back.
    pub async fn revoke_tokens(&mut self, user: &UserId, at: Timestamp) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(REVOKE).bind(user.as_str()).bind(at.micros())
        )?;
        Ok(())
    }

    /// Forgets an identity; whether there was one.
    pub async fn delete_identity(&mut self, user: &UserId) -> Result<bool> {
        let count = tx!(self, execute, sqlx::query(DELETE).bind(user.as_str()))?;
        Ok(count > 0)
    }
}

impl From<Row> for Identity {
    fn from(row: Row) -> Self {
        Self {
            id: UserId::new(row.user_id),
            communication: row.communication,
            created_at: Timestamp::from_micros(row.created_at),
            valid_after: Timestamp::from_micros(row.valid_after),
        }
    }
}
