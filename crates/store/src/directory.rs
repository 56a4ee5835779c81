//! App registrations with their credentials, users, and the client assertions seen.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::directory::{AppCredential, AppRegistration, Proof, User};
use domain::time::Timestamp;
use sqlx::FromRow;

use crate::db::{read, tx};
use crate::{Error, Result, Store, Tx};

const APPS: &str = "select client_id, object_id, name, created_at, tokens_from from apps order by created_at, client_id";
const CREDENTIALS: &str =
    "select id, client_id, kind, data, hint, created_at, expires_at from app_credentials
    order by created_at, id";
const INSERT_APP: &str = "insert into apps (client_id, object_id, name, created_at, tokens_from)
    values ($1, $2, $3, $4, $5) on conflict (client_id) do nothing";
const DELETE_USER: &str = "delete from users where key = $1";
const DELETE_APP: &str = "delete from apps where client_id = $1";
const INSERT_CREDENTIAL: &str =
    "insert into app_credentials (id, client_id, kind, data, hint, created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7)";
const DELETE_CREDENTIAL: &str = "delete from app_credentials where id = $1";
const USERS: &str =
    "select upn, object_id, password, created_at, tokens_from from users order by key";
const PUT_USER: &str =
    "insert into users (key, upn, object_id, password, created_at, tokens_from)
    values ($1, $2, $3, $4, $5, $6) on conflict (key) do update set password = excluded.password, tokens_from = excluded.tokens_from";
const INSERT_ASSERTION: &str =
    "insert into assertions (id, expires_at) values ($1, $2) on conflict (id) do nothing";
const DELETE_ASSERTIONS: &str = "delete from assertions where expires_at < $1";

#[derive(FromRow)]
struct AppRow {
    client_id: String,
    object_id: String,
    name: String,
    created_at: i64,
    tokens_from: i64,
}

#[derive(FromRow)]
struct CredentialRow {
    id: String,
    client_id: String,
    kind: String,
    data: String,
    hint: String,
    created_at: i64,
    expires_at: i64,
}

#[derive(FromRow)]
struct UserRow {
    upn: String,
    object_id: String,
    password: String,
    created_at: i64,
    tokens_from: i64,
}

impl Store {
    /// Every app registration with its credentials, oldest first.
    pub async fn apps(&self) -> Result<Vec<AppRegistration>> {
        let mut credentials: HashMap<String, Vec<AppCredential>> = HashMap::new();
        for row in read!(
            self,
            fetch_all,
            sqlx::query_as::<_, CredentialRow>(CREDENTIALS)
        )? {
            let of = credentials.entry(row.client_id.clone()).or_default();
            of.push(row.try_into()?);
        }
        let apps = read!(self, fetch_all, sqlx::query_as::<_, AppRow>(APPS))?;
        let registration = |row: AppRow| AppRegistration {
            credentials: credentials.remove(&row.client_id).unwrap_or_default(),
            client_id: row.client_id,
            object_id: row.object_id,
            name: row.name,
            created_at: Timestamp::from_micros(row.created_at),
            tokens_from: Timestamp::from_micros(row.tokens_from),
        };
        Ok(apps.into_iter().map(registration).collect())
    }

    /// Every user.
    pub async fn users(&self) -> Result<Vec<User>> {
        let rows = read!(self, fetch_all, sqlx::query_as::<_, UserRow>(USERS))?;
        let user = |row: UserRow| User {
            upn: row.upn,
            object_id: row.object_id,
            password: row.password,
            created_at: Timestamp::from_micros(row.created_at),
            tokens_from: Timestamp::from_micros(row.tokens_from),
        };
        Ok(rows.into_iter().map(user).collect())
    }
}

impl Tx {
    /// Adds an app registration without its credentials; `false` if its client id is taken.
    pub async fn insert_app(&mut self, app: &AppRegistration) -> Result<bool> {
        let rows = tx!(
            self,
            execute,
            sqlx::query(INSERT_APP)
                .bind(&app.client_id)
                .bind(&app.object_id)
                .bind(&app.name)
                .bind(app.created_at.micros())
                .bind(app.tokens_from.micros())
        )?;
        Ok(rows == 1)
    }

    /// Deletes an app registration with its credentials; `false` if there is none.
    pub async fn delete_app(&mut self, client_id: &str) -> Result<bool> {
        let rows = tx!(self, execute, sqlx::query(DELETE_APP).bind(client_id))?;
        Ok(rows == 1)
    }

    /// Adds a credential to an app registration.
    pub async fn insert_app_credential(
        &mut self,
        client_id: &str,
        credential: &AppCredential,
    ) -> Result<()> {
        let (kind, data) = match &credential.proof {
            Proof::Secret(hash) => ("secret", hash.clone()),
            Proof::Certificate(der) => ("certificate", STANDARD.encode(der)),
        };
        tx!(
            self,
            execute,
            sqlx::query(INSERT_CREDENTIAL)
                .bind(&credential.id)
                .bind(client_id)
                .bind(kind)
                .bind(&data)
                .bind(&credential.hint)
                .bind(credential.created_at.micros())
                .bind(credential.expires_at.micros())
        )?;
        Ok(())
    }

    /// Deletes a credential; `false` if there is none.
    pub async fn delete_app_credential(&mut self, id: &str) -> Result<bool> {
        let rows = tx!(self, execute, sqlx::query(DELETE_CREDENTIAL).bind(id))?;
        Ok(rows == 1)
    }

    /// Deletes a user; `false` if there is none of this name.
    pub async fn delete_user(&mut self, upn: &str) -> Result<bool> {
        let key = upn.to_lowercase();
        Ok(tx!(self, execute, sqlx::query(DELETE_USER).bind(key))? == 1)
    }

    /// Adds a user, or gives one a new password.
    pub async fn put_user(&mut self, user: &User) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(PUT_USER)
                .bind(user.upn.to_lowercase())
                .bind(&user.upn)
                .bind(&user.object_id)
                .bind(&user.password)
                .bind(user.created_at.micros())
                .bind(user.tokens_from.micros())
        )?;
        Ok(())
    }

    /// Remembers a client assertion until it expires, and forgets those that have; `false` if it was seen before.
    pub async fn insert_assertion(
        &mut self,
        id: &str,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        tx!(
            self,
            execute,
            sqlx::query(DELETE_ASSERTIONS).bind(now.micros())
        )?;
        let rows = tx!(
            self,
            execute,
            sqlx::query(INSERT_ASSERTION)
                .bind(id)
                .bind(expires_at.micros())
        )?;
        Ok(rows == 1)
    }
}

impl TryFrom<CredentialRow> for AppCredential {
    type Error = Error;

    fn try_from(row: CredentialRow) -> Result<Self> {
        let bad = |problem: String| Error::BadRow {
            table: "app_credentials",
            key: row.id.clone(),
            problem,
        };
        let proof = match row.kind.as_str() {
            "secret" => Proof::Secret(row.data),
            "certificate" => Proof::Certificate(
                STANDARD
                    .decode(&row.data)
                    .map_err(|error| bad(error.to_string()))?,
            ),
            kind => return Err(bad(format!("kind '{kind}'"))),
        };
        Ok(Self {
            id: row.id,
            proof,
            hint: row.hint,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}
