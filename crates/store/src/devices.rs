//! Device registrations: one row a transport, one device a registration id.

use domain::device::{Crypto, Device, Health, Transport, TransportKind, Verdict};
use domain::id::RegistrationId;
use domain::identity::UserId;
use domain::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::db::{read, tx};
use crate::{Error, Result, Store, Tx};

/// Devices a user can have; one more, and the one not renewed for longest is forgotten.
pub const MAX_DEVICES: i64 = 100;

const OF_USER: &str =
    "select registration_id, kind, path, context, app_id, platform, template_key, crypto,
      registered_at, expires_at, health, health_reason
    from devices where user_id = $1 order by registration_id, kind, path";
const INSERT: &str = "insert into devices (user_id, registration_id, kind, path, context, app_id, platform, template_key,
      crypto, registered_at, expires_at, health, health_reason)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    on conflict (user_id, registration_id, kind, path) do nothing";
const DELETE: &str = "delete from devices where user_id = $1 and registration_id = $2";
const DELETE_OF_USER: &str = "delete from devices where user_id = $1";
const TRIM: &str = "delete from devices where user_id = $1 and registration_id not in (
      select registration_id from devices where user_id = $1
      group by registration_id order by max(registered_at) desc, registration_id limit $2)";
const JUDGE: &str = "update devices set health = $4, health_reason = $5
    where user_id = $1 and registration_id = $2 and registered_at < $3 and kind <> 'TROUTER'";
const SWEEP: &str = "delete from devices where expires_at <= $1";

/// Where the keys of chat pushes are sealed.
const CRYPTO_PLACE: &str = "devices.crypto";

#[derive(FromRow)]
struct Row {
    registration_id: String,
    kind: String,
    path: String,
    context: String,
    app_id: String,
    platform: String,
    template_key: String,
    crypto: Option<String>,
    registered_at: i64,
    expires_at: i64,
    health: String,
    health_reason: String,
}

#[derive(Serialize, Deserialize)]
struct CryptoRow {
    aes_key: String,
    auth_key: String,
    method: String,
}

impl Store {
    /// The devices of a user, expired ones too until they are swept.
    pub async fn devices_of(&self, user: &UserId) -> Result<Vec<Device>> {
        let rows = read!(
            self,
            fetch_all,
            sqlx::query_as::<_, Row>(OF_USER).bind(user.as_str())
        )?;
        let mut devices: Vec<Device> = Vec::new();
        for row in rows {
            let transport = transport_of(&row)?;
            match devices.last_mut() {
                Some(device) if device.id.as_str() == row.registration_id => {
                    device.transports.push(transport);
                }
                _ => devices.push(self.device_of(user, row, transport)?),
            }
        }
        Ok(devices)
    }

    fn device_of(&self, user: &UserId, row: Row, transport: Transport) -> Result<Device> {
        let crypto = row.crypto.map(|sealed| {
            let opened = self.seal.open(CRYPTO_PLACE, &sealed)?;
            let crypto: CryptoRow = serde_json::from_str(opened.expose_secret())
                .map_err(|error| bad_row(&row.registration_id, error.to_string()))?;
            Ok::<_, Error>(Crypto {
                aes_key: SecretString::from(crypto.aes_key),
                auth_key: SecretString::from(crypto.auth_key),
                method: crypto.method,
            })
        });
        Ok(Device {
            user: user.clone(),
            crypto: crypto.transpose()?,
            id: RegistrationId::new(row.registration_id),
            app_id: row.app_id,
            platform: row.platform,
            template_key: row.template_key,
            transports: vec![transport],
        })
    }
}

