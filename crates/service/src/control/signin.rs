//! Sign-in: grants become tokens, and tokens become callers.

use domain::directory::{AppCredential, AppRegistration, Caller, Proof, User};
use domain::time::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use wire::auth::jwt::{Token, VerifyingKey};
use wire::entra::{AccessClaims, Assertion};
use x509_parser::prelude::FromDer;

use super::{directory, password};
use crate::{App, Error, Kind, Result};

/// How long an access token is good for, seconds.
const LIFE: i64 = 3_600;

/// How long a refresh token is good for, seconds.
const REFRESH_LIFE: i64 = 14 * 24 * 3_600;

/// How far clocks may be apart, seconds.
const SKEW: f64 = 300.0;

/// An assertion may not live longer than this, seconds: it is remembered as long.
const ASSERTION_LIFE: f64 = 24.0 * 3_600.0;

/// Public clients that sign users in: `az`, and armclient with Azure PowerShell.
const PUBLIC_CLIENTS: [&str; 2] = [
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
    "1950a258-227b-4e31-a9cf-717495945fc2",
];

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The control plane.
    Management,
    /// The communication data plane.
    Communication,
}

/// A request for tokens.
pub struct GrantRequest {
    /// Who asks.
    pub client_id: String,
    /// `scope`, or `resource` of older clients.
    pub scope: String,
    /// With which proof.
    pub grant: Grant,
}

/// The proof of a token request.
pub enum Grant {
    /// `client_credentials` with a secret.
    Secret(SecretString),
    /// `client_credentials` with a certificate's signature.
    Assertion(String),
    /// `password`.
    Password {
        /// The user principal name.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// `refresh_token`.
    Refresh(SecretString),
}

/// Tokens for an app or a user.
pub struct Tokens {
    /// The access token.
    pub access: SecretString,
    /// Seconds it is good for.
    pub expires_in: i64,
    /// What comes with it for a user.
    pub user: Option<UserTokens>,
}

/// What a user's client gets beside the access token.
pub struct UserTokens {
    /// Buys new tokens.
    pub refresh: SecretString,
    /// Says who it is.
    pub id: String,
    /// The scope that was asked for.
    pub scope: String,
    /// `{"uid","utid"}`, base64url.
    pub client_info: String,
}

impl App {
    /// The caller behind an `Authorization` header, refused with ARM's codes.
    pub fn authenticate(&self, authorization: Option<&str>, audience: Audience) -> Result<Caller> {
        let header = authorization.ok_or_else(|| {
            unauthenticated(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
            )
        })?;
        let invalid = || {
            unauthenticated(
                "InvalidAuthenticationToken",
                "The access token is invalid: it is not a JSON Web Token of this server.",
            )
        };
        let text = header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| {
                unauthenticated(
                    "AuthenticationFailedInvalidHeader",
                    "Authentication failed. The 'Authorization' header is provided in an invalid format.",
                )
            })?;
        let token = Token::parse(text).map_err(|_| invalid())?;
        if !self.control.authority.signed(&token) {
            return Err(stale(
                "The access token is not signed with this server's key. Sign in again.",
            ));
        }
        let claims: AccessClaims = token.claims().map_err(|_| invalid())?;
        self.check_claims(&claims, audience)?;
        self.check_caller(&claims)?;
        Ok(Caller {
            object_id: claims.oid,
            client_id: claims.appid,
            upn: claims.upn,
        })
    }

    /// Tokens for a request, or OAuth's error.
    pub async fn grant(&self, request: GrantRequest) -> Result<Tokens> {
        let audience = self.audience(&request.scope)?;
        match &request.grant {
            Grant::Secret(secret) => {
                let app = self.known_app(&request.client_id)?;
                self.check_secret(&app, secret)?;
                self.app_tokens(&app, &audience)
            }
            Grant::Assertion(assertion) => {
                let app = self.known_app(&request.client_id)?;
                self.check_assertion(&app, assertion).await?;
                self.app_tokens(&app, &audience)
            }
            Grant::Password { username, password } => {
                self.check_public_client(&request.client_id)?;
                let user = self.check_password(username, password).await?;
                self.user_tokens(&request, &user, &audience)
            }
            Grant::Refresh(token) => {
                self.check_public_client(&request.client_id)?;
                let user = self.check_refresh(&request.client_id, token)?;
                self.user_tokens(&request, &user, &audience)
            }
        }
    }

