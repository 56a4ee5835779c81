//! Device registrations of users: made, renewed, ended, and judged by what the push services say.

use std::time::Duration;

use domain::device::{Crypto, Device, Health, Transport, Verdict};
use domain::id::RegistrationId;
use domain::identity::UserId;
use domain::push::Attempted;
use secrecy::SecretString;
use wire::trouter::registrar::Registration;

use crate::{App, Result};

/// How often ended registrations are swept. Until then they are kept and not used.
const SWEEP: Duration = Duration::from_secs(10 * 60);

impl App {
    /// Makes or renews the registration of a user's device.
    pub async fn register_device(&self, user: &UserId, registration: Registration) -> Result<()> {
        let now = self.clock.now();
        let transports = registration.transports.into_iter().map(|transport| {
            let ttl = Duration::from_secs(u64::try_from(transport.ttl_secs).unwrap_or(0));
            Transport {
                kind: transport.kind,
                path: transport.path,
                context: transport.context,
                registered_at: now,
                expires_at: now + ttl,
                health: Health::Good,
            }
        });
        let device = Device {
            user: user.clone(),
            id: RegistrationId::new(registration.registration_id),
            app_id: registration.app_id,
            platform: registration.platform,
            template_key: registration.template_key,
            crypto: registration.crypto.map(|crypto| Crypto {
                aes_key: SecretString::from(crypto.aes_key),
                auth_key: SecretString::from(crypto.auth_key),
                method: crypto.method,
            }),
            transports: transports.collect(),
        };
        let mut tx = self.store.begin().await?;
        tx.put_device(&device).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends the registration of a device. One that is already gone is no error.
    pub async fn unregister_device(&self, user: &UserId, device: &RegistrationId) -> Result<()> {
        let mut tx = self.store.begin().await?;
        tx.delete_device(user, device).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The devices of a user, with those whose time has run out since the last sweep.
    pub async fn devices_of(&self, user: &UserId) -> Result<Vec<Device>> {
        Ok(self.store.devices_of(user).await?)
    }

    /// Takes notice of how a push to a device ended: a dead token ends its registration, one that may only be of
    /// another environment is quarantined. What was registered after the push service spoke is spared.
    pub async fn device_failed(
        &self,
        user: &UserId,
        device: &RegistrationId,
        attempted: &Attempted,
    ) -> Result<()> {
        let Some(verdict) = Verdict::of(attempted) else {
            return Ok(());
        };
        let mut tx = self.store.begin().await?;
        let concerned = tx.judge_device(user, device, &verdict).await?;
        tx.commit().await?;
        if concerned > 0 {
            tracing::info!(%user, registration = %device, health = ?verdict.health, "a push service refused a device token");
        }
        Ok(())
    }

    /// Forgets ended registrations now and then, until the server stops.
    pub(crate) async fn sweep_devices(self) {
        loop {
            let pause = self.clock.sleep(SWEEP);
            if self.stopping.run_until_cancelled(pause).await.is_none() {
                return;
            }
            if let Err(error) = self.forget_ended_devices().await {
                tracing::warn!(%error, "ended device registrations could not be swept");
            }
        }
    }

    async fn forget_ended_devices(&self) -> Result<()> {
        let mut tx = self.store.begin().await?;
        tx.sweep_devices(self.clock.now()).await?;
        tx.commit().await?;
        Ok(())
    }
}