impl Tx {
    /// Writes a registration in the place of the one with its id, if there is one.
    pub async fn put_device(&mut self, device: &Device) -> Result<()> {
        self.delete_device(&device.user, &device.id).await?;
        let crypto = device
            .crypto
            .as_ref()
            .map(|crypto| self.sealed(crypto))
            .transpose()?;
        for transport in &device.transports {
            let (health, reason) = health_columns(&transport.health);
            tx!(
                self,
                execute,
                sqlx::query(INSERT)
                    .bind(device.user.as_str())
                    .bind(device.id.as_str())
                    .bind(transport.kind.as_str())
                    .bind(&transport.path)
                    .bind(&transport.context)
                    .bind(&device.app_id)
                    .bind(&device.platform)
                    .bind(&device.template_key)
                    .bind(crypto.as_deref())
                    .bind(transport.registered_at.micros())
                    .bind(transport.expires_at.micros())
                    .bind(health)
                    .bind(reason)
            )?;
        }
        self.trim_devices(&device.user).await
    }

    /// Forgets a registration; whether there was one.
    pub async fn delete_device(&mut self, user: &UserId, device: &RegistrationId) -> Result<bool> {
        let count = tx!(
            self,
            execute,
            sqlx::query(DELETE)
                .bind(user.as_str())
                .bind(device.as_str())
        )?;
        Ok(count > 0)
    }

    /// Forgets every registration of a user.
    pub async fn delete_devices_of(&mut self, user: &UserId) -> Result<u64> {
        Ok(tx!(
            self,
            execute,
            sqlx::query(DELETE_OF_USER).bind(user.as_str())
        )?)
    }

    /// Writes down what a push service said of a device; how many transports it concerned.
    pub async fn judge_device(
        &mut self,
        user: &UserId,
        device: &RegistrationId,
        verdict: &Verdict,
    ) -> Result<u64> {
        let (health, reason) = health_columns(&verdict.health);
        Ok(tx!(
            self,
            execute,
            sqlx::query(JUDGE)
                .bind(user.as_str())
                .bind(device.as_str())
                .bind(verdict.registered_before.micros())
                .bind(health)
                .bind(reason)
        )?)
    }

    /// Forgets transports whose time has run out.
    pub async fn sweep_devices(&mut self, now: Timestamp) -> Result<u64> {
        Ok(tx!(self, execute, sqlx::query(SWEEP).bind(now.micros()))?)
    }

    async fn trim_devices(&mut self, user: &UserId) -> Result<()> {
        tx!(
            self,
            execute,
            sqlx::query(TRIM).bind(user.as_str()).bind(MAX_DEVICES)
        )?;
        Ok(())
    }

    fn sealed(&self, crypto: &Crypto) -> Result<String> {
        let row = CryptoRow {
            aes_key: crypto.aes_key.expose_secret().to_owned(),
            auth_key: crypto.auth_key.expose_secret().to_owned(),
            method: crypto.method.clone(),
        };
        let text = serde_json::to_string(&row).map_err(|error| bad_row("", error.to_string()))?;
        self.seal.seal(CRYPTO_PLACE, &text)
    }
}

fn transport_of(row: &Row) -> Result<Transport> {
    let kind = TransportKind::parse(&row.kind).ok_or_else(|| {
        bad_row(
            &row.registration_id,
            format!("transport '{}' is unknown", row.kind),
        )
    })?;
    let reason = row.health_reason.clone();
    let health = match row.health.as_str() {
        "good" => Health::Good,
        "quarantined" => Health::Quarantined(reason),
        "dead" => Health::Dead(reason),
        other => {
            let problem = format!("health '{other}' is unknown");
            return Err(bad_row(&row.registration_id, problem));
        }
    };
    Ok(Transport {
        kind,
        path: row.path.clone(),
        context: row.context.clone(),
        registered_at: Timestamp::from_micros(row.registered_at),
        expires_at: Timestamp::from_micros(row.expires_at),
        health,
    })
}

fn health_columns(health: &Health) -> (&'static str, &str) {
    match health {
        Health::Good => ("good", ""),
        Health::Quarantined(reason) => ("quarantined", reason),
        Health::Dead(reason) => ("dead", reason),
    }
}

fn bad_row(key: &str, problem: String) -> Error {
    Error::BadRow {
        table: "devices",
        key: key.to_owned(),
        problem,
    }
}