    /// The public keys of the authority.
    pub fn signing_keys(&self) -> Value {
        self.control.authority.jwks()
    }

    fn check_claims(&self, claims: &AccessClaims, audience: Audience) -> Result<()> {
        let now = self.clock.now();
        if claims.exp <= now.secs() {
            let expiry = Timestamp::from_secs(claims.exp);
            return Err(unauthenticated(
                "ExpiredAuthenticationToken",
                format!(
                    "The access token expiry UTC time '{}' is earlier than current UTC time '{}'.",
                    expiry.rfc3339_secs(),
                    now.rfc3339_secs()
                ),
            ));
        }
        if claims.tid != self.settings.tenant_id {
            return Err(unauthenticated(
                "InvalidAuthenticationTokenTenant",
                format!(
                    "The access token is from the wrong issuer. It must match the tenant '{}' associated with this subscription.",
                    self.settings.tenant_id
                ),
            ));
        }
        let accepted = self.audiences(audience);
        if !accepted
            .iter()
            .any(|known| same_audience(known, &claims.aud))
        {
            return Err(unauthenticated(
                "InvalidAuthenticationTokenAudience",
                format!(
                    "The access token has been obtained for wrong audience or resource '{}'. It should exactly match with one of the allowed audiences '{}'.",
                    claims.aud,
                    accepted.join("','")
                ),
            ));
        }
        Ok(())
    }

    /// The app or user must still be there, and its tokens not revoked since.
    fn check_caller(&self, claims: &AccessClaims) -> Result<()> {
        let snapshot = self.control.snapshot();
        let known = match &claims.upn {
            Some(upn) => {
                let user = snapshot.users.get(&upn.to_lowercase());
                user.map(|user| (&user.object_id, user.tokens_from))
            }
            None => {
                let app = snapshot.apps.get(&claims.appid);
                app.map(|app| (&app.object_id, app.tokens_from))
            }
        };
        match known {
            Some((object_id, from)) if *object_id == claims.oid && claims.iat >= from.secs() => {
                Ok(())
            }
            _ => Err(stale("The access token has been revoked. Sign in again.")),
        }
    }

    /// Resources that tokens of `audience` may name, without regard to a final slash.
    fn audiences(&self, audience: Audience) -> Vec<&str> {
        match audience {
            Audience::Management => vec![
                self.settings.base_url.as_str(),
                "https://management.azure.com",
                "https://management.core.windows.net",
            ],
            Audience::Communication => vec!["https://communication.azure.com"],
        }
    }

    /// The audience that a scope names, spelled as it does.
    fn audience(&self, scope: &str) -> Result<String> {
        let resource = scope
            .split_whitespace()
            .find(|word| word.contains("://"))
            .ok_or_else(|| {
                oauth("invalid_scope", 70011, format!("The provided value for the input parameter 'scope' is not valid. The scope '{scope}' names no resource."))
            })?;
        let audience = [".default", "user_impersonation"]
            .iter()
            .find_map(|end| resource.strip_suffix(end)?.strip_suffix('/'))
            .unwrap_or(resource);
        let graph = format!("{}/graph", self.settings.base_url);
        let known = self
            .audiences(Audience::Management)
            .into_iter()
            .chain(self.audiences(Audience::Communication))
            .chain(["https://eventgrid.azure.net", &graph])
            .any(|known| same_audience(known, audience));
        if known {
            return Ok(audience.to_owned());
        }
        Err(oauth(
            "invalid_resource",
            500_011,
            format!(
                "The resource principal named {audience} was not found in the tenant named {}.",
                self.settings.tenant_id
            ),
        ))
    }

    fn known_app(&self, client_id: &str) -> Result<std::sync::Arc<AppRegistration>> {
        self.app_registration(client_id).map_err(|_| {
            oauth("unauthorized_client", 700_016, format!(
                "Application with identifier '{client_id}' was not found in the directory '{}'.", self.settings.tenant_id
            ))
        })
    }

