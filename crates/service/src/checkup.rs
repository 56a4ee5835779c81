//! A look at the store, from outside a running app and without changing it: for `carillon doctor`.

use secrecy::ExposeSecret;
use store::Store;

use crate::{Clock, Random, Result};

pub use store::Schema;

/// The name under which the store keeps the tenant that the first start makes.
pub const TENANT: &str = "tenant";

/// A store that is looked at.
pub struct Checkup {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

/// Whether the master key is the one that the secrets in the store were sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterKey {
    /// It is.
    Fits,
    /// It is another one.
    DoesNotFit,
    /// No secret is kept yet.
    Unused,
}

impl Checkup {
    /// Of a store that was opened as it is.
    pub fn new(store: Store, clock: Clock, random: Random) -> Self {
        Self {
            store,
            clock,
            random,
        }
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        self.store.engine_name()
    }

    /// How the schema stands to this program's. Nothing else can be asked unless it is [`Schema::Current`].
    pub async fn schema(&self) -> Result<Schema> {
        Ok(self.store.schema().await?)
    }

    /// How far the clock of this machine is ahead of the database's; `None` if that is on this machine.
    pub async fn seconds_ahead(&self) -> Result<Option<f64>> {
        let there = self.store.clock().await?;
        let here = self.clock.now();
        Ok(there.map(|there| (here.micros() - there.micros()) as f64 / 1e6))
    }

    /// Whether the master key opens what is sealed: the secret that every server makes at its first start.
    pub async fn master_key(&self) -> Result<MasterKey> {
        match self.store.secret(crate::identity::SECRET).await {
            Ok(Some(_)) => Ok(MasterKey::Fits),
            Ok(None) => Ok(MasterKey::Unused),
            Err(store::Error::Sealed) => Ok(MasterKey::DoesNotFit),
            Err(error) => Err(error.into()),
        }
    }

    /// The tenant that the first start made, if there was one.
    pub async fn tenant(&self) -> Result<Option<String>> {
        let tenant = self.store.secret(TENANT).await?;
        Ok(tenant.map(|id| id.expose_secret().to_owned()))
    }

    /// How many app registrations and users may sign in.
    pub async fn who_may_sign_in(&self) -> Result<usize> {
        let (apps, users) = (self.store.apps().await?, self.store.users().await?);
        Ok(apps.len() + users.len())
    }
}
