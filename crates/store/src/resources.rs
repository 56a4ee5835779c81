//! ARM resources as documents: resource groups and resources of every type.

use domain::resource::{Actor, ActorKind, Resource, Touch};
use domain::time::Timestamp;
use secrecy::ExposeSecret;
use sqlx::FromRow;
use wire::arm::ResourceId;

use crate::db::{read, tx};
use crate::{Error, Result, Store, Tx};

/// Which resources to list, in the order of their keys. An empty text means "any".
#[derive(Clone, Debug, Default)]
pub struct ResourceQuery<'a> {
    /// The subscription.
    pub subscription: &'a str,
    /// The resource group's name.
    pub group: &'a str,
    /// The id of what they are directly inside of.
    pub parent: &'a str,
    /// The full type, e.g. `Microsoft.Communication/communicationServices`.
    pub kind: &'a str,
    /// Only keys after this one: the last of the page before.
    pub after: &'a str,
}

macro_rules! columns {
    () => {
        "id, etag, body, secrets, created_at, created_by, created_by_type, updated_at, updated_by, updated_by_type"
    };
}

const GET: &str = concat!("select ", columns!(), " from resources where key = $1");
const LIST: &str = concat!(
    "select ",
    columns!(),
    " from resources where ($1 = '' or subscription = $1) and ($2 = '' or group_key = $2)
      and ($3 = '' or parent_key = $3) and ($4 = '' or kind = $4) and key > $5 order by key limit $6"
);
const ETAGS: &str = "select key, etag from resources where kind = $1 order by key";
const INSERT: &str = "insert into resources (id, etag, body, secrets, created_at, created_by, created_by_type,
      updated_at, updated_by, updated_by_type, key, subscription, group_key, parent_key, kind)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) on conflict (key) do nothing";
const UPDATE: &str =
    "update resources set etag = $3, body = $4, secrets = $5, updated_at = $6, updated_by = $7,
      updated_by_type = $8 where key = $1 and etag = $2";
const DELETE: &str = "delete from resources where key = $1 or substr(key, 1, $3) = $2";

#[derive(FromRow)]
struct Row {
    id: String,
    etag: String,
    body: String,
    secrets: Option<String>,
    created_at: i64,
    created_by: String,
    created_by_type: String,
    updated_at: i64,
    updated_by: String,
    updated_by_type: String,
}

impl Store {
    /// The resource or resource group with this id.
    pub async fn resource(&self, id: &ResourceId) -> Result<Option<Resource>> {
        let row = read!(
            self,
            fetch_optional,
            sqlx::query_as::<_, Row>(GET).bind(id.key())
        )?;
        row.map(|row| self.resource_of(row)).transpose()
    }

    /// Up to `limit` resources that `query` names. Resource groups are among them unless it names a group.
    pub async fn resources(&self, query: &ResourceQuery<'_>, limit: u32) -> Result<Vec<Resource>> {
        let lower = |text: &str| text.to_lowercase();
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, Row>(LIST)
                .bind(lower(query.subscription))
                .bind(lower(query.group))
                .bind(lower(query.parent))
                .bind(lower(query.kind))
                .bind(lower(query.after))
                .bind(i64::from(limit))
        )?;
        rows.into_iter().map(|row| self.resource_of(row)).collect()
    }

    /// Key and etag of every resource of a type: what has changed since they were last read, at a glance.
    pub async fn resource_etags(&self, kind: &str) -> Result<Vec<(String, String)>> {
        Ok(read!(
            self,
            fetch_all,
            sqlx::query_as::<_, (String, String)>(ETAGS).bind(kind.to_lowercase())
        )?)
    }

    fn resource_of(&self, row: Row) -> Result<Resource> {
        let bad = |problem: String| Error::BadRow {
            table: "resources",
            key: row.id.clone(),
            problem,
        };
        let id = ResourceId::parse(&row.id).map_err(|error| bad(error.to_string()))?;
        let body = serde_json::from_str(&row.body).map_err(|error| bad(error.to_string()))?;
        let touch = |at: i64, by: &str, kind: &str| {
            let kind = ActorKind::parse(kind).ok_or_else(|| bad(format!("actor type '{kind}'")))?;
            Ok::<_, Error>(Touch {
                at: Timestamp::from_micros(at),
                by: Actor {
                    name: by.to_owned(),
                    kind,
                },
            })
        };
        let secrets = row
            .secrets
            .as_deref()
            .map(|sealed| self.seal.open(&place(&id), sealed))
            .transpose()?;
        Ok(Resource {
            created: touch(row.created_at, &row.created_by, &row.created_by_type)?,
            updated: touch(row.updated_at, &row.updated_by, &row.updated_by_type)?,
            etag: row.etag,
            id,
            body,
            secrets,
        })
    }
}

impl Tx {
    /// Adds a resource; `false` if there is one with this id already.
    pub async fn insert_resource(&mut self, resource: &Resource) -> Result<bool> {
        let id = &resource.id;
        let secrets = self.sealed_secrets(resource)?;
        let is_group = resource.id.namespace().is_none();
        let group = id.group().filter(|_| !is_group).unwrap_or_default();
        let parent = id.parent().map(|parent| parent.key().to_owned());
        let rows = tx!(
            self,
            execute,
            sqlx::query(INSERT)
                .bind(id.as_str())
                .bind(&resource.etag)
                .bind(text_of(resource))
                .bind(&secrets)
                .bind(resource.created.at.micros())
                .bind(&resource.created.by.name)
                .bind(resource.created.by.kind.as_str())
                .bind(resource.updated.at.micros())
                .bind(&resource.updated.by.name)
                .bind(resource.updated.by.kind.as_str())
                .bind(id.key())
                .bind(id.subscription().to_lowercase())
                .bind(group.to_lowercase())
                .bind(parent.as_deref().unwrap_or_default())
                .bind(id.resource_type().to_lowercase())
        )?;
        Ok(rows == 1)
    }

    /// Writes a changed resource if its etag still is `previous`; `false` if somebody was quicker.
    pub async fn update_resource(&mut self, resource: &Resource, previous: &str) -> Result<bool> {
        let secrets = self.sealed_secrets(resource)?;
        let rows = tx!(
            self,
            execute,
            sqlx::query(UPDATE)
                .bind(resource.id.key())
                .bind(previous)
                .bind(&resource.etag)
                .bind(text_of(resource))
                .bind(&secrets)
                .bind(resource.updated.at.micros())
                .bind(&resource.updated.by.name)
                .bind(resource.updated.by.kind.as_str())
        )?;
        Ok(rows == 1)
    }

    /// Deletes a resource or group and everything inside it; `false` if there was nothing.
    pub async fn delete_resource(&mut self, id: &ResourceId) -> Result<bool> {
        let inside = format!("{}/", id.key());
        let length = i32::try_from(inside.chars().count()).unwrap_or(i32::MAX);
        let rows = tx!(
            self,
            execute,
            sqlx::query(DELETE)
                .bind(id.key())
                .bind(&inside)
                .bind(length)
        )?;
        Ok(rows > 0)
    }

    fn sealed_secrets(&self, resource: &Resource) -> Result<Option<String>> {
        let secrets = resource.secrets.as_ref();
        secrets
            .map(|secrets| {
                self.seal
                    .seal(&place(&resource.id), secrets.expose_secret())
            })
            .transpose()
    }
}

/// Secrets are bound to their resource: copied to another row they do not open.
fn place(id: &ResourceId) -> String {
    format!("resources.secrets {}", id.key())
}

fn text_of(resource: &Resource) -> String {
    serde_json::Value::Object(resource.body.clone()).to_string()
}