    fn check_public_client(&self, client_id: &str) -> Result<()> {
        if PUBLIC_CLIENTS.contains(&client_id) {
            return Ok(());
        }
        self.known_app(client_id).map(drop)
    }

    fn check_secret(&self, app: &AppRegistration, secret: &SecretString) -> Result<()> {
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
    async fn check_assertion(&self, app: &AppRegistration, text: &str) -> Result<()> {
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

    async fn check_password(
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

    fn check_refresh(&self, client_id: &str, token: &SecretString) -> Result<std::sync::Arc<User>> {
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

    fn app_tokens(&self, app: &AppRegistration, audience: &str) -> Result<Tokens> {
        let mut claims = self.claims(audience, &app.client_id, &app.object_id);
        claims.idtyp = "app".to_owned();
        Ok(Tokens {
            access: self.control.authority.sign(&json!(claims))?.into(),
            expires_in: LIFE - 1,
            user: None,
        })
    }

    fn user_tokens(&self, request: &GrantRequest, user: &User, audience: &str) -> Result<Tokens> {
        use base64::Engine as _;
        let mut claims = self.claims(audience, &request.client_id, &user.object_id);
        claims.upn = Some(user.upn.clone());
        claims.unique_name = Some(user.upn.clone());
        claims.scp = Some("user_impersonation".to_owned());
        let tenant = &self.settings.tenant_id;
        let id = json!({
            "aud": request.client_id, "iss": format!("{}/{tenant}/v2.0", self.settings.base_url),
            "iat": claims.iat, "nbf": claims.nbf, "exp": claims.exp,
            "oid": user.object_id, "sub": user.object_id, "tid": tenant,
            "preferred_username": user.upn, "upn": user.upn, "name": user.upn, "ver": "2.0",
        });
        let refresh =
            json!({ "upn": user.upn.to_lowercase(), "cid": request.client_id, "iat": claims.iat });
        let info = json!({ "uid": user.object_id, "utid": tenant }).to_string();
        Ok(Tokens {
            access: self.control.authority.sign(&json!(claims))?.into(),
            expires_in: LIFE - 1,
            user: Some(UserTokens {
                refresh: self
                    .store
                    .seal()
                    .seal(REFRESH, &refresh.to_string())?
                    .into(),
                id: self.control.authority.sign(&id)?,
                scope: request.scope.clone(),
                client_info: base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(info),
            }),
        })
    }

    fn claims(&self, audience: &str, client_id: &str, object_id: &str) -> AccessClaims {
        let now = self.clock.now().secs();
        AccessClaims {
            aud: audience.to_owned(),
            iss: format!("{}/{}/", self.settings.base_url, self.settings.tenant_id),
            iat: now,
            nbf: now,
            exp: now + LIFE,
            appid: client_id.to_owned(),
            oid: object_id.to_owned(),
            sub: object_id.to_owned(),
            tid: self.settings.tenant_id.clone(),
            idtyp: "user".to_owned(),
            upn: None,
            unique_name: None,
            scp: None,
            ver: "1.0".to_owned(),
            jti: self.random.uuid().to_string(),
        }
    }
}

/// The place that refresh tokens are sealed for.
const REFRESH: &str = "control.refresh-token";

fn same_audience(known: &str, given: &str) -> bool {
    known
        .trim_end_matches('/')
        .eq_ignore_ascii_case(given.trim_end_matches('/'))
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

fn unauthenticated(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Unauthenticated, code, message)
}

fn stale(message: &str) -> Error {
    Error::new(Kind::Stale, "InvalidAuthenticationToken", message)
}

/// An OAuth error with the number that Microsoft's clients look for.
fn oauth(code: &'static str, number: u32, message: String) -> Error {
    Error::invalid(code, format!("AADSTS{number}: {message}"))
}

/// The application could not prove who it is.
fn unproved(number: u32, message: impl Into<String>) -> Error {
    Error::new(
        Kind::Unauthenticated,
        "invalid_client",
        format!("AADSTS{number}: {}", message.into()),
    )
}
