//! Signing and checking the access tokens of users.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::identity::{Identity, Scope, TokenUser, UserId};
use domain::time::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use store::Store;
use wire::acs::identity::{TokenRequest, UserClaims};
use wire::auth::jwt::{SigningKey, Token, VerifyingKey};

use super::AccessToken;
use crate::control::Communication;
use crate::{App, Error, Kind, Random, Result};

/// The server's part of every token key.
pub(crate) struct TokenSecret(SecretString);

/// The name in `meta` of [`TokenSecret`].
pub(crate) const SECRET: &str = "identity.secret";

/// As real tokens carry them; they mean nothing here.
const SCP: u32 = 1792;
const REGION: &str = "local";
const LOCATION: &str = "global";

impl TokenSecret {
    /// Reads the secret, or makes it at the first start.
    pub(crate) async fn open(store: &Store, random: &Random) -> Result<Self> {
        let make = || STANDARD.encode(random.bytes::<32>());
        Ok(Self(store.secret_or_insert(SECRET, make).await?))
    }

    /// The key of a resource's tokens: another one as soon as one of its access keys is another one, because a new
    /// access key revokes all tokens.
    fn key_of(&self, communication: &Communication) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret().as_bytes());
        let mut context = hmac::Context::with_key(&key);
        for part in [
            communication.immutable_id.as_str(),
            communication.primary.expose_secret(),
            communication.secondary.expose_secret(),
        ] {
            context.update(part.as_bytes());
            context.update(&[0]);
        }
        context.sign()
    }

    /// The key that signs the webhooks of a subscription, in this generation.
    pub(crate) fn webhook_key(&self, subscription: &str, generation: u32) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret().as_bytes());
        let named = format!("webhook\0{subscription}\0{generation}");
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(&key, named.as_bytes()).as_ref());
        bytes
    }

    /// The key that signs the context of incoming calls.
    pub(crate) fn context_key(&self) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret().as_bytes());
        hmac::sign(&key, b"incomingCallContext")
    }
}

impl App {
    /// The user of an access token: its signature, its end, and whether it was revoked are checked.
    pub async fn authenticate_user_token(&self, text: &str) -> Result<TokenUser> {
        let token = Token::parse(text).map_err(|error| denied("malformed").caused_by(error))?;
        let claims: UserClaims = token
            .claims()
            .map_err(|error| denied("not the token of a communication user").caused_by(error))?;
        let communication = self
            .communication_candidates(None)
            .into_iter()
            .find(|communication| communication.immutable_id == claims.resource_id)
            .ok_or_else(|| denied("of a resource that is not here"))?;
        let key = self.token_secret.key_of(&communication);
        token
            .verify(&VerifyingKey::Hs256(key.as_ref()))
            .map_err(|error| denied("not signed with the keys of its resource").caused_by(error))?;
        if self.clock.now() >= Timestamp::from_secs(claims.exp) {
            return Err(denied("expired"));
        }
        let id = UserId::parse(&claims.user_id()).ok_or_else(|| denied("of no user"))?;
        let identity = self.store.identity(&id).await?;
        let identity = identity.ok_or_else(|| denied("of a user who was deleted"))?;
        if !identity.honours(Timestamp::from_micros(claims.iat_micros)) {
            return Err(denied("revoked"));
        }
        Ok(TokenUser {
            id,
            communication: communication.key.clone(),
            scopes: claims
                .acs_scope
                .split(',')
                .filter_map(Scope::parse)
                .collect(),
            expires_at: Timestamp::from_secs(claims.exp),
        })
    }

    pub(super) fn token_of(
        &self,
        communication: &Communication,
        identity: &Identity,
        scopes: &[Scope],
        request: &TokenRequest,
    ) -> Result<AccessToken> {
        let issued = identity.issue_at(self.clock.now());
        let minutes = u64::try_from(request.expires_in_minutes).unwrap_or(0);
        let expires = issued + Duration::from_secs(minutes * 60);
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let id = identity.id.as_str();
        let claims = UserClaims {
            skypeid: id.strip_prefix("8:").unwrap_or(id).to_owned(),
            scp: SCP,
            csi: issued.secs().to_string(),
            exp: expires.secs(),
            rgn: REGION.to_owned(),
            acs_scope: scopes.join(","),
            resource_id: communication.immutable_id.clone(),
            resource_location: LOCATION.to_owned(),
            iat: issued.secs(),
            iat_micros: issued.micros(),
        };
        let unwritable = || Error::new(Kind::Internal, "InternalServerError", UNWRITABLE);
        let claims = claims.to_json().ok_or_else(unwritable)?;
        let key = self.token_secret.key_of(communication);
        let token = SigningKey::hs256(key.as_ref())
            .sign(&json!({ "typ": "JWT" }), &claims)
            .map_err(|error| unwritable().caused_by(error))?;
        Ok(AccessToken {
            token,
            expires_on: Timestamp::from_secs(expires.secs()),
        })
    }
}

const UNWRITABLE: &str = "The token could not be written.";

fn denied(what: &str) -> Error {
    let message = format!("The access token is {what}.");
    Error::new(Kind::Unauthenticated, "Unauthorized", message)
}
