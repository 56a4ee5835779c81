//! How an application knows that a callback is from here: a token signed with a key of its own, and where to find the
//! public half.

use domain::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::control::Authority;
use crate::{App, Result};

/// The name of the sealed key in `meta`.
const NAME: &str = "callautomation.signing-key";
/// "A new token for every event, five minutes".
const LIFE_SECS: i64 = 5 * 60;

/// The key that signs callbacks: made when it is first needed.
#[derive(Default)]
pub(crate) struct CallbackKey(OnceCell<Authority>);

impl App {
    /// The discovery document of callbacks' tokens.
    pub fn callback_discovery(&self) -> Value {
        let issuer = &self.settings.base_url;
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/calling/keys"),
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    }

    /// The public keys of callbacks' tokens.
    pub async fn callback_keys(&self) -> Result<Value> {
        Ok(self.callback_authority().await?.jwks())
    }

    /// The token that goes with a callback to this audience: the immutable id of a resource.
    pub(crate) async fn callback_token(&self, audience: &str, now: Timestamp) -> Result<String> {
        let at = now.secs();
        self.callback_authority().await?.sign(&json!({
            "iss": self.settings.base_url,
            "aud": audience,
            "iat": at,
            "nbf": at,
            "exp": at + LIFE_SECS,
            "jti": self.random.uuid().to_string(),
        }))
    }

    async fn callback_authority(&self) -> Result<&Authority> {
        let key = &self.callback_key.0;
        key.get_or_try_init(|| Authority::open(&self.store, &self.random, NAME))
            .await
    }
}
