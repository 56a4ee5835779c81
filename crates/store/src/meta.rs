//! What the server remembers about itself: named values, sealed where they are secret.

use secrecy::SecretString;

use crate::db::{Engine, TxInner, read, tx};
use crate::{Result, Store, Tx};

const GET: &str = "select value from meta where name = $1";
const PUT: &str = "insert into meta (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value";
const TAKE: &str = "delete from meta where name = $1 and value = $2";
const ADD: &str = "insert into meta (name, value) values ($1, $2) on conflict (name) do nothing";

impl Store {
    /// The value of `name`, if it was ever set.
    pub async fn meta(&self, name: &str) -> Result<Option<String>> {
        let value = read!(
            self,
            fetch_optional,
            sqlx::query_scalar::<_, String>(GET).bind(name)
        )?;
        if let Engine::Sqlite { write, .. } = &self.engine {
            write.remembered.compare(name, value.as_ref());
        }
        Ok(value)
    }

    /// The secret kept under `name`, if there is one. Another master key than the one it was sealed with is an error.
    pub async fn secret(&self, name: &str) -> Result<Option<SecretString>> {
        let sealed = self.meta(name).await?;
        sealed
            .map(|sealed| self.seal.open(&format!("meta.{name}"), &sealed))
            .transpose()
    }

    /// The secret kept under `name`, or the one `make` makes, kept from now on.
    /// Two nodes that start together agree: the first one written stays.
    pub async fn secret_or_insert(
        &self,
        name: &str,
        make: impl FnOnce() -> String,
    ) -> Result<SecretString> {
        let place = format!("meta.{name}");
        if self.meta(name).await?.is_none() {
            let sealed = self.seal.seal(&place, &make())?;
            let mut tx = self.begin().await?;
            tx!(tx, execute, sqlx::query(ADD).bind(name).bind(sealed))?;
            tx.commit().await?;
        }
        let sealed = self.meta(name).await?.unwrap_or_default();
        self.seal.open(&place, &sealed)
    }
}

impl Tx {
    /// The value of `name`, if it was ever set.
    pub async fn meta(&mut self, name: &str) -> Result<Option<String>> {
        if let TxInner::Sqlite(writing) = &self.inner
            && let Some(value) = writing.remembered.get(name)
        {
            return Ok(value);
        }
        let value = tx!(
            self,
            fetch_optional,
            sqlx::query_scalar::<_, String>(GET).bind(name)
        )?;
        if let TxInner::Sqlite(writing) = &self.inner {
            writing.remembered.put(name, value.clone());
        }
        Ok(value)
    }

    /// Sets the value of `name`.
    pub async fn set_meta(&mut self, name: &str, value: &str) -> Result<()> {
        self.forget_meta(name);
        tx!(self, execute, sqlx::query(PUT).bind(name).bind(value))?;
        Ok(())
    }

    /// Removes `name` if it has this value; whether it had. Of two at once, one is told so.
    pub async fn take_meta(&mut self, name: &str, value: &str) -> Result<bool> {
        self.forget_meta(name);
        Ok(tx!(self, execute, sqlx::query(TAKE).bind(name).bind(value))? == 1)
    }

    fn forget_meta(&self, name: &str) {
        if let TxInner::Sqlite(writing) = &self.inner {
            writing.remembered.forget(name);
        }
    }
}
