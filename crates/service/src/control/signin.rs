//! Sign-in: grants become tokens, and tokens become callers.

use std::net::IpAddr;

use domain::directory::{AppRegistration, Caller, User};
use domain::time::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use wire::auth::jwt::Token;
use wire::entra::AccessClaims;

use super::attempts::Claimant;
use crate::{App, Error, Kind, Result};

/// How long an access token is good for, seconds.
const LIFE: i64 = 3_600;

/// How long a refresh token is good for, seconds.
pub(super) const REFRESH_LIFE: i64 = 14 * 24 * 3_600;

/// How far clocks may be apart, seconds.
pub(super) const SKEW: f64 = 300.0;

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
    /// Publishing to topics.
    EventGrid,
}

/// A request for tokens.
pub struct GrantRequest {
    /// Who asks.
    pub client_id: String,
    /// `scope`, or `resource` of older clients.
    pub scope: String,
    /// With which proof.
    pub grant: Grant,
    /// From which address.
    pub from: Option<IpAddr>,
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
                let check = async { self.check_secret(&app, secret) };
                self.unless_locked(Claimant::App(&app.client_id), request.from, check)
                    .await?;
                self.app_tokens(&app, &audience)
            }
            Grant::Assertion(assertion) => {
                let app = self.known_app(&request.client_id)?;
                let check = self.check_assertion(&app, assertion);
                self.unless_locked(Claimant::App(&app.client_id), request.from, check)
                    .await?;
                self.app_tokens(&app, &audience)
            }
            Grant::Password { username, password } => {
                self.check_public_client(&request.client_id)?;
                let check = self.check_password(username, password);
                let user = self
                    .unless_locked(Claimant::User(username), request.from, check)
                    .await?;
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
            Audience::EventGrid => vec!["https://eventgrid.azure.net"],
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
            .chain(self.audiences(Audience::EventGrid))
            .chain([graph.as_str()])
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

    /// The `Authorization` with which events are delivered to an application: a token for it, issued to Event Grid.
    pub(crate) fn event_grid_token(&self, audience: &str) -> Result<http::HeaderValue> {
        let mut claims = self.claims(audience, EVENT_GRID, EVENT_GRID);
        claims.idtyp = "app".to_owned();
        let token = self.control.authority.sign(&json!(claims))?;
        let mut header =
            http::HeaderValue::try_from(format!("Bearer {token}")).map_err(|error| {
                let message = "A token cannot be written into a header.";
                Error::new(Kind::Internal, "InternalServerError", message).caused_by(error)
            })?;
        header.set_sensitive(true);
        Ok(header)
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
pub(super) const REFRESH: &str = "control.refresh-token";

fn same_audience(known: &str, given: &str) -> bool {
    known
        .trim_end_matches('/')
        .eq_ignore_ascii_case(given.trim_end_matches('/'))
}

fn unauthenticated(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Unauthenticated, code, message)
}

fn stale(message: &str) -> Error {
    Error::new(Kind::Stale, "InvalidAuthenticationToken", message)
}

/// An OAuth error with the number that Microsoft's clients look for.
pub(super) fn oauth(code: &'static str, number: u32, message: String) -> Error {
    Error::invalid(code, format!("AADSTS{number}: {message}"))
}

/// The application could not prove who it is.
pub(super) fn unproved(number: u32, message: impl Into<String>) -> Error {
    Error::new(
        Kind::Unauthenticated,
        "invalid_client",
        format!("AADSTS{number}: {}", message.into()),
    )
}

/// The client id of Event Grid in every tenant of Azure.
const EVENT_GRID: &str = "4962773b-9cdb-44cf-a8bf-237846a00ab7";
