//! `carillon login`: a token for the control plane.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use domain::time::Timestamp;
use serde::Deserialize;
use service::Clock;

use super::client::{Client, Target};
use super::login_cache::Login;
use crate::environment::Environment;
use crate::failure::{Failure, Result};

/// What Azure Resource Manager's clients ask for, double slash and all.
const SCOPE: &str = "https://management.azure.com//.default";
/// Ends a token a little before the server does, so that none ends on its way.
const MARGIN: Duration = Duration::from_secs(60);

/// Sign in to the control plane, for GET, POST, PUT, PATCH and DELETE.
///
/// With an app registration, or with a ready token. Without either it takes the app registration of `carillon dev`
/// from its data directory.
#[derive(Debug, Args)]
pub struct LoginCommand {
    #[command(flatten)]
    target: Target,
    /// The id of an app registration
    #[arg(long, value_name = "GUID", requires = "client_secret")]
    client_id: Option<String>,
    /// Its secret; `-` reads it from standard input
    #[arg(
        long,
        value_name = "SECRET",
        requires = "client_id",
        allow_hyphen_values = true
    )]
    client_secret: Option<String>,
    /// The tenant of the app registration
    #[arg(long, value_name = "GUID", default_value = "adfs")]
    tenant: String,
    /// A token that somebody else has got; `-` reads it from standard input
    #[arg(long, value_name = "JWT", conflicts_with_all = ["client_id", "client_secret"])]
    token: Option<String>,
}

/// The token endpoint's answer, good or bad.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Token {
        access_token: String,
        expires_in: u64,
    },
    Error {
        error: String,
        #[serde(default)]
        error_description: String,
    },
}

impl LoginCommand {
    pub(super) async fn run(self) -> Result<()> {
        let client = self.target.find()?;
        let now = Clock::System.now();
        let (token, expires_at) = match (&self.token, &self.client_id, &self.client_secret) {
            (Some(token), ..) => {
                let token = super::stdin_if_dash(token)?;
                check(&client, &token).await?;
                let expires_at = expiry(&token).unwrap_or(now + Duration::from_secs(3600));
                (token, expires_at)
            }
            (None, Some(id), Some(secret)) => {
                sign_in(
                    &client,
                    &self.tenant,
                    id,
                    &super::stdin_if_dash(secret)?,
                    now,
                )
                .await?
            }
            _ => {
                let (id, secret) = registration(&client)?;
                sign_in(&client, "adfs", &id, &secret, now).await?
            }
        };
        let login = Login {
            endpoint: client.base_url.clone(),
            ca_pem: client.ca_pem.clone(),
            token,
            expires_at,
        };
        login.save()?;
        eprintln!(
            "Signed in to {} until {}.",
            client.base_url,
            expires_at.rfc3339_secs()
        );
        Ok(())
    }
}

/// A token for `client`: the environment's, else the one kept, else one for the app registration of `carillon dev`.
pub async fn token(client: &Client) -> Result<String> {
    if let Ok(token) = std::env::var("CARILLON_TOKEN")
        && !token.is_empty()
    {
        return Ok(token);
    }
    let now = Clock::System.now();
    let kept = Login::load(Some(&client.base_url));
    let expired = kept.is_some();
    if let Some(login) = kept.filter(|login| login.expires_at > now + MARGIN) {
        return Ok(login.token);
    }
    match registration(client) {
        Ok((id, secret)) => Ok(sign_in(client, "adfs", &id, &secret, now).await?.0),
        Err(_) if expired => Err(Failure::failed(format!(
            "the sign-in to {} has expired",
            client.base_url
        ))
        .way_out("run `carillon login` again")),
        Err(failure) => Err(failure),
    }
}

/// The app registration that the server's own `env.json` names.
fn registration(client: &Client) -> Result<(String, String)> {
    let control = client
        .environment
        .as_ref()
        .and_then(|environment: &Environment| environment.control.as_ref());
    control
        .and_then(|control| control.client_id.clone().zip(control.client_secret.clone()))
        .ok_or_else(|| {
            Failure::usage(format!("nobody is signed in to {}", client.base_url))
                .way_out("run `carillon login --client-id GUID --client-secret SECRET`, or give it a --token")
        })
}

async fn sign_in(
    client: &Client,
    tenant: &str,
    id: &str,
    secret: &str,
    now: Timestamp,
) -> Result<(String, Timestamp)> {
    let path = match tenant {
        "adfs" => "/adfs/oauth2/token/".to_owned(),
        tenant => format!("/{tenant}/oauth2/v2.0/token"),
    };
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", secret),
        ("scope", SCOPE),
    ];
    let response = client
        .http
        .post(client.url(&path)?)
        .form(&form)
        .send()
        .await;
    let response = response.map_err(|error| client.unreachable(&error))?;
    let status = response.status();
    let text = response
        .text()
        .await
        .map_err(|error| client.unreachable(&error))?;
    match serde_json::from_str(&text) {
        Ok(Answer::Token {
            access_token,
            expires_in,
        }) => Ok((access_token, now + Duration::from_secs(expires_in))),
        Ok(Answer::Error {
            error,
            error_description,
        }) => {
            let description = error_description.split(" Trace ID:").next();
            let description = description.unwrap_or_default();
            Err(Failure::failed(format!(
                "sign-in was refused: {error}: {description}"
            )))
        }
        Err(_) => Err(Failure::failed(format!(
            "sign-in failed: {} answers {status}",
            client.base_url
        ))),
    }
}

/// Asks the server whether it takes a token that somebody else has got.
async fn check(client: &Client, token: &str) -> Result<()> {
    let url = client.url("/subscriptions?api-version=2022-12-01")?;
    let asked = client.http.get(url).bearer_auth(token).send().await;
    let answer = asked.map_err(|error| client.unreachable(&error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let text = answer.text().await.unwrap_or_default();
    Err(Failure::failed(format!(
        "the token was refused: {status}{}",
        super::json::error_of(&text)
    )))
}

/// When a token ends, as it says itself.
fn expiry(token: &str) -> Option<Timestamp> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["exp"].as_i64().map(Timestamp::from_secs)
}
