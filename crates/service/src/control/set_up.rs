//! The first administrator: whoever opens the set-up link that the server printed, once and in time.

use std::time::Duration;

use domain::time::Timestamp;
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

use super::directory::NewApp;
use crate::{App, Error, Kind, Result};

/// How long a link is good for. A restart offers a new one.
const LIFE: Duration = Duration::from_secs(60 * 60);

/// The name in `meta` of the offer that holds: when it ends, and the digest of its token. Every node knows it, and a
/// new offer ends the one before.
const NAME: &str = "control.set_up";

/// What the first administrator is registered as.
const ADMINISTRATOR: &str = "first administrator";

/// An offer to become the first administrator.
pub struct SetUp {
    /// Whoever shows it is believed.
    pub token: SecretString,
    /// Until when.
    pub expires_at: Timestamp,
}

impl App {
    /// Offers to make the first administrator; `None` where somebody may sign in already.
    pub async fn offer_set_up(&self) -> Result<Option<SetUp>> {
        if self.somebody_may_sign_in().await? {
            return Ok(None);
        }
        let token = SecretString::from(hex::encode(self.random.bytes::<32>()));
        let expires_at = self.clock.now() + LIFE;
        let mut tx = self.store.begin().await?;
        tx.set_meta(NAME, &kept(expires_at, token.expose_secret()))
            .await?;
        tx.commit().await?;
        Ok(Some(SetUp { token, expires_at }))
    }

    /// Whether `token` is that of the offer that holds; an error if not. Nothing is used up by asking.
    pub async fn check_set_up(&self, token: &str) -> Result<()> {
        self.offer_of(token).await.map(drop)
    }

    /// Makes the first administrator: once for a token.
    pub async fn set_up(&self, token: &str) -> Result<NewApp> {
        let offer = self.offer_of(token).await?;
        let mut tx = self.store.begin().await?;
        if !tx.take_meta(NAME, &offer).await? {
            return Err(gone());
        }
        let made = self.registrations().insert(&mut tx, ADMINISTRATOR).await?;
        self.commit_control(tx).await?;
        Ok(made)
    }

    /// The offer that holds, as it is kept. The digest is compared, so how long that takes tells nothing of the token.
    async fn offer_of(&self, token: &str) -> Result<String> {
        let offer = self.store.meta(NAME).await?.ok_or_else(gone)?;
        let expires_at = offer.split(' ').next().and_then(|text| text.parse().ok());
        let expires_at = Timestamp::from_micros(expires_at.unwrap_or_default());
        let holds = expires_at > self.clock.now() && kept(expires_at, token) == offer;
        // Somebody may have come in by another way, `carillon app create`.
        if !holds || self.somebody_may_sign_in().await? {
            return Err(gone());
        }
        Ok(offer)
    }

    async fn somebody_may_sign_in(&self) -> Result<bool> {
        Ok(!self.store.apps().await?.is_empty() || !self.store.users().await?.is_empty())
    }
}

fn kept(expires_at: Timestamp, token: &str) -> String {
    let digest = digest(&SHA256, token.as_bytes());
    format!("{} {}", expires_at.micros(), hex::encode(digest))
}

fn gone() -> Error {
    let message = "This set-up link is none, was used, or has expired. Where nobody may sign in yet, the next start of `carillon serve` prints a new one; `carillon app create NAME` works at any time.";
    Error::new(Kind::NotFound, "SetUpLinkInvalid", message)
}
