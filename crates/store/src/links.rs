//! Which hub each communication resource is linked to.

use domain::hub::{HubPlace, Link};
use domain::time::Timestamp;
use secrecy::ExposeSecret;
use sqlx::FromRow;

use crate::db::{read, tx};
use crate::{Result, Store, Tx};

const LIST: &str = "select communication, hub_resource_id, hub_key, remote_url, remote_hub, key_name, key, linked_at from links";
const PUT: &str = "insert into links (communication, hub_resource_id, hub_key, remote_url, remote_hub, key_name, key, linked_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (communication) do update set
      hub_resource_id = excluded.hub_resource_id, hub_key = excluded.hub_key, remote_url = excluded.remote_url,
      remote_hub = excluded.remote_hub, key_name = excluded.key_name, key = excluded.key, linked_at = excluded.linked_at";
const FAILURES: &str = "select communication, error, failed_at from hub_failures";
const PUT_FAILURE: &str = "insert into hub_failures (communication, error, failed_at) values ($1, $2, $3)
    on conflict (communication) do update set error = excluded.error, failed_at = excluded.failed_at";
const DELETE_FAILURE: &str = "delete from hub_failures where communication = $1";
const DELETE: &str = "delete from links where communication = $1";

#[derive(FromRow)]
struct Row {
    communication: String,
    hub_resource_id: String,
    hub_key: String,
    remote_url: String,
    remote_hub: String,
    key_name: String,
    key: String,
    linked_at: i64,
}

impl Store {
    /// Every link.
    pub async fn links(&self) -> Result<Vec<Link>> {
        let rows = read!(self, fetch_all, sqlx::query_as::<_, Row>(LIST))?;
        rows.into_iter().map(|row| self.link_of(row)).collect()
    }

    /// What the last send through each link that fails failed with, and since when.
    pub async fn hub_failures(&self) -> Result<Vec<(String, String, Timestamp)>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, (String, String, i64)>(FAILURES)
        )?;
        Ok(rows
            .into_iter()
            .map(|(key, error, at)| (key, error, Timestamp::from_micros(at)))
            .collect())
    }

    fn link_of(&self, row: Row) -> Result<Link> {
        let place = if row.hub_key.is_empty() {
            HubPlace::Remote {
                base_url: row.remote_url,
                hub: row.remote_hub,
            }
        } else {
            HubPlace::Own(row.hub_key)
        };
        Ok(Link {
            key: self
                .seal
                .open(&sealed_place(&row.communication), &row.key)?,
            communication: row.communication,
            hub_resource_id: row.hub_resource_id,
            place,
            key_name: row.key_name,
            linked_at: Timestamp::from_micros(row.linked_at),
        })
    }
}

impl Tx {
    /// Links a communication resource to a hub; a link it had is replaced.
    pub async fn put_link(&mut self, link: &Link) -> Result<()> {
        let (hub_key, remote_url, remote_hub) = match &link.place {
            HubPlace::Own(key) => (key.as_str(), "", ""),
            HubPlace::Remote { base_url, hub } => ("", base_url.as_str(), hub.as_str()),
        };
        let place = sealed_place(&link.communication);
        let sealed = self.seal.seal(&place, link.key.expose_secret())?;
        tx!(
            self,
            execute,
            sqlx::query(PUT)
                .bind(&link.communication)
                .bind(&link.hub_resource_id)
                .bind(hub_key)
                .bind(remote_url)
                .bind(remote_hub)
                .bind(&link.key_name)
                .bind(&sealed)
                .bind(link.linked_at.micros())
        )?;
        self.delete_hub_failure(&link.communication).await
    }

    /// Removes the link of a communication resource; `false` if it has none.
    pub async fn delete_link(&mut self, communication: &str) -> Result<bool> {
        let rows = tx!(self, execute, sqlx::query(DELETE).bind(communication))?;
        Ok(rows == 1)
    }

    /// Notes what sends through the link of a communication resource fail with. Another link begins without it.
    pub async fn put_hub_failure(
        &mut self,
        communication: &str,
        error: &str,
        at: Timestamp,
    ) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(PUT_FAILURE)
                .bind(communication)
                .bind(error.replace('\0', ""))
                .bind(at.micros())
        )?;
        Ok(())
    }

    /// Notes that sends through the link of a communication resource fail no more.
    pub async fn delete_hub_failure(&mut self, communication: &str) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(DELETE_FAILURE).bind(communication)
        )?;
        Ok(())
    }
}

fn sealed_place(communication: &str) -> String {
    format!("links.key {communication}")
}
