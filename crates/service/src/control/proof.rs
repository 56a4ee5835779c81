//! What an app or a user proves itself by: a secret, a signed assertion, a password, a refresh token.

use domain::directory::{AppCredential, AppRegistration, Proof, User};
use domain::time::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use wire::auth::jwt::{Token, VerifyingKey};
use wire::entra::Assertion;
use x509_parser::prelude::FromDer;

use super::signin::{REFRESH, REFRESH_LIFE, SKEW, oauth, unproved};
use super::{directory, password};
use crate::{App, Result};

/// An assertion may not live longer than this, seconds: it is remembered as long.
const ASSERTION_LIFE: f64 = 24.0 * 3_600.0;

impl App {
    pub(super) fn check_secret(&self, app: &AppRegistration, secret: &SecretString) -> Result<()> {
        let hash = directory::secret_hash(secret.expose_secret());
        let held = app
            .credentials
            .iter()
            .find(|credential| matches!(&credential.proof, Proof::Secret(held) if *held == hash));
        match held {
            Some(held) if held.expires_at > self.clock.now() => Ok(()),
            Some(_) => Err(unproved(
                7_000_222,
                format!(
                    "The provided client secret keys for app '{}' are expired.",
                    app.client_id
                ),
            )),
            None => Err(unproved(
                7_000_215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to the app.",
            )),
        }
    }

    /// RFC 7523 section 3: signature, subject, audience, times, and no second use.
    pub(super) async fn check_assertion(&self, app: &AppRegistration, text: &str) -> Result<()> {
        let malformed = || unproved(50_027, "JWT token is invalid or malformed.");
        let token = Token::parse(text).map_err(|_| malformed())?;
        let claims: Assertion = token.claims().map_err(|_| malformed())?;
        let now = self.clock.now();
        let signed = app
            .credentials
            .iter()
            .any(|credential| credential.expires_at > now && is_signed_with(&token, credential));
        if !signed {
            return Err(unproved(
                700_027,
                format!(
                    "The certificate used to sign the client assertion is not registered on application '{}', or the signature does not verify.",
                    app.client_id
                ),
            ));
        }
        if !claims.iss.eq_ignore_ascii_case(&app.client_id)
            || !claims.sub.eq_ignore_ascii_case(&app.client_id)
        {
            return Err(unproved(
                700_021,
                "Client assertion application identifier doesn't match 'client_id' parameter.",
            ));
        }
        if !self.is_own_address(&claims.aud) {
            return Err(unproved(
                700_023,
                format!(
                    "Client assertion audience claim '{}' does not match the token endpoint.",
                    claims.aud
                ),
            ));
        }
        let seconds = now.micros() as f64 / 1e6;
        let started = claims
            .nbf
            .or(claims.iat)
            .is_none_or(|from| from <= seconds + SKEW);
        let alive = claims.exp > seconds - SKEW && claims.exp <= seconds + ASSERTION_LIFE + SKEW;
        if !started || !alive {
            return Err(unproved(
                700_024,
                "Client assertion is not within its valid time range.",
            ));
        }
        self.remember_assertion(app, &claims, text).await
    }

    /// Refuses an assertion that was used before. One without `jti` is known by its whole text.
    async fn remember_assertion(
        &self,
        app: &AppRegistration,
        claims: &Assertion,
        text: &str,
    ) -> Result<()> {
        let id = claims.jti.as_deref().unwrap_or(text);
        let id = hex::encode(digest(
            &SHA256,
            format!("{} {id}", app.client_id).as_bytes(),
        ));
        let until = Timestamp::from_secs((claims.exp + SKEW) as i64);
        let mut tx = self.store.begin().await?;
        let fresh = tx.insert_assertion(&id, until, self.clock.now()).await?;
        tx.commit().await?;
        if fresh {
            return Ok(());
        }
        Err(unproved(
            50_027,
            "JWT token is invalid: the client assertion was used before.",
        ))
    }

    /// Whether `url` is a token endpoint or authority of this server, by whichever of its names.
    fn is_own_address(&self, url: &str) -> bool {
        let Ok(url) = url::Url::parse(url) else {
            return false;
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        url.scheme() == "https" && self.settings.hosts.iter().any(|own| own == host)
    }

    pub(super) async fn check_password(
        &self,
        upn: &str,
        given: &SecretString,
    ) -> Result<std::sync::Arc<User>> {
        let wrong = || {
            oauth(
                "invalid_grant",
                50_126,
                "Error validating credentials due to invalid username or password.".to_owned(),
            )
        };
        let user = self
            .control
            .snapshot()
            .users
            .get(&upn.to_lowercase())
            .cloned();
        let user = user.ok_or_else(wrong)?;
        let (kept, given) = (user.password.clone(), given.clone());
        // A tenth of a second of arithmetic does not belong on a thread that serves others.
        let right =
            tokio::task::spawn_blocking(move || password::verify(given.expose_secret(), &kept))
                .await;
        match right {
            Ok(true) => Ok(user),
            _ => Err(wrong()),
        }
    }

    pub(super) fn check_refresh(
        &self,
        client_id: &str,
        token: &SecretString,
    ) -> Result<std::sync::Arc<User>> {
        let invalid = |problem: &str| {
            oauth(
                "invalid_grant",
                70_000,
                format!("Provided grant is invalid or malformed: {problem}."),
            )
        };
        let opened = self.store.seal().open(REFRESH, token.expose_secret());
        let opened = opened.map_err(|_| invalid("it is not of this server"))?;
        let claims: Value = serde_json::from_str(opened.expose_secret()).unwrap_or_default();
        let issued = claims["iat"].as_i64().unwrap_or_default();
        if issued + REFRESH_LIFE <= self.clock.now().secs() {
            return Err(oauth(
                "invalid_grant",
                700_082,
                "The refresh token has expired due to inactivity.".to_owned(),
            ));
        }
        if claims["cid"] != client_id {
            return Err(invalid("it was issued to another client"));
        }
        let upn = claims["upn"].as_str().unwrap_or_default();
        let user = self.control.snapshot().users.get(upn).cloned();
        user.filter(|user| issued >= user.tokens_from.secs())
            .ok_or_else(|| invalid("it was revoked"))
    }
}

/// Whether `token` names no other certificate than this credential's (by `x5t`, `x5t#S256`) and is signed by its key.
fn is_signed_with(token: &Token<'_>, credential: &AppCredential) -> bool {
    let Proof::Certificate(der) = &credential.proof else {
        return false;
    };
    let names = |header: &str, algorithm| {
        token
            .header_text(header)
            .is_none_or(|given| same_thumbprint(given, digest(algorithm, der).as_ref()))
    };
    if !names("x5t", &SHA1_FOR_LEGACY_USE_ONLY) || !names("x5t#S256", &SHA256) {
        return false;
    }
    let Ok((_, certificate)) = x509_parser::certificate::X509Certificate::from_der(der) else {
        return false;
    };
    let key = &certificate.public_key().subject_public_key.data;
    token.verify(&VerifyingKey::Rsa(key)).is_ok()
}

/// Thumbprints come in base64url; msal for Python has written plain base64.
fn same_thumbprint(given: &str, digest: &[u8]) -> bool {
    use base64::Engine as _;
    let given = given
        .trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest) == given
}
