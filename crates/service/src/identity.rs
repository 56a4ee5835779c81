//! Communication identities and their access tokens.
//!
//! A token is signed with a key made of the server's own secret and the access keys of its resource, so that a new
//! access key ends every token; a revocation or a deletion ends those of one user. All of it holds from the next
//! request on, because each request looks the identity up.

mod access;
mod rates;
mod tokens;

use std::time::Duration;

use domain::identity::{Identity, Scope, UserId};
use domain::time::Timestamp;
use wire::acs::identity::TokenRequest;

pub use access::SignedRequest;
pub use rates::IdentityRates;
pub(crate) use rates::IdentityUse;
pub(crate) use tokens::{SECRET, TokenSecret};

use self::rates::Operation;
use crate::control::Communication;
use crate::{App, Error, Result};

/// An access token of a user.
pub struct AccessToken {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires_on: Timestamp,
}

impl App {
    /// Creates a user of a communication resource, and a token for it if one is asked for.
    pub async fn create_identity(
        &self,
        communication: &Communication,
        token: Option<&TokenRequest>,
    ) -> Result<(Identity, Option<AccessToken>)> {
        let scopes = token.map(|token| scopes(token, "createTokenWithScopes"));
        let scopes = scopes.transpose()?;
        let operation = match token {
            None => Operation::Create,
            Some(_) => Operation::CreateWithToken,
        };
        self.limit_identity(communication, operation)?;
        let now = self.clock.now();
        let identity = Identity {
            id: UserId::of_resource(&communication.immutable_id, self.random.uuid()),
            communication: communication.key.clone(),
            created_at: now,
            valid_after: now - Duration::from_micros(1),
        };
        let mut tx = self.store.begin().await?;
        tx.insert_identity(&identity).await?;
        tx.commit().await?;
        let token = match (token, scopes) {
            (Some(request), Some(scopes)) => {
                Some(self.token_of(communication, &identity, &scopes, request)?)
            }
            _ => None,
        };
        Ok((identity, token))
    }

    /// Issues a token to a user.
    pub async fn issue_token(
        &self,
        communication: &Communication,
        user: &str,
        request: &TokenRequest,
    ) -> Result<AccessToken> {
        let scopes = scopes(request, "scopes")?;
        self.limit_identity(communication, Operation::IssueToken)?;
        let identity = self.identity_of(communication, user).await?;
        self.token_of(communication, &identity, &scopes, request)
    }

    /// Revokes every token of a user, and forgets the user's devices: who may no longer call may no longer be rung.
    pub async fn revoke_tokens(&self, communication: &Communication, user: &str) -> Result<()> {
        self.limit_identity(communication, Operation::RevokeTokens)?;
        let identity = self.identity_of(communication, user).await?;
        let mut tx = self.store.begin().await?;
        // Later than any token, even one that was issued ahead of a clock that stood still.
        let at = identity.issue_at(self.clock.now());
        tx.revoke_tokens(&identity.id, at).await?;
        tx.delete_devices_of(&identity.id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Deletes a user, with tokens and devices. Deleting one who is already gone is no error: a client repeats a
    /// request whose answer it did not get.
    pub async fn delete_identity(&self, communication: &Communication, user: &str) -> Result<()> {
        self.limit_identity(communication, Operation::Delete)?;
        let user = own_user(communication, user)?;
        let mut tx = self.store.begin().await?;
        tx.delete_identity(&user).await?;
        tx.delete_devices_of(&user).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn identity_of(&self, communication: &Communication, user: &str) -> Result<Identity> {
        let user = own_user(communication, user)?;
        let identity = self.store.identity(&user).await?;
        identity.ok_or_else(|| no_such_user(user.as_str()))
    }
}

fn own_user(communication: &Communication, user: &str) -> Result<UserId> {
    let id = UserId::parse(user).ok_or_else(|| {
        let message =
            format!("'{user}' is not the id of a communication user, '8:acs:<resource>_<user>'.");
        Error::invalid("InvalidIdentity", message).at("id")
    })?;
    if id.resource() == communication.immutable_id {
        Ok(id)
    } else {
        Err(no_such_user(user))
    }
}

fn no_such_user(user: &str) -> Error {
    let message =
        format!("This resource has no user '{user}': it was never created, or it was deleted.");
    Error::not_found("IdentityNotFound", message).at("id")
}

fn scopes(request: &TokenRequest, field: &str) -> Result<Vec<Scope>> {
    let mut scopes = Vec::with_capacity(request.scopes.len());
    for (index, text) in request.scopes.iter().enumerate() {
        let scope = Scope::parse(text).ok_or_else(|| {
            let message = format!(
                "'{text}' is not a scope: chat, chat.join, chat.join.limited, voip, voip.join."
            );
            Error::invalid("InvalidScope", message).at(format!("{field}[{index}]"))
        })?;
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}
